//! Statements that are prepared here, signed elsewhere, and carried.
//!
//! What is signed is a statement's exact text. [`prepare`] makes it, [`plain_words`] says what it means, a key file
//! ([`PatientKey::sign_text`](crate::patient_key::PatientKey::sign_text)) or a passkey ([`Assertion::prove`]) signs it,
//! and [`Records::carry`](crate::Records::carry) carries it by whichever call it is for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caretrail_model::consent::{Action, Effect, Exception, Grantee, Provision, Scope};
use caretrail_model::ids::{KeyId, Nonce, PatientId, StatementId};
use caretrail_model::purpose::Purpose;
use caretrail_model::statement::{Operation, Proof, SignedStatement, Statement, StatementError};
use caretrail_model::time::{Period, UnixMs};
use p256::ecdsa::Signature;
use serde::{Deserialize, Serialize};

use crate::ledger_name::LedgerName;
use crate::secret::{RandomnessError, random_16};

/// A statement that was not prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A statement's id is random.
    #[error("the statement was not prepared")]
    Randomness(#[from] RandomnessError),
    /// It cannot be written as JSON.
    #[error("the statement cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The body is none of the operation.
    #[error("the text is no statement: compare operation and body with the documented format")]
    Malformed,
}

/// The text of a statement, for the key `key` to sign.
///
/// # Errors
/// When there is no randomness.
pub fn prepare(
    ledger: &LedgerName,
    patient: PatientId,
    key: KeyId,
    submit_by: UnixMs,
    operation: Operation,
) -> Result<String, PrepareError> {
    let nonce = Nonce::from_bytes(random_16()?);
    let statement = Statement {
        channel: ledger.channel.clone(),
        chaincode: ledger.chaincode.clone(),
        patient,
        id: StatementId::derive(&patient, &key, &nonce),
        nonce,
        key,
        submit_by,
        operation,
    };
    Ok(statement.to_json()?)
}

/// Reads the text of a statement, without trusting it.
///
/// # Errors
/// When it is none.
pub fn read(text: &str) -> Result<Statement, StatementError> {
    unproven(text.to_owned()).parse()
}

fn unproven(statement: String) -> SignedStatement {
    SignedStatement { statement, proof: Proof::Es256 { signature: String::new() } }
}

/// What a browser gives for `navigator.credentials.get`, as unpadded base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assertion {
    /// The authenticator data.
    pub authenticator_data: String,
    /// The client data's JSON. Browsers spell it so.
    #[serde(rename = "clientDataJSON")]
    pub client_data_json: String,
    /// The signature, DER.
    pub signature: String,
}

/// An assertion that proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the assertion's signature is no ECDSA P-256 signature in DER and base64url: ask the browser for ES256"
)]
pub struct AssertionMalformed;

impl Assertion {
    /// The text with this assertion as its proof; the signature takes the one form that the contract accepts.
    ///
    /// # Errors
    /// When the signature is none of P-256.
    pub fn prove(&self, statement: String) -> Result<SignedStatement, AssertionMalformed> {
        let der = URL_SAFE_NO_PAD.decode(&self.signature).map_err(|_| AssertionMalformed)?;
        let signature = Signature::from_der(&der).map_err(|_| AssertionMalformed)?.normalize_s();
        let proof = Proof::Webauthn {
            authenticator_data: self.authenticator_data.clone(),
            client_data: self.client_data_json.clone(),
            signature: URL_SAFE_NO_PAD.encode(signature.to_bytes()),
        };
        Ok(SignedStatement { statement, proof })
    }
}

