use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use hlf_network::exchange::Digest;

use super::part;
use super::up::Programs;
use crate::app::App;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(
    after_help = "A description is held against consortium.toml; a first block against the one that would have been made \
                        here from consortium.toml and the descriptions, and every difference is named. What does not fit is \
                        not taken.\n\nExamples:\n  caretrail network import south.organization.json --digest 1f0c-8d7a-…\n  \
                        caretrail network import records.block"
)]
pub(crate) struct Import {
    /// What another organisation handed over: `NAME.organization.json`, or the first block.
    file: PathBuf,
    /// The digest that was read aloud; the file is not taken by another one.
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// Gives leave to exchange what was imported before; not once nodes live by it.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    programs: Programs,
}

impl Import {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let own = part::demanded(app)?;
        let wanted = self.digest.as_deref().map(str::parse::<Digest>).transpose();
        let wanted = wanted.map_err(|error| Invalid(error.to_string()))?;
        let bytes =
            std::fs::read(&self.file).with_context(|| format!("`{}` cannot be read", self.file.display()))?;
        let options = part::options(&self.programs, &own)?;
        let imported = own.import(&bytes, wanted, self.replace, &options, &app.progress()).await?;
        if wanted.is_none() {
            app.printer.say(format!("ask whoever gave it to read its digest to you: {}", imported.digest));
        }
        app.printer.data(&imported)?;
        Ok(Exit::Done)
    }
}
