//! A second chaincode, for calls from the first: the same two programs under packages of their own, on this channel
//! and on another.

use std::path::Path;

use caretrail_tests::further;
use caretrail_tests::until::until;
use hlf_network::network::Network;
use serde_json::json;

use crate::world::{DEADLINE, Mixed, program};

/// Its name on both channels.
pub(crate) const CALLEE: &str = "tokens";

/// The other channel.
pub(crate) const ELSEWHERE: &str = "elsewhere";

/// A key of its state that says on which channel it is.
pub(crate) const PLACE: &str = "place";

/// Runs its services, installs its packages, and brings its definition onto both channels.
pub(crate) async fn deploy(network: &Network, in_go: &Path) {
    let packages = further::install(network, CALLEE, |organization| program(in_go, organization)).await;
    for channel in [network.spec().channel.name.as_str(), ELSEWHERE] {
        further::define(network, channel, CALLEE, &packages).await;
    }
}

/// Has it note where it is, once the peers of both organisations know each other on both channels.
pub(crate) async fn place<const EDITION: usize>(world: &Mixed<EDITION>) {
    for channel in [world.north.contract.channel(), ELSEWHERE] {
        let contract = world.north.gateway.contract(channel, CALLEE);
        let put = json!([{ "op": "put", "key": PLACE, "value": channel }]).to_string();
        let endorsed = until(&format!("`{CALLEE}` to be endorsed on `{channel}`"), DEADLINE, async || {
            let proposal = contract.proposal("Run").arg(put.clone()).endorsing_organizations(world.both());
            proposal.build().unwrap().endorse().await.ok()
        })
        .await;
        endorsed.submit().await.unwrap();
        for side in [&world.north, &world.south] {
            let status = side.gateway.commit_status(channel, endorsed.tx_id()).await.unwrap();
            assert!(status.is_valid(), "{status:?}");
        }
    }
}
