//! The programs that serve the hospitals' peers, and a chaincode that calls the contract in somebody's name.

use std::collections::BTreeMap;
use std::process::ExitCode;

use caretrail_contract_optimized::{Admission, contract};
use caretrail_model::code::Code;
use caretrail_model::time::DurationMs;
use caretrail_tests::both::action;
use caretrail_tests::caretrail;
use hlf_chaincode::{Config, Response, Router, Service, Transaction, stop_signal};
use hlf_network::network::ChaincodeProgram;
use hlf_protos::kvrwset::KvrwSet;
use hlf_protos::prost::Message as _;
use hlf_protos::protos::TxValidationCode;
use hlf_protos::rwset::TxReadWriteSet;
use tokio::runtime::Runtime;

use crate::world::{RELAY, Siege};

const CONTRACT_PART: &str = "contract";
const RELAY_PART: &str = "relay";
/// The relay's own function, which passes on the arguments that follow; any other function it passes on as it is called.
const PASS_ON: &str = "PassOn";
/// What services log in these tests: more than they would.
const LOG: &str = "debug,h2=info,tower=info,hyper=info,hyper_util=info";

/// Plays the part that a network started this program for; `None` when nobody did, so that it tests.
pub(crate) fn play() -> Option<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = || Runtime::new().unwrap();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [CONTRACT_PART] => runtime().block_on(serve_contract()),
        [RELAY_PART] => runtime().block_on(serve_relay()),
        _ => return None,
    }
    Some(ExitCode::SUCCESS)
}

/// The contract's own program, which says a lot.
pub(crate) fn talkative_contract() -> ChaincodeProgram {
    ChaincodeProgram {
        program: caretrail::contract(),
        args: Vec::new(),
        env: BTreeMap::from([("RUST_LOG".to_owned(), LOG.into())]),
    }
}

/// This program, which has the contract compiled otherwise.
pub(crate) fn other_build() -> ChaincodeProgram {
    itself(CONTRACT_PART)
}

/// This program as the relay.
pub(crate) fn relay() -> ChaincodeProgram {
    itself(RELAY_PART)
}

fn itself(part: &str) -> ChaincodeProgram {
    let program = std::env::current_exe().unwrap();
    ChaincodeProgram { program, args: vec![part.into()], env: BTreeMap::new() }
}

async fn serve_contract() {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let contract = contract(Admission::system(DurationMs::from_secs(120))).unwrap();
    let service = Service::new(Config::from_env().unwrap(), contract).bind().await.unwrap();
    service.serve(stop_signal()).await.unwrap();
}

async fn serve_relay() {
    let relay = Router::builder("relay", "1.0").unknown(pass_on).build().unwrap();
    let service = Service::new(Config::from_env().unwrap(), relay).bind().await.unwrap();
    service.serve(stop_signal()).await.unwrap();
}

/// Calls the contract, and replies well whatever it said: status and message.
async fn pass_on(tx: &Transaction) -> Response {
    let own = tx.function().unwrap_or_default().as_bytes().to_vec();
    let args = match tx.args() {
        args if own == PASS_ON.as_bytes() => args.to_vec(),
        args => [&[own][..], args].concat(),
    };
    match tx.call("caretrail", &args).await {
        Ok(said) => Response::ok(format!("{} {}", said.status(), said.message())),
        Err(error) => Response::error(500, error.to_string()),
    }
}

/// The caller's certificate is the same whatever chaincode stands between: what he did not ask for must not be done.
pub(crate) async fn a_request_comes_through_another_chaincode(siege: &mut Siege) {
    let request = serde_json::to_vec(&siege.requesting()).unwrap();
    let relay = siege.gateway("south/ben").contract("records", RELAY);
    let hidden = relay.proposal(PASS_ON).arg("RequestAccess").arg(request.clone());
    let alike = relay.proposal("RequestAccess").arg(request);
    let before = siege.hospitals.chain().await.told("caretrail").len();
    // Hidden in a call of something else, and as the very call that ben signed, but for another chaincode.
    for (proposal, code) in [(hidden, Code::NotCalledDirectly), (alike, Code::ForeignChaincode)] {
        let proposal = proposal.endorsing_organizations(["NorthMSP", "SouthMSP"]).build().unwrap();
        let (answer, endorsed) = siege.endorsed(&proposal).await;
        let said = String::from_utf8(answer.response.clone().unwrap().payload).unwrap();
        assert_eq!(said, format!("{} {}", code.status(), code.as_str()));
        // The relay's own transaction commits, and wrote nothing of the contract's.
        let results = TxReadWriteSet::decode(action(&answer).results.as_slice()).unwrap();
        for of in results.ns_rwset.iter().filter(|of| of.namespace == "caretrail") {
            assert_eq!(KvrwSet::decode(of.rwset.as_slice()).unwrap().writes, []);
        }
        assert_eq!(siege.order(&endorsed).await, TxValidationCode::Valid);
    }
    assert_eq!(siege.hospitals.chain().await.told("caretrail").len(), before, "nothing was decided");
}
