//! `caretrail audit`: who was permitted, who was refused, what was released.

use clap::Subcommand;

use crate::app::App;
use crate::failure::Exit;

mod log;

pub(crate) use log::Row;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists every act on a patient, in the order of the chain.
    Log(log::Log),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Log(log) => log.run(app).await,
    }
}