/// What a statement decides, in words, one sentence a line. `instant` says an instant in words.
pub fn plain_words(statement: &Statement, instant: impl Fn(UnixMs) -> String) -> Vec<String> {
    let mut words = vec![format!(
        "Patient {} decides, with key {}, on {} of channel {}:",
        statement.patient, statement.key, statement.chaincode, statement.channel
    )];
    match &statement.operation {
        Operation::RegisterPatient(body) => {
            words.push(format!("{} is my hospital, and this key speaks for me.", body.home));
        }
        Operation::GrantConsent(grant) => {
            words.extend(provision(&grant.provision, &instant));
            if let Some(superseded) = &grant.supersedes {
                words.push(format!("This replaces what I decided in {superseded}."));
            }
        }
        Operation::EndConsent(ending) => words.push(format!("What I decided in {} ends.", ending.consent)),
        Operation::StopAll(stop) => words.push(if stop.stopped {
            "Nobody may use any of my permits from now on, until I lift this stop.".to_owned()
        } else {
            "My permits count again: the stop is lifted.".to_owned()
        }),
        Operation::RefuseEmergency(choice) => words.push(if choice.refused {
            "Nobody may open my records in an emergency without my consent.".to_owned()
        } else {
            "In an emergency, clinicians may break the glass and open my records.".to_owned()
        }),
        Operation::BindKey(new) => {
            words.push(format!(
                "Key {} speaks for me; nothing is done on paper any more.",
                new.public_key.id()
            ));
        }
        Operation::RotateKey(new) => {
            words.push(format!("Key {} speaks for me, in place of this one.", new.public_key.id()));
        }
        Operation::RecoverKey(new) => words.push(format!(
            "I lost my key: key {} shall speak for me once two hospitals have vouched for it.",
            new.public_key.id()
        )),
        Operation::CancelRecovery(cancelled) => {
            words.push(format!("I have not lost my key: recovery {} is refused.", cancelled.recovery));
        }
        Operation::AddGuardian(guardian) => {
            words.push(format!(
                "The holder of key {} may decide for me {}.",
                guardian.public_key.id(),
                period(&guardian.term, &instant)
            ));
            if !guardian.protected.is_empty() {
                words.push("Records with the labels that I named stay closed to their permits.".to_owned());
            }
        }
        Operation::EndGuardian(ending) => {
            words.push(format!("The holder of key {} decides for me no longer.", ending.guardian));
        }
        Operation::RegisterRecord(own) => {
            words.push(format!("I add record {} of my own, which {} keeps.", own.record, own.custodian))
        }
        Operation::RequestCorrection(asked) => words
            .push(format!("I ask for a correction of record {}, version {}.", asked.record, asked.version)),
    }
    words.push(format!("This can be carried until {}.", instant(statement.submit_by)));
    words
}

fn provision(provision: &Provision, instant: &impl Fn(UnixMs) -> String) -> Vec<String> {
    let may = match provision.effect {
        Effect::Permit => "may",
        Effect::Deny => "may not",
    };
    let mut words = vec![format!(
        "{} {may} {} {} for {}, {}.",
        grantee(&provision.grantee),
        actions(&provision.actions),
        scope(&provision.scope),
        purposes(&provision.purposes),
        period(&provision.period, instant)
    )];
    if provision.effect == Effect::Permit && provision.actions.contains(&Action::Delegate) {
        words.push("They may pass this on to others, narrower, once.".to_owned());
    }
    words.extend(provision.exceptions.iter().map(|except| exception(except, instant)));
    words
}

fn exception(exception: &Exception, instant: &impl Fn(UnixMs) -> String) -> String {
    let mut parts = Vec::new();
    parts.extend(exception.grantee.as_ref().map(grantee));
    if !exception.actions.is_empty() {
        parts.push(format!("to {}", actions(&exception.actions)));
    }
    parts.extend(exception.scope.as_ref().map(|only| format!("for {}", scope(only))));
    if !exception.purposes.is_empty() {
        parts.push(format!("for {}", purposes(&exception.purposes)));
    }
    parts.extend(exception.period.as_ref().map(|when| period(when, instant)));
    format!("This does not apply: {}.", parts.join(", "))
}

fn grantee(grantee: &Grantee) -> String {
    match grantee {
        Grantee::Hospital { msp_id } => format!("Everybody at {msp_id}"),
        Grantee::Role { msp_id, role } => format!("Every {role} at {msp_id}"),
        Grantee::Person { msp_id, subject } => format!("{subject} at {msp_id}"),
    }
}

