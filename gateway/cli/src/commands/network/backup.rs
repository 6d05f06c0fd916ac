//! `caretrail network backup`: ledgers, keys and configuration in one file, made while the network runs.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hlf_network::network::{Backup, Keys, Manifest, Network, NodeKind, Whose};
use serde::Serialize;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Writes a backup of one organisation, or of everything in the state folder, into a new file.
    Create(Create),
    /// Reads a backup to its last byte, and shows what it holds.
    Verify(Verify),
    /// Holds all peers' ledgers against each other, and against a backup, block by block.
    Compare(Compare),
}

#[derive(Debug, Args)]
#[command(
    after_help = "The network may run and be in use: each node stands still for a moment while an image is taken. The file is \
                        not encrypted; with the keys in it, it can act as whoever it is of.\n\nExamples:\n  \
                        caretrail network backup create --all --to /backups/monday\n  \
                        caretrail network backup create --org north --to /backups/north --without-keys"
)]
pub(crate) struct Create {
    /// One organisation by its name or MSP id, or `orderer`.
    #[arg(long, value_name = "NAME", required_unless_present = "all")]
    org: Option<String>,
    /// Every node, key and ledger in the state folder; hospitals' own documents are copied apart.
    #[arg(long, conflicts_with = "org")]
    all: bool,
    /// The file, which must not be there yet.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Leaves private keys out: they are kept elsewhere, and put back after a restore.
    #[arg(long)]
    without_keys: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail network backup verify /backups/monday")]
pub(crate) struct Verify {
    /// The backup.
    file: PathBuf,
}

#[derive(Debug, Args)]
#[command(
    after_help = "It ends with 1 when something is not equal.\n\nExample:\n  caretrail network backup compare --with /backups/monday"
)]
pub(crate) struct Compare {
    /// A backup that the peers' ledgers must go on from.
    #[arg(long = "with", value_name = "FILE")]
    with: Option<PathBuf>,
}

/// What a backup holds, without its list of files.
#[derive(Serialize)]
pub(super) struct Shown {
    fabric: String,
    whose: String,
    keys: &'static str,
    made_at: String,
    files: usize,
    bytes: u64,
    ledgers: Vec<Ledger>,
}

#[derive(Serialize)]
struct Ledger {
    node: String,
    kind: NodeKind,
    channel: String,
    height: u64,
    last_block_hash: String,
}

impl Shown {
    pub(super) fn of(manifest: &Manifest) -> Self {
        let ledgers = manifest.nodes.iter().flat_map(|node| {
            node.ledgers.iter().map(|(channel, ledger)| Ledger {
                node: node.name.clone(),
                kind: node.kind,
                channel: channel.clone(),
                height: ledger.height,
                last_block_hash: ledger.last_block_hash.clone(),
            })
        });
        let made_at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(manifest.made_at_unix_s);
        Self {
            fabric: manifest.fabric.to_string(),
            whose: match &manifest.whose {
                Whose::All => "everything".to_owned(),
                Whose::Organization(name) => name.clone(),
                _ => "orderer".to_owned(),
            },
            keys: if manifest.keys { "included, in the clear" } else { "left out" },
            made_at: humantime::format_rfc3339_seconds(made_at).to_string(),
            files: manifest.files.len(),
            bytes: manifest.files.iter().map(|file| file.size_bytes).sum(),
            ledgers: ledgers.collect(),
        }
    }
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    let progress = app.progress();
    match verb {
        Verb::Create(create) => {
            let network = Network::existing(&app.network_folder())?;
            let whose = match &create.org {
                Some(name) => network.whose(name)?,
                None => Whose::All,
            };
            let keys = if create.without_keys { Keys::LeftOut } else { Keys::Included };
            let manifest = network.back_up(&whose, keys, &create.to, &progress).await?;
            app.printer.data(&Shown::of(&manifest))?;
            let hospitals = app.state().join("hospitals");
            if hospitals.is_dir() {
                let folder = hospitals.display();
                app.printer
                    .say(format!("not in it: the hospitals' own documents, stores and keys in `{folder}`"));
            }
        }
        Verb::Verify(verify) => {
            let backup = Backup::open(&verify.file, &progress)?;
            app.printer.data(&Shown::of(backup.manifest()))?;
        }
        Verb::Compare(compare) => {
            let network = Network::existing(&app.network_folder())?;
            let backup = compare.with.map(|file| Backup::open(&file, &progress)).transpose()?;
            let compared = network.compare_ledgers(backup.as_ref().map(Backup::manifest), &progress).await?;
            app.printer.data(&compared)?;
            if !compared.differences.is_empty() {
                return Ok(Exit::Failed);
            }
        }
    }
    Ok(Exit::Done)
}
