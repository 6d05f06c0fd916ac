use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use hlf_network::exchange::Description;
use serde::Serialize;

use super::part;
use super::up::Programs;
use crate::app::App;
use crate::failure::{Exit, Invalid};

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
        let again = |before: &[u8]| {
            let before = std::str::from_utf8(before).ok().and_then(|text| Description::parse(text).ok());
            before.is_some_and(|before| before.organization == description.organization)
        };
        write(&file, description.to_text().as_bytes(), again)?;
        app.printer.data(&HandedOver { file, digest: description.digest().to_string() })?;
        Ok(Exit::Done)
    }
}

/// Writes a file at once or not at all, over what was written before, and over nothing else.
pub(super) fn write(file: &Path, bytes: &[u8], again: impl Fn(&[u8]) -> bool) -> anyhow::Result<()> {
    if let Ok(before) = std::fs::read(file)
        && before != bytes
        && !again(&before)
    {
        let problem = format!("`{}` exists and is something else; name another file", file.display());
        return Err(Invalid(problem).into());
    }
    let draft = file.with_extension("draft");
    std::fs::write(&draft, bytes)
        .and_then(|()| std::fs::rename(&draft, file))
        .with_context(|| format!("`{}` cannot be written", file.display()))
}
