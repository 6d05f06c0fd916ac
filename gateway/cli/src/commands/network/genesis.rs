use std::path::PathBuf;

use clap::Args;

use super::describe::{HandedOver, write};
use super::part;
use super::up::Programs;
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "It is made once; run again, the same block is written. The others import it, and hold it against their own \
                        consortium.toml and descriptions.\n\nExample:\n  caretrail network genesis"
)]
pub(crate) struct Genesis {
    /// File to write [default: `CHANNEL.block`, here].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    programs: Programs,
}

impl Genesis {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let own = part::demanded(app)?;
        let options = part::options(&self.programs, &own)?;
        let (block, digest) = own.first_block(&options, &app.progress()).await?;
        let file = self.out.unwrap_or_else(|| PathBuf::from(format!("{}.block", own.spec().channel.name)));
        write(&file, &block, |_| false)?;
        app.printer.data(&HandedOver { file, digest: digest.to_string() })?;
        Ok(Exit::Done)
    }
}
