//! What organisations agree on with a definition, and Fabric's own command line on what came of it.

use std::collections::BTreeMap;
use std::process::Command;

use hlf_gateway::TransactionError;
use hlf_network::LifecycleError;
use hlf_network::network::{Network, Options, UpError};
use hlf_network::spec::{Chaincode, Consortium, DEFAULT};
use hlf_protos::protos::TxValidationCode;

use crate::bench::{Bench, say, told};
use crate::shelf::{ask, edition, has, put, ready, try_put, up};

const DEFINITION: &str = r#"
    [chaincode]
    name = "shelf"
    label = "shelf_1"
    endorsement = "AND('NorthMSP.peer', 'SouthMSP.peer')"

    [[chaincode.packages]]
    organization = "south"
    label = "shelf_of_south"

    [[chaincode.collections]]
    name = "pair"
    members = ["north", "south"]
    required_peers = 1
    block_to_live = 100
    endorsement = "OR('NorthMSP.peer', 'SouthMSP.peer')"

    [[chaincode.collections]]
    name = "north-alone"
    members = ["north"]
    max_peers = 0
    member_only_read = false
    member_only_write = false
"#;

/// A change of a definition.
type Change = fn(&mut Chaincode);

fn spec(release: &str) -> Consortium {
    let channel = DEFAULT.replacen("3.1.1", release, 1).replacen("\"majority\"", "\"any\"", 1);
    Consortium::parse(&format!("{channel}\n{DEFINITION}")).unwrap()
}

/// South runs another program than the others.
fn options(spec: &Consortium) -> Options {
    let itself = std::env::current_exe().unwrap();
    let south = edition(spec, itself.clone(), "of south").chaincode.unwrap();
    let chaincode_of = BTreeMap::from([("south".to_owned(), south)]);
    Options { chaincode_of, ..edition(spec, itself, "of all") }
}

pub(crate) async fn a_definition_on_fabric_3_is_what_the_spec_says() {
    a_definition_is_what_the_spec_says("3.1.1").await;
}

pub(crate) async fn a_definition_on_fabric_2_5_is_what_the_spec_says() {
    a_definition_is_what_the_spec_says("2.5.9").await;
}

async fn a_definition_is_what_the_spec_says(release: &str) {
    let bench = Bench::new(&format!("definition-{release}"));
    let spec = spec(release);
    let network = Network::new(&bench.folder, spec.clone()).unwrap();
    up(&network, &options(&spec)).await;

    // One definition, two packages and programs.
    assert_eq!(ask(&network, "north", "Edition").await, "of all");
    assert_eq!(ask(&network, "south", "Edition").await, "of south");
    let chaincode = network.status().await.unwrap().chaincode.unwrap();
    assert!(chaincode.package_id.unwrap().starts_with("shelf_1:"));
    assert!(chaincode.own_package_ids["SouthMSP"].starts_with("shelf_of_south:"));
    let south = network.profile(spec.organization("south").unwrap()).unwrap();
    assert!(south.chaincode_service.unwrap().package_id.starts_with("shelf_of_south:"));

    // The chaincode's policy stands over the channel's, which would be content with one.
    put(&network, "south", "of both").await;
    let of_one = try_put(&network, "north", &["NorthMSP"], "of one").await.unwrap_err();
    let TransactionError::Invalid { code, .. } = &of_one else { panic!("{}", told(&of_one)) };
    assert_eq!(*code, TxValidationCode::EndorsementPolicyFailure);
    has(&network, "north", "of both").await;

    // Fabric's own command line works with the environment that the network gives, and reads back the definition.
    for organization in ["north", "south"] {
        assert!(peer(&network, organization, &["channel", "getinfo", "-c", "consortium"]).contains("height"));
        let query = ["chaincode", "query", "-C", "consortium", "-n", "shelf", "-c", r#"{"Args":["Value"]}"#];
        assert_eq!(peer(&network, organization, &query).trim(), "of both");
    }
    let query = ["lifecycle", "chaincode", "querycommitted", "-C", "consortium", "-n", "shelf", "-O", "json"];
    let committed: serde_json::Value = serde_json::from_str(&peer(&network, "south", &query)).unwrap();
    let collections = committed["collections"]["config"].as_array().unwrap();
    let collection = |index: usize| &collections[index]["Payload"]["StaticCollectionConfig"];
    assert_eq!(collections.len(), 2);
    assert_eq!(collection(0)["name"], "pair");
    assert_eq!(collection(0)["required_peer_count"], 1);
    assert_eq!(collection(0)["block_to_live"], 100);
    assert_eq!(collection(0)["member_only_read"], true);
    assert!(collection(0)["endorsement_policy"].is_object());
    assert_eq!(collection(1)["name"], "north-alone");
    assert_eq!(collection(1)["member_only_write"].as_bool(), None, "false is left out");

    // What changes asks for the next sequence.
    let with = |change: Change| {
        let mut changed = spec.clone();
        let mut definition = changed.chaincode.clone().unwrap();
        change(&mut definition);
        changed.set_chaincode(definition).unwrap();
        changed
    };
    let changes: [(&str, Change); 4] = [
        ("version", |definition| definition.version = "1.1".to_owned()),
        ("endorsement policy", |definition| definition.endorsement = None),
        ("collections", |definition| definition.collections[0].max_peers = 3),
        ("collections", |definition| definition.collections.truncate(1)),
    ];
    for (named, change) in changes {
        match refused(&bench, &with(change)).await {
            LifecycleError::Redefined { what, sequence: 1, next: 2, .. } => assert_eq!(what, named),
            other => panic!("{}", told(&other)),
        }
    }
    let dropped = with(|definition| {
        definition.sequence = 2;
        definition.collections.truncate(1);
    });
    match refused(&bench, &dropped).await {
        LifecycleError::Collection { collection, .. } => assert_eq!(collection, "north-alone"),
        other => panic!("{}", told(&other)),
    }

    // What is refused leaves everything running as it was.
    put(&network, "north", "still of both").await;

    // Under the next sequence it is approved and committed.
    let next = with(|definition| {
        definition.sequence = 2;
        definition.endorsement = Some("OR('NorthMSP.peer', 'SouthMSP.peer')".parse().unwrap());
        definition.collections[0].max_peers = 3;
        definition.packages.clear();
    });
    let network = Network::new(&bench.folder, next.clone()).unwrap();
    up(&network, &options(&next)).await;
    try_put(&network, "north", &["NorthMSP"], "of one").await.unwrap();
    let status = ready(&network).await;
    assert!(status.chaincode.unwrap().own_package_ids.is_empty());
    network.destroy(&say).await.unwrap();
}

async fn refused(bench: &Bench, spec: &Consortium) -> LifecycleError {
    let network = Network::new(&bench.folder, spec.clone()).unwrap();
    match network.up(&options(spec), &say).await.unwrap_err() {
        UpError::Lifecycle(error) => error,
        other => panic!("{}", told(&other)),
    }
}

/// What Fabric's `peer` says, with no other environment than the network's.
fn peer(network: &Network, organization: &str, args: &[&str]) -> String {
    let environment = network.peer_environment(network.spec().organization(organization).unwrap()).unwrap();
    let output = Command::new(environment.programs.unwrap().join("peer"))
        .args(args)
        .env_clear()
        .envs(environment.variables)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
