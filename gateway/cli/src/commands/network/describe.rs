use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::part;
use super::up::Programs;
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "The file holds certificates and addresses, and no secret. Read its digest to those who import it, over the \
                        telephone: nobody between you can then have exchanged it.\n\nExample:\n  caretrail network describe"
)]
pub(crate) struct Describe {
    /// File to write [default: `NAME.organization.json`, here].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    programs: Programs,
}

/// A file that is handed over, and what is read aloud with it.
#[derive(Serialize)]
pub(super) struct HandedOver {
    pub(super) file: PathBuf,
    pub(super) digest: String,
}

impl Describe {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let own = part::demanded(app)?;
        let options = part::options(&self.programs, &own)?;
        let description = own.describe(&options, &app.progress()).await?;
        let file = self.out.unwrap_or_else(|| PathBuf::from(description.file_name()));
        write(&file, description.to_text().as_bytes())?;
        app.printer.data(&HandedOver { file, digest: description.digest().to_string() })?;
        Ok(Exit::Done)
    }
}

/// Writes a file at once or not at all, over what was written before.
pub(super) fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let draft = file.with_extension("draft");
    std::fs::write(&draft, bytes)
        .and_then(|()| std::fs::rename(&draft, file))
        .with_context(|| format!("`{}` cannot be written", file.display()))
}
