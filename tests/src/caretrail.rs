//! The `caretrail` program, run as users run it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

use crate::processes::STATE;

/// How long any line may take: longer than each of the program's own deadlines.
const DEADLINE: Duration = Duration::from_secs(600);

/// The program, with a state folder and a folder of files that it is run in.
#[derive(Clone, Debug)]
pub struct Caretrail {
    program: PathBuf,
    state: PathBuf,
    files: PathBuf,
}

/// How a line ended.
#[derive(Debug)]
pub struct Ran {
    line: String,
    /// Its exit code; none when a signal ended it.
    pub exit: Option<i32>,
    /// What it printed as data.
    pub stdout: String,
    /// What it said besides.
    pub stderr: String,
}

/// An error as programs read it: this one shape.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of `caretrail_records::Failure`, and the message for people")]
pub struct Failure {
    pub code: String,
    pub stage: String,
    pub msp_id: Option<String>,
    pub address: Option<String>,
    pub tx_id: Option<String>,
    pub retryable: bool,
    pub fix: String,
    pub message: String,
}

impl Caretrail {
    /// The program that was built beside this test program, with its state in `folder`.
    ///
    /// # Panics
    /// When it was not built.
    pub fn new(folder: &Path) -> Self {
        let files = folder.join("files");
        fs::create_dir_all(&files).expect("a folder for files");
        contract();
        Self { program: beside("caretrail"), state: folder.join("state"), files }
    }

    /// The program itself.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The state folder.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The network's folder.
    pub fn network_folder(&self) -> PathBuf {
        self.state.join("network")
    }

    /// The folder of a hospital's own data.
    pub fn hospital_folder(&self, organization: &str) -> PathBuf {
        self.state.join("hospitals").join(organization)
    }

    /// A file in the folder that lines are run in, where they name it alone.
    pub fn file(&self, name: &str) -> PathBuf {
        self.files.join(name)
    }

    /// Writes such a file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.file(name), content).expect("a written file");
    }

    /// Reads such a file.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.file(name)).unwrap_or_else(|error| panic!("`{name}`: {error}"))
    }

    /// A line, ready to be started: words are separated by spaces, data is asked for as JSON.
    pub fn command(&self, line: &str) -> Command {
        let mut command = self.command_for_people(line);
        command.args(["--format", "json"]);
        command
    }

    /// A line, ready to be started, whose data is for people.
    pub fn command_for_people(&self, line: &str) -> Command {
        let mut command = self.bare(&self.program);
        command.args(line.split_whitespace());
        command
    }

    /// A line that `sh` runs after `before`, with the program as `"$@"`.
    pub fn command_in_shell(&self, before: &str, line: &str) -> Command {
        let inner = self.command(line);
        let mut command = self.bare("sh");
        command.args(["-c", &format!("{before}; exec \"$@\""), "sh"]).arg(&self.program);
        command.args(inner.as_std().get_args());
        command
    }

    /// Runs a line.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn run(&self, line: &str) -> Ran {
        self.finish(line, self.command(line)).await
    }

    /// Runs a line as an identity, `ORGANISATION/NAME`.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn run_as(&self, identity: &str, line: &str) -> Ran {
        let ran = self.run(&format!("{line} --identity {identity}")).await;
        self.settle(identity, &ran).await;
        ran
    }

    /// Waits until the other hospital's peer holds what a line committed, so that the next line may read there:
    /// a commit is told by the peer of whoever submitted, and another may be a block behind.
    async fn settle(&self, identity: &str, ran: &Ran) {
        let other = match identity.split_once('/') {
            Some(("north", _)) => "south/service",
            Some(("south", _)) => "north/service",
            _ => return,
        };
        let Ok(told) = serde_json::from_str::<Value>(&ran.stdout) else { return };
        if let (Some(tx_id), Some(_)) = (told["tx_id"].as_str(), told["block"].as_u64()) {
            // A peer that is down in this act holds nothing; the act says what it expects of it.
            self.run(&format!("tx status {tx_id} --identity {other}")).await;
        }
    }

    /// Runs a line that was made ready.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn finish(&self, line: &str, mut command: Command) -> Ran {
        let output = tokio::time::timeout(DEADLINE, command.output())
            .await
            .unwrap_or_else(|_| panic!("`caretrail {line}` has not ended after {DEADLINE:?}"))
            .unwrap_or_else(|error| panic!("`caretrail {line}` does not start: {error}"));
        Ran {
            line: line.to_owned(),
            exit: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("data in UTF-8"),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// A command in the folder of files, without the caller's own settings.
    fn bare(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.files).stdin(Stdio::null()).kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"CARETRAIL_") {
                command.env_remove(name);
            }
        }
        command.env(STATE, &self.state);
        command
    }
}

