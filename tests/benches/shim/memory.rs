//! The peer in memory, over the same TLS as the real one.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hlf_gateway::Endpoint;
use hlf_network::ca::TlsFiles;
use hlf_testpeer::{Creator, Proposal, TestPeer};

use crate::workload::Call;

const CONNECTED_WITHIN: Duration = Duration::from_secs(10);

pub(crate) struct Memory {
    peer: TestPeer,
    creator: Vec<u8>,
}

impl Memory {
    /// Dials a chaincode as a peer of the organisation does.
    pub(crate) async fn connect(address: &str, client: &TlsFiles) -> Arc<Self> {
        let read = |path: &Path| fs::read_to_string(path).expect("a certificate or key");
        let channel = Endpoint::tls(address, read(&client.roots))
            .client_tls(read(&client.certificate), read(&client.key))
            .connect(CONNECTED_WITHIN)
            .await
            .expect("the chaincode answers");
        let peer = TestPeer::builder().connect_over(channel).await.expect("the chaincode registers");
        let creator = Creator::builder("NorthMSP").common_name("User1").build().expect("a certificate");
        Arc::new(Self { peer, creator: creator.serialized() })
    }

    pub(crate) async fn invoke(&self, call: Call, number: u64) -> Result<(), String> {
        self.requests(call, number).await.map(|_| ())
    }

    /// What the chaincode asked the peer for, in order: its round trips.
    pub(crate) async fn requests(&self, call: Call, number: u64) -> Result<Vec<&'static str>, String> {
        let (function, args) = call.words(number);
        let proposal = args.into_iter().fold(Proposal::new(self.creator.clone(), function), Proposal::arg);
        match self.peer.invoke(&proposal).await {
            Ok(outcome) if outcome.is_ok() => Ok(outcome.requests),
            Ok(outcome) => Err(format!("status {}", outcome.status)),
            Err(error) => Err(error.to_string()),
        }
    }
}
