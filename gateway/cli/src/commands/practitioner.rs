//! `caretrail practitioner`: whom a hospital authorises.

use caretrail_model::ids::Subject;
use clap::Subcommand;

use crate::app::App;
use crate::failure::Exit;

mod authorize;
mod show;
mod suspend;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Authorises a practitioner of the own hospital, or changes the authorisation.
    Authorize(authorize::Authorize),
    /// Suspends a practitioner of the own hospital at once.
    Suspend(suspend::Suspend),
    /// Shows a practitioner's standing.
    Show(show::Show),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Authorize(authorize) => authorize.run(app).await,
        Verb::Suspend(suspend) => suspend.run(app).await,
        Verb::Show(show) => show.run(app).await,
    }
}

/// A practitioner named by subject, or by `ORGANISATION/NAME` of an identity in the state folder.
fn subject(app: &App, text: &str) -> anyhow::Result<Subject> {
    match text.parse() {
        Ok(subject) => Ok(subject),
        Err(_) => Ok(app.actor_of(text)?.subject),
    }
}
