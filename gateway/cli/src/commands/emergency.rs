//! `caretrail emergency`: broken glass, and its review.

use clap::Subcommand;

use crate::app::App;
use crate::failure::Exit;

mod break_glass;
mod review;
mod show;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Breaks the glass: emergency access for a short time, flagged and reviewed.
    Break(break_glass::BreakGlassNow),
    /// Reviews emergency access of another hospital's clinician.
    Review(review::Review),
    /// Shows emergency access of a clinician.
    Show(show::Show),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Break(break_glass) => break_glass.run(app).await,
        Verb::Review(review) => review.run(app).await,
        Verb::Show(show) => show.run(app).await,
    }
}
