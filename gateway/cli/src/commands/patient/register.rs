use std::path::PathBuf;

use caretrail_model::time::DurationMs;
use caretrail_records::patient_key::PatientKey;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "The hospital number stays in the hospital's own store: the channel gets a random-looking id that is bound to \
                        the key.\n\nExample:\n  caretrail patient register --key patient.pem --number 4711 --identity north/service"
)]
pub(crate) struct Register {
    /// The patient's key file.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The hospital's own number of the patient.
    #[arg(long)]
    number: String,
    /// How long the signed statement may be carried.
    #[arg(long, value_name = "TIME", value_parser = arguments::duration, default_value = "1h")]
    submit_within: DurationMs,
}

impl Register {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let key = PatientKey::load(&self.key)?;
        let session = app.session().await?;
        let custody = session.custody()?;
        let home = &session.records.actor().msp_id;
        let submit_by = arguments::now()?.plus(self.submit_within);
        let registration = key.register(session.records.ledger(), home, submit_by)?;
        let committed = session.records.register_patient(&custody, &self.number, &registration).await?;
        app.committed(&committed)
    }
}
