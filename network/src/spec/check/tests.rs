//! The default is valid, and every wrong value is named by its field.

use super::super::{Chaincode, DEFAULT};
use super::names::segments;
use super::*;

/// The default spec with one text exchanged for another.
fn with(from: &str, to: &str) -> Result<Consortium, SpecError> {
    assert!(DEFAULT.contains(from), "{from}");
    Consortium::parse(&DEFAULT.replacen(from, to, 1))
}

fn refused_field(from: &str, to: &str) -> String {
    match with(from, to) {
        Err(SpecError::Field { field, .. }) => field,
        other => panic!("`{to}` gave {other:?}"),
    }
}

#[test]
fn the_default_is_valid() {
    let spec = Consortium::parse(DEFAULT).unwrap();
    assert_eq!(spec.channel.batch_timeout_ms, 200);
    assert_eq!(spec.organization("SouthMSP").unwrap().domain, "south.example.com");
    assert!(spec.chaincode.is_none());
    let written = toml::to_string(&spec).unwrap();
    assert_eq!(Consortium::parse(&written).unwrap(), spec);
}

#[test]
fn peers_take_batches_and_keep_history_unless_they_shall_not() {
    let of = |setting: &str| Consortium::parse(&format!("{DEFAULT}\n[peer]\n{setting}")).unwrap();
    let told = |spec: &Consortium| (spec.peer.chaincode_batches, spec.peer.key_history);
    assert_eq!(told(&of("")), (true, true));
    for (setting, expected) in
        [("chaincode_batches = false", (false, true)), ("key_history = false", (true, false))]
    {
        let spec = of(setting);
        assert_eq!(told(&spec), expected);
        assert_eq!(Consortium::parse(&spec.to_toml().unwrap()).unwrap(), spec);
    }
}

#[test]
fn another_channel_has_a_name_that_a_channel_may_have() {
    let spec = Consortium::parse(DEFAULT).unwrap();
    let other = spec.on_channel("other").unwrap();
    assert_eq!((other.channel.name.as_str(), &other.organizations), ("other", &spec.organizations));
    assert!(matches!(spec.on_channel("../up"), Err(SpecError::Field { .. })));
}

