//! A running channel's configuration is changed by proposals that travel, on real Fabric processes.
//!
//! What Fabric made of each proposal is read from the channel, and Fabric's own configtxlator says which update leads
//! there: it must be the proposal's. Programs are found or built as in `a_network_on_real_processes`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bench;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hlf_gateway::{Credentials, Deadlines, Endorser};
use hlf_network::Quiet;
use hlf_network::ca::DevelopmentCa;
use hlf_network::change::{
    ChannelConfig, Edit, EditError, MetaRule, OrganizationDefinition, PolicyRule, Proposal, ProposalError,
    Rejection, SubmitError,
};
use hlf_network::network::{ChangeError, Network, Options};
use hlf_network::spec::{Consortium, DEFAULT};
use hlf_protos::common::{Block, Config, ConfigEnvelope, ConfigUpdate, Envelope, Payload};
use hlf_protos::prost::Message as _;

use bench::{Bench, cache_dir, document, no_chaincode, say, told};

/// The channel's configuration, read without the code under test.
async fn config_of(network: &Network) -> Config {
    let north = network.spec().organization("north").unwrap();
    let profile = network.profile(north).unwrap();
    let peer = &profile.peers[0];
    let endpoint = hlf_gateway::Endpoint::tls(&peer.address, fs::read_to_string(&profile.tls_ca).unwrap());
    let admin = network.admin_credentials(north).unwrap();
    let endorser = Endorser::connect(&endpoint, admin, Deadlines::default()).await.unwrap();
    let channel = network.spec().channel.name.clone();
    let bytes = endorser.call("", "cscc", "GetConfigBlock").arg(channel).send().await.unwrap();
    let block = Block::decode(bytes.as_slice()).unwrap();
    let envelope = Envelope::decode(block.data.unwrap().data[0].as_slice()).unwrap();
    let payload = Payload::decode(envelope.payload.as_slice()).unwrap();
    ConfigEnvelope::decode(payload.data.as_slice()).unwrap().config.unwrap()
}

/// Fabric's configtxlator, built from the Go module in `tests/go/configtxlator`; Go leaves it alone if nothing changed.
fn configtxlator() -> PathBuf {
    let program = cache_dir().join("tests/configtxlator");
    let built = Command::new("go")
        .args(["build", "-mod=readonly", "-o"])
        .arg(&program)
        .arg("github.com/hyperledger/fabric/cmd/configtxlator")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go/configtxlator"))
        .output()
        .expect("this test needs Go 1.24 or later on the PATH: install it from https://go.dev/dl");
    assert!(built.status.success(), "`go build`: {}", String::from_utf8_lossy(&built.stderr));
    program
}

/// The update between two configurations as Fabric's own tool computes it.
fn computed_by_fabric(program: &Path, folder: &Path, before: &Config, after: &Config) -> ConfigUpdate {
    let (original, updated, output) =
        (folder.join("original.pb"), folder.join("updated.pb"), folder.join("update.pb"));
    fs::write(&original, before.encode_to_vec()).unwrap();
    fs::write(&updated, after.encode_to_vec()).unwrap();
    let status = Command::new(program)
        .args(["compute_update", "--channel_id", "consortium"])
        .arg("--original")
        .arg(&original)
        .arg("--updated")
        .arg(&updated)
        .arg("--output")
        .arg(&output)
        .status()
        .unwrap();
    assert!(status.success());
    ConfigUpdate::decode(fs::read(&output).unwrap().as_slice()).unwrap()
}

struct World {
    network: Network,
    configtxlator: PathBuf,
    north: Credentials,
    south: Credentials,
    orderer: Credentials,
}

impl World {
    async fn up(bench: &Bench, spec: Consortium) -> Self {
        let options = no_chaincode(&spec);
        Self::up_with(bench, spec, options).await
    }

    async fn up_with(bench: &Bench, spec: Consortium, options: Options) -> Self {
        let network = Network::new(&bench.folder, spec).unwrap();
        if let Err(error) = network.up(&options, &say).await {
            panic!("{}", told(&error));
        }
        let admin = |name| network.admin_credentials(network.spec().organization(name).unwrap()).unwrap();
        Self {
            north: admin("north"),
            south: admin("south"),
            orderer: network.orderer_credentials().unwrap(),
            configtxlator: configtxlator(),
            network,
        }
    }

