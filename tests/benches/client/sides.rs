//! The two sides, each a load generator and a chaincode.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use caretrail_tests::measure::contract::ONE_THREAD;
use hlf_network::network::ChaincodeProgram;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::field::CHAINCODE;
use crate::order::{Came, Order};

/// A client library and a chaincode shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// This workspace's.
    Ours,
    /// The official ones for Go.
    Go,
}

pub(crate) const SIDES: [Side; 2] = [Side::Ours, Side::Go];

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
            Self::Go => "Go",
        }
    }

    pub(crate) fn chaincode(self, go: &InGo) -> ChaincodeProgram {
        match self {
            // On a single thread, as the shim's documentation shows first.
            Self::Ours => ChaincodeProgram {
                program: itself(),
                args: vec!["chaincode".into()],
                env: BTreeMap::from([(ONE_THREAD.to_owned(), "true".into())]),
            },
            Self::Go => {
                ChaincodeProgram { program: go.chaincode.clone(), args: Vec::new(), env: BTreeMap::new() }
            }
        }
    }

    /// Starts a load generator in a fresh process.
    pub(crate) fn loader(self, go: &InGo, paths: &Paths, user: &str) -> Loader {
        let mut command = match self {
            Self::Ours => Command::new(itself()),
            Self::Go => Command::new(&go.client),
        };
        command.arg("load");
        match self {
            Self::Ours => command.arg(&paths.profile).arg(user),
            Self::Go => command.arg(&paths.connection_profile).arg(&paths.msp).arg(CHAINCODE),
        };
        let mut process = command
            .env_remove(ONE_THREAD)
            .envs(std::env::var("BENCH_CLIENT_ONE_THREAD").map(|value| (ONE_THREAD, value)))
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
