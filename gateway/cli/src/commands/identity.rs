//! `caretrail identity`: certificates of staff and services, from the hospital's CA.

use clap::Subcommand;

use crate::app::App;
use crate::failure::Exit;

mod issue;
mod show;

pub(crate) use issue::issue;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Issues a certificate with a fresh random subject.
    Issue(issue::Issue),
    /// Shows who an identity is.
    Show(show::Show),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Issue(issue) => issue.run(app).await,
        Verb::Show(show) => show.run(app),
    }
}
