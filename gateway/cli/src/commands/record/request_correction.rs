use std::path::PathBuf;

use caretrail_model::calls;
use caretrail_model::ids::PatientId;
use caretrail_model::ids::RecordId;
use caretrail_model::statement::CorrectionRequest;
use caretrail_model::statement::Operation;
use caretrail_model::time::DurationMs;
use caretrail_records::patient_key::PatientKey;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "The record stays as it is, whatever the answer.\n\nExample:\n  caretrail record request-correction 41… --patient 5d… --key patient.pem --text wrong.txt --identity south/service"
)]
pub(crate) struct RequestCorrection {
    /// The record.
    record: RecordId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The patient's key file.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The version that is to be corrected.
    #[arg(long, default_value_t = 1)]
    version_number: u64,
    /// The request's number: 1 for the record's first, one more for each that follows.
    #[arg(long, default_value_t = 1)]
    number: u64,
    /// A file that says what is to be corrected: its digest goes to the channel.
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    /// How long the signed statement may be carried.
    #[arg(long, value_name = "TIME", value_parser = arguments::duration, default_value = "1h")]
    submit_within: DurationMs,
}

impl RequestCorrection {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let key = PatientKey::load(&self.key)?;
        let request_digest = arguments::digest_of_file(&self.text)?;
        let session = app.session().await?;
        let submit_by = arguments::now()?.plus(self.submit_within);
        let operation = Operation::RequestCorrection(CorrectionRequest {
            record: self.record,
            version: self.version_number,
            request_digest,
        });
        let signed = key.sign(session.records.ledger(), self.patient, submit_by, operation)?;
        let call = calls::RequestCorrection { signed, number: self.number };
        app.committed(&session.records.request_correction(&call).await?)
    }
}
