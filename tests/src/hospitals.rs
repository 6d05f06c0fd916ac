//! Two hospitals on one channel: their network, their identities, their daemons.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use caretrail_model::ids::Actor;
use caretrail_records::failure::chain;
use caretrail_records::{LedgerName, Records};
use hlf_gateway::{Deadlines, Gateway, MspFolder};
use hlf_network::Quiet;
use hlf_network::builder::BuilderProgram;
use hlf_network::fabric::{Search, default_cache_dir};
use hlf_network::network::{ChaincodeProgram, Network, Options};
use hlf_network::profile::Profile;
use hlf_network::spec::Organization;
use serde::Deserialize;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::caretrail::{Caretrail, contract};
use crate::chain::Chain;
use crate::fabric;
use crate::processes;
use crate::until::until;

/// How long a daemon may take until it is ready, and until it has ended.
const DAEMON: Duration = Duration::from_secs(30);

/// A network of the two hospitals `north` and `south`.
#[derive(Debug)]
pub struct Hospitals {
    /// The program, with the state of both hospitals.
    pub caretrail: Caretrail,
    network: Network,
    daemons: Vec<(String, Child)>,
}

/// What `network status` says, as far as it is looked at.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the fields of `hlf_network::network::Status`")]
pub struct Status {
    pub ready: bool,
    pub nodes: Vec<Node>,
}

/// One process of the network.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the fields of `hlf_network::network::NodeStatus`")]
pub struct Node {
    pub name: String,
    pub kind: String,
    pub pid: Option<u32>,
    pub address: Option<String>,
    pub height: Option<u64>,
    pub problem: Option<String>,
}

impl Hospitals {
    /// Stands the network up, with the contract on its channel; on the Fabric release in `HLF_NETWORK_FABRIC` when
    /// it is set.
    ///
    /// # Panics
    /// When it does not stand; what the program said tells why, and what to do about it.
    pub async fn stand_up(folder: &Path) -> Self {
        let caretrail = Caretrail::new(folder);
        let up = format!("network up{}", fabric::spec_option(&caretrail).await);
        let status = caretrail.run(&up).await.done();
        assert_eq!(status["ready"], true, "{status}");
        let network = Network::existing(&caretrail.network_folder()).expect("the network that stands");
        Self { caretrail, network, daemons: Vec::new() }
    }

    /// Stands the network up as [`Self::stand_up`] does, where some hospitals' chaincode is another program than the
    /// contract's own: each by the hospital's name.
    ///
    /// # Panics
    /// When it does not stand.
    pub async fn stand_up_with(folder: &Path, chaincode_of: BTreeMap<String, ChaincodeProgram>) -> Self {
        let caretrail = Caretrail::new(folder);
        let spec = fabric::consortium(&caretrail).await;
        let network = Network::new(&caretrail.network_folder(), spec).expect("a folder");
        let hospitals = Self { caretrail, network, daemons: Vec::new() };
        hospitals.run_chaincode(chaincode_of).await;
        hospitals
    }

    /// Makes the network run these programs as some hospitals' chaincode, and the contract's own as that of the others.
    ///
    /// # Panics
    /// When it does not come to that.
    pub async fn run_chaincode(&self, chaincode_of: BTreeMap<String, ChaincodeProgram>) {
        if let Err(error) = self.network.up(&self.options(chaincode_of), &Quiet).await {
            panic!("{}", chain(&error));
        }
    }

    /// What the network is stood up with, as `caretrail network up` does.
    ///
    /// # Panics
    /// When there is no cache folder.
    pub fn options(&self, chaincode_of: BTreeMap<String, ChaincodeProgram>) -> Options {
        let cache = default_cache_dir().expect("HOME, XDG_CACHE_HOME or HLF_NETWORK_CACHE");
        let program = self.caretrail.program().to_owned();
        let contract = ChaincodeProgram { program: contract(), args: Vec::new(), env: BTreeMap::new() };
        Options {
            binaries: Search::from_environment(self.network.spec().fabric, cache),
            builder: BuilderProgram { program, args: vec!["network".to_owned(), "builder".to_owned()] },
            chaincode: Some(contract),
            chaincode_of,
        }
    }

    /// Drafts the first policy, and has both hospitals' admins put it in force.
    ///
    /// # Panics
    /// When it does not come into force.
    pub async fn constitute(&self) {
        self.put_in_force("--sequence 1").await;
    }

