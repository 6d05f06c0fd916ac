//! `caretrail label`: labels of sensitive records, which only the hospital that keeps them can read.

use clap::Subcommand;

use crate::app::App;
use crate::failure::Exit;

mod blind;
mod known;
mod list;
mod renew;
mod rotate;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists labels that are used everywhere; any other text is a label too.
    Known(known::Known),
    /// Blinds labels for a patient's statement about the records of this hospital.
    Blind(blind::Blind),
    /// Shows the labels of a patient's records that this hospital keeps.
    List(list::List),
    /// Makes a new key for a patient's labels.
    Rotate(rotate::Rotate),
    /// Blinds the labels of records anew, each as a further version.
    Renew(renew::Renew),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Known(known) => known.run(app),
        Verb::Blind(blind) => blind.run(app).await,
        Verb::List(list) => list.run(app).await,
        Verb::Rotate(rotate) => rotate.run(app).await,
        Verb::Renew(renew) => renew.run(app).await,
    }
}