    async fn present(&self) -> ChannelConfig {
        self.network.channel_config().await.unwrap()
    }

    /// Proposes, has the file travel from signer to signer, submits, and compares with Fabric's own account.
    async fn change(&self, title: &str, edits: &[Edit], signers: &[&Credentials]) -> Vec<String> {
        let present = self.present().await;
        let mut proposal = Proposal::new(&present, title, edits).unwrap_or_else(|e| panic!("{}", told(&e)));
        for (index, signer) in signers.iter().enumerate() {
            assert!(!proposal.standing(&present).unwrap().is_complete(), "{title}: {index} were enough");
            let early = self.network.submit_change(&proposal, &self.north, &Quiet).await.unwrap_err();
            assert!(matches!(early, ChangeError::Submit(SubmitError::Incomplete(_))), "{}", told(&early));
            proposal.sign(&present, signer).await.unwrap_or_else(|e| panic!("{title}: {}", told(&e)));
            proposal = Proposal::parse(&proposal.to_string()).unwrap();
        }
        assert!(!proposal.is_in_force(&present));
        let told_before: Vec<String> =
            proposal.differences(&present).unwrap().iter().map(ToString::to_string).collect();
        let before = config_of(&self.network).await;
        if let Err(error) = self.network.submit_change(&proposal, &self.north, &Quiet).await {
            panic!("{title}: {}", told(&error));
        }
        let after = config_of(&self.network).await;
        assert_eq!(after.sequence, before.sequence + 1);
        let folder = self.network.layout().root().join("channel");
        let expected = computed_by_fabric(&self.configtxlator, &folder, &before, &after);
        assert_eq!(ConfigUpdate::decode(proposal.update()).unwrap(), expected, "{title}");
        let present = self.present().await;
        assert!(proposal.is_in_force(&present));
        // A second time it no longer fits.
        assert!(matches!(proposal.differences(&present), Err(ProposalError::Stale { .. })));
        told_before
    }
}