fn actions(actions: &[Action]) -> String {
    let named = actions.iter().filter_map(|action| match action {
        Action::Read => Some("read"),
        Action::Write => Some("add to"),
        Action::Delegate => None,
    });
    let named: Vec<_> = named.collect();
    if named.is_empty() { "pass on".to_owned() } else { named.join(" and ") }
}

fn scope(scope: &Scope) -> String {
    match scope {
        Scope::All {} => "all my records".to_owned(),
        Scope::Custodian { msp_id } => format!("my records that {msp_id} keeps"),
        Scope::Records { records } => {
            let ids: Vec<_> = records.iter().map(ToString::to_string).collect();
            format!("my records {}", ids.join(", "))
        }
        Scope::Tags { sets } => {
            let tags: usize = sets.iter().map(|set| set.tags.len()).sum();
            let hospitals: Vec<_> = sets.iter().map(|set| set.custodian.to_string()).collect();
            format!("my records with one of {tags} labels of {}", hospitals.join(", "))
        }
    }
}

fn purposes(purposes: &[Purpose]) -> String {
    let words = purposes.iter().map(|purpose| match purpose {
        Purpose::Treat => "treatment",
        Purpose::Etreat => "emergency treatment",
        Purpose::Btg => "emergency access",
        Purpose::Caremgt => "care management",
        Purpose::Hpaymt => "payment",
        Purpose::Hoperat => "operations",
        Purpose::Hresch => "research",
        Purpose::Clintrch => "clinical trials",
        Purpose::Pubhlth => "public health",
        Purpose::Patrqt => "requests of mine",
        Purpose::Famrqt => "requests of my family",
        Purpose::Pwatrny => "power of attorney",
        Purpose::Hlegal => "legal matters",
        Purpose::Coverage => "coverage",
        Purpose::Htest => "tests of systems",
    });
    words.collect::<Vec<_>>().join(", ")
}

fn period(period: &Period, instant: &impl Fn(UnixMs) -> String) -> String {
    format!("from {} until {}", instant(period.from), instant(period.until))
}

#[cfg(test)]
mod tests {
    use caretrail_model::statement::{Grant, Stop};

    use super::*;

    fn words(operation: Operation) -> Vec<String> {
        let ledger =
            LedgerName { channel: "records".parse().unwrap(), chaincode: "caretrail".parse().unwrap() };
        let (patient, key) = (PatientId::from_bytes([1; 16]), KeyId::from_bytes([2; 16]));
        let text = prepare(&ledger, patient, key, UnixMs::new(9).unwrap(), operation).unwrap();
        plain_words(&read(&text).unwrap(), |at| format!("t{at}"))
    }

    #[test]
    fn a_statement_says_in_words_what_it_decides() {
        let provision = Provision {
            effect: Effect::Deny,
            grantee: Grantee::Hospital { msp_id: "SouthMSP".parse().unwrap() },
            actions: vec![Action::Read, Action::Write],
            purposes: vec![Purpose::Treat, Purpose::Hresch],
            scope: Scope::All {},
            period: Period { from: UnixMs::new(1).unwrap(), until: UnixMs::new(2).unwrap() },
            exceptions: vec![Exception { purposes: vec![Purpose::Clintrch], ..Exception::default() }],
        };
        let said = words(Operation::GrantConsent(Grant { provision, supersedes: None }));
        assert_eq!(
            said[1..],
            [
                "Everybody at SouthMSP may not read and add to all my records for treatment, research, from t1 until t2.",
                "This does not apply: for clinical trials.",
                "This can be carried until t9.",
            ]
        );
        assert!(words(Operation::StopAll(Stop { stopped: true }))[1].starts_with("Nobody may use"));
    }

    #[test]
    fn what_is_no_statement_is_said_to_be_none() {
        assert!(read("{}").is_err());
        let assertion = Assertion {
            authenticator_data: String::new(),
            client_data_json: String::new(),
            signature: "AAAA".to_owned(),
        };
        assert_eq!(assertion.prove(String::new()), Err(AssertionMalformed));
    }
}
