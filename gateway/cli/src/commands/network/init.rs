use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::spec::drawn;
use crate::app::{App, PART, STATE};
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(
    after_help = "It writes DIR/consortium.toml, which all organisations must have alike, and DIR/NAME/organization.toml for \
                        each of them, the ordering organisation (`orderer`) included. Give each its own folder and a copy of \
                        consortium.toml; nobody needs another one's.\n\nExamples:\n  \
                        caretrail network init --orgs north,south --orderers raft:3 --folder consortium\n  \
                        cd consortium/north && caretrail network describe"
)]
pub(crate) struct Init {
    /// Names of the hospitals, in lower case.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required = true)]
    orgs: Vec<String>,
    /// Consensus protocol and number of consenters: `raft:1`, `raft:3`, `bft:4`.
    #[arg(long, value_name = "PROTOCOL:N", default_value = "raft:3")]
    orderers: String,
    /// Number of peers of each hospital.
    #[arg(long, value_name = "N")]
    peers: Option<usize>,
    /// Folder to write to.
    #[arg(long, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

#[derive(Serialize)]
struct Written {
    files: Vec<PathBuf>,
}

impl Init {
    pub(crate) fn run(self, app: &App) -> anyhow::Result<Exit> {
        let consortium = drawn(Some(&self.orderers), &self.orgs, self.peers)
            .map_err(|error| Invalid(format!("there is no such consortium: {error}")))?;
        let document = consortium.to_document().context("the consortium's document cannot be written")?;
        let mut all = vec![(self.folder.join("consortium.toml"), document)];
        for name in consortium.parts() {
            let text = consortium.part_document(name, "../consortium.toml", STATE);
            all.push((self.folder.join(name).join(PART), text));
        }
        if let Some((file, _)) = all.iter().find(|(file, _)| file.exists()) {
            let file = file.display();
            return Err(Invalid(format!("`{file}` exists; nothing is written over a document")).into());
        }
        for (file, text) in &all {
            write_new(file, text).with_context(|| format!("`{}` cannot be written", file.display()))?;
        }
        app.printer.data(&Written { files: all.into_iter().map(|(file, _)| file).collect() })?;
        Ok(Exit::Done)
    }
}

fn write_new(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::OpenOptions::new().write(true).create_new(true).open(file)?.write_all(text.as_bytes())
}
