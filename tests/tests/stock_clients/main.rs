//! Programs on Fabric's official clients, with nothing but what the network wrote for them: a connection profile in the form of
//! Fabric's SDKs, and a user's MSP folder.
//!
//! Node.js here; Go in `mixed_endorsement`, where the official client drives a whole chaincode. This program is the peers'
//! builder and the chaincode too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use caretrail_tests::channel::{CHAINCODE, Channel, consortium};
use caretrail_tests::stage::Stage;
use caretrail_tests::tally::State;
use caretrail_tests::telling::{Order, World, tell};
use caretrail_tests::{acts, roles};
use hlf_gateway::Deadlines;
use hlf_protos::protos::TxValidationCode;
use serde::Deserialize;
use tokio::process::Command;

/// How long a program may take, or npm to fetch what it stands on.
const DEADLINE: Duration = Duration::from_secs(180);

const WHAT_IT_NEEDS: &str =
    "this test needs Node.js 20.9 or later, with npm, on the PATH: install them from https://nodejs.org";

fn main() -> ExitCode {
    if let Some(played) = roles::play() {
        return played;
    }
    let acts = acts![the_official_client_for_node_works_from_a_connection_profile];
    tell::<Stock>(env!("CARGO_TARGET_TMPDIR"), "stock_clients", Order::Each, acts)
}

struct Stock {
    channel: Channel,
}

impl World for Stock {
    async fn stand_up(stage: &Stage) -> Self {
        Self { channel: Channel::stand_up(stage.folder(), "network", consortium("raft", 1, 1, 1), &[]).await }
    }
}

#[derive(Debug, Deserialize)]
struct Told {
    transaction: String,
    valid: bool,
    block: u64,
    state: State,
    filtered: Vec<String>,
    refused: Refused,
}

#[derive(Debug, Deserialize)]
struct Refused {
    message: String,
    details: Vec<Detail>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    msp_id: String,
    message: String,
}

async fn the_official_client_for_node_works_from_a_connection_profile(world: &mut Stock) {
    let program = installed("stock-client").await;
    let network = world.channel.network();
    let south = network.spec().organization("south").unwrap();
    let told = output(
        Command::new("node")
            .arg("main.js")
            .arg(network.layout().connection_profile("south"))
            .arg(network.layout().user(south, "User1").join("msp"))
            .args([CHAINCODE, "written in", "JavaScript"])
            .current_dir(program),
    )
    .await;
    let told: Told = serde_json::from_slice(&told).unwrap();

    assert!(told.valid, "{told:?}");
    let entries = [("written in".to_owned(), "JavaScript".to_owned())].into();
    assert_eq!(told.state, State::of(&entries));
    assert_eq!(told.filtered, [told.transaction.as_str()]);
    assert!(told.refused.message.contains("ABORTED"), "{told:?}");
    for detail in &told.refused.details {
        assert_eq!(detail.message, "chaincode response 409, KEY_TAKEN");
        assert!(["NorthMSP", "SouthMSP"].contains(&detail.msp_id.as_str()), "{detail:?}");
    }
    assert!(!told.refused.details.is_empty());

    // The blocks of the other organisation's peer say the same.
    let north = world.channel.gateway("peer0.north.example.com", "Admin", Deadlines::default());
    north.commit_status(world.channel.name(), &told.transaction).await.unwrap();
    let chain = world.channel.chain("peer0.north.example.com").await;
    let all = chain.transactions().into_iter();
    let transactions: Vec<_> = all.filter(|transaction| transaction.chaincode == CHAINCODE).collect();
    assert_eq!(transactions.len(), 1);
    assert_eq!(transactions[0].channel_header.tx_id, told.transaction);
    assert_eq!(transactions[0].block, told.block);
    assert_eq!(transactions[0].code, TxValidationCode::Valid);
}

/// A program of `tests/node` with what it stands on, in a folder that outlives this run.
async fn installed(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("node").join(name);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node").join(name);
    fs::create_dir_all(&folder).unwrap();
    for file in ["package.json", "package-lock.json", "main.js"] {
        fs::copy(source.join(file), folder.join(file)).unwrap();
    }
    // No script of a dependency is run: none of those used here needs one.
    output(
        Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"])
            .current_dir(&folder),
    )
    .await;
    folder
}

async fn output(command: &mut Command) -> Vec<u8> {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let ended = tokio::time::timeout(DEADLINE, running).await.expect("an end").expect(WHAT_IT_NEEDS);
    assert!(ended.status.success(), "{WHAT_IT_NEEDS}\n{}", String::from_utf8_lossy(&ended.stderr));
    ended.stdout
}
