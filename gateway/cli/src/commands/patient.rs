//! `caretrail patient`: patients, by their own keys.

use clap::Subcommand;

use crate::app::App;
use crate::failure::Exit;

mod find;
mod key;
mod register;
mod show;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Makes a patient's key file.
    Key(key::Key),
    /// Registers a patient at the own hospital, by the patient's key.
    Register(register::Register),
    /// Finds a patient by the hospital's own number, which never leaves it.
    Find(find::Find),
    /// Shows what the channel knows of a patient.
    Show(show::Show),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Key(key) => key.run(app),
        Verb::Register(register) => register.run(app).await,
        Verb::Find(find) => find.run(app).await,
        Verb::Show(show) => show.run(app).await,
    }
}
