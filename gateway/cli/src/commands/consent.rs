//! `caretrail consent`: what a patient permits and denies.

use clap::Subcommand;

use crate::app::App;
use crate::failure::Exit;

mod delegate;
mod end;
mod end_delegation;
mod grant;
mod holders;
mod list;
pub(crate) mod passkey;
mod prepare;
mod preview;
mod show;
mod sign;
mod stop;
mod submit;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Signs a consent with the patient's key and carries it to the channel.
    Grant(grant::Grant),
    /// Signs the end of a consent with the patient's key and carries it to the channel.
    End(end::End),
    /// Lists a patient's live consents.
    List(list::List),
    /// Shows who can see a record, now or at an instant.
    Holders(holders::Holders),
    /// Stops every permit at once, or lifts the stop.
    Stop(stop::Stop),
    /// Passes a permit on, narrower.
    Delegate(delegate::Delegate),
    /// Ends a permit that the identity passed on.
    EndDelegation(end_delegation::EndDelegation),
    /// Shows what a draft would change, before it is signed.
    Preview(preview::Preview),
    /// Prepares a statement, to be signed elsewhere.
    Prepare(prepare::Prepare),
    /// Says in words what a statement decides.
    Show(show::Show),
    /// Signs a prepared statement with a key file or a passkey's assertion.
    Sign(sign::Sign),
    /// Carries a signed statement, whatever it decides.
    Submit(submit::Submit),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Grant(grant) => grant.run(app).await,
        Verb::End(end) => end.run(app).await,
        Verb::List(list) => list.run(app).await,
        Verb::Holders(holders) => holders.run(app).await,
        Verb::Stop(stop) => stop.run(app).await,
        Verb::Delegate(delegate) => delegate.run(app).await,
        Verb::EndDelegation(end_delegation) => end_delegation.run(app).await,
        Verb::Preview(preview) => preview.run(app).await,
        Verb::Prepare(prepare) => prepare.run(app).await,
        Verb::Show(show) => show.run(app).await,
        Verb::Sign(sign) => sign.run(app),
        Verb::Submit(submit) => submit.run(app).await,
    }
}

#[cfg(test)]
impl Verb {
    /// The provision that a command line says, of those that say one.
    pub(super) fn into_provision(self) -> Option<crate::provision::ProvisionArgs> {
        match self {
            Self::Grant(grant) => Some(grant.provision),
            Self::Prepare(prepare) => Some(prepare.provision),
            _ => None,
        }
    }
}
