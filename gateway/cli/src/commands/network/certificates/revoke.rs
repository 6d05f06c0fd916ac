use clap::Args;
use hlf_network::network::Network;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "The hospital's first admin is refused: it signs the hospital's changes.\n\nExample:\n  caretrail network certificates revoke auditor --org north"
)]
pub(crate) struct Revoke {
    /// The user's name in the spec.
    user: String,
    /// Name of the hospital.
    #[arg(long, value_name = "NAME")]
    org: String,
}

impl Revoke {
    pub(super) async fn run(self, network: &Network, app: &App) -> anyhow::Result<Exit> {
        let progress = app.progress();
        let refusals = network.revoke_user(&self.org, &self.user, &progress).await?;
        app.printer.data(&refusals)?;
        Ok(Exit::Done)
    }
}
