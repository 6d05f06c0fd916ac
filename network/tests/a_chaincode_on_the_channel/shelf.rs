//! A chaincode of one value, and networks that serve it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hlf_chaincode::{Config, Contract, Response, Service, Transaction, stop_signal};
use hlf_gateway::{Committed, Deadlines, Gateway, MspFolder, TransactionError};
use hlf_network::builder::BuilderProgram;
use hlf_network::network::{ChaincodeProgram, Network, Options, Status};
use hlf_network::spec::{Chaincode, Consortium};

use crate::bench::{document, no_chaincode, say, told};

/// How long a peer may take to have a block that another peer has.
const LEVEL_WITHIN: Duration = Duration::from_secs(60);
/// How long nodes that run may take until all of them answer.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// Keeps one value, and tells which build of it answers.
pub(crate) struct Shelf {
    edition: String,
}

impl Contract for Shelf {
    async fn invoke(&self, tx: &Transaction) -> Response {
        match (tx.function(), tx.args()) {
            (Some("Put"), [value]) => match tx.put("value", value.as_slice()) {
                Ok(()) => Response::ok(Vec::new()),
                Err(_) => Response::error(500, "NOT_PUT"),
            },
            (Some("Value"), []) => match tx.state("value").await {
                Ok(value) => Response::ok(value.unwrap_or_default()),
                Err(_) => Response::error(500, "NOT_READ"),
            },
            // Editions describe themselves differently, so that organisations who run two of them never agree on it.
            (Some("Edition" | "org.hyperledger.fabric:GetMetadata"), []) => {
                Response::ok(self.edition.clone().into_bytes())
            }
            _ => Response::error(404, "NO_SUCH_CALL"),
        }
    }
}

pub(crate) async fn serve() {
    let edition = std::env::var("EDITION").expect("EDITION");
    let config = Config::from_env().expect("CHAINCODE_*");
    let service = Service::new(config, Shelf { edition });
    let listening = service.bind().await.expect("a port");
    listening.serve(stop_signal()).await.expect("served");
}

/// Options for an edition of the chaincode, whose program is a file of its own.
pub(crate) fn edition(spec: &Consortium, program: PathBuf, edition: &str) -> Options {
    let itself = std::env::current_exe().unwrap();
    Options {
        builder: BuilderProgram { program: itself, args: vec!["builder".to_owned()] },
        chaincode: Some(ChaincodeProgram {
            program,
            args: vec!["chaincode".into()],
            env: BTreeMap::from([
                ("EDITION".to_owned(), edition.into()),
                ("CHAINCODE_TLS_RELOAD".to_owned(), "true".into()),
            ]),
        }),
        ..no_chaincode(spec)
    }
}

/// What a network says of itself once every node answers: one look may meet a node that is busy.
pub(crate) async fn ready(network: &Network) -> Status {
    let begun = Instant::now();
    loop {
        let status = network.status().await.unwrap();
        if status.ready {
            return status;
        }
        assert!(begun.elapsed() < READY_WITHIN, "{status:#?}");
    }
}

pub(crate) async fn up(network: &Network, options: &Options) {
    let begun = Instant::now();
    if let Err(error) = network.up(options, &say).await {
        panic!("{}", told(&error));
    }
    eprintln!("up: {:?}", begun.elapsed());
}

/// A client's gateway, of the organisation's own peer.
pub(crate) async fn gateway(network: &Network, organization: &str) -> Gateway {
    gateway_with(network, organization, Deadlines::default()).await
}

pub(crate) async fn gateway_with(network: &Network, organization: &str, deadlines: Deadlines) -> Gateway {
    let organization = network.spec().organization(organization).unwrap();
    let profile = network.profile(organization).unwrap();
    let msp = MspFolder::open(profile.msp_folder("User1").unwrap(), &profile.msp_id).unwrap();
    let endpoint = profile.gateway().unwrap();
    Gateway::connect(&endpoint, msp.into_credentials(), deadlines).await.unwrap()
}

pub(crate) async fn put(network: &Network, organization: &str, value: &str) {
    let endorsers: &[&str] = &[];
    if let Err(error) = try_put(network, organization, endorsers, value).await {
        panic!("{}", told(&error));
    }
}

/// Puts a value with the endorsements of chosen organisations; the gateway chooses when none is named.
pub(crate) async fn try_put(
    network: &Network,
    organization: &str,
    endorsers: &[&str],
    value: &str,
) -> Result<Committed, TransactionError> {
    let contract = gateway(network, organization).await.contract("consortium", "shelf");
    let proposal = contract.proposal("Put").arg(value).endorsing_organizations(endorsers.iter().copied());
    contract.submit(proposal.build().unwrap()).await
}

pub(crate) async fn ask(network: &Network, organization: &str, call: &str) -> String {
    let msp_id = &network.spec().organization(organization).unwrap().msp_id;
    let contract = gateway(network, organization).await.contract("consortium", "shelf");
    // Its own peer, and so its own service, answers.
    let proposal = contract.proposal(call).endorsing_organizations([msp_id.clone()]).build().unwrap();
    match proposal.evaluate().await {
        Ok(value) => String::from_utf8(value).unwrap(),
        Err(error) => panic!("{}", told(&error)),
    }
}

/// Waits until an organisation's peer has a value: it may be a block behind the one that told of the commit.
pub(crate) async fn has(network: &Network, organization: &str, value: &str) {
    let begun = Instant::now();
    loop {
        let found = ask(network, organization, "Value").await;
        if found == value {
            return;
        }
        assert!(begun.elapsed() < LEVEL_WITHIN, "{organization} has `{found}`, not `{value}`");
    }
}

pub(crate) fn shelf() -> Consortium {
    let mut spec = Consortium::parse(&document()).unwrap();
    spec.set_chaincode(Chaincode::new("shelf", "shelf_1")).unwrap();
    spec
}
