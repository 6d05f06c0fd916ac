//! Statements that a passkey signs: what the browser is asked for, and what it gave.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use caretrail_model::calls::GetPolicy;
use caretrail_model::statement::SignedStatement;
use caretrail_model::webauthn::RelyingParty;
use caretrail_records::patient_key::PatientKey;
use caretrail_records::statements::{Assertion, PasskeyRequest};
use clap::Args;

use crate::app::{App, Session};
use crate::failure::{Exit, Invalid};

/// In which form a prepared statement is printed.
#[derive(Debug, Args)]
pub(crate) struct PasskeyArgs {
    /// Prints what a browser needs to have a passkey sign it, JSON: the text, and the options with the challenge.
    #[arg(long)]
    webauthn: bool,
    /// The site whose passkey signs [default: the only one that the consortium's policy names].
    #[arg(long, value_name = "DOMAIN", requires = "webauthn")]
    relying_party: Option<RelyingParty>,
}

impl PasskeyArgs {
    /// Prints a statement's exact text, or what asks a passkey for it.
    pub(crate) async fn print(self, app: &App, session: &Session, text: String) -> anyhow::Result<Exit> {
        if !self.webauthn {
            app.printer.text(&text)?;
            return Ok(Exit::Done);
        }
        let terms = session.records.policy(&GetPolicy {}).await?.terms;
        let (accepted, verified) = match &terms {
            Some(terms) => (terms.relying_parties.as_slice(), terms.user_verification),
            None => (Default::default(), true),
        };
        let named: Vec<_> = accepted.iter().map(ToString::to_string).collect();
        let party = match (&self.relying_party, accepted) {
            (Some(party), _) if accepted.contains(party) => party,
            (None, [only]) => only,
            (_, []) => {
                let problem = "the consortium's policy names no relying party, so no passkey counts: have one proposed with \
                               `caretrail policy draft --relying-party DOMAIN`";
                return Err(Invalid(problem.to_owned()).into());
            }
            _ => {
                let problem = format!("name one of the policy's relying parties: {}", named.join(", "));
                return Err(Invalid(problem).into());
            }
        };
        let request = PasskeyRequest::new(text, party, verified);
        app.printer.text(&(serde_json::to_string_pretty(&request)? + "\n"))?;
        Ok(Exit::Done)
    }
}

/// Who signs a statement that was prepared.
#[derive(Debug, Args)]
pub(crate) struct ProofArgs {
    /// The key file of the patient, or of a guardian.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// A file with what the browser gave for a passkey, JSON: the credential, or its response with authenticatorData,
    /// clientDataJSON and signature.
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    assertion: Option<PathBuf>,
}

impl ProofArgs {
    /// The text in a file, signed; nothing when neither a key nor an assertion was named.
    pub(crate) fn prove(&self, file: &Path) -> anyhow::Result<Option<SignedStatement>> {
        prove_with(file, self.key.as_deref(), self.assertion.as_deref())
    }
}

/// The text in a file, signed by a key file or a passkey; nothing when neither was named.
pub(crate) fn prove_with(
    file: &Path,
    key: Option<&Path>,
    assertion: Option<&Path>,
) -> anyhow::Result<Option<SignedStatement>> {
    let text = super::prepare::read_text(file)?;
    Ok(match (key, assertion) {
        (Some(key), _) => {
            let signed = PatientKey::load(key)?.sign_text(&text);
            Some(signed.map_err(|error| Invalid(error.to_string()))?)
        }
        (None, Some(assertion)) => {
            // What is no statement is found here, not by whoever carries it.
            super::prepare::read_statement(file)?;
            let proven = read_assertion(assertion)?.prove(text);
            Some(proven.map_err(|error| Invalid(error.to_string()))?)
        }
        (None, None) => None,
    })
}

/// A statement that was signed just now, or the one that a file holds.
pub(crate) fn read_signed_or(
    file: &Path,
    proven: Option<SignedStatement>,
) -> anyhow::Result<SignedStatement> {
    if let Some(signed) = proven {
        return Ok(signed);
    }
    let named = file.display();
    let json = std::fs::read_to_string(file).with_context(|| format!("`{named}` cannot be read"))?;
    serde_json::from_str(&json).map_err(|error| {
        let fix = "name --key or --assertion, or sign it first";
        Invalid(format!("`{named}` is no signed statement: {fix} ({error})")).into()
    })
}

fn read_assertion(file: &Path) -> anyhow::Result<Assertion> {
    let json =
        std::fs::read_to_string(file).with_context(|| format!("`{}` cannot be read", file.display()))?;
    Assertion::from_json(&json)
        .map_err(|error| Invalid(format!("`{}` is no assertion: {error}", file.display())).into())
}
