//! What a newcomer does: `caretrail demo`, again, with a file of their own, and with Ctrl-C at many points.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::fs::{self, File};
use std::path::Path;
use std::process::ExitCode;

use caretrail_tests::acts;
use caretrail_tests::caretrail::{Caretrail, Ran};
use caretrail_tests::fabric;
use caretrail_tests::hospitals::{number, text};
use caretrail_tests::processes;
use caretrail_tests::stage::Stage;
use caretrail_tests::stopping::stopped_after;
use caretrail_tests::telling::{Order, World, tell};
use serde_json::Value;

/// A checkout in which nothing was ever run.
struct Newcomer {
    caretrail: Caretrail,
    /// The line.
    demo: String,
}

impl World for Newcomer {
    async fn stand_up(stage: &Stage) -> Self {
        let caretrail = Caretrail::new(stage.folder());
        let demo = format!("demo{}", fabric::spec_option(&caretrail).await);
        Self { caretrail, demo }
    }
}

fn main() -> ExitCode {
    let acts = acts![
        an_interrupted_demo_leaves_nothing_that_breaks_the_next,
        a_second_demo_uses_the_running_network,
        a_file_of_ones_own_is_carried_along,
        down_stops_the_daemons_too,
    ];
    tell::<Newcomer>(env!("CARGO_TARGET_TMPDIR"), "the_demo", Order::Story, acts)
}

async fn an_interrupted_demo_leaves_nothing_that_breaks_the_next(newcomer: &mut Newcomer) {
    let caretrail = &newcomer.caretrail;
    // Line by line through the network's first stand-up would take minutes, and `network up` is tested so; after
    // it the lines of the story follow, some of them while a transaction is under way.
    let mut interrupted = 0;
    for lines in [3, 12, 18, 22, 25, 28, 32, 36, 41, 47, 54, 62, 70] {
        let ended =
            stopped_after(caretrail.command_for_people(&newcomer.demo), lines, processes::interrupt).await;
        if ended.stopped && !ended.status.success() {
            // With a transaction under way its outcome is unknown; the program names it.
            assert!(matches!(ended.status.code(), Some(4 | 130)), "line {lines}: {ended:?}");
            interrupted += 1;
        } else {
            assert!(ended.status.success(), "line {lines}: {ended:?}");
        }
    }
    assert!(interrupted >= 9, "interrupted {interrupted} times");

    let told = demo(caretrail, &newcomer.demo).await;
    for chapter in 1..=8 {
        assert!(told.stdout.contains(&format!("\n{chapter}. ")), "chapter {chapter}: {}", told.stdout);
    }
    assert_nothing_half_written(caretrail);
    try_next(caretrail, &told).await;
}

async fn a_second_demo_uses_the_running_network(newcomer: &mut Newcomer) {
    let caretrail = &newcomer.caretrail;
    let running = processes::marked(caretrail.state());
    assert_eq!(running.len(), 7, "an orderer, two peers, two chaincode services, two daemons");
    let before = height(caretrail).await;
    let told = demo(caretrail, &newcomer.demo).await;
    assert_eq!(processes::marked(caretrail.state()), running, "nothing was started or ended");
    assert!(height(caretrail).await > before, "the story was told anew");
    try_next(caretrail, &told).await;
}

async fn a_file_of_ones_own_is_carried_along(newcomer: &mut Newcomer) {
    let caretrail = &newcomer.caretrail;
    caretrail.write("scan.pdf", &vec![7; 1024 * 1024 + 1]);
    let told = demo(caretrail, "demo --file scan.pdf").await;
    assert!(told.stdout.contains("scan.pdf"), "{}", told.stdout);

    let before = height(caretrail).await;
    File::create(caretrail.file("too-long.bin")).unwrap().set_len(64 * 1024 * 1024 + 1).unwrap();
    let failure = caretrail.run("demo --file too-long.bin").await.invalid("DOCUMENT_UNUSABLE");
    assert!(failure.message.contains("64 MiB"), "{}", failure.message);
    assert_eq!(height(caretrail).await, before);
}

async fn down_stops_the_daemons_too(newcomer: &mut Newcomer) {
    let caretrail = &newcomer.caretrail;
    let down = caretrail.run("network down").await;
    assert_eq!(down.exit, Some(0), "{down:?}");
    assert_eq!(processes::marked(caretrail.state()), [0_u32; 0]);
}

async fn demo(caretrail: &Caretrail, line: &str) -> Ran {
    let told = caretrail.finish(line, caretrail.command_for_people(line)).await;
    assert_eq!(told.exit, Some(0), "{}\n{}", told.stdout, told.stderr);
    told
}

/// The commands that the demo names at its end work as they are printed.
async fn try_next(caretrail: &Caretrail, told: &Ran) {
    let (_, next) = told.stdout.rsplit_once("Next:").unwrap();
    let command = |who: &str| {
        let line = next.lines().find(|line| line.trim_start().starts_with(who)).unwrap();
        // Behind the label and the program's own path.
        line.split_once(':').unwrap().1.trim_start().split_once(' ').unwrap().1.to_owned()
    };
    let history = caretrail.run(&command("as the clinician")).await.rows();
    assert_eq!(history.iter().map(|version| number(&version["version"])).collect::<Vec<_>>(), [2, 1]);
    let log = caretrail.run(&command("as the compliance officer")).await.rows();
    let effects: Vec<_> =
        log.iter().filter(|row| row["act"] == "access_decided").map(|row| text(&row["effect"])).collect();
    assert_eq!(effects, ["deny", "permit", "permit", "deny"]);
    assert_eq!(log.iter().filter(|row| row["act"] == "disclosed").count(), 1);
    assert_eq!(command("to stop"), "network down");
}

async fn height(caretrail: &Caretrail) -> u64 {
    let status: Value = caretrail.run("network status").await.done();
    number(&status["nodes"][0]["height"])
}

/// No hospital keeps a part of a blob.
fn assert_nothing_half_written(caretrail: &Caretrail) {
    for hospital in ["north", "south"] {
        let staging = caretrail.hospital_folder(hospital).join("vault/staging");
        let left = |folder: &Path| fs::read_dir(folder).map_or(0, Iterator::count);
        assert_eq!(left(&staging), 0, "{}", staging.display());
    }
}