    /// Has both hospitals' admins put a drafted policy in force, and gives its digest.
    ///
    /// # Panics
    /// When it does not come into force.
    pub async fn put_in_force(&self, draft: &str) -> String {
        let draft = self.caretrail.run(&format!("policy draft {draft}")).await;
        self.caretrail.write("policy.json", draft.text().as_bytes());
        let proposed = self.caretrail.run_as("north/admin", "policy propose policy.json").await.done();
        let digest = text(&proposed["digest"]);
        let approve = format!("policy approve {digest}");
        self.caretrail.run_as("north/admin", &approve).await.done();
        let approved = self.caretrail.run_as("south/admin", &approve).await.done();
        assert_eq!(approved["in_force"], true, "{approved}");
        digest
    }

    /// Issues a clinician's certificate, and says who it is on the channel.
    ///
    /// # Panics
    /// When it is not issued.
    pub async fn clinician(&self, name: &str) -> String {
        let issued = self.caretrail.run(&format!("identity issue {name} --role clinician")).await.done();
        text(&issued["actor"])
    }

    /// Who an identity is on the channel, `MSP/SUBJECT`.
    ///
    /// # Panics
    /// When there is no such identity.
    pub async fn actor(&self, name: &str) -> String {
        text(&self.caretrail.run(&format!("identity show {name}")).await.done()["actor"])
    }

    /// The network as its library sees it.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// A hospital's part in the network.
    ///
    /// # Panics
    /// When there is no such hospital.
    pub fn organization(&self, name: &str) -> &Organization {
        self.network.spec().organization(name).expect("a hospital of this network")
    }

    /// A hospital's connection profile.
    ///
    /// # Panics
    /// When the network is not up.
    pub fn profile(&self, organization: &str) -> Profile {
        self.network.profile(self.organization(organization)).expect("a profile")
    }

    /// The folder of an identity, `ORGANISATION/NAME`.
    ///
    /// # Panics
    /// When there is no such hospital.
    pub fn user_folder(&self, identity: &str) -> PathBuf {
        let (organization, name) = identity.split_once('/').expect("`ORGANISATION/NAME`");
        self.network.layout().user(self.organization(organization), name)
    }

    /// The gateway of an identity's own hospital.
    ///
    /// # Panics
    /// When it is not reached.
    pub async fn gateway(&self, identity: &str) -> Gateway {
        let (organization, _) = identity.split_once('/').expect("`ORGANISATION/NAME`");
        let profile = self.profile(organization);
        let msp =
            MspFolder::open(self.user_folder(identity).join("msp"), &profile.msp_id).expect("an identity");
        let endpoint = profile.gateway().expect("an endpoint");
        Gateway::connect(&endpoint, msp.into_credentials(), Deadlines::default()).await.expect("a gateway")
    }

    /// The contract's calls, made by an identity without the program.
    ///
    /// # Panics
    /// When its gateway is not reached.
    pub async fn records(&self, identity: &str) -> Records {
        Records::new(&self.gateway(identity).await, self.ledger()).expect("an actor")
    }

    /// The ledger's name.
    pub fn ledger(&self) -> LedgerName {
        LedgerName {
            channel: "records".parse().expect("a name"),
            chaincode: "caretrail".parse().expect("a name"),
        }
    }

    /// Every whole block, as the peer of North gives it to the admin.
    ///
    /// # Panics
    /// When the stream ends early.
    pub async fn chain(&self) -> Chain {
        let gateway = self.gateway("north/admin").await;
        Chain::read(&gateway, "records").await
    }

    /// How many transactions are in blocks, VALID or not.
    ///
    /// # Panics
    /// When the stream ends early.
    pub async fn transactions(&self) -> usize {
        self.chain().await.blocks().iter().flat_map(|block| &block.data).map(|data| data.data.len()).sum()
    }

    /// What `network status` says, whatever its exit code.
    ///
    /// # Panics
    /// When it says nothing.
    pub async fn status(&self) -> Status {
        let ran = self.caretrail.run("network status").await;
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }

    /// One process of the network, as `network status` says.
    ///
    /// # Panics
    /// When the network has none of that name.
    pub async fn node(&self, name: &str) -> Node {
        let status = self.status().await;
        status.nodes.into_iter().find(|node| node.name == name).unwrap_or_else(|| panic!("no node `{name}`"))
    }

