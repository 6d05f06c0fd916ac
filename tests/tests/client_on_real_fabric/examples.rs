//! The client's examples, run as their own first lines say.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use caretrail_tests::until::until;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::outcomes::put;
use crate::world::{NOTES, Notes};

/// How long an example may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An example, told to use North's peers as North's first user, and some more words.
fn example<const N: usize>(world: &Notes, program: &str, words: [&str; N]) -> Command {
    let profile = world.profile("north");
    let peers: Vec<_> = profile.peers.iter().map(|peer| peer.address.as_str()).collect();
    let mut command = Command::new(program);
    command.arg(peers.join(",")).arg(&profile.tls_ca).arg(profile.msp_folder("User1").unwrap());
    command.args([&profile.msp_id, world.channel(), NOTES]).args(words);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// What an example prints that succeeds.
async fn printed<const N: usize>(world: &Notes, program: &str, words: [&str; N]) -> String {
    let output = tokio::time::timeout(PATIENCE, example(world, program, words).output());
    let output = output.await.unwrap().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{out}{err}");
    out
}

/// Demands that a transaction is VALID, and gives its block.
async fn demand_valid(world: &Notes, tx_id: &str) -> u64 {
    let south = world.gateway("south", "User1").await;
    let status = south.commit_status(world.channel(), tx_id).await.unwrap();
    assert!(status.is_valid(), "{status:?}");
    status.block_number
}

async fn demand_value(world: &Notes, key: &str, value: &str) {
    let read = world.notes().await.proposal("Get").arg(key).build().unwrap().evaluate().await.unwrap();
    assert_eq!(read, value.as_bytes(), "{key}");
}

pub(crate) async fn several_gateways_are_used_as_the_example_does(world: &mut Notes) {
    let program = env!("CARGO_BIN_EXE_example-several_gateways");
    let printed = printed(world, program, ["Put", "example/several", "one"]).await;
    let lines: Vec<_> = printed.lines().collect();
    let [done, read, peers @ ..] = lines.as_slice() else { panic!("{printed}") };
    let (tx_id, block) = done.split_once(" is in block ").unwrap();
    assert_eq!(demand_valid(world, tx_id).await.to_string(), block);
    assert_eq!(*read, "2 bytes of metadata, read after it");
    let of_north = world.profile("north").peers;
    assert_eq!(peers.len(), of_north.len(), "{printed}");
    for (line, peer) in peers.iter().zip(of_north) {
        assert!(line.starts_with(&format!("{} answers", peer.address)), "{printed}");
    }
    demand_value(world, "example/several", "one").await;
}

pub(crate) async fn a_call_is_made_once_as_the_example_does(world: &mut Notes) {
    let program = env!("CARGO_BIN_EXE_example-retries");
    let folder = world.folder.join("example-retries");
    let words = [folder.to_str().unwrap(), "order 7", "Append", "example/retries", "x"];
    let first = printed(world, program, words).await;
    let (tx_id, _) = first.strip_prefix("done as ").unwrap().split_once(", at attempt ").unwrap();
    demand_valid(world, tx_id).await;
    assert_eq!(printed(world, program, words).await, format!("done before, as {tx_id}\n"));
    demand_value(world, "example/retries", "x").await;
}

pub(crate) async fn a_transaction_is_signed_elsewhere_as_the_example_does(world: &mut Notes) {
    let program = env!("CARGO_BIN_EXE_example-offline_signing");
    let printed = printed(world, program, ["Put", "example/offline", "signed"]).await;
    let (tx_id, block) = printed.trim_end().split_once(" is VALID in block ").unwrap();
    assert_eq!(demand_valid(world, tx_id).await.to_string(), block);
    demand_value(world, "example/offline", "signed").await;
}

pub(crate) async fn events_are_counted_exactly_once_as_the_example_does(world: &mut Notes) {
    let program = env!("CARGO_BIN_EXE_example-events_exactly_once");
    let file = world.folder.join("example-events");
    let notes = world.notes().await;
    let mut before = 0;
    // It is killed and started again, and goes on where its file says.
    for number in 0..3 {
        let tx_id = put(&notes, &format!("example/events{number}")).await.unwrap();
        let block = demand_valid(world, &tx_id).await;
        let mut listening = example(world, program, [file.to_str().unwrap()]);
        let mut listening = listening.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(listening.stdout.take().unwrap()).lines();
        // The checkpoint behind a block's last event is the next block's beginning.
        until("the event to be counted", PATIENCE, async || {
            let line = lines.next_line().await.unwrap().expect("it runs until it is killed");
            let (_, upto) = line.rsplit_once(' ').unwrap();
            (upto.parse::<u64>().unwrap() >= block).then_some(())
        })
        .await;
        listening.kill().await.unwrap();
        let now = counted(&file);
        assert!(number == 0 || now == before + 1, "{before} events, then one more: {now}");
        before = now;
    }
}

/// How many events of notes the example's file counts.
fn counted(file: &Path) -> u64 {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("put ")).expect("a line of the event's name");
    line.parse().unwrap()
}
