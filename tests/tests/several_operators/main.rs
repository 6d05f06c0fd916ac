//! What `docs/operations.md` says of several operators, each with their own part: its commands, run as they stand there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use caretrail_tests::caretrail::Caretrail;
use caretrail_tests::stage::Stage;
use caretrail_tests::telling::{Order, World, tell};
use caretrail_tests::{acts, fabric, processes};
use serde_json::Value;
use tokio::process::Command;

const OPERATIONS: &str = include_str!("../../../docs/operations.md");
const SECTION: &str = "\n## Several operators\n";

/// How long all commands of the section may take together.
const DEADLINE: Duration = Duration::from_secs(400);

struct Operators {
    folder: PathBuf,
}

impl World for Operators {
    async fn stand_up(stage: &Stage) -> Self {
        // Fabric's programs are there before anybody waits for them.
        fabric::spec_option(&Caretrail::new(stage.folder())).await;
        Self { folder: stage.folder().join("operators") }
    }
}

fn main() -> ExitCode {
    let acts = acts![the_pages_commands_stand_up_a_consortium, what_cannot_be_is_told_by_exit_codes];
    tell::<Operators>(env!("CARGO_TARGET_TMPDIR"), "several_operators", Order::Story, acts)
}

impl Operators {
    /// A shell in a folder of theirs, which finds the program by its name.
    fn shell(&self, folder: &str, script: &str) -> Command {
        let programs = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("debug");
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(programs).chain(std::env::split_paths(&inherited));
        let mut command = Command::new("sh");
        command
            .args(["-euc", script])
            .current_dir(self.folder.join(folder))
            .env("PATH", std::env::join_paths(paths).unwrap())
            .env_remove("CARETRAIL_STATE")
            .env_remove("CARETRAIL_PART")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// A line's exit code, data and talk.
    async fn run(&self, folder: &str, line: &str) -> (i32, String, String) {
        let output = tokio::time::timeout(DEADLINE, self.shell(folder, line).output()).await;
        let output = output.unwrap_or_else(|_| panic!("`{line}` does not end")).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }
}

/// The commands of the page's section, in their order.
fn commands() -> String {
    let (_, section) = OPERATIONS.split_once(SECTION).expect("the section");
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    section.split("```sh\n").skip(1).map(|block| block.split_once("```").expect("an end").0).collect()
}

async fn the_pages_commands_stand_up_a_consortium(operators: &mut Operators) {
    fs::create_dir_all(&operators.folder).unwrap();
    let script = commands();
    assert!(script.lines().filter(|line| line.contains("caretrail network")).count() >= 20, "{script}");
    let log = operators.folder.join("commands.log");
    let mut shell = operators.shell("", &format!("set -x\n{script}"));
    let output = File::create(&log).unwrap();
    shell.stdout(output.try_clone().unwrap()).stderr(output);
    let status =
        tokio::time::timeout(DEADLINE, shell.status()).await.expect("an end of the commands").unwrap();
    assert!(status.success(), "{}", last_lines(&log));

    let mut nodes = 0;
    for name in ["orderer", "north", "south", "east"] {
        let folder = format!("consortium/{name}");
        let (exit, data, said) = operators.run(&folder, "caretrail network status --format json").await;
        assert_eq!(exit, 0, "{name}: {data}{said}");
        let status: Value = serde_json::from_str(&data).unwrap();
        assert_eq!(status["part"], name);
        nodes += status["nodes"].as_array().unwrap().len();
    }
    assert_eq!(nodes, 3 + 3 * 2);
    assert_eq!(processes::marked(&operators.folder).len(), nodes);
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

async fn what_cannot_be_is_told_by_exit_codes(operators: &mut Operators) {
    let wrong = "1f0c-8d7a-1f0c-8d7a-1f0c-8d7a-1f0c-8d7a-1f0c-8d7a";
    let other = "caretrail network init --orgs west --folder elsewhere";
    assert_eq!(operators.run("", other).await.0, 0);
    for (folder, line, exit, expected) in [
        ("", other, 3, "exists; nothing is written over a document"),
        ("", "caretrail network init --orgs orderer --folder no", 3, "there is no such consortium"),
        ("", "caretrail network describe", 3, "there is no `organization.toml` here"),
        ("", "caretrail network describe --part nowhere.toml", 1, "cannot be read"),
        (
            "consortium/north",
            &format!("caretrail network import ../../exchange/south.organization.json --digest {wrong}"),
            3,
            "was read to you: it is not the file that they meant",
        ),
        (
            "consortium/north",
            "caretrail network import organization.toml",
            3,
            "this is no channel's first block",
        ),
        ("consortium/north", "caretrail network up --spec ../consortium.toml", 3, "--spec is of all"),
        ("consortium/north", "caretrail network plan --spec ../consortium.toml", 3, "--spec is of all"),
        ("consortium/north", "caretrail network plan", 0, "the channel is as consortium.toml says"),
        ("consortium/north", "caretrail network apply", 0, "the channel is as consortium.toml says"),
        ("elsewhere/west", "caretrail network genesis", 75, "missing: orderer"),
        ("elsewhere/west", "caretrail network up", 75, "waiting for orderer: orderer's description"),
        (
            "elsewhere/west",
            "caretrail network import ../../exchange/north.organization.json",
            3,
            "`north` is no organisation of the consortium; there are orderer, west",
        ),
    ] {
        let (code, data, said) = operators.run(folder, line).await;
        assert!(code == exit && said.contains(expected), "`{line}` ended with {code}: {data}{said}");
    }
    // Down and destroyed, each by its own operator.
    for name in ["east", "south", "north", "orderer"] {
        let folder = format!("consortium/{name}");
        assert_eq!(operators.run(&folder, "caretrail network down").await.0, 0);
        let (exit, _, said) = operators.run(&folder, "caretrail network destroy --channel records").await;
        assert_eq!(exit, 0, "{said}");
    }
    assert_eq!(processes::marked(&operators.folder), [0_u32; 0]);
}
