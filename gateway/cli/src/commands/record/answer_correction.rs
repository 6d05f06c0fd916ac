use std::path::PathBuf;

use caretrail_model::calls;
use caretrail_model::ids::PatientId;
use caretrail_model::ids::RecordId;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  caretrail record answer-correction 41… --patient 5d… --number 1 --accept --reason answer.txt --identity north/ada"
)]
pub(crate) struct AnswerCorrection {
    /// The record.
    record: RecordId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The request's number: 1 for the record's first, one more for each that follows.
    #[arg(long, default_value_t = 1)]
    number: u64,
    /// Accepts the request: amend the record next.
    #[arg(long)]
    accept: bool,
    /// A file with the reason: its digest goes to the channel, the file stays here.
    #[arg(long, value_name = "FILE")]
    reason: PathBuf,
}

impl AnswerCorrection {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let reason_digest = arguments::digest_of_file(&self.reason)?;
        let session = app.session().await?;
        app.committed(
            &session
                .records
                .answer_correction(&calls::AnswerCorrection {
                    patient: self.patient,
                    record: self.record,
                    number: self.number,
                    accepted: self.accept,
                    reason_digest,
                })
                .await?,
        )
    }
}
