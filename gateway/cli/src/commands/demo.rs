use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
pub(crate) struct Demo {}

impl Demo {
    pub(crate) async fn run(self, _app: &App) -> anyhow::Result<Exit> {
        Ok(Exit::Done)
    }
}