#[test]
fn every_wrong_value_is_named_by_its_field() {
    for (from, to, field) in [
        (r#"fabric = "3.1.1""#, r#"fabric = "2.4.0""#, "fabric"),
        (r#""consortium""#, r#""Consortium""#, "channel.name"),
        (r#""consortium""#, r#""../up""#, "channel.name"),
        ("batch_timeout_ms = 200", "batch_timeout_ms = 0", "channel.batch_timeout_ms"),
        (r#"["orderer0"]"#, "[]", "orderer.consenters"),
        (r#"["orderer0"]"#, r#"["a", "a"]"#, "orderer.consenters[1]"),
        (r#""OrdererMSP""#, r#""""#, "orderer.msp_id"),
        (r#""north""#, r#""nor/th""#, "organizations[0].name"),
        (r#""north""#, r#""orderer""#, "organizations[0].name"),
        (
            r#"consenters = ["orderer0"]"#,
            "consenters = [\"orderer0\"]\nendpoints = { orderer1 = \"10.0.0.1:7050\" }",
            "orderer.endpoints.orderer1",
        ),
        (
            r#"consenters = ["orderer0"]"#,
            "consenters = [\"orderer0\", \"b\"]\nendpoints = { b = \"10.0.0.1:7050\", orderer0 = \"10.0.0.1:7050\" }",
            "orderer.endpoints.orderer0",
        ),
        (r#""south""#, r#""north""#, "organizations[1].name"),
        (r#""SouthMSP""#, r#""NorthMSP""#, "organizations[1].msp_id"),
        (r#""south.example.com""#, r#""orderer.example.com""#, "organizations[1].domain"),
        (r#""north.example.com""#, r#""../../etc""#, "organizations[0].domain"),
        (r#"["peer0"]"#, r#"["Peer 0"]"#, "organizations[0].peers[0]"),
        (
            r#"peers = ["peer0"]"#,
            "peers = [\"peer0\"]\ngateway_concurrency = { peer1 = 9 }",
            "organizations[0].gateway_concurrency.peer1",
        ),
        (
            r#"peers = ["peer0"]"#,
            "peers = [\"peer0\"]\ngateway_concurrency = { peer0 = 0 }",
            "organizations[0].gateway_concurrency.peer0",
        ),
        (r#"name = "User1""#, r#"name = "../User1""#, "organizations[0].users[1].name"),
        (r#"name = "User1""#, r#"name = "Admin""#, "organizations[0].users[1].name"),
        (r#"node_ou = "admin""#, r#"node_ou = "peer""#, "organizations[0].users[0].node_ou"),
        (r#"node_ou = "admin""#, r#"node_ou = "client""#, "organizations[0].users"),
    ] {
        assert_eq!(refused_field(from, to), field, "{to}");
    }
}

#[test]
fn bft_ordering_wants_fabric_3_and_four_consenters() {
    let document = |fabric: &str, consenters: &str| {
        let text = DEFAULT.replacen("3.1.1", fabric, 1).replacen("\"raft\"", "\"bft\"", 1).replacen(
            r#"["orderer0"]"#,
            consenters,
            1,
        );
        Consortium::parse(&text)
    };
    let four = r#"["a", "b", "c", "d"]"#;
    assert_eq!(document("3.1.1", four).unwrap().orderer.consensus, Consensus::Bft);
    for (fabric, consenters, named) in
        [("2.5.9", four, "orderer.consensus"), ("3.1.1", r#"["a", "b", "c"]"#, "orderer.consenters")]
    {
        let refused = document(fabric, consenters);
        assert!(matches!(&refused, Err(SpecError::Field { field, .. }) if field == named), "{refused:?}");
    }
}

#[test]
fn editors_are_told_of_every_field() {
    let schema = super::super::schema();
    let chaincode = &schema["$defs"]["Chaincode"]["properties"];
    for field in ["name", "label", "version", "sequence", "endorsement", "packages", "collections"] {
        assert!(chaincode[field].is_object(), "{field}: {schema:#}");
    }
    assert_eq!(schema["properties"]["fabric"]["type"], "string");
    assert_eq!(schema["additionalProperties"], false);
    let consensus = schema["$defs"]["Consensus"].to_string();
    assert!(consensus.contains("raft") && consensus.contains("bft"), "{consensus}");
}

#[test]
fn unknown_fields_and_values_are_refused() {
    for (from, to) in [
        ("batch_timeout_ms", "batch_timeout"),
        (r#"consensus = "raft""#, r#"consensus = "solo""#),
        (r#"endorsement = "majority""#, r#"endorsement = "most""#),
        (r#"fabric = "3.1.1""#, r#"fabric = "newest""#),
    ] {
        assert!(matches!(with(from, to), Err(SpecError::Syntax(_))), "{to}");
    }
}

#[test]
fn a_chaincode_is_checked_as_fabric_would() {
    let mut spec = Consortium::parse(DEFAULT).unwrap();
    let good = Chaincode::new("basic-asset", "basic_1.0");
    spec.set_chaincode(good.clone()).unwrap();
    for bad in [
        Chaincode::new("basic asset", "basic_1.0"),
        Chaincode::new("_lifecycle", "basic_1.0"),
        Chaincode::new("basic", "basic:1.0"),
        Chaincode::new("basic", "../basic"),
        Chaincode { sequence: 0, ..good.clone() },
    ] {
        assert!(spec.set_chaincode(bad.clone()).is_err(), "{bad:?}");
    }
    assert_eq!(spec.chaincode, Some(good));
}

#[test]
fn a_definition_names_what_is_there() {
    let parse = |table: &str| {
        let chaincode = "[chaincode]\nname = \"shelf\"\nlabel = \"shelf_1\"\n";
        Consortium::parse(&format!("{DEFAULT}\n{chaincode}{table}"))
    };
    let spec = parse(
        r#"
        endorsement = "AND('NorthMSP.peer', 'SouthMSP.peer')"
        [[chaincode.packages]]
        organization = "south"
        label = "shelf_go"
        [[chaincode.collections]]
        name = "pair"
        members = ["north", "south"]
        required_peers = 1
        endorsement = "OR('NorthMSP.peer', 'SouthMSP.peer')"
        "#,
    )
    .unwrap();
    assert_eq!(Consortium::parse(&toml::to_string(&spec).unwrap()).unwrap(), spec);
    let chaincode = spec.chaincode.unwrap();
    assert_eq!(chaincode.label_of("south"), "shelf_go");
    assert_eq!(chaincode.label_of("north"), "shelf_1");
    assert!(chaincode.collections[0].member_only_read);

    let package = |organization: &str, label: &str| {
        format!("[[chaincode.packages]]\norganization = \"{organization}\"\nlabel = \"{label}\"\n")
    };
    let collection =
        |name: &str, rest: &str| format!("[[chaincode.collections]]\nname = \"{name}\"\n{rest}\n");
    let north = r#"members = ["north"]"#;
    for (table, field) in [
        (r#"endorsement = "'EastMSP.peer'""#.to_owned(), "chaincode.endorsement"),
        (r#"endorsement = "AND('NorthMSP.peer', 'NorthMSP.peer')""#.to_owned(), "chaincode.endorsement"),
        (package("east", "shelf_go"), "chaincode.packages[0].organization"),
        (package("south", "shelf_1"), "chaincode.packages[0].label"),
        (package("south", "../x"), "chaincode.packages[0].label"),
        (package("south", "a") + &package("south", "b"), "chaincode.packages[1].organization"),
        (collection("_x", north), "chaincode.collections[0].name"),
        (collection("x", north) + &collection("x", north), "chaincode.collections[1].name"),
        (collection("x", "members = []"), "chaincode.collections[0].members"),
        (collection("x", r#"members = ["east"]"#), "chaincode.collections[0].members[0]"),
        (collection("x", &format!("{north}\nrequired_peers = 1")), "chaincode.collections[0].required_peers"),
        (
            collection("x", "members = [\"north\", \"south\"]\nrequired_peers = 1\nmax_peers = 0"),
            "chaincode.collections[0].max_peers",
        ),
        (
            collection("x", &format!("{north}\nendorsement = \"'EastMSP.peer'\"")),
            "chaincode.collections[0].endorsement",
        ),
    ] {
        match parse(&table) {
            Err(SpecError::Field { field: named, .. }) => assert_eq!(named, field, "{table}"),
            other => panic!("{table}: {other:?}"),
        }
    }
    assert!(matches!(parse(r#"endorsement = "most""#), Err(SpecError::Syntax(_))));
}

#[test]
fn a_user_is_added_only_when_valid() {
    let mut spec = Consortium::parse(DEFAULT).unwrap();
    let user = |name: &str| User {
        name: name.to_owned(),
        node_ou: NodeOu::Client,
        common_name: Some("random".to_owned()),
        attributes: [("role".to_owned(), "auditor".to_owned())].into(),
        key: UserKey::default(),
    };
    spec.add_user("north", user("audit")).unwrap();
    assert!(spec.add_user("north", user("audit")).is_err());
    assert!(spec.add_user("east", user("audit")).is_err());
    assert!(spec.add_user("south", user("a/b")).is_err());
    let ed25519 = |name: &str| User { key: UserKey::Ed25519, ..user(name) };
    spec.add_user("north", ed25519("late")).unwrap();
    assert!(spec.to_toml().unwrap().contains("key = \"ed25519\""));
    let mut lts = Consortium::parse(&DEFAULT.replacen("3.1.1", "2.5.9", 1)).unwrap();
    let error = lts.add_user("north", ed25519("late")).unwrap_err();
    assert!(error.to_string().contains("Fabric 3"), "{error}");
    assert_eq!(spec.organization("south").unwrap().users.len(), 2);
}

proptest::proptest! {
    #[test]
    fn whatever_is_accepted_is_one_folder_name(text in ".{0,20}|[a-z./_-]{0,8}") {
        let accepted = [is_user_name(&text), is_host(&text), domain("d", &text).is_ok(), segments(&text, ".+-_")];
        if accepted.contains(&true) {
            let mut parts = std::path::Path::new(&text).components();
            assert!(matches!(parts.next(), Some(std::path::Component::Normal(_))));
            assert!(parts.next().is_none());
        }
    }
}
