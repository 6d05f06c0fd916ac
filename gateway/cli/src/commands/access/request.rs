use caretrail_model::consent::{Action, Effect};
use caretrail_model::ids::{PatientId, RecordId, RequestId};
use caretrail_model::purpose::Purpose;
use caretrail_records::Records;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "It ends with 2 when access to any of the records was denied.\n\n\
                        Example:\n  caretrail access request --patient 5d… --record 41… --purpose TREAT --identity south/ben")]
pub(crate) struct Request {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The record; up to 100 of one patient may be named.
    #[arg(long = "record", value_name = "RECORD", required = true)]
    records: Vec<RecordId>,
    /// What for.
    #[arg(long, value_name = "CODE", default_value = "TREAT")]
    purpose: Purpose,
    /// To do what: `read`, `write` or `delegate`.
    #[arg(long, value_name = "ACTION", value_parser = arguments::action, default_value = "read")]
    action: Action,
    /// Id of the request: the same one again gets the first decision [default: a fresh one].
    #[arg(long, value_name = "ID")]
    request: Option<RequestId>,
}

impl Request {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let request = match self.request {
            Some(request) => request,
            None => Records::fresh_request_id()?,
        };
        let committed = session
            .records
            .request_access(request, self.patient, self.records, self.action, self.purpose)
            .await?;
        app.committed(&committed)?;
        let denied = committed.reply.decisions.iter().any(|decision| decision.effect == Effect::Deny);
        Ok(if denied { Exit::Denied } else { Exit::Done })
    }
}
