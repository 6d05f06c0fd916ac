//! The tree of commands: `caretrail <noun> <verb>`, one file a verb.

use clap::{Parser, Subcommand};

use crate::app::App;
use crate::failure::Exit;
use crate::options::Global;

mod access;
mod audit;
mod care;
mod consent;
mod demo;
mod emergency;
mod guardian;
mod identity;
mod label;
pub(crate) mod network;
mod paper;
mod patient;
mod policy;
mod practitioner;
mod record;
mod serve;
mod tx;

/// Which version of a medical record is the true one, who may see it, and who did: on a Fabric channel.
#[derive(Debug, Parser)]
#[command(
    name = "caretrail",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 denied, 3 invalid input or usage, 4 outcome unknown, \
                  75 waiting for other organisations, 130 interrupted.\n\
                  Data goes to stdout, talk to stderr. A command of `network` that was interrupted goes on when it is run \
                  again; one that had sent a transaction names it, and `caretrail tx status` tells what became of it.\n\n\
                  Try it out:\n  caretrail demo\n  caretrail network status"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Stands up and keeps a Fabric network without Docker.
    #[command(subcommand)]
    Network(network::Verb),
    /// Certificates of staff and services, from the network's development CA.
    #[command(subcommand)]
    Identity(identity::Verb),
    /// The consortium's policy: proposed and approved by the hospitals' admins.
    #[command(subcommand)]
    Policy(policy::Verb),
    /// Which of its own staff a hospital authorises.
    #[command(subcommand)]
    Practitioner(practitioner::Verb),
    /// Patients, by their own keys.
    #[command(subcommand)]
    Patient(patient::Verb),
    /// Sealed records: added, amended, verified, fetched.
    #[command(subcommand)]
    Record(record::Verb),
    /// Labels of sensitive records, blinded on the channel.
    #[command(subcommand)]
    Label(label::Verb),
    /// What patients permit and deny, by signed statement.
    #[command(subcommand)]
    Consent(consent::Verb),
    /// Who decides for a patient who cannot.
    #[command(subcommand)]
    Guardian(guardian::Verb),
    /// What is done for a patient who has no key.
    #[command(subcommand)]
    Paper(paper::Verb),
    /// That a patient is being treated at a hospital.
    #[command(subcommand)]
    Care(care::Verb),
    /// Emergency access, flagged and reviewed.
    #[command(subcommand)]
    Emergency(emergency::Verb),
    /// Decisions about access, committed on the channel.
    #[command(subcommand)]
    Access(access::Verb),
    /// Who was permitted, who was refused, what was released.
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Transactions by id.
    #[command(subcommand)]
    Tx(tx::Verb),
    /// Runs this hospital's daemon, which releases records on committed decisions.
    Serve(serve::Serve),
    /// Carries a record through a two-hospital network, step by step.
    Demo(demo::Demo),
}

/// Runs one command.
pub(crate) async fn run(command: Command, app: App) -> anyhow::Result<Exit> {
    match command {
        Command::Network(verb) => network::run(verb, &app).await,
        Command::Identity(verb) => identity::run(verb, &app).await,
        Command::Policy(verb) => policy::run(verb, &app).await,
        Command::Practitioner(verb) => practitioner::run(verb, &app).await,
        Command::Patient(verb) => patient::run(verb, &app).await,
        Command::Record(verb) => record::run(verb, &app).await,
        Command::Label(verb) => label::run(verb, &app).await,
        Command::Consent(verb) => consent::run(verb, &app).await,
        Command::Guardian(verb) => guardian::run(verb, &app).await,
        Command::Paper(verb) => paper::run(verb, &app).await,
        Command::Care(verb) => care::run(verb, &app).await,
        Command::Emergency(verb) => emergency::run(verb, &app).await,
        Command::Access(verb) => access::run(verb, &app).await,
        Command::Audit(verb) => audit::run(verb, &app).await,
        Command::Tx(verb) => tx::run(verb, &app).await,
        Command::Serve(serve) => serve.run(&app).await,
        Command::Demo(demo) => Box::pin(demo.run(&app)).await,
    }
}

#[cfg(test)]
impl Command {
    /// The provision that a command line says, of those that say one.
    pub(crate) fn into_provision(self) -> Option<crate::provision::ProvisionArgs> {
        match self {
            Self::Consent(verb) => verb.into_provision(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::calls_by_command::verbs;

    #[test]
    fn no_command_has_an_argument_that_takes_the_place_of_one_that_all_have() {
        // clap reads by name, and would take the command's own value for the other's.
        for verb in verbs() {
            for name in ["state", "part", "identity", "profile", "data", "format", "quiet"] {
                let found = verb.command.get_arguments().find(|argument| argument.get_id() == name);
                let heading = found.and_then(clap::Arg::get_help_heading);
                assert_eq!(heading, Some("Everywhere"), "`{name}` of `{}`", verb.words.join(" "));
            }
        }
    }
}
