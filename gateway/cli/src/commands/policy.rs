//! `caretrail policy`: the consortium's policy.

use clap::Subcommand;

use crate::app::App;
use crate::failure::Exit;

mod approve;
mod draft;
mod propose;
mod show;

pub(crate) use draft::{Draft, draft};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Writes a policy for this network, to be read, edited and proposed.
    Draft(Draft),
    /// Proposes the next policy.
    Propose(propose::Propose),
    /// Approves a proposed policy for the own hospital.
    Approve(approve::Approve),
    /// Shows the policy in force.
    Show(show::Show),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Draft(draft) => draft.run(app).await,
        Verb::Propose(propose) => propose.run(app).await,
        Verb::Approve(approve) => approve.run(app).await,
        Verb::Show(show) => show.run(app).await,
    }
}
