//! The chaincode on our shim: every operation, and typed functions that the one in Go lacks.

use hlf_chaincode::{Config, Contract as _, Failure, Response, Router, Service, Transaction, stop_signal};
use schemars::JsonSchema;
use serde::Serialize;

use crate::every_operation::EveryOperation;
use crate::world::{EDITIONS, Mixed, Side};

/// What the state says of a key.
#[derive(Serialize, JsonSchema)]
struct Description {
    key: String,
    bytes: Option<usize>,
}

async fn describe(tx: &Transaction, key: String) -> Result<Description, Failure> {
    let bytes = tx.state(&key).await?.map(|value| value.len());
    Ok(Description { key, bytes })
}

/// How often the peer is asked for three values.
async fn round_trips(tx: &Transaction, (): ()) -> Result<u64, Failure> {
    let [_, _, _] = tx.states_of(["a", "b", "c"]).await?;
    Ok(tx.round_trips())
}

async fn every_operation(tx: &Transaction) -> Response {
    EveryOperation.invoke(tx).await
}

/// Serves the chaincode until it is stopped.
pub(crate) fn serve() {
    let contract = Router::builder("every-operation", "1.0")
        .evaluate("Describe", describe)
        .evaluate("RoundTripsOfThreeReads", round_trips)
        .unknown(every_operation)
        .build()
        .expect("a contract");
    let serving = async {
        let service = Service::new(Config::from_env().expect("CHAINCODE_*"), contract);
        service.bind().await.expect("a port").serve(stop_signal()).await.expect("served");
    };
    tokio::runtime::Runtime::new().expect("a runtime").block_on(serving);
}

pub(crate) async fn each_organisation_runs_its_own_shim<const EDITION: usize>(world: &mut Mixed<EDITION>) {
    let describe = |side: &Side| {
        let own = [side.msp_id.clone()];
        side.contract.proposal("Describe").arg("\"absent\"").endorsing_organizations(own).build().unwrap()
    };
    assert_eq!(describe(&world.south).evaluate().await.unwrap(), br#"{"key":"absent","bytes":null}"#);
    // In Go there are no typed functions, whose argument is no list of operations.
    let refused = describe(&world.north).evaluate().await.unwrap_err().chaincode_response().unwrap();
    assert_eq!((refused.status, refused.message.as_str()), (500, "ARGUMENTS"));
}

pub(crate) async fn batches_are_as_the_peers_are_set<const EDITION: usize>(world: &mut Mixed<EDITION>) {
    let ours = [world.south.msp_id.clone()];
    let proposal = world.south.contract.proposal("RoundTripsOfThreeReads").endorsing_organizations(ours);
    let round_trips = proposal.build().unwrap().evaluate().await.unwrap();
    let expected: &[u8] = if EDITIONS[EDITION].batches { b"1" } else { b"3" };
    assert_eq!(round_trips, expected);
}
