//! The programs that are compared, each in its turn behind the same address.

use std::collections::BTreeMap;
use std::path::Path;

use caretrail_tests::measure::contract::{BATCH, MANY_THREADS};
use hlf_network::network::ChaincodeProgram;

/// A chaincode program and its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Side {
    program: Program,
    pub(crate) name: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Program {
    Ours { many_threads: bool },
    Go { batch: bool },
}

/// This workspace's shim on a single thread.
pub(crate) const OURS: Side = Side { name: "ours", program: Program::Ours { many_threads: false } };
/// This workspace's shim on tokio's default runtime.
pub(crate) const OURS_ON_MANY: Side =
    Side { name: "ours, threads", program: Program::Ours { many_threads: true } };
/// The official Go shim as contracts use it unless they ask for batches.
pub(crate) const GO: Side = Side { name: "Go", program: Program::Go { batch: false } };
/// The official Go shim, whose contract starts a write batch.
pub(crate) const GO_BATCHED: Side = Side { name: "Go, batched", program: Program::Go { batch: true } };

impl Side {
    pub(crate) fn is_ours(self) -> bool {
        matches!(self.program, Program::Ours { .. })
    }

    /// The side as a process, given the program in Go.
    pub(crate) fn process(self, go: &Path) -> ChaincodeProgram {
        let (program, args) = match self.is_ours() {
            false => (go.to_owned(), Vec::new()),
            true => (std::env::current_exe().expect("this program's path"), vec!["chaincode".into()]),
        };
        let set = |variable: &str, value: bool| (variable.to_owned(), value.to_string().into());
        let env = BTreeMap::from([
            set(BATCH, self.program == Program::Go { batch: true }),
            set(MANY_THREADS, self.program == Program::Ours { many_threads: true }),
        ]);
        ChaincodeProgram { program, args, env }
    }
}
