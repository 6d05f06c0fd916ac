use std::path::{Path, PathBuf};

use anyhow::Context as _;
use caretrail_model::ids::{MspId, PatientId, RecordId, TxId};
use caretrail_records::release::{KemKey, ReleaseAsk, ReleaseClient};
use clap::Args;
use serde::Serialize;

use crate::app::{App, Session, make_private};
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(
    after_help = "The custodian puts the disclosure on record first, then releases. Asked again before the permit ends, it gives \
                        the same answer.\n\nExample:\n  caretrail record fetch 41… --patient 5d… --decision 8c… -o bundle.json \
                        --identity south/ben"
)]
pub(crate) struct Fetch {
    /// The record.
    record: RecordId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The transaction that permitted.
    #[arg(long, value_name = "TX")]
    decision: TxId,
    /// A new file for the document.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// TLS CA certificates of the hospitals, PEM [default: those in the state folder].
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Key that the secret is wrapped to [default: one kept in the hospital's data folder].
    #[arg(long, value_name = "FILE")]
    kem_key: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Fetched {
    output: PathBuf,
    media_type: String,
    document_bytes: u64,
    version: u64,
    disclosure: String,
    content_commitment: String,
    matches: bool,
}

impl Fetch {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        if self.output.exists() {
            let problem = format!("`{}` exists already: name a new file", self.output.display());
            return Err(Invalid(problem).into());
        }
        let session = app.session().await?;
        let ask = ReleaseAsk { decision: self.decision, patient: self.patient, record: self.record };
        let custodian = match session.records.releasing_hospital(&ask).await {
            Ok(custodian) => custodian,
            // What a decision permits that this identity cannot read, the custodian says.
            Err(error) if error.code().is_some() => session.records.custodian(self.patient).await?,
            Err(error) => return Err(error.into()),
        };
        let client = release_client(app, &session, &custodian, self.trust.as_deref()).await?;
        let keys = session.data.join("releases");
        make_private(&keys)?;
        let kem_key = match &self.kem_key {
            Some(file) => KemKey::load_or_create(file)?,
            None => KemKey::load_or_create(&keys.join(format!("{}-{}.key", self.decision, self.record)))?,
        };
        let folder = folder_of(Some(&self.output), &session.data)?;
        let released = session.records.release(&client, &custodian, &ask, &kem_key, &folder).await?;
        let fetched = Fetched {
            output: self.output.clone(),
            media_type: released.opened.media_type.to_string(),
            document_bytes: released.opened.document_bytes,
            version: released.reply.version,
            disclosure: released.reply.disclosure.to_string(),
            content_commitment: released.reply.commitments.content_commitment.to_string(),
            matches: true,
        };
        released.opened.save(&self.output)?;
        app.printer.data(&fetched)?;
        Ok(Exit::Done)
    }
}

/// Where a document is opened: beside the file that it becomes, so that keeping it is a rename.
pub(super) fn folder_of(output: Option<&Path>, data: &Path) -> anyhow::Result<PathBuf> {
    match output {
        Some(output) => {
            let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
            Ok(folder.unwrap_or(Path::new(".")).to_owned())
        }
        None => {
            let folder = data.join("opened");
            make_private(&folder)?;
            Ok(folder)
        }
    }
}

/// A connection to the daemon of the hospital that keeps a record, as the session's identity.
pub(crate) async fn release_client(
    app: &App,
    session: &Session,
    custodian: &MspId,
    trust: Option<&Path>,
) -> anyhow::Result<ReleaseClient> {
    let daemon = session
        .records
        .daemon(custodian)
        .await?
        .with_context(|| format!("the consortium's policy names no daemon of `{custodian}`"))?;
    let authorities = match trust {
        Some(file) => read(file)?,
        None => crate::commands::serve::authorities(app)?,
    };
    let tls = session.folder.join("tls");
    Ok(ReleaseClient::new(
        &daemon,
        &authorities,
        &read(&tls.join("client.crt"))?,
        &read(&tls.join("client.key"))?,
    )?)
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("`{}` cannot be read", file.display()))
}
