//! A real network of one peer and one orderer, and calls straight to its endorser.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hlf_gateway::{Deadlines, Endorser, EndorserError, MspFolder};
use hlf_network::Event;
use hlf_network::builder::BuilderProgram;
use hlf_network::fabric::{Search, default_cache_dir};
use hlf_network::network::{ChaincodeProgram, Network, Options};
use hlf_network::profile::Profile;
use hlf_network::spec::{Chaincode, Consortium};

use crate::workload::Call;

pub(crate) const ORGANIZATION: &str = "north";
const CHANNEL: &str = "bench";
const CHAINCODE: &str = "bench";

const CONSORTIUM: &str = r#"
fabric = "3.1.1"

[channel]
name = "bench"

[orderer]
msp_id = "OrdererMSP"
domain = "orderer.example.com"
consenters = ["orderer0"]

[[organizations]]
name = "north"
msp_id = "NorthMSP"
domain = "north.example.com"
peers = ["peer0"]

[[organizations.users]]
name = "Admin"
node_ou = "admin"

[[organizations.users]]
name = "User1"
"#;

/// Stands the network up with our side's chaincode.
pub(crate) async fn stand_up(folder: &Path) -> (Network, Profile) {
    let mut spec = Consortium::parse(CONSORTIUM).expect("the consortium");
    spec.set_chaincode(Chaincode::new(CHAINCODE, "bench_1")).expect("the chaincode");
    let program = std::env::current_exe().expect("this program's path");
    let cache = default_cache_dir().expect("set HOME or HLF_NETWORK_CACHE: Fabric's programs are kept there");
    let options = Options {
        binaries: Search::from_environment(spec.fabric, cache),
        builder: BuilderProgram { program: program.clone(), args: vec!["builder".to_owned()] },
        chaincode: Some(ChaincodeProgram { program, args: vec!["chaincode".into()], env: BTreeMap::new() }),
        chaincode_of: BTreeMap::new(),
    };
    let network = Network::new(folder, spec).expect("a network");
    if let Err(error) = network.up(&options, &say).await {
        panic!("the network does not stand up: {}", told(&error));
    }
    let organization = network.spec().organization(ORGANIZATION).expect("the organisation");
    let profile = network.profile(organization).expect("its profile");
    (network, profile)
}

/// The peer's own endorser, without a gateway: what is called is peer and chaincode, and nothing else.
pub(crate) async fn endorser(profile: &Profile) -> Arc<Endorser> {
    let folder = profile.msp_folder("User1").expect("the user");
    let credentials = MspFolder::open(folder, &profile.msp_id).expect("its keys").into_credentials();
    let endpoint = profile.gateway().expect("the peer's address");
    Arc::new(Endorser::connect(&endpoint, credentials, Deadlines::default()).await.expect("the peer answers"))
}

/// Has a call endorsed; a failure is told without what differs from call to call.
pub(crate) async fn endorse(endorser: &Endorser, call: Call, number: u64) -> Result<(), String> {
    let (function, args) = call.words(number);
    match endorser.call(CHANNEL, CHAINCODE, function).args(args).send().await {
        Ok(_) => Ok(()),
        Err(EndorserError::Refused { response }) => Err(format!("status {}", response.status)),
        Err(EndorserError::Failed(failure)) => Err(format!("{:?}", failure.code())),
        Err(error) => Err(error.to_string()),
    }
}

fn say(event: &Event<'_>) {
    if let Event::Done { step, result, elapsed } = event {
        eprintln!("{step}: {result} ({:.1} s)", elapsed.as_secs_f64());
    }
}

fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
