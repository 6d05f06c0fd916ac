//! A real network of one peer and one orderer, and calls straight to its endorser.

use std::sync::Arc;

use caretrail_tests::channel::Channel;
use hlf_gateway::{Deadlines, Endorser, EndorserError};
use hlf_network::spec::{Chaincode, Consortium};

use crate::workload::Call;

const CHANNEL: &str = "bench";
const CHAINCODE: &str = "bench";

const CONSORTIUM: &str = r#"
fabric = "3.1.1"

[channel]
name = "bench"

[orderer]
msp_id = "OrdererMSP"
domain = "orderer.example.com"
consenters = ["orderer0"]

[[organizations]]
name = "north"
msp_id = "NorthMSP"
domain = "north.example.com"
peers = ["peer0"]

[[organizations.users]]
name = "Admin"
node_ou = "admin"

[[organizations.users]]
name = "User1"
"#;

/// The network, with our side's chaincode to stand up with.
pub(crate) fn spec() -> Consortium {
    let mut spec = Consortium::parse(CONSORTIUM).expect("the consortium");
    spec.set_chaincode(Chaincode::new(CHAINCODE, "bench_1")).expect("the chaincode");
    spec
}

/// The peer's own endorser, without a gateway: what is called is peer and chaincode, and nothing else.
pub(crate) fn endorser(channel: &Channel) -> Arc<Endorser> {
    let peers = channel.peers();
    Arc::new(channel.gateway(&peers[0], "User1", Deadlines::default()).endorser())
}

/// Has a call endorsed; a failure is told without what differs from call to call.
pub(crate) async fn endorse(endorser: &Endorser, call: Call, number: u64) -> Result<(), String> {
    let (function, args) = call.words(number);
    match endorser.call(CHANNEL, CHAINCODE, function).args(args).send().await {
        Ok(_) => Ok(()),
        Err(EndorserError::Refused { response }) => Err(format!("status {}", response.status)),
        Err(EndorserError::Failed(failure)) => Err(format!("{:?}", failure.code())),
        Err(error) => Err(error.to_string()),
    }
}
