use caretrail_model::calls::GetPolicy;
use caretrail_model::code::Code;
use caretrail_model::ids::RecordId;
use caretrail_model::time::UnixMs;
use caretrail_records::workflows::WholeHolders;
use clap::Args;
use serde::Serialize;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "By deciding for each practitioner of every hospital that the patient's consents name, not by listing consents; of \
                        an earlier instant, what was in force then decides. For the service, admin or auditor of the patient's \
                        home hospital.\n\n\
                        Examples:\n  caretrail audit who-can-see 41… --identity north/auditor\n  \
                        caretrail audit who-can-see 41… --at 2030-01-01T00:00:00Z --format json --identity north/auditor"
)]
pub(crate) struct WhoCanSee {
    /// The record.
    record: RecordId,
    /// At this instant, as RFC 3339 or Unix milliseconds; now when absent.
    #[arg(long, value_name = "INSTANT", value_parser = arguments::instant)]
    at: Option<UnixMs>,
}

#[derive(Debug, Serialize)]
struct Row {
    actor: String,
    role: String,
    purposes: Vec<String>,
    consents: Vec<String>,
    decided_for: String,
}

impl WhoCanSee {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let whole = match (session.records.holders(self.record, self.at).await, self.at) {
            // The consortium has a policy, but had none then: it let nobody see anything.
            (Err(error), Some(at)) if error.code() == Some(Code::NoPolicy) => {
                session.records.policy(&GetPolicy {}).await?;
                WholeHolders { at, holders: Vec::new() }
            }
            (whole, _) => whole?,
        };
        let rows: Vec<_> = whole
            .holders
            .iter()
            .map(|holder| Row {
                actor: holder.actor.to_string(),
                role: holder.role.to_string(),
                purposes: holder.purposes.iter().map(ToString::to_string).collect(),
                consents: holder.consents.iter().map(ToString::to_string).collect(),
                decided_for: arguments::shown(whole.at),
            })
            .collect();
        app.printer.rows(&rows)?;
        if rows.is_empty() {
            app.printer.say(format!("nobody by a consent, at {}", arguments::shown(whole.at)));
        }
        Ok(Exit::Done)
    }
}
