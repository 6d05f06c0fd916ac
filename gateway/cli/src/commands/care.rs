//! `caretrail care`: that a patient is being treated at a hospital.

use clap::Subcommand;

use crate::app::App;
use crate::failure::Exit;

mod close;
mod open;
mod show;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Opens or prolongs a care relationship of the own hospital.
    Open(open::Open),
    /// Closes one.
    Close(close::Close),
    /// Shows one.
    Show(show::Show),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Open(open) => open.run(app).await,
        Verb::Close(close) => close.run(app).await,
        Verb::Show(show) => show.run(app).await,
    }
}
