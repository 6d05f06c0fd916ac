use std::path::PathBuf;

use caretrail_model::ids::RecordId;
use clap::Args;
use serde::Serialize;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "It names what does not match. With --output the document is kept, but only if everything matches.\n\n\
                        Example:\n  caretrail record verify 41… --version-number 1 --identity north/ada"
)]
pub(crate) struct Verify {
    /// The record.
    record: RecordId,
    /// The version [default: the newest].
    #[arg(long, value_name = "N")]
    version_number: Option<u64>,
    /// A new file for the document.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Verified {
    record: String,
    version: u64,
    media_type: String,
    document_bytes: u64,
    content_commitment: String,
    blob_digest: String,
    added: String,
    matches: bool,
}

impl Verify {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let custody = session.custody()?;
        let folder = super::fetch::folder_of(self.output.as_deref(), &session.data)?;
        let version =
            session.records.open_record(&custody, self.record, self.version_number, &folder).await?;
        let on_channel = version.on_channel;
        let verified = Verified {
            record: self.record.to_string(),
            version: on_channel.version,
            media_type: version.opened.media_type.to_string(),
            document_bytes: version.opened.document_bytes,
            content_commitment: on_channel.commitments.content_commitment.to_string(),
            blob_digest: on_channel.commitments.blob_digest.to_string(),
            added: arguments::shown(on_channel.at),
            matches: true,
        };
        if let Some(output) = self.output {
            version.opened.save(&output)?;
        }
        app.printer.data(&verified)?;
        Ok(Exit::Done)
    }
}