impl Ran {
    /// The one document that it printed, having done what was asked.
    ///
    /// # Panics
    /// When it ended otherwise.
    #[track_caller]
    pub fn done(&self) -> Value {
        self.demand_exit(0);
        self.document()
    }

    /// The one document that it printed, with a denial in it.
    ///
    /// # Panics
    /// When it ended otherwise.
    #[track_caller]
    pub fn denied(&self) -> Value {
        self.demand_exit(2);
        self.document()
    }

    /// The documents that it printed, one a line, having done what was asked.
    ///
    /// # Panics
    /// When it ended otherwise.
    #[track_caller]
    pub fn rows(&self) -> Vec<Value> {
        self.demand_exit(0);
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("a document a line")).collect()
    }

    /// What it printed, as it is, having done what was asked.
    ///
    /// # Panics
    /// When it ended otherwise.
    #[track_caller]
    pub fn text(&self) -> &str {
        self.demand_exit(0);
        &self.stdout
    }

    /// Why it failed: exit code 1, with this code and nothing printed as data.
    ///
    /// # Panics
    /// When it ended otherwise.
    #[track_caller]
    pub fn failed(&self, code: &str) -> Failure {
        self.ended_with(1, code)
    }

    /// Why its input was refused: exit code 3, with this code and nothing printed as data.
    ///
    /// # Panics
    /// When it ended otherwise.
    #[track_caller]
    pub fn invalid(&self, code: &str) -> Failure {
        self.ended_with(3, code)
    }

    /// Why its outcome is unknown: exit code 4 and nothing printed as data.
    ///
    /// # Panics
    /// When it ended otherwise.
    #[track_caller]
    pub fn unknown(&self) -> Failure {
        self.ended_with(4, "OUTCOME_UNKNOWN")
    }

    /// Why it ended with this exit code; it printed nothing as data.
    ///
    /// # Panics
    /// When it ended otherwise.
    #[track_caller]
    pub fn ended(&self, exit: i32) -> Failure {
        self.demand_exit(exit);
        let error = self.stderr.lines().rfind(|line| line.starts_with('{'));
        let failure: Failure = error
            .and_then(|line| serde_json::from_str(line).ok())
            .unwrap_or_else(|| panic!("no error in the one shape: {}", self.told()));
        assert_eq!(self.stdout, "", "{}", self.told());
        failure
    }

    #[track_caller]
    fn ended_with(&self, exit: i32, code: &str) -> Failure {
        let failure = self.ended(exit);
        assert_eq!(failure.code, code, "{}", self.told());
        failure
    }

    #[track_caller]
    fn document(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not one document ({error}): {}", self.told()))
    }

    #[track_caller]
    fn demand_exit(&self, exit: i32) {
        assert_eq!(self.exit, Some(exit), "{}", self.told());
    }

    fn told(&self) -> String {
        let Self { line, exit, stdout, stderr } = self;
        format!("`caretrail {line}` ended with {exit:?}\n--- stdout\n{stdout}--- stderr\n{stderr}---")
    }
}

/// The contract's own program, `caretrail-chaincode`.
///
/// # Panics
/// When it was not built.
pub fn contract() -> PathBuf {
    beside("caretrail-chaincode")
}

/// A program in the folder above this one's, where cargo builds programs.
fn beside(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("this program's own path");
    let folder = own.ancestors().nth(2).expect("a folder of built programs");
    let program = folder.join(name);
    assert!(
        program.is_file(),
        "`{}` is missing: run `make test`, or `make build` before `cargo test`",
        program.display()
    );
    program
}
