use clap::Args;
use hlf_network::network::Network;
use serde::Serialize;

use super::Of;
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Of a user in the state folder, `caretrail network certificates revoke` also waits until every peer refuses the certificate.\n\n\
                        Example:\n  caretrail network ca revoke ada --org north --reason keycompromise"
)]
pub(crate) struct Revoke {
    /// The identity's name.
    id: String,
    /// Why, in a word of X.509 such as `keycompromise` or `superseded`.
    #[arg(long, value_name = "WORD")]
    reason: Option<String>,
    #[command(flatten)]
    of: Of,
}

#[derive(Serialize)]
struct Revoked {
    id: String,
    /// Whether every peer that runs has the list.
    on_channel: bool,
}

impl Revoke {
    pub(super) async fn run(self, network: &Network, app: &App) -> anyhow::Result<Exit> {
        let organization = self.of.find(network)?;
        let progress = app.progress();
        network.revoke_enrolled(organization, &self.id, self.reason.as_deref(), &progress).await?;
        app.printer.data(&Revoked { id: self.id, on_channel: true })?;
        Ok(Exit::Done)
    }
}
