//! A network of the library's making, and what is asked of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use caretrail_records::failure::chain;
use caretrail_tests::measure::verdicts::{Verdicts, next_block};
use caretrail_tests::{fabric, roles};
use hlf_gateway::{Deadlines, Gateway, MspFolder};
use hlf_network::fabric::{Search, default_cache_dir};
use hlf_network::network::{Network, Options};
use hlf_network::spec::{Chaincode, Consortium, DEFAULT};
use hlf_network::{Event, Progress, Quiet};

pub(crate) const CHANNEL: &str = "consortium";
pub(crate) const CHAINCODE: &str = "bench";
const USER: &str = "User1";

/// A network that is up, and what it is kept up with.
pub(crate) struct World {
    pub(crate) network: Network,
    pub(crate) options: Options,
}

/// How long steps took.
#[derive(Default)]
pub(crate) struct Steps(Mutex<Vec<(String, Duration)>>);

impl Steps {
    /// The longest, in their order.
    pub(crate) fn longest(&self) -> String {
        let steps = self.0.lock().unwrap();
        let told = steps.iter().filter(|(_, took)| took.as_millis() >= 300);
        told.map(|(step, took)| format!("{step} {:.1} s", took.as_secs_f64())).collect::<Vec<_>>().join(", ")
    }
}

impl Progress for Steps {
    fn report(&self, event: &Event<'_>) {
        if let Event::Done { step, elapsed, .. } = event {
            eprintln!("  {step}: {:.1} s", elapsed.as_secs_f64());
            self.0.lock().unwrap().push(((*step).to_owned(), *elapsed));
        }
    }
}

/// An error with everything that caused it.
pub(crate) fn told(error: &(dyn std::error::Error + 'static)) -> String {
    chain(error)
}

/// A consortium with the benchmarks' chaincode, and so many peers of each organisation.
pub(crate) fn consortium(orderers: &str, organizations: &[&str], peers: u8) -> Consortium {
    let mut spec = Consortium::parse(DEFAULT).unwrap();
    spec.set_orderers(orderers.parse().unwrap()).unwrap();
    spec.set_organizations(organizations).unwrap();
    spec.set_peers(peers.into()).unwrap();
    with_chaincode(spec, "bench_1", 1)
}

pub(crate) fn with_chaincode(mut spec: Consortium, label: &str, sequence: u32) -> Consortium {
    let mut chaincode = Chaincode::new(CHAINCODE, label);
    chaincode.sequence = sequence;
    spec.set_chaincode(chaincode).unwrap();
    spec
}

/// Fabric's programs are there before anything is measured.
pub(crate) async fn programs() {
    fabric::programs(&Consortium::parse(DEFAULT).unwrap()).await;
}

impl World {
    pub(crate) async fn stand_up(folder: &Path, spec: &Consortium, steps: &Steps) -> Self {
        let cache = default_cache_dir().expect("HOME, XDG_CACHE_HOME or HLF_NETWORK_CACHE");
        let reloads = BTreeMap::from([("CHAINCODE_TLS_RELOAD".to_owned(), "true".into())]);
        let options = Options {
            binaries: Search::from_environment(spec.fabric, cache),
            builder: roles::builder(),
            chaincode: Some(roles::chaincode(reloads)),
            chaincode_of: BTreeMap::new(),
        };
        let network = Network::new(folder, spec.clone()).unwrap();
        network.up(&options, steps).await.unwrap_or_else(|error| panic!("{}", told(&error)));
        Self { network, options }
    }

    pub(crate) async fn apply(self, target: &Consortium, steps: &Steps) -> Self {
        let applied = self.network.apply(Some(target), &self.options, steps).await;
        let network = applied.unwrap_or_else(|error| panic!("{}", told(&error)));
        Self { network, options: self.options }
    }

    /// A user's gateway of an organisation, by all its peers.
    pub(crate) async fn gateway(&self, organization: &str, deadlines: Deadlines) -> Gateway {
        let profile = self.network.profile(self.network.spec().organization(organization).unwrap()).unwrap();
        let msp = MspFolder::open(profile.msp_folder(USER).unwrap(), &profile.msp_id).unwrap();
        let peers = profile.gateways().unwrap();
        Gateway::connect_any(&peers, msp.into_credentials(), deadlines).await.unwrap()
    }

    /// One transaction with these organisations' endorsements, sent through the first one's peer.
    pub(crate) async fn create(&self, endorsers: &[&str]) {
        let organizations = &self.network.spec().organizations;
        let own = organizations.iter().find(|own| own.msp_id == endorsers[0]).unwrap();
        let gateway = self.gateway(&own.name, Deadlines::default()).await;
        let contract = gateway.contract(CHANNEL, CHAINCODE);
        let call = contract.proposal("Create").arg(format!("of {}", own.name)).arg("value");
        let proposal = call.endorsing_organizations(endorsers.iter().copied()).build().unwrap();
        contract.submit(proposal).await.unwrap_or_else(|error| panic!("{}", told(&error)));
    }

    /// The name of the ordering node that leads.
    pub(crate) async fn leader(&self) -> String {
        let status = self.network.status().await.unwrap();
        let leads = status.nodes.iter().find(|node| node.leads == Some(true)).expect("a leader");
        leads.name.split('.').next().unwrap().to_owned()
    }

    /// The number of the block that comes next on north's first peer.
    pub(crate) async fn next_block(&self) -> u64 {
        next_block(&self.reader(), CHANNEL).await
    }

    /// Verdicts on all transactions from a block on, by the number of the call.
    pub(crate) async fn verdicts(&self, from: u64) -> Verdicts {
        // What comes last by this peer comes after everything that was told by another one.
        let contract = self.reader().contract(CHANNEL, CHAINCODE);
        let last = contract.submit(contract.proposal("NoOp").build().unwrap()).await;
        let last = last.unwrap_or_else(|error| panic!("{}", told(&error))).block_number;
        Verdicts::read(&self.reader(), CHANNEL, from..last + 1, number).await
    }

    fn reader(&self) -> Gateway {
        let north = self.network.spec().organization("north").unwrap();
        let endpoint = self.network.profile(north).unwrap().gateway().unwrap();
        let admin = self.network.admin_credentials(north).unwrap();
        Gateway::connect_lazy(&endpoint, admin, Deadlines::default()).unwrap()
    }

    pub(crate) async fn end(self) {
        self.network.destroy(&Quiet).await.unwrap_or_else(|error| panic!("{}", told(&error)));
    }
}

/// The key of a call, by which its transactions are known again.
pub(crate) fn key(number: u64) -> String {
    format!("k{number:012}")
}

fn number(args: &[Vec<u8>]) -> Option<u64> {
    match args {
        [function, key, _] if function == b"Create" => {
            std::str::from_utf8(key).ok()?.strip_prefix('k')?.parse().ok()
        }
        _ => None,
    }
}
