use std::time::Duration;

use caretrail_model::calls::GetPolicy;
use caretrail_records::Records;
use clap::Args;
use hlf_gateway::{Deadlines, Gateway, MspFolder};
use hlf_network::network::Network;
use serde::Serialize;

use crate::app::{App, ledger};
use crate::failure::Exit;

/// How long the contract may take to tell its epoch.
const EPOCH_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(
    after_help = "It ends with 1 when something is not ready.\n\nExample:\n  caretrail network status --format json"
)]
pub(crate) struct Status {}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    network: &'a hlf_network::network::Status,
    /// Semantic engine in force in the contract; absent before a policy is, and when the contract does not answer.
    epoch: Option<u32>,
}

impl Status {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        let status = network.status().await?;
        app.printer.data(&Shown { network: &status, epoch: epoch(&network).await })?;
        Ok(if status.ready { Exit::Done } else { Exit::Failed })
    }
}

/// The epoch as the first hospital's own peer answers its admin.
async fn epoch(network: &Network) -> Option<u32> {
    let hospital = network.spec().organizations.first()?;
    let profile = network.profile(hospital).ok()?;
    let folder = profile.msp_folder(&hospital.admin()?.name)?;
    let credentials = MspFolder::open(folder, &profile.msp_id).ok()?.into_credentials();
    let deadlines = Deadlines { connect: EPOCH_LIMIT, evaluate: EPOCH_LIMIT, ..Deadlines::default() };
    let gateway = Gateway::connect(&profile.gateway().ok()?, credentials, deadlines).await.ok()?;
    let records = Records::new(&gateway, ledger(&profile).ok()?).ok()?;
    Some(records.policy(&GetPolicy {}).await.ok()?.epoch)
}
