//! `caretrail paper`: what is done for a patient who has no key.

use clap::Subcommand;

use crate::app::App;
use crate::failure::Exit;

mod add_guardian;
mod confirm;
mod end;
mod end_guardian;
mod grant;
mod show;
mod stop;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Permits or denies on paper.
    Grant(grant::Grant),
    /// Ends what was put in force.
    End(end::End),
    /// Stops every permit, or lifts the stop.
    Stop(stop::Stop),
    /// Appoints a guardian on paper.
    AddGuardian(add_guardian::AddGuardian),
    /// Ends a guardian's term on paper.
    EndGuardian(end_guardian::EndGuardian),
    /// Confirms what another hospital proposed.
    Confirm(confirm::Confirm),
    /// Shows an act on paper.
    Show(show::Show),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Grant(grant) => grant.run(app).await,
        Verb::End(end) => end.run(app).await,
        Verb::Stop(stop) => stop.run(app).await,
        Verb::AddGuardian(add_guardian) => add_guardian.run(app).await,
        Verb::EndGuardian(end_guardian) => end_guardian.run(app).await,
        Verb::Confirm(confirm) => confirm.run(app).await,
        Verb::Show(show) => show.run(app).await,
    }
}
