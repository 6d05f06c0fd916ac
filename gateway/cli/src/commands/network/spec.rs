use clap::Args;

use super::up::CONSORTIUM;
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  caretrail network spec > consortium.toml\n  caretrail network up --spec consortium.toml"
)]
pub(crate) struct Spec {}

impl Spec {
    pub(crate) fn run(self, app: &App) -> anyhow::Result<Exit> {
        app.printer.text(CONSORTIUM)?;
        Ok(Exit::Done)
    }
}
