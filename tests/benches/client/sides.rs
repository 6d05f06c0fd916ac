//! The two sides, each a load generator and a chaincode.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use caretrail_tests::measure::contract::MANY_THREADS;
use hlf_network::network::ChaincodeProgram;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::field::CHAINCODE;
use crate::order::{Came, Order};

/// A client library and a chaincode shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// This workspace's, the chaincode on a single thread, as the shim's documentation has it.
    Ours,
    /// This workspace's, the chaincode on tokio's default runtime, with a thread for each processor.
    OursOnMany,
    /// The official ones for Go.
    Go,
}

/// Where throughput and delay are compared.
pub(crate) const ALL: [Side; 3] = [Side::Ours, Side::Go, Side::OursOnMany];
/// Where outcomes are counted.
pub(crate) const BOTH: [Side; 2] = [Side::Ours, Side::Go];

/// The programs in Go.
#[derive(Clone, Debug)]
pub(crate) struct InGo {
    pub(crate) client: PathBuf,
    pub(crate) chaincode: PathBuf,
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OursOnMany => "ours, threads",
            Self::Go => "Go",
        }
    }

    pub(crate) fn is_ours(self) -> bool {
        self != Self::Go
    }

    pub(crate) fn chaincode(self, go: &InGo) -> ChaincodeProgram {
        let (program, args) = match self.is_ours() {
            true => (itself(), vec!["chaincode".into()]),
            false => (go.chaincode.clone(), Vec::new()),
        };
        let many_threads = (self == Self::OursOnMany).to_string();
        ChaincodeProgram {
            program,
            args,
            env: BTreeMap::from([(MANY_THREADS.to_owned(), many_threads.into())]),
        }
    }

    /// Starts a load generator in a fresh process.
    pub(crate) fn loader(self, go: &InGo, paths: &Paths, user: &str) -> Loader {
        let mut command = Command::new(if self.is_ours() { itself() } else { go.client.clone() });
        command.arg("load");
        match self.is_ours() {
            true => command.arg(&paths.profile).arg(user),
            false => command.arg(&paths.connection_profile).arg(&paths.msp).arg(CHAINCODE),
        };
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a load generator");
        let (orders, answers) = (process.stdin.take(), process.stdout.take());
        Loader {
            orders: orders.expect("its stdin"),
            answers: BufReader::new(answers.expect("its stdout")).lines(),
            process,
        }
    }
}

/// How a load generator learns where to call, and as whom.
pub(crate) struct Paths {
    pub(crate) profile: PathBuf,
    pub(crate) connection_profile: PathBuf,
    pub(crate) msp: PathBuf,
}

fn itself() -> PathBuf {
    std::env::current_exe().expect("this program's path")
}

/// A load generator that runs until it is dropped.
pub(crate) struct Loader {
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    process: Child,
}

impl Loader {
    pub(crate) fn pid(&self) -> u32 {
        self.process.id().expect("a load generator that runs")
    }

    /// Has it make calls, and waits for the last of them.
    pub(crate) async fn fulfil(&mut self, order: &Order) -> Came {
        let mut line = serde_json::to_vec(order).expect("an order");
        line.push(b'\n');
        self.orders.write_all(&line).await.expect("the load generator takes orders");
        let answer = self.answers.next_line().await.expect("its stdout").expect("an answer");
        serde_json::from_str(&answer).expect("an answer")
    }
}
