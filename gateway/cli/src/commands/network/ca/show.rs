use clap::Args;
use hlf_network::fabric_ca::CaInfo;
use hlf_network::network::Network;
use serde::Serialize;

use super::Of;
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail network ca info --org north")]
pub(crate) struct Info {
    #[command(flatten)]
    of: Of,
}

#[derive(Serialize)]
struct Cas {
    cas: Vec<CaInfo>,
}

impl Info {
    pub(super) async fn run(self, network: &Network, app: &App) -> anyhow::Result<Exit> {
        let registrar = network.registrar(self.of.find(network)?).await?;
        let cas = vec![registrar.identity_ca().info().await?, registrar.tls_ca().info().await?];
        app.printer.data(&Cas { cas })?;
        Ok(Exit::Done)
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail network ca identities --org north --format table")]
pub(crate) struct Identities {
    #[command(flatten)]
    of: Of,
}

impl Identities {
    pub(super) async fn run(self, network: &Network, app: &App) -> anyhow::Result<Exit> {
        let registrar = network.registrar(self.of.find(network)?).await?;
        app.printer.rows(&registrar.identities().identities().await?)?;
        Ok(Exit::Done)
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail network ca certificates ada --org north --serving")]
pub(crate) struct Certificates {
    /// The identity's name; of everybody when absent.
    id: Option<String>,
    /// Leaves out those that are revoked or have ended.
    #[arg(long)]
    serving: bool,
    #[command(flatten)]
    of: Of,
}

impl Certificates {
    pub(super) async fn run(self, network: &Network, app: &App) -> anyhow::Result<Exit> {
        let registrar = network.registrar(self.of.find(network)?).await?;
        let found = registrar.identities().certificates(self.id.as_deref(), self.serving).await?;
        app.printer.text(&found.concat())?;
        Ok(Exit::Done)
    }
}
