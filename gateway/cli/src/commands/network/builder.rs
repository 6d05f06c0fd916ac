use std::path::PathBuf;

use clap::Args;
use hlf_network::builder::{self, Phase};

use crate::failure::Exit;

#[derive(Debug, Args)]
pub(crate) struct Builder {
    /// `detect`, `build` or `release`.
    phase: Phase,
    /// The organisation's own values.
    #[arg(long)]
    config: PathBuf,
    /// The folders that the peer names.
    folders: Vec<PathBuf>,
}

impl Builder {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        builder::run(self.phase, &self.config, &self.folders)?;
        Ok(Exit::Done)
    }
}