fn definition(folder: &Path, msp_id: &str, domain: &str) -> OrganizationDefinition {
    let home = folder.join(domain);
    DevelopmentCa::open_or_make(&home, domain).unwrap();
    OrganizationDefinition::of_msp_folder(msp_id, &home.join("msp"), Vec::new()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn proposals_travel_and_fabric_takes_them() {
    let bench = Bench::new("changes");
    let world = World::up(&bench, Consortium::parse(&document()).unwrap()).await;
    let (north, south, orderer) = (&world.north, &world.south, &world.orderer);

    let size =
        Edit::BatchSize { max_message_count: Some(77), absolute_max_bytes: None, preferred_max_bytes: None };
    let words = world.change("larger blocks", std::slice::from_ref(&size), &[orderer]).await;
    assert_eq!(words, ["~ /Channel/Orderer/BatchSize max_message_count: 500 -> 77"]);
    let words = world.change("slower blocks", &[Edit::BatchTimeout { timeout_ms: 350 }], &[orderer]).await;
    assert_eq!(words, ["~ /Channel/Orderer/BatchTimeout timeout: 200ms -> 350ms"]);
    let acl = Edit::Acl {
        resource: "qscc/GetChainInfo".to_owned(),
        policy: Some("/Channel/Application/Readers".to_owned()),
    };
    let words = world.change("heights for all", &[acl], &[north, south]).await;
    assert_eq!(words.len(), 1, "{words:?}");
    let all = PolicyRule::Children { rule: MetaRule::All, policy: "Endorsement".to_owned() };
    let policy = Edit::Policy { path: vec!["Application".to_owned(), "Endorsement".to_owned()], rule: all };
    let words = world.change("all endorse", &[policy], &[south, north]).await;
    assert_eq!(
        words,
        ["~ /Channel/Application/Endorsement (policy): MAJORITY of Endorsement -> ALL of Endorsement"]
    );
    let anchors =
        Edit::AnchorPeers { msp_id: "SouthMSP".to_owned(), peers: vec![("127.0.0.1".to_owned(), 7)] };
    let words = world.change("another anchor", &[anchors], &[south]).await;
    assert_eq!(words.len(), 2, "{words:?}");

    // A member comes; then two of three are a majority; then it goes.
    let elsewhere = tempfile::tempdir().unwrap();
    let east = definition(elsewhere.path(), "EastMSP", "east.example.com");
    let east = OrganizationDefinition::parse(&east.to_text().unwrap()).unwrap();
    let words =
        world.change("East joins", &[Edit::AddOrganization(Box::new(east.clone()))], &[north, south]).await;
    assert!(words.iter().all(|line| line.starts_with("+ /Channel/Application/EastMSP")), "{words:?}");
    assert!(words.iter().any(|line| line.contains("`ca.east.example.com` until")), "{words:?}");
    assert_eq!(world.present().await.organizations().unwrap(), ["EastMSP", "NorthMSP", "SouthMSP"]);
    let words = world
        .change("East leaves", &[Edit::RemoveOrganization { msp_id: "EastMSP".to_owned() }], &[north, south])
        .await;
    assert!(words.iter().all(|line| line.starts_with("- /Channel/Application/EastMSP")), "{words:?}");

    what_fabric_would_reject_is_refused_before_anybody_signs(&world, elsewhere.path(), &east).await;
    signatures_that_do_not_count_are_refused(&world, elsewhere.path()).await;

    world.network.destroy(&Quiet).await.unwrap();
}

async fn what_fabric_would_reject_is_refused_before_anybody_signs(
    world: &World,
    elsewhere: &Path,
    east: &OrganizationDefinition,
) {
    let present = world.present().await;
    let refused = |edit: Edit| told(&Proposal::new(&present, "refused", &[edit]).unwrap_err());
    let member = |msp_id: &str| Edit::RemoveOrganization { msp_id: msp_id.to_owned() };
    let size = |count: Option<u32>, preferred: Option<u32>| Edit::BatchSize {
        max_message_count: count,
        absolute_max_bytes: None,
        preferred_max_bytes: preferred,
    };
    let mut twice = east.clone();
    twice.msp_id = "NorthMSP".to_owned();
    // A leaf where an authority should be.
    let mut leaf = definition(elsewhere, "WestMSP", "west.example.com");
    leaf.root_certificates = vec![world.north.identity().certificate_pem.clone()];
    let orderer = |address: &str| {
        Edit::Consenter(hlf_network::change::ConsenterEdit::Remove { address: address.to_owned() })
    };
    let only = present.consenters().unwrap()[0].address();
    let table = [
        (member("WestMSP"), "`WestMSP` is not a member; members are NorthMSP, SouthMSP"),
        (Edit::AddOrganization(Box::new(twice)), "`NorthMSP` is in the channel already"),
        (Edit::AddOrganization(Box::new(leaf)), "may not issue certificates"),
        (size(Some(77), None), "the channel is like that already"),
        (size(Some(0), None), "let a block hold one transaction at least"),
        (size(None, Some(u32::MAX)), "let it be from 1 to absolute_max_bytes"),
        (Edit::BatchTimeout { timeout_ms: 0 }, "let a block wait for a millisecond at least"),
        (
            Edit::Acl { resource: "x/y".to_owned(), policy: Some("/Channel/Application/Nobody".to_owned()) },
            "which the channel has not",
        ),
        (Edit::Capability { section: None, name: "V1_3".to_owned() }, "cannot go back to a lower capability"),
        (Edit::Capability { section: None, name: "V9".to_owned() }, "Channel has no capability `V9`"),
        (orderer("10.0.0.1:7050"), "no orderer is at `10.0.0.1:7050`; orderers are at"),
        (orderer(&only), "somebody has to order transactions"),
    ];
    for (edit, expected) in table {
        let what = format!("{edit:?}");
        let found = refused(edit);
        assert!(found.contains(expected), "{what}: {found}");
    }
    let none = Proposal::new(&present, "nobody left", &[member("NorthMSP"), member("SouthMSP")]).unwrap_err();
    assert!(matches!(none, ProposalError::Rejected(Rejection::NoMember)), "{none:?}");
    let unknown = Edit::Revocations { msp_id: "WestMSP".to_owned(), list_pem: String::new() };
    let error = Proposal::new(&present, "of nobody", &[unknown]).unwrap_err();
    assert!(matches!(error, ProposalError::Edit(EditError::NotMember { .. })), "{error:?}");
}

async fn signatures_that_do_not_count_are_refused(world: &World, elsewhere: &Path) {
    let present = world.present().await;
    let edit = || Edit::BatchTimeout { timeout_ms: 222 };
    let mut proposal = Proposal::new(&present, "faster", &[edit()]).unwrap();
    // A member whose role guards nothing of it.
    let error = proposal.sign(&present, &world.north).await.unwrap_err();
    assert!(told(&error).contains("it wants OrdererMSP.admin"), "{}", told(&error));
    // A stranger who calls himself a member.
    let home = elsewhere.join("false.example.com");
    let ca = DevelopmentCa::open_or_make(&home, "false.example.com").unwrap();
    let stranger = stranger(&ca, &home);
    let error = proposal.sign(&present, &stranger).await.unwrap_err();
    assert!(told(&error).contains("is not vouched for by the authorities"), "{}", told(&error));

    // Copies that were signed apart are merged; other changes are not.
    let acl = Edit::Acl { resource: "qscc/GetChainInfo".to_owned(), policy: None };
    let blank = Proposal::new(&present, "back", &[acl]).unwrap();
    let (mut one, mut other) = (blank.clone(), blank.clone());
    one.sign(&present, &world.north).await.unwrap();
    other.sign(&present, &world.south).await.unwrap();
    let standing = one.standing(&present).unwrap();
    let [requirement] = standing.requirements.as_slice() else { panic!("{standing:?}") };
    assert_eq!(
        requirement.to_string(),
        "/Channel/Application/Admins wants 2 of (NorthMSP.admin, SouthMSP.admin): signed by NorthMSP, missing SouthMSP"
    );
    one.merge(&proposal).unwrap_err();
    one.merge(&other).unwrap();
    assert!(one.standing(&present).unwrap().is_complete());

    // Somebody else's change of the same thing was first.
    let mut late = Proposal::new(&present, "too late", &[edit()]).unwrap();
    late.sign(&present, &world.orderer).await.unwrap();
    world.change("first", &[Edit::BatchTimeout { timeout_ms: 250 }], &[&world.orderer]).await;
    let error = world.network.submit_change(&late, &world.north, &Quiet).await.unwrap_err();
    let text = told(&error);
    assert!(text.contains("`/Channel/Orderer/BatchTimeout` was changed"), "{text}");
    // What was changed elsewhere does not matter to the other.
    world.network.submit_change(&one, &world.south, &Quiet).await.unwrap();
}

/// An identity of an organisation that claims another's MSP id.
fn stranger(ca: &DevelopmentCa, home: &Path) -> Credentials {
    let user = hlf_network::spec::User {
        name: "Admin".to_owned(),
        node_ou: hlf_network::spec::NodeOu::Admin,
        common_name: None,
        attributes: Default::default(),
        key: Default::default(),
    };
    ca.issue_user(&user, None).unwrap();
    let folder = home.join("users/Admin@false.example.com/msp");
    hlf_gateway::MspFolder::open(folder, "NorthMSP").unwrap().into_credentials()
}

/// A channel of an older release whose nodes all run newer programs already, as after a rolling upgrade of own parts.
#[tokio::test(flavor = "multi_thread")]
async fn capabilities_are_raised_by_a_proposal_of_everybody() {
    let bench = Bench::new("changes-capability");
    let spec = Consortium::parse(&DEFAULT.replacen("3.1.1", "2.5.9", 1)).unwrap();
    let newer = Consortium::parse(DEFAULT).unwrap();
    let world = World::up(&bench, spec).await;
    let mut options = no_chaincode(&newer);
    options.binaries.folder = Some(options.binaries.find(&say).await.unwrap().folder().to_owned());
    world.network.down(&say).await.unwrap();
    world.network.up(&options, &say).await.unwrap_or_else(|error| panic!("{}", told(&error)));
    let (north, south, orderer) = (&world.north, &world.south, &world.orderer);
    let present = world.present().await;
    let raise = Edit::Capability { section: None, name: "V3_0".to_owned() };
    let proposal = Proposal::new(&present, "raise", std::slice::from_ref(&raise)).unwrap();
    let standing = proposal.standing(&present).unwrap();
    let [requirement] = standing.requirements.as_slice() else { panic!("{standing:?}") };
    assert!(requirement.to_string().contains("missing NorthMSP, OrdererMSP, SouthMSP"), "{requirement}");
    let words = world.change("Fabric 3", &[raise], &[north, orderer, south]).await;
    assert_eq!(
        words,
        [
            "- /Channel/Capabilities V2_0: demanded of all nodes",
            "+ /Channel/Capabilities V3_0: demanded of all nodes"
        ]
    );
    // The channel goes on under it.
    world.change("slower", &[Edit::BatchTimeout { timeout_ms: 250 }], &[orderer]).await;
    world.network.destroy(&Quiet).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bft_channel_changes_too() {
    let bench = Bench::new("changes-bft");
    let text = DEFAULT.replacen("\"raft\"", "\"bft\"", 1).replacen(
        r#"["orderer0"]"#,
        r#"["orderer0", "orderer1", "orderer2", "orderer3"]"#,
        1,
    );
    let world = World::up(&bench, Consortium::parse(&text).unwrap()).await;
    let words = world.change("slower", &[Edit::BatchTimeout { timeout_ms: 150 }], &[&world.orderer]).await;
    assert!(
        words.iter().any(|line| line.contains("request_batch_max_interval: 200ms -> 150ms")),
        "{words:?}"
    );

    // Everything that members decide, on BFT as on Raft.
    let (north, south, orderer) = (&world.north, &world.south, &world.orderer);
    let size =
        Edit::BatchSize { max_message_count: Some(77), absolute_max_bytes: None, preferred_max_bytes: None };
    let words = world.change("smaller", &[size], &[orderer]).await;
    assert!(words.iter().any(|line| line.contains("max_message_count: 500 -> 77")), "{words:?}");
    let acl = Edit::Acl {
        resource: "qscc/GetChainInfo".to_owned(),
        policy: Some("/Channel/Application/Readers".to_owned()),
    };
    let all = PolicyRule::Children { rule: MetaRule::All, policy: "Endorsement".to_owned() };
    let policy = Edit::Policy { path: vec!["Application".to_owned(), "Endorsement".to_owned()], rule: all };
    let words = world.change("rules", &[acl.clone(), policy], &[south, north]).await;
    assert_eq!(words.len(), 2, "{words:?}");
    let elsewhere = tempfile::tempdir().unwrap();
    let east = definition(elsewhere.path(), "EastMSP", "east.example.com");
    world.change("East joins", &[Edit::AddOrganization(Box::new(east))], &[north, south]).await;
    assert_eq!(world.present().await.organizations().unwrap(), ["EastMSP", "NorthMSP", "SouthMSP"]);
    let leaves = Edit::RemoveOrganization { msp_id: "EastMSP".to_owned() };
    world.change("East leaves", &[leaves], &[north, south]).await;

    let present = world.present().await;
    // BFT needs the highest capabilities that there are: they are in force, and there is no way back.
    let capability = |section: Option<&str>, name: &str| Edit::Capability {
        section: section.map(str::to_owned),
        name: name.to_owned(),
    };
    for (edit, expected) in [
        (capability(None, "V3_0"), "the channel is like that already"),
        (capability(Some("Orderer"), "V2_0"), "the channel is like that already"),
        (capability(Some("Application"), "V2_5"), "the channel is like that already"),
        (acl, "the channel is like that already"),
        (capability(None, "V2_0"), "cannot go back to a lower capability"),
        (capability(Some("Peers"), "V2_0"), "Peers"),
    ] {
        let what = format!("{edit:?}");
        let error = Proposal::new(&present, "no change", &[edit]).unwrap_err();
        assert!(told(&error).contains(expected), "{what}: {}", told(&error));
    }
    let address = present.consenters().unwrap()[3].address();
    let remove = Edit::Consenter(hlf_network::change::ConsenterEdit::Remove { address });
    let error = Proposal::new(&present, "three left", &[remove]).unwrap_err();
    assert!(told(&error).contains("BFT takes four at least"), "{}", told(&error));
    world.network.destroy(&Quiet).await.unwrap();
}
