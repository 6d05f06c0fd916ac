//! The programs that are compared, each in its turn behind the same address.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use caretrail_tests::processes;
use hlf_network::ca::TlsFiles;
use hlf_network::fabric::default_cache_dir;
use hlf_network::network::Network;
use hlf_network::process::{ProcessError, Service};
use hlf_network::profile::{Profile, ServiceProfile};
use tokio::net::TcpStream;

use crate::fabric::ORGANIZATION;

/// How long a chaincode may take from its start to its first connection.
const LISTENING_WITHIN: Duration = Duration::from_secs(20);

/// A chaincode program and its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Side {
    program: Program,
    pub(crate) name: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Program {
    Ours { one_thread: bool },
    Go { batch: bool },
}

/// This workspace's shim on tokio's default runtime.
pub(crate) const OURS: Side = Side { name: "ours", program: Program::Ours { one_thread: false } };
/// This workspace's shim on a single thread.
pub(crate) const OURS_ON_ONE: Side =
    Side { name: "ours, one thread", program: Program::Ours { one_thread: true } };
/// The official Go shim as contracts use it unless they ask for batches.
pub(crate) const GO: Side = Side { name: "Go", program: Program::Go { batch: false } };
/// The official Go shim, whose contract starts a write batch.
pub(crate) const GO_BATCHED: Side = Side { name: "Go, batched", program: Program::Go { batch: true } };

impl Side {
    pub(crate) fn is_ours(self) -> bool {
        matches!(self.program, Program::Ours { .. })
    }
}

/// Builds the Go side into the user's cache folder, as its module pins it.
pub(crate) fn build_go() -> PathBuf {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("go/bench-chaincode");
    let cache = default_cache_dir().expect("set HOME or HLF_NETWORK_CACHE: the Go chaincode is built there");
    let program = cache.join("bench/go-chaincode");
    let built = Command::new("go")
        .args(["build", "-trimpath", "-mod=readonly", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(&module)
        .stdin(Stdio::null())
        .output()
        .expect("this needs Go 1.24 or later on the PATH: install it from https://go.dev/dl");
    let words = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "`go build` failed in {}:\n{words}", module.display());
    program
}

/// The address that chaincodes are exchanged behind.
pub(crate) struct Shelf<'n> {
    network: &'n Network,
    service: ServiceProfile,
    server: TlsFiles,
    /// What a peer proves itself with.
    pub(crate) client: TlsFiles,
    go: PathBuf,
}

/// A chaincode that listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Started {
    pub(crate) pid: u32,
    /// When it took its first connection.
    pub(crate) listened: Instant,
}

impl<'n> Shelf<'n> {
    pub(crate) fn new(network: &'n Network, profile: &Profile, go: PathBuf) -> Self {
        let service = profile.chaincode_service.clone().expect("a chaincode service");
        let organization = network.spec().organization(ORGANIZATION).expect("the organisation");
        let ca = network.ca(organization).expect("the organisation's CA");
        let (server, client) = ca.service("chaincode").expect("certificates");
        Self { network, service, server, client, go }
    }

    pub(crate) fn address(&self) -> &str {
        &self.service.address
    }

    /// Ends what runs there without a warning, and starts this side in its place.
    pub(crate) async fn exchange(&self, side: Side) -> Started {
        let supervisor = self.network.supervisor();
        if let Some(running) = supervisor.running(&self.service.name) {
            processes::crash(running.pid);
        }
        supervisor.stop(&self.service.name).await.expect("the chaincode ends");
        let begun = Instant::now();
        // The kernel closes a killed process's sockets when the last of its threads is gone.
        while let Err(error) = supervisor.ensure(&self.process(side)).await {
            let port_taken = matches!(error, ProcessError::Port { .. });
            assert!(
                port_taken && begun.elapsed() < LISTENING_WITHIN,
                "{} does not start: {error:?}",
                side.name
            );
            tokio::task::yield_now().await;
        }
        while TcpStream::connect(self.address()).await.is_err() {
            supervisor.demand_alive(&self.service.name).expect("the chaincode runs");
            assert!(begun.elapsed() < LISTENING_WITHIN, "{} does not listen", side.name);
            tokio::task::yield_now().await;
        }
        let listened = Instant::now();
        let pid = supervisor.running(&self.service.name).expect("the chaincode runs").pid;
        Started { pid, listened }
    }

    fn process(&self, side: Side) -> Service {
        let (program, args): (_, Vec<OsString>) = match side.is_ours() {
            false => (self.go.clone(), Vec::new()),
            true => (std::env::current_exe().expect("this program's path"), vec!["chaincode".into()]),
        };
        let (_, port) = self.address().rsplit_once(':').expect("host:port");
        let env: [(&str, OsString); 8] = [
            ("CHAINCODE_ID", self.service.package_id.clone().into()),
            ("CHAINCODE_SERVER_ADDRESS", self.address().into()),
            ("CHAINCODE_TLS_DISABLED", "false".into()),
            ("CHAINCODE_TLS_KEY", self.server.key.clone().into()),
            ("CHAINCODE_TLS_CERT", self.server.certificate.clone().into()),
            ("CHAINCODE_CLIENT_CA_CERT", self.server.roots.clone().into()),
            ("BENCH_BATCH", (side.program == Program::Go { batch: true }).to_string().into()),
            ("BENCH_ONE_THREAD", (side.program == Program::Ours { one_thread: true }).to_string().into()),
        ];
        Service {
            name: self.service.name.clone(),
            program,
            args,
            env: env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>(),
            ports: vec![port.parse().expect("a port")],
            reads: Vec::new(),
        }
    }
}
