use std::io::{BufRead as _, IsTerminal as _};

use clap::Args;
use hlf_network::network::Network;

use crate::app::App;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(
    after_help = "On a terminal the channel's name is asked for. A folder that `caretrail network up` or `caretrail network restore` did not make is \
                        refused. Vaults, stores and indexes of the hospitals are not the network's and stay: they cannot be used \
                        with another network of the same name.\n\nExample:\n  caretrail network destroy --yes-destroy records"
)]
pub(crate) struct Destroy {
    /// The channel's name, given to confirm without being asked.
    #[arg(long, value_name = "NAME", alias = "channel")]
    yes_destroy: Option<String>,
}

impl Destroy {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        let name = network.spec().channel.name.clone();
        let typed = match self.yes_destroy {
            Some(typed) => typed,
            None => ask(&name, app)?,
        };
        if typed != name {
            let problem = format!("this network's channel is `{name}`, not `{typed}`: nothing was removed");
            return Err(Invalid(problem).into());
        }
        network.destroy(&app.progress()).await?;
        Ok(Exit::Done)
    }
}

/// Has somebody at a terminal type the name.
fn ask(name: &str, app: &App) -> anyhow::Result<String> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let problem = format!(
            "nobody is here to confirm: give --yes-destroy {name} to remove this network's keys and ledgers"
        );
        return Err(Invalid(problem).into());
    }
    let folder = app.network_folder();
    app.printer.error(&format!(
        "All keys and ledgers in `{}` are removed, for ever. Type the channel's name, `{name}`, to go on:",
        folder.display()
    ));
    let mut typed = String::new();
    stdin.lock().read_line(&mut typed)?;
    Ok(typed.trim().to_owned())
}
