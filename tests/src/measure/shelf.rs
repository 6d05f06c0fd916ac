//! Chaincode programs that take turns behind the same addresses of the same peers.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use hlf_network::ca::TlsFiles;
use hlf_network::network::{ChaincodeProgram, Network};
use hlf_network::process::{ProcessError, Service};
use tokio::net::TcpStream;

use crate::processes;

/// How long a chaincode may take from its start to its first connection.
const LISTENING_WITHIN: Duration = Duration::from_secs(20);

/// The addresses behind which chaincodes are exchanged, one for each organisation.
#[derive(Debug)]
pub struct Shelf<'n> {
    network: &'n Network,
    places: Vec<Place>,
}

/// Where an organisation's peers look for their chaincode.
#[derive(Debug)]
pub struct Place {
    service: String,
    package_id: String,
    server: TlsFiles,
    /// The address, `host:port`.
    pub address: String,
    /// What a peer proves itself with.
    pub client: TlsFiles,
}

/// A chaincode that listens.
#[derive(Clone, Debug)]
pub struct Started {
    /// Its processes, one for each organisation.
    pub pids: Vec<u32>,
    /// When the last of them took its first connection.
    pub listened: Instant,
}

impl<'n> Shelf<'n> {
    /// The addresses of a network that is up.
    ///
    /// # Panics
    /// When it has no chaincode.
    pub fn new(network: &'n Network) -> Self {
        let place = |organization| {
            let profile = network.profile(organization).expect("a profile");
            let service = profile.chaincode_service.expect("a chaincode service");
            let ca = network.ca(organization).expect("the organisation's CA");
            let (server, client) = ca.service("chaincode").expect("certificates");
            let (name, package_id, address) = (service.name, service.package_id, service.address);
            Place { service: name, package_id, server, address, client }
        };
        Self { network, places: network.spec().organizations.iter().map(place).collect() }
    }

    /// The places, in the order of the organisations.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Ends what runs there without a warning, and starts this program in its place.
    ///
    /// # Panics
    /// When it does not listen.
    pub async fn exchange(&self, program: &ChaincodeProgram) -> Started {
        let supervisor = self.network.supervisor();
        for place in &self.places {
            if let Some(running) = supervisor.running(&place.service) {
                processes::crash(running.pid);
            }
            supervisor.stop(&place.service).await.expect("the chaincode ends");
        }
        let begun = Instant::now();
        let mut pids = Vec::with_capacity(self.places.len());
        for place in &self.places {
            pids.push(self.start(place, program, begun).await);
        }
        Started { pids, listened: Instant::now() }
    }

    async fn start(&self, place: &Place, program: &ChaincodeProgram, begun: Instant) -> u32 {
        let (supervisor, name) = (self.network.supervisor(), program.program.display());
        // The kernel closes a killed process's sockets when the last of its threads is gone.
        while let Err(error) = supervisor.ensure(&place.process(program)).await {
            let port_taken = matches!(error, ProcessError::Port { .. });
            assert!(port_taken && begun.elapsed() < LISTENING_WITHIN, "{name} does not start: {error:?}");
            tokio::task::yield_now().await;
        }
        while TcpStream::connect(&place.address).await.is_err() {
            supervisor.demand_alive(&place.service).expect("the chaincode runs");
            assert!(begun.elapsed() < LISTENING_WITHIN, "{name} does not listen");
            tokio::task::yield_now().await;
        }
        supervisor.running(&place.service).expect("the chaincode runs").pid
    }
}

impl Place {
    fn process(&self, program: &ChaincodeProgram) -> Service {
        let (_, port) = self.address.rsplit_once(':').expect("host:port");
        let file = |path: &Path| path.as_os_str().to_owned();
        let told: [(&str, OsString); 6] = [
            ("CHAINCODE_ID", self.package_id.clone().into()),
            ("CHAINCODE_SERVER_ADDRESS", self.address.clone().into()),
            ("CHAINCODE_TLS_DISABLED", "false".into()),
            ("CHAINCODE_TLS_KEY", file(&self.server.key)),
            ("CHAINCODE_TLS_CERT", file(&self.server.certificate)),
            ("CHAINCODE_CLIENT_CA_CERT", file(&self.server.roots)),
        ];
        let mut env = program.env.clone();
        env.extend(told.map(|(name, value)| (name.to_owned(), value)));
        Service {
            name: self.service.clone(),
            program: program.program.clone(),
            args: program.args.clone(),
            env,
            ports: vec![port.parse().expect("a port")],
            reads: Vec::new(),
        }
    }
}
