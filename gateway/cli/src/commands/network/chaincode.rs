//! `caretrail network chaincode`: the contract's way onto the channel in single steps, without Fabric's command line.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use hlf_network::network::Network;
use hlf_network::package::Package;
use hlf_network::spec::Chaincode;
use serde::Serialize;

use super::plan::read;
use crate::app::App;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Shows what is installed, approved, built and served, peer by peer.
    Show(Show),
    /// Writes the package of a label and prints its id: the same bytes wherever it is made.
    Package(Make),
    /// Installs a hospital's package on its peers.
    Install(OfOne),
    /// Approves the definition of a spec for a hospital.
    Approve(OfOne),
    /// Shows which hospitals have approved the definition of a spec.
    Readiness(OfOne),
    /// Brings the definition of a spec into force, once every hospital has approved it.
    Commit(OfAll),
    /// Removes what stopped peers have built of packages and would dial in vain.
    Clean(Clean),
}

#[derive(Debug, Args)]
#[command(
    after_help = "It ends with 1 when something does not fit together.\n\nExample:\n  caretrail network chaincode show"
)]
pub(crate) struct Show {}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  caretrail network chaincode package --label caretrail_2 --to caretrail_2.tar.gz"
)]
pub(crate) struct Make {
    /// The package's label.
    #[arg(long)]
    label: String,
    /// The file, which must not be there yet.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "The definition is the one of --spec, or else the network's own.\n\n\
                        Examples:\n  caretrail network chaincode install --org north --spec wanted.toml\n  \
                        caretrail network chaincode approve --org north --spec wanted.toml\n  \
                        caretrail network chaincode readiness --org north --spec wanted.toml")]
pub(crate) struct OfOne {
    /// The hospital, by its name or MSP id.
    #[arg(long, value_name = "NAME")]
    org: String,
    /// A spec with the definition, TOML.
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail network chaincode commit --spec wanted.toml")]
pub(crate) struct OfAll {
    /// A spec with the definition, TOML.
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Peers build them anew at their next start; a peer with such a build that runs is named, and nothing is removed.\n\n\
                        Example:\n  caretrail network down\n  caretrail network chaincode clean\n  caretrail network up"
)]
pub(crate) struct Clean {}

#[derive(Serialize)]
struct Packaged {
    package_id: String,
}

#[derive(Serialize)]
struct Installed {
    package_id: String,
    new_on_peers: usize,
}

#[derive(Serialize)]
struct Changed {
    sequence: u32,
    changed: bool,
}

#[derive(Serialize)]
struct Removed {
    removed: Vec<PathBuf>,
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    if let Verb::Package(make) = &verb {
        return package(make, app);
    }
    let network = Network::existing(&app.network_folder())?;
    let progress = app.progress();
    let printer = app.printer;
    match verb {
        Verb::Show(Show {}) => {
            let ids = network.chaincode_ids().await?;
            printer.data(&ids)?;
            if ids.iter().any(|ids| !ids.problems.is_empty()) {
                return Ok(Exit::Failed);
            }
        }
        Verb::Package(_) => {}
        Verb::Install(of) => {
            let chaincode = chaincode(&network, of.spec.as_ref())?;
            let (package_id, new_on_peers) = network.install_chaincode(&of.org, &chaincode).await?;
            printer.data(&Installed { package_id, new_on_peers })?;
        }
        Verb::Approve(of) => {
            let chaincode = chaincode(&network, of.spec.as_ref())?;
            let changed = network.approve_chaincode(&of.org, &chaincode, &progress).await?;
            printer.data(&Changed { sequence: chaincode.sequence, changed })?;
        }
        Verb::Readiness(of) => {
            let chaincode = chaincode(&network, of.spec.as_ref())?;
            printer.data(&network.chaincode_readiness(&of.org, &chaincode).await?)?;
        }
        Verb::Commit(of) => {
            let chaincode = chaincode(&network, of.spec.as_ref())?;
            let changed = network.commit_chaincode(&chaincode, &progress).await?;
            printer.data(&Changed { sequence: chaincode.sequence, changed })?;
        }
        Verb::Clean(Clean {}) => {
            printer.data(&Removed { removed: network.remove_stale_builds().await? })?;
        }
    }
    Ok(Exit::Done)
}

fn package(make: &Make, app: &App) -> anyhow::Result<Exit> {
    if !Chaincode::is_label(&make.label) {
        let problem =
            format!("`{}` is no label: letters, digits and `_.+-`, a letter or digit first", make.label);
        return Err(Invalid(problem).into());
    }
    let package = Package::of_service(&make.label).context("the package cannot be made")?;
    if make.to.exists() {
        let problem = format!("`{}` exists; a package is never written over another file", make.to.display());
        return Err(Invalid(problem).into());
    }
    std::fs::write(&make.to, package.bytes())
        .with_context(|| format!("`{}` cannot be written", make.to.display()))?;
    app.printer.data(&Packaged { package_id: package.id() })?;
    Ok(Exit::Done)
}

/// The definition of a spec's file, or the network's own.
fn chaincode(network: &Network, spec: Option<&PathBuf>) -> anyhow::Result<Chaincode> {
    let found = match spec {
        Some(file) => read(file)?.chaincode,
        None => network.spec().chaincode.clone(),
    };
    found.ok_or_else(|| Invalid("the spec has no chaincode".to_owned()).into())
}
