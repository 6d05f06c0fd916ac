//! `caretrail audit`: who can see a record, who did, who was refused, what was released.

use clap::Subcommand;

use crate::app::App;
use crate::failure::Exit;

mod history;
mod log;
mod page;
mod refused;
mod who_can_see;
mod who_did;

pub(crate) use log::Row;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists every act on a patient, in the order of the chain.
    Log(log::Log),
    /// Says who can see a record, now or at an instant.
    WhoCanSee(who_can_see::WhoCanSee),
    /// Says who was permitted to see a patient's records, and what was released to whom.
    WhoDid(who_did::WhoDid),
    /// Says who was refused, and why.
    Refused(refused::Refused),
    /// Tells everything that happened to one record.
    History(history::History),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Log(log) => log.run(app).await,
        Verb::WhoCanSee(who_can_see) => who_can_see.run(app).await,
        Verb::WhoDid(who_did) => who_did.run(app).await,
        Verb::Refused(refused) => refused.run(app).await,
        Verb::History(history) => history.run(app).await,
    }
}
