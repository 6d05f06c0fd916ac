//! The page's blocks of commands, and a shell for them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use caretrail_tests::caretrail::Caretrail;
use caretrail_tests::fabric;
use caretrail_tests::stage::Stage;
use caretrail_tests::telling::World;
use serde_json::Value;
use tokio::process::Command;

use crate::BY_HAND;

const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// Networks that blocks of commands are run on, by the word beside a block's language; and what is run by hand.
const NETWORKS: &[&str] =
    &["trial", "operators", "fabric-ca", "containers", "requests", "authorities", "release", "by-hand"];

/// How long the commands of one block may take together.
const DEADLINE: Duration = Duration::from_secs(400);

/// A block of commands.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// The heading that it stands below.
    pub(crate) section: String,
    /// The network that it is run on.
    pub(crate) network: String,
    /// Its commands.
    pub(crate) script: String,
}

/// All blocks of the page, in its order; their words are checked.
pub(crate) fn blocks() -> Vec<Block> {
    let mut found = Vec::new();
    let mut section = String::new();
    let mut lines = OPERATIONS.lines();
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")) {
            section = heading.to_owned();
        }
        let Some(fence) = line.strip_prefix("```") else { continue };
        let words: Vec<&str> = fence.split_whitespace().collect();
        let script: String =
            lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        match words.as_slice() {
            ["sh", network] if NETWORKS.contains(network) => {
                found.push(Block { section: section.clone(), network: (*network).to_owned(), script });
            }
            _ => panic!("```{fence} in `{section}`: a block is `sh` and one of {NETWORKS:?}"),
        }
    }
    found
}

/// The page alone: no network.
pub(crate) struct Page;

impl World for Page {
    async fn stand_up(_: &Stage) -> Self {
        Self
    }
}

pub(crate) async fn every_block_of_commands_is_run_or_named(_: &mut Page) {
    let blocks = blocks();
    let of = |network: &str| blocks.iter().filter(|block| block.network == network).count();
    let counted: Vec<(&str, usize)> = NETWORKS.iter().map(|network| (*network, of(network))).collect();
    // Those who add a block count it here, and see to it that it is run.
    assert_eq!(
        counted,
        [
            ("trial", 17),
            ("operators", 7),
            ("fabric-ca", 1),
            ("containers", 1),
            ("requests", 3),
            ("authorities", 1),
            ("release", 1),
            ("by-hand", 1)
        ]
    );
    for block in blocks.iter().filter(|block| block.network == "by-hand") {
        let named = BY_HAND.iter().any(|(command, _)| block.script.starts_with(command));
        assert!(named, "nobody says why this is not run: {block:?}");
    }
    assert_eq!(BY_HAND.len(), of("by-hand"));
}

/// A folder in which an operator works.
pub(crate) struct Operator {
    folder: PathBuf,
    /// The state folder, where no organisation's own document says it.
    state: Option<PathBuf>,
    /// Blocks of the page that were run.
    pub(crate) run: usize,
}

impl Operator {
    /// An operator with an empty folder; Fabric's programs are there before anybody waits for them.
    pub(crate) async fn on(stage: &Stage) -> Self {
        fabric::spec_option(&Caretrail::new(stage.folder())).await;
        let folder = stage.folder().join("operator");
        fs::create_dir_all(&folder).unwrap();
        Self { folder, state: None, run: 0 }
    }

    /// An operator who has all of a network in one state folder: the own one, even while it is moved away, and not the
    /// nearest upwards, which is the checkout's when somebody ran a demo there.
    pub(crate) async fn of_all(stage: &Stage) -> Self {
        let operator = Self::on(stage).await;
        Self { state: Some(operator.folder.join(".caretrail")), ..operator }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs the page's blocks of a section for a network, as they stand there.
    pub(crate) async fn section(&mut self, network: &str, section: &str) -> String {
        let mut said = String::new();
        let wanted = |block: &&Block| block.network == network && block.section == section;
        let blocks: Vec<Block> = blocks().iter().filter(wanted).cloned().collect();
        assert!(!blocks.is_empty(), "`{section}` has nothing for `{network}`");
        for block in blocks {
            said += &self.block(&block).await;
        }
        said
    }

    /// Runs one block, and gives all that was printed and said.
    pub(crate) async fn block(&mut self, block: &Block) -> String {
        self.run += 1;
        let log = self.folder.join(format!("{}.log", self.run));
        let mut shell = self.shell("", &format!("set -x\n{}", block.script));
        let output = File::create(&log).unwrap();
        shell.stdout(output.try_clone().unwrap()).stderr(output);
        let status = tokio::time::timeout(DEADLINE, shell.status()).await;
        let said = fs::read_to_string(&log).unwrap();
        let status = status.unwrap_or_else(|_| panic!("no end of {block:?}: {said}")).unwrap();
        assert!(status.success(), "{block:?} ended with {status}: {said}");
        said
    }

    /// A line's exit code, data and talk.
    pub(crate) async fn line(&self, folder: &str, line: &str) -> (i32, String, String) {
        let output = tokio::time::timeout(DEADLINE, self.shell(folder, line).output()).await;
        let output = output.unwrap_or_else(|_| panic!("`{line}` does not end")).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    /// What a command prints as JSON, having done what was asked.
    pub(crate) async fn data(&self, line: &str) -> Value {
        let (exit, data, said) = self.line("", &format!("{line} --format json")).await;
        assert_eq!(exit, 0, "`{line}`: {data}{said}");
        serde_json::from_str(&data).unwrap_or_else(|error| panic!("`{line}`: {error}: {data}"))
    }

    /// Makes an authority elsewhere, by `openssl`: `PREFIXroot` and below it `PREFIXlower`, each with `.pem` and `.key`.
    pub(crate) async fn authority(&self, prefix: &str) {
        let extensions = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
                          subjectKeyIdentifier=hash\n";
        fs::write(self.folder.join("authority.ext"), extensions).unwrap();
        let key = |name: &str| {
            format!(
                "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/O=Elsewhere/CN={prefix}{name}' \
                 -keyout {prefix}{name}.key -out {prefix}{name}.csr"
            )
        };
        let sign = |name: &str, by: &str| {
            format!(
                "openssl x509 -req -in {prefix}{name}.csr {by} -days 3000 -extfile authority.ext -out {prefix}{name}.pem"
            )
        };
        let root = sign("root", &format!("-key {prefix}root.key"));
        let lower = sign("lower", &format!("-CA {prefix}root.pem -CAkey {prefix}root.key"));
        let script = [key("root"), root, key("lower"), lower].join(" && ");
        let (exit, data, said) = self.line("", &script).await;
        assert_eq!(exit, 0, "{data}{said}");
    }

    /// A shell in a folder of theirs, which finds the program by its name.
    pub(crate) fn shell(&self, folder: &str, script: &str) -> Command {
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
            .env_remove("CARETRAIL_FORMAT")
            // How full this machine's disk is, is not what the page is about.
            .env("CARETRAIL_DISK_FREE_MIN", "0")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(state) = &self.state {
            command.env("CARETRAIL_STATE", state);
        }
        command
    }
}
