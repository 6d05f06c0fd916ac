//! `caretrail tx`: transactions by id.

use clap::Subcommand;

use crate::app::App;
use crate::failure::Exit;

mod explain;
mod status;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Asks the peer whether a transaction committed, and how.
    Status(status::Status),
    /// Tells what became of a transaction, and why.
    Explain(explain::Explain),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Status(status) => status.run(app).await,
        Verb::Explain(explain) => explain.run(app).await,
    }
}
