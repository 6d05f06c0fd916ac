//! A channel of two organisations, whose peers run the same chaincode on two shims.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use caretrail_records::failure::chain;
use caretrail_tests::go;
use caretrail_tests::stage::Stage;
use caretrail_tests::telling::World;
use hlf_gateway::{Contract, Deadlines, Endorser, Gateway, MspFolder};
use hlf_network::Quiet;
use hlf_network::builder::BuilderProgram;
use hlf_network::fabric::{Search, default_cache_dir};
use hlf_network::network::{ChaincodeProgram, Network, Options};
use hlf_network::spec::{Consortium, DEFAULT};
use hlf_protos::protos::TxValidationCode;

use crate::callee;

/// How long anything may take on the slowest machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The chaincode's name on the channel.
pub(crate) const CHAINCODE: &str = "every";

/// A kind of network.
pub(crate) struct Edition {
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
    release: &'static str,
    /// Whether its peers take write batches and multi-gets.
    pub(crate) batches: bool,
}

/// The kinds of network that all is told on.
pub(crate) const EDITIONS: [Edition; 3] = [
    Edition { name: "Fabric 3.1.1", program: "mixed-3.1.1", release: "3.1.1", batches: true },
    Edition {
        name: "Fabric 3.1.1 without batches",
        program: "mixed-3.1.1-unbatched",
        release: "3.1.1",
        batches: false,
    },
    Edition { name: "Fabric 2.5.9", program: "mixed-2.5.9", release: "2.5.9", batches: false },
];

const DEFINITION: &str = r#"
    [chaincode]
    name = "every"
    label = "every_in_go"
    endorsement = "AND('NorthMSP.peer', 'SouthMSP.peer')"

    [[chaincode.packages]]
    organization = "south"
    label = "every_in_rust"

    [[chaincode.collections]]
    name = "pair"
    members = ["north", "south"]

    [[chaincode.collections]]
    name = "of-north"
    members = ["north"]
    max_peers = 0
    member_only_read = false
    member_only_write = false
"#;

/// One network, and what was sent to it.
pub(crate) struct Mixed<const EDITION: usize> {
    pub(crate) network: Network,
    /// Its peer is served by the Go chaincode.
    pub(crate) north: Side,
    /// Its peer is served by this program.
    pub(crate) south: Side,
    pub(crate) sent: Vec<Sent>,
    pub(crate) gateway_client: PathBuf,
}

/// One organisation.
pub(crate) struct Side {
    pub(crate) msp_id: String,
    pub(crate) gateway: Gateway,
    pub(crate) endorser: Endorser,
    pub(crate) contract: Contract,
}

/// A transaction that reached the orderer, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) tx_id: String,
    pub(crate) code: TxValidationCode,
    /// MSP ids, sorted.
    pub(crate) endorsers: Vec<String>,
}

impl<const EDITION: usize> World for Mixed<EDITION> {
    async fn stand_up(stage: &Stage) -> Self {
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let in_go = go::program(tmp, "every-operation").await;
        let gateway_client = go::program(tmp, "gateway-client").await;

        let edition = &EDITIONS[EDITION];
        let spec = spec(edition);
        let network = Network::new(&stage.folder().join("network"), spec).unwrap();
        let options = options(&network, &in_go);
        let programs =
            options.binaries.find(&Quiet).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
        assert_eq!(
            programs.version(),
            network.spec().fabric,
            "take {} off the PATH",
            programs.folder().display()
        );
        network.up(&options, &Quiet).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
        let opened = network.open_channel(callee::ELSEWHERE, &options, &Quiet).await;
        opened.unwrap_or_else(|error| panic!("{}", chain(&error)));
        callee::deploy(&network, &in_go).await;
        let north = Side::connect(&network, "north").await;
        let south = Side::connect(&network, "south").await;
        let world = Self { network, north, south, sent: Vec::new(), gateway_client };
        callee::place(&world).await;
        world
    }
}

fn spec(edition: &Edition) -> Consortium {
    let clerk =
        "[[organizations.users]]\nname = \"clerk\"\nattributes = { role = \"clerk\", empty = \"\" }\n";
    let channel = DEFAULT
        .replacen("3.1.1", edition.release, 1)
        .replacen("batch_timeout_ms = 200", "batch_timeout_ms = 10", 1)
        .replace("[[organizations.users]]\nname = \"User1\"\n", clerk);
    let batches = !edition.release.starts_with('3') || edition.batches;
    let spec = format!("{channel}\n[peer]\nchaincode_batches = {batches}\n{DEFINITION}");
    Consortium::parse(&spec).unwrap_or_else(|error| panic!("{}", chain(&error)))
}

fn options(network: &Network, in_go: &Path) -> Options {
    let cache = default_cache_dir().expect("HOME, XDG_CACHE_HOME or HLF_NETWORK_CACHE");
    let itself = std::env::current_exe().unwrap();
    Options {
        // This edition's release, whatever the environment names for others.
        binaries: Search { fabric_bin: None, ..Search::from_environment(network.spec().fabric, cache) },
        builder: BuilderProgram { program: itself, args: vec!["builder".to_owned()] },
        chaincode: Some(program(in_go, "north")),
        chaincode_of: BTreeMap::from([("south".to_owned(), program(in_go, "south"))]),
    }
}

/// The program that serves an organisation's peer: in Go for North, this one for South.
pub(crate) fn program(in_go: &Path, organization: &str) -> ChaincodeProgram {
    match organization {
        "north" => ChaincodeProgram { program: in_go.to_owned(), args: Vec::new(), env: BTreeMap::new() },
        _ => ChaincodeProgram {
            program: std::env::current_exe().unwrap(),
            args: vec!["chaincode".into()],
            env: BTreeMap::new(),
        },
    }
}

impl Side {
    async fn connect(network: &Network, name: &str) -> Self {
        let profile = network.profile(network.spec().organization(name).unwrap()).unwrap();
        let msp = MspFolder::open(profile.msp_folder("clerk").unwrap(), &profile.msp_id).unwrap();
        let endpoint = profile.gateway().unwrap();
        let gateway =
            Gateway::connect(&endpoint, msp.into_credentials(), Deadlines::default()).await.unwrap();
        let contract = gateway.contract(&profile.channel, CHAINCODE);
        Self { msp_id: profile.msp_id, endorser: gateway.endorser(), gateway, contract }
    }
}

impl<const EDITION: usize> Mixed<EDITION> {
    /// Both organisations' MSP ids.
    pub(crate) fn both(&self) -> [String; 2] {
        [self.north.msp_id.clone(), self.south.msp_id.clone()]
    }
}
