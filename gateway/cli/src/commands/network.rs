//! `caretrail network`: a Fabric network without Docker.

use clap::Subcommand;
use hlf_network::network::Network;
use hlf_network::spec::Organization;

use crate::app::App;
use crate::failure::{Exit, Invalid};

mod apply;
mod backup;
mod builder;
mod ca;
mod certificates;
mod chaincode;
mod change;
mod describe;
mod destroy;
mod doctor;
mod down;
mod env;
mod export;
mod genesis;
mod import;
mod init;
mod logs;
mod metrics;
mod organization;
mod part;
mod plan;
mod profile;
mod ready;
mod restore;
mod snapshot;
mod spec;
mod status;
mod up;
mod upgrade;

pub(crate) use up::{Up, stand_up};

/// How an operator calls the network's commands.
pub(crate) const COMMAND: &str = "caretrail network";

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Writes a consortium's document, and one for each hospital that stands up its own part of it.
    Init(init::Init),
    /// Writes what the other organisations must know of the own one; makes its keys before, once.
    Describe(describe::Describe),
    /// Takes over another organisation's description, or the channel's first block.
    Import(import::Import),
    /// Makes the channel's first block from all descriptions: one organisation does, for the others to import.
    Genesis(genesis::Genesis),
    /// Stands the network up, or the own part of it, or makes true what is missing.
    Up(up::Up),
    /// Shows the steps from the running network to another spec; nothing is done.
    Plan(plan::ShowPlan),
    /// Makes the running network into that of another spec, step by step.
    Apply(apply::Apply),
    /// Brings a running network to another release of Fabric, node by node.
    Upgrade(upgrade::Upgrade),
    /// Writes, checks and compares backups of ledgers, keys and configuration.
    #[command(subcommand)]
    Backup(backup::Verb),
    /// Brings a backup back into an empty folder.
    Restore(restore::Restore),
    /// Brings the contract onto the channel in single steps, and shows what peers have of it.
    #[command(subcommand)]
    Chaincode(chaincode::Verb),
    /// Makes and lists snapshots of the channel's state.
    #[command(subcommand)]
    Snapshot(snapshot::Verb),
    /// Stops every process of the network; ledgers and keys stay.
    Down(down::Down),
    /// Shows what runs, how high the ledgers are, and what is wrong.
    Status(status::Status),
    /// Looks for known failures, and names what helps.
    Doctor(doctor::Doctor),
    /// Asks whether the network can be used, through every peer and gateway; waits until it can.
    Ready(ready::Ready),
    /// Shows what the network's processes said, merged by time.
    Logs(logs::Logs),
    /// What monitoring needs: endpoints, metrics that Fabric lacks, a dashboard.
    #[command(subcommand)]
    Metrics(metrics::Verb),
    /// Answers Prometheus with what Fabric has no metric of.
    Exporter(metrics::Export),
    /// Prints a consortium, to be edited and given to `up --spec`.
    Spec(spec::Spec),
    /// Prints what a shell must know for Fabric's own `peer` to act as a hospital's admin.
    Env(env::Env),
    /// Writes what runs here for another supervisor: units of systemd, manifests of Kubernetes, a Compose project.
    Export(Box<export::Export>),
    /// Prints a connection profile, with which programs on Fabric's own SDKs reach the network.
    Profile(profile::Show),
    /// Changes the running channel's configuration by proposals that travel.
    #[command(subcommand)]
    Change(change::Verb),
    /// Shows when certificates end and what ends with them; renews and revokes.
    Certificates(Box<certificates::Certificates>),
    /// Asks a hospital's Fabric CA: registers, enrols, revokes, shows.
    #[command(subcommand)]
    Ca(ca::Verb),
    /// Prints what a hospital hands over to the members of a channel that it wants to join.
    Organization(organization::Organization),
    /// Stops the network and removes its keys and ledgers, for ever.
    Destroy(destroy::Destroy),
    /// What a peer's external builder runs.
    #[command(hide = true)]
    Builder(builder::Builder),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Init(init) => init.run(app),
        Verb::Describe(describe) => describe.run(app).await,
        Verb::Import(import) => import.run(app).await,
        Verb::Genesis(genesis) => genesis.run(app).await,
        Verb::Up(up) => up.run(app).await,
        Verb::Plan(plan) => plan.run(app).await,
        Verb::Apply(apply) => apply.run(app).await,
        Verb::Upgrade(upgrade) => upgrade.run(app).await,
        Verb::Backup(verb) => backup::run(verb, app).await,
        Verb::Restore(restore) => restore.run(app),
        Verb::Chaincode(verb) => chaincode::run(verb, app).await,
        Verb::Snapshot(verb) => snapshot::run(verb, app).await,
        Verb::Down(down) => down.run(app).await,
        Verb::Status(status) => status.run(app).await,
        Verb::Doctor(doctor) => doctor.run(app).await,
        Verb::Ready(ready) => ready.run(app).await,
        Verb::Logs(logs) => logs.run(app).await,
        Verb::Metrics(verb) => metrics::run(verb, app).await,
        Verb::Exporter(export) => export.run(app).await,
        Verb::Spec(spec) => spec.run(app),
        Verb::Env(env) => env.run(app),
        Verb::Export(export) => export.run(app),
        Verb::Profile(show) => show.run(app),
        Verb::Change(verb) => change::run(verb, app).await,
        Verb::Certificates(certificates) => certificates.run(app).await,
        Verb::Ca(verb) => ca::run(verb, app).await,
        Verb::Organization(organization) => organization.run(app),
        Verb::Destroy(destroy) => destroy.run(app).await,
        Verb::Builder(builder) => builder.run(),
    }
}

/// The hospital that somebody names: by its name, in any case, or by its MSP id.
fn member<'n>(network: &'n Network, name: &str) -> Result<&'n Organization, Invalid> {
    let spec = network.spec();
    let lower = name.to_ascii_lowercase();
    spec.organization(name).or_else(|| spec.organization(&lower)).ok_or_else(|| {
        let names: Vec<&str> = spec.organizations.iter().map(|member| member.name.as_str()).collect();
        Invalid(format!("`{name}` is not one of {}", names.join(", ")))
    })
}
