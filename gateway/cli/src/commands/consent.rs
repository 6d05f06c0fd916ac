//! `caretrail consent`: what a patient permits and denies.

use clap::Subcommand;

use crate::app::App;
use crate::failure::Exit;

mod end;
mod grant;
mod holders;
mod list;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Signs a consent with the patient's key and carries it to the channel.
    Grant(grant::Grant),
    /// Signs the end of a consent with the patient's key and carries it to the channel.
    End(end::End),
    /// Lists a patient's live consents.
    List(list::List),
    /// Shows who can see a record, now or at an instant.
    Holders(holders::Holders),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Grant(grant) => grant.run(app).await,
        Verb::End(end) => end.run(app).await,
        Verb::List(list) => list.run(app).await,
        Verb::Holders(holders) => holders.run(app).await,
    }
}
