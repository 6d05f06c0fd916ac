use std::time::Duration;

use clap::Args;
use hlf_network::network::{Network, ReadyError};

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Asked are all processes, and the contract through every peer and every hospital's gateway.\n\
                        It ends with 0 when all is ready, and with 1 when something is not.\n\n\
                        Example:\n  caretrail network ready --wait 2m"
)]
pub(crate) struct Ready {
    /// Waits so long for what is not ready yet, such as `90s` or `2m`.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
}

impl Ready {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        if let Some(limit) = self.wait {
            match network.await_ready(limit, &app.progress()).await {
                // What is missing is told below, as data.
                Ok(()) | Err(ReadyError::Wait(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let readiness = network.readiness().await?;
        app.printer.data(&readiness)?;
        Ok(if readiness.ready { Exit::Done } else { Exit::Failed })
    }
}
