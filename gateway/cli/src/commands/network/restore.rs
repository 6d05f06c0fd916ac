use std::path::PathBuf;

use clap::Args;
use hlf_network::network::Network;
use serde::Serialize;

use super::backup::Shown;
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "The backup is read to its last byte first, and the restored ledgers are held against its manifest block by \
                        block. Then `caretrail network up` starts the nodes that are in it, and `caretrail network backup compare` \
                        holds them against the others.\n\n\
                        Example:\n  caretrail network restore /backups/monday"
)]
pub(crate) struct Restore {
    /// The backup.
    file: PathBuf,
    /// An empty folder, or one that is not there [default: the network's folder in the state folder].
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

#[derive(Serialize)]
struct Restored {
    folder: PathBuf,
    #[serde(flatten)]
    held: Shown,
    /// Private keys that were left out, each to be put in its place.
    missing_keys: Vec<PathBuf>,
}

impl Restore {
    pub(crate) fn run(self, app: &App) -> anyhow::Result<Exit> {
        let folder = self.folder.unwrap_or_else(|| app.network_folder());
        let restored = Network::restore(&self.file, &folder, &app.progress())?;
        app.printer.data(&Restored {
            folder: restored.network.layout().root().to_owned(),
            held: Shown::of(&restored.manifest),
            missing_keys: restored.missing_keys,
        })?;
        Ok(Exit::Done)
    }
}
