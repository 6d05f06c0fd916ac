use caretrail_model::calls::PreviewAccess;
use caretrail_model::consent::Action;
use caretrail_model::ids::PatientId;
use caretrail_model::ids::RecordId;
use caretrail_model::purpose::Purpose;
use caretrail_model::time::UnixMs;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is decided, and nothing goes on record.\n\nExample:\n  caretrail access preview --patient 5d… --record 41… --actor south/ben --identity north/service"
)]
pub(crate) struct Preview {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The record; up to 100 of one patient may be named.
    #[arg(long = "record", value_name = "RECORD", required = true)]
    records: Vec<RecordId>,
    /// Who would ask: `MSP/SUBJECT`, or `ORGANISATION/NAME`.
    #[arg(long)]
    actor: String,
    /// What for.
    #[arg(long, value_name = "CODE", default_value = "TREAT")]
    purpose: Purpose,
    /// To do what: `read`, `write` or `delegate`.
    #[arg(long, value_name = "ACTION", value_parser = arguments::action, default_value = "read")]
    action: Action,
    /// At this instant; now when absent.
    #[arg(long, value_name = "INSTANT", value_parser = arguments::instant)]
    at: Option<UnixMs>,
}

impl Preview {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let mut records = self.records;
        records.sort_unstable();
        records.dedup();
        let call = PreviewAccess {
            actor: arguments::actor(app, &self.actor)?,
            patient: self.patient,
            records,
            action: self.action,
            purpose: self.purpose,
            at: self.at,
        };
        let session = app.session().await?;
        app.printer.data(&session.records.preview_access(&call).await?)?;
        Ok(Exit::Done)
    }
}
