use caretrail_model::audit::Act;
use caretrail_model::ids::{PatientId, RecordId};
use caretrail_records::workflows::{Permitted, permitted};
use clap::Args;
use serde::Serialize;

use super::log::why;
use super::page::{PageArgs, Placed};
use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "One row for each record of each permitted request; `released_at` says that it left its hospital on that permit. \
                        For the auditor of the patient's home hospital.\n\n\
                        Examples:\n  caretrail audit who-did --patient 5d… --record 41… --released --identity north/auditor\n  \
                        caretrail audit who-did --patient 5d… --actor SouthMSP --from 2030-01-01T00:00:00Z --limit 100 \\\n    \
                        --format json --identity north/auditor"
)]
pub(crate) struct WhoDid {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// This record only.
    #[arg(long)]
    record: Option<RecordId>,
    /// Only what was released.
    #[arg(long)]
    released: bool,
    #[command(flatten)]
    page: PageArgs,
}

#[derive(Debug, Serialize)]
struct Row {
    permitted_at: String,
    released_at: Option<String>,
    actor: String,
    role: String,
    record: String,
    version: Option<u64>,
    action: String,
    purpose: String,
    why: String,
    released_by: Option<String>,
    decision: String,
    disclosure: Option<String>,
    block: Option<u64>,
    position: Option<u32>,
}

impl WhoDid {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let index = self.page.index(&session)?;
        let log = session.records.access_log(&index, self.patient).await?;
        let rows = permitted(&log.entries)
            .iter()
            .filter(|seen| !self.released || seen.released.is_some())
            .filter_map(|seen| Some(Placed::of(seen.decided, Some(seen.decision.record), Row::of(seen)?)))
            .collect();
        self.page.page(app, &session, &log, self.record.as_ref(), rows).await?.print(app.printer)?;
        Ok(Exit::Done)
    }
}

impl Row {
    fn of(seen: &Permitted<'_>) -> Option<Self> {
        let entry = &seen.decided.entry;
        let Act::AccessDecided(decided) = &entry.act else { return None };
        let released_version = seen.released.and_then(|released| match &released.entry.act {
            Act::Disclosed(disclosed) => Some(disclosed.version),
            _ => None,
        });
        Some(Self {
            permitted_at: arguments::shown(entry.at),
            released_at: seen.released.map(|released| arguments::shown(released.entry.at)),
            actor: entry.actor.to_string(),
            role: entry.role.to_string(),
            record: seen.decision.record.to_string(),
            version: released_version.or(seen.decision.version),
            action: arguments::action_name(decided.action).to_owned(),
            purpose: decided.purpose.to_string(),
            why: why(seen.decision),
            released_by: seen.released.map(|released| released.entry.actor.to_string()),
            decision: entry.tx_id.to_string(),
            disclosure: seen.released.map(|released| released.entry.tx_id.to_string()),
            block: seen.decided.position.map(|place| place.block),
            position: seen.decided.position.map(|place| place.position),
        })
    }
}
