//! `caretrail record`: sealed records.

use clap::Subcommand;

use crate::app::App;
use crate::failure::Exit;

mod add;
mod amend;
mod fetch;
mod history;
mod list;
mod sample;
mod verify;

pub(crate) use fetch::release_client;
pub(crate) use sample::bundle;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Seals a document and adds it as a patient's new record.
    Add(add::Add),
    /// Seals a document and adds it as a record's next version.
    Amend(amend::Amend),
    /// Opens a version from the own vault and checks every byte against the channel.
    Verify(verify::Verify),
    /// Lists a record's versions.
    History(history::History),
    /// Lists a patient's records.
    List(list::List),
    /// Fetches a permitted record from the hospital that keeps it, and checks it against the channel.
    Fetch(fetch::Fetch),
    /// Prints a synthetic FHIR R4 Bundle to try things out with.
    Sample(sample::Sample),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Add(add) => add.run(app).await,
        Verb::Amend(amend) => amend.run(app).await,
        Verb::Verify(verify) => verify.run(app).await,
        Verb::History(history) => history.run(app).await,
        Verb::List(list) => list.run(app).await,
        Verb::Fetch(fetch) => fetch.run(app).await,
        Verb::Sample(sample) => sample.run(app),
    }
}