    /// Ends one process of the network as a crash does, and waits until it is gone.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn crash(&self, name: &str) {
        let pid = self.node(name).await.pid.expect("a running process");
        assert!(
            processes::marked(&self.caretrail.network_folder()).contains(&pid),
            "{pid} is none of this network"
        );
        processes::crash(pid);
        until(&format!("`{name}` to be gone"), DAEMON, async || {
            self.node(name).await.pid.is_none().then_some(())
        })
        .await;
    }

    /// Fabric's own `peer` program as an identity of a hospital, with TLS to that hospital's peer.
    ///
    /// # Panics
    /// When the network is not up.
    pub async fn fabrics_peer(&self, identity: &str) -> Command {
        let (organization, _) = identity.split_once('/').expect("`ORGANISATION/NAME`");
        let fabric = fabric::programs(self.network.spec()).await;
        let profile = self.profile(organization);
        let mut command = Command::new(fabric.peer());
        command
            .env("FABRIC_CFG_PATH", fabric.sample_config())
            .env("CORE_PEER_LOCALMSPID", &profile.msp_id)
            .env("CORE_PEER_MSPCONFIGPATH", self.user_folder(identity).join("msp"))
            .env("CORE_PEER_ADDRESS", &profile.peers[0].address)
            .env("CORE_PEER_TLS_ENABLED", "true")
            .env("CORE_PEER_TLS_ROOTCERT_FILE", &profile.tls_ca)
            .kill_on_drop(true);
        command
    }

    /// The orderers' TLS CA, PEM.
    pub fn orderers_tls_ca(&self) -> PathBuf {
        let orderer = &self.network.spec().orderer;
        let folder = self.network.layout().ordering_organization(orderer).join("tlsca");
        folder.join(format!("tlsca.{}-cert.pem", orderer.domain))
    }

    /// Starts a hospital's daemon, and waits until it says that it is ready.
    ///
    /// # Panics
    /// When it ends before that.
    pub async fn serve(&mut self, organization: &str) {
        let log = self.daemon_log(organization);
        let line = format!("serve --identity {organization}/service --health-listen 127.0.0.1:0");
        let mut command = self.caretrail.command(&line);
        command.stdout(Stdio::null()).stderr(File::create(&log).expect("a log"));
        let mut daemon = command.spawn().expect("a daemon");
        until(&format!("the daemon of {organization} to be ready"), DAEMON, async || {
            let said = fs::read_to_string(&log).expect("its log");
            if let Some(status) = daemon.try_wait().expect("its state") {
                panic!("the daemon of {organization} ended with {status}: {said}");
            }
            let health = said.split_once("http://")?.1.split_once('/')?.0;
            get(health, "/readyz").starts_with("HTTP/1.1 200").then_some(())
        })
        .await;
        self.daemons.push((organization.to_owned(), daemon));
    }

    /// Asks all daemons to end, and checks that each does so in order.
    ///
    /// # Panics
    /// When one does not.
    pub async fn end_daemons(&mut self) {
        for (organization, mut daemon) in self.daemons.drain(..) {
            processes::terminate(daemon.id().expect("a running daemon"));
            let status =
                tokio::time::timeout(DAEMON, daemon.wait()).await.expect("an end").expect("its status");
            assert!(status.success(), "the daemon of {organization} ended with {status}");
        }
    }

    /// Where a daemon's own words are.
    pub fn daemon_log(&self, organization: &str) -> PathBuf {
        self.caretrail.file(&format!("serve-{organization}.log"))
    }
}

/// A JSON text.
///
/// # Panics
/// When it is none.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

/// A JSON number.
///
/// # Panics
/// When it is none.
#[track_caller]
pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("not a number: {value}"))
}

/// The subject of an actor.
///
/// # Panics
/// When it is no actor.
pub fn actor(text: &str) -> Actor {
    text.parse().expect("an actor")
}

/// What a plain HTTP server answers; nothing when it does not.
pub(crate) fn get(address: &str, path: &str) -> String {
    let mut answer = String::new();
    let asked = TcpStream::connect(address).and_then(|mut stream| {
        stream.set_read_timeout(Some(DAEMON))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        stream.read_to_string(&mut answer)
    });
    asked.map(|_| answer).unwrap_or_default()
}
