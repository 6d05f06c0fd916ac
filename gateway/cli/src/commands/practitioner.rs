//! `caretrail practitioner`: whom a hospital authorises.

use caretrail_model::ids::{MspId, Subject};
use clap::Subcommand;

use crate::app::App;
use crate::failure::{Exit, Invalid};

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

/// A practitioner of the own hospital, named by subject or by `ORGANISATION/NAME` in the state folder.
pub(super) fn subject(app: &App, text: &str, own: &MspId) -> anyhow::Result<Subject> {
    if let Ok(subject) = text.parse() {
        return Ok(subject);
    }
    let actor = app.actor_of(text)?;
    if &actor.msp_id != own {
        let problem = format!("`{text}` is of {}, and an admin of {own} speaks for {own} only", actor.msp_id);
        return Err(Invalid(problem).into());
    }
    Ok(actor.subject)
}
