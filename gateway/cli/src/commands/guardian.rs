//! `caretrail guardian`: who decides for a patient who cannot.

use clap::Subcommand;

use crate::app::App;
use crate::failure::Exit;

mod add;
mod end;
mod list;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Appoints a guardian, or renews the term, by the patient's key.
    Add(add::Add),
    /// Ends a guardian's term.
    End(end::End),
    /// Lists a patient's guardians.
    List(list::List),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Add(add) => add.run(app).await,
        Verb::End(end) => end.run(app).await,
        Verb::List(list) => list.run(app).await,
    }
}
