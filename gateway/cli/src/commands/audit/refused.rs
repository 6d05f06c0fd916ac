use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use caretrail_model::audit::Act;
use caretrail_model::consent::Effect;
use caretrail_model::ids::{PatientId, RecordId, TxId};
use caretrail_records::workflows::decisions;
use clap::Args;
use serde::Serialize;

use super::log::why;
use super::page::{PageArgs, Placed};
use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "`told` is what the one who asked was told, which is the same for what a consent denies and for what is not there; \
                        --reasons decides each again on the facts that were read, and gives the reason itself. For the auditor of \
                        the patient's home hospital.\n\n\
                        Examples:\n  caretrail audit refused --patient 5d… --identity north/auditor\n  \
                        caretrail audit refused --patient 5d… --record 41… --reasons --format json --identity north/auditor"
)]
pub(crate) struct Refused {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// This record only.
    #[arg(long)]
    record: Option<RecordId>,
    /// Gives the reason of each too: one more question to the peer for each request on the page.
    #[arg(long)]
    reasons: bool,
    #[command(flatten)]
    page: PageArgs,
}

#[derive(Debug, Serialize)]
struct Row {
    at: String,
    actor: String,
    role: String,
    record: RecordId,
    action: String,
    purpose: String,
    told: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    decision: TxId,
    block: Option<u64>,
    position: Option<u32>,
}

impl Refused {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let index = self.page.index(&session)?;
        let log = session.records.access_log(&index, self.patient).await?;
        let mut rows = Vec::new();
        for logged in &log.entries {
            let Act::AccessDecided(decided) = &logged.entry.act else { continue };
            for decision in decisions(&logged.entry).iter().filter(|one| one.effect == Effect::Deny) {
                let row = Row {
                    at: arguments::shown(logged.entry.at),
                    actor: logged.entry.actor.to_string(),
                    role: logged.entry.role.to_string(),
                    record: decision.record,
                    action: arguments::action_name(decided.action).to_owned(),
                    purpose: decided.purpose.to_string(),
                    told: decision.rule.to_string(),
                    reason: None,
                    decision: logged.entry.tx_id,
                    block: logged.position.map(|place| place.block),
                    position: logged.position.map(|place| place.position),
                };
                rows.push(Placed::of(logged, Some(decision.record), row));
            }
        }
        let mut page = self.page.page(app, &session, &log, self.record.as_ref(), rows).await?;
        if self.reasons {
            let mut replayed = BTreeMap::new();
            for row in &mut page.rows {
                let reasons = match replayed.entry(row.decision) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(unknown) => {
                        unknown.insert(session.records.reasons(self.patient, row.decision).await?)
                    }
                };
                let decision = reasons.decisions.iter().find(|decision| decision.record == row.record);
                row.reason = decision.map(why);
            }
        }
        page.print(app.printer)?;
        Ok(Exit::Done)
    }
}
