//! Descriptions that must not be taken, one by one.

use std::path::Path;

use super::*;
use crate::ca::{DevelopmentCa, Validity};
use crate::files;
use crate::spec::{Consortium, DEFAULT, NodeAddress, NodeOu, ORDERING, User, UserKey};

const ENDPOINT: &str = "peer0.example.org:7051";

fn spec() -> Consortium {
    Consortium::parse(DEFAULT).unwrap()
}

/// An organisation with its own authorities and one node, which is found at an address.
fn described(home: &Path, organization: &str, endpoint: &str) -> Description {
    let (kind, node, unit, msp_id) = match organization {
        ORDERING => ("orderers", "orderer0", NodeOu::Orderer, "OrdererMSP"),
        "north" => ("peers", "peer0", NodeOu::Peer, "NorthMSP"),
        _ => ("peers", "peer0", NodeOu::Peer, "SouthMSP"),
    };
    let domain = format!("{organization}.example.com");
    let home = home.join(&domain);
    let endpoint: NodeAddress = endpoint.parse().unwrap();
    let ca = DevelopmentCa::open_or_make(&home, &domain).unwrap();
    let host = format!("{node}.{domain}");
    ca.make_node(kind, &host, &["peer0.example.org".to_owned()], unit).unwrap();
    Description::of_folder("consortium", (organization, msp_id, &domain), &home, &[(host, endpoint)]).unwrap()
}

fn refused(description: &Description, others: &[Description]) -> DescriptionError {
    description.check(&spec(), others).unwrap_err()
}

#[test]
fn a_description_travels_and_is_laid_out_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let of_orderer = described(home.path(), ORDERING, "127.0.0.1:7050");
    let of_north = described(home.path(), "north", ENDPOINT);
    of_orderer.check(&spec(), &[]).unwrap();
    of_north.check(&spec(), std::slice::from_ref(&of_orderer)).unwrap();
    let text = of_north.to_text();
    assert!(!text.contains("PRIVATE"));
    let back = Description::parse(&text).unwrap();
    assert_eq!(back, of_north);
    // However it is written, what is read aloud is the same.
    let dense = text.lines().map(str::trim).collect::<String>();
    assert_eq!(Description::parse(&dense).unwrap().digest(), of_north.digest());
    assert_ne!(of_orderer.digest(), of_north.digest());

    let elsewhere = home.path().join("elsewhere");
    assert!(back.lay_out(&elsewhere).unwrap());
    assert!(!back.lay_out(&elsewhere).unwrap());
    let there = |path: &str| files::read(&elsewhere.join(path)).unwrap();
    assert_eq!(there("msp/config.yaml"), of_north.msp["config.yaml"]);
    assert_eq!(
        there("tlsca/tlsca.north.example.com-cert.pem"),
        there("msp/tlscacerts/tlsca.north.example.com-cert.pem")
    );
    assert_eq!(there("peers/peer0.north.example.com/tls/server.crt"), of_north.nodes[0].tls_certificate);
}

#[test]
fn whose_it_is_must_be_the_consortiums_own_words() {
    let home = tempfile::tempdir().unwrap();
    let good = described(home.path(), "north", ENDPOINT);
    type Change = fn(&mut Description);
    let table: [(Change, &str); 7] = [
        (|it| it.channel = "other".to_owned(), "is for channel `other`"),
        (
            |it| it.organization = "west".to_owned(),
            "`west` is no organisation of the consortium; there are orderer, north, south",
        ),
        (
            |it| it.msp_id = "SouthMSP".to_owned(),
            "has msp_id `SouthMSP`, and the consortium's document `NorthMSP`",
        ),
        (|it| it.domain = "south.example.com".to_owned(), "has domain `south.example.com`"),
        (|it| it.organization = "south".to_owned(), "the description of `south` has msp_id `NorthMSP`"),
        (|it| it.nodes[0].host = "peer1.north.example.com".to_owned(), "has nodes peer1.north.example.com"),
        (|it| it.nodes.clear(), "has nodes , and the consortium's document peer0.north.example.com"),
    ];
    for (change, expected) in table {
        let mut wrong = good.clone();
        change(&mut wrong);
        let error = refused(&wrong, &[]).to_string();
        assert!(error.contains(expected), "{error}");
    }
    // An endpoint that the consortium's document has otherwise.
    let mut spec = spec();
    spec.organizations[0].endpoints.insert("peer0".to_owned(), "10.0.0.1:7051".parse().unwrap());
    let error = good.check(&spec, &[]).unwrap_err().to_string();
    assert!(error.contains("the endpoint of peer0 `peer0.example.org:7051`"), "{error}");
    assert!(matches!(Description::parse("{}"), Err(DescriptionError::Syntax(_))));
    let other = good.to_text().replace("hlf-network description 1", "hlf-network description 2");
    assert!(matches!(Description::parse(&other), Err(DescriptionError::Format(_))));
}

#[test]
fn only_a_public_msp_folder_is_laid_out() {
    let home = tempfile::tempdir().unwrap();
    let good = described(home.path(), "north", ENDPOINT);
    for path in [
        "../../escaped",
        "cacerts/../../escaped",
        "cacerts/.hidden",
        "keystore/priv_sk",
        "/etc/passwd",
        "cacerts",
    ] {
        let mut wrong = good.clone();
        wrong.msp.insert(path.to_owned(), String::new());
        let error = refused(&wrong, &[]);
        assert!(matches!(&error, DescriptionError::File { path: named, .. } if named == path), "{error}");
    }
    let mut wrong = good.clone();
    let key = files::read(&home.path().join("north.example.com/ca/priv_sk")).unwrap();
    wrong.msp.insert("cacerts/key.pem".to_owned(), key);
    assert!(matches!(refused(&wrong, &[]), DescriptionError::Secret { .. }));
}

#[test]
fn roles_are_told_as_the_channels_policies_want() {
    let home = tempfile::tempdir().unwrap();
    let good = described(home.path(), "north", ENDPOINT);
    for (from, to, expected) in [
        ("Enable: true", "Enable: false", "switched off"),
        (
            "OrganizationalUnitIdentifier: admin",
            "OrganizationalUnitIdentifier: boss",
            "`boss` stands for admin",
        ),
        ("cacerts/ca.north", "cacerts/ca.south", "it names `cacerts/ca.south.example.com-cert.pem`"),
        ("NodeOUs:", "Nodes:", "NodeOUs"),
    ] {
        let mut wrong = good.clone();
        let config = wrong.msp["config.yaml"].replace(from, to);
        wrong.msp.insert("config.yaml".to_owned(), config);
        let error = refused(&wrong, &[]);
        assert!(
            matches!(&error, DescriptionError::Roles { .. }) && error.to_string().contains(expected),
            "{error}"
        );
    }
}

#[test]
fn certificates_count_now_and_are_of_the_organizations_own_authorities() {
    let home = tempfile::tempdir().unwrap();
    let good = described(home.path(), "north", ENDPOINT);
    let south = described(home.path(), "south", "127.0.0.1:7051");

    // An authority that has ended.
    let ended = crate::ca::authority_of("ca.north.example.com", Validity::expired()).unwrap();
    let mut wrong = good.clone();
    wrong.msp.insert("cacerts/ca.north.example.com-cert.pem".to_owned(), ended);
    let error = refused(&wrong, &[]);
    assert!(matches!(error, DescriptionError::Time { .. }), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("`ca.north.example.com`, an authority of `north`, does not count now: it ended")
    );

    // A node's certificate where an authority belongs, and none at all.
    let mut wrong = good.clone();
    let leaf = good.nodes[0].tls_certificate.clone();
    wrong.msp.insert("tlscacerts/leaf.pem".to_owned(), leaf);
    assert!(refused(&wrong, &[]).to_string().contains("may not issue certificates"));
    let mut wrong = good.clone();
    wrong.msp.retain(|path, _| !path.starts_with("tlscacerts"));
    assert!(refused(&wrong, &[]).to_string().contains("there is none in `tlscacerts`"));

    // A node that others' authorities vouch for.
    let mut wrong = good.clone();
    wrong.nodes[0].tls_certificate = south.nodes[0].tls_certificate.clone();
    assert!(refused(&wrong, &[]).to_string().contains("own authorities did not issue it"));

    // Another organisation's authority as one's own.
    let mut wrong = good.clone();
    let theirs = "cacerts/ca.south.example.com-cert.pem";
    wrong.msp.insert(theirs.to_owned(), south.msp[theirs].clone());
    let error = refused(&wrong, std::slice::from_ref(&south));
    assert!(matches!(&error, DescriptionError::SharedAuthority { other, .. } if other == "south"), "{error}");
}

#[test]
fn a_node_is_found_where_its_certificate_says_and_nobody_else_is() {
    let home = tempfile::tempdir().unwrap();
    let good = described(home.path(), "north", ENDPOINT);
    let mut wrong = good.clone();
    wrong.nodes[0].endpoint = "peer0.elsewhere.org:7051".parse().unwrap();
    let error = refused(&wrong, &[]);
    assert!(matches!(error, DescriptionError::Names { .. }), "{error}");
    assert!(
        error.to_string().contains("is for peer0.north.example.com, localhost, peer0.example.org"),
        "{error}"
    );
    let south = described(home.path(), "south", ENDPOINT);
    let error = refused(&south, std::slice::from_ref(&good));
    assert!(error.to_string().contains("where `peer0.north.example.com` is"), "{error}");
}

#[test]
fn consenters_are_told_with_the_certificate_that_they_sign_with() {
    let home = tempfile::tempdir().unwrap();
    let good = described(home.path(), ORDERING, "127.0.0.1:7050");
    let mut wrong = good.clone();
    wrong.nodes[0].identity_certificate = None;
    assert!(refused(&wrong, &[]).to_string().contains("`orderer0.orderer.example.com`: it is missing"));
    // A user's certificate of the same authority.
    let ca = DevelopmentCa::open(&home.path().join("orderer.example.com"), "orderer.example.com").unwrap();
    let user = User {
        name: "User1".to_owned(),
        node_ou: NodeOu::Client,
        common_name: None,
        attributes: Default::default(),
        key: UserKey::default(),
    };
    let folder = ca.issue_user(&user, None).unwrap();
    let pem = files::read(&folder.join("msp/signcerts/User1@orderer.example.com-cert.pem")).unwrap();
    wrong.nodes[0].identity_certificate = Some(pem);
    assert!(refused(&wrong, &[]).to_string().contains("it has not the unit `orderer`"));
    let mut of_north = described(home.path(), "north", ENDPOINT);
    of_north.nodes[0].identity_certificate = good.nodes[0].identity_certificate.clone();
    assert!(refused(&of_north, &[]).to_string().contains("only of consenters"));
}

#[test]
fn what_is_no_first_block_is_told_apart() {
    use hlf_protos::common::{Block, BlockData, BlockHeader};
    use hlf_protos::prost::Message as _;
    let parsed = |block: Block| FirstBlock::parse(&block.encode_to_vec()).unwrap_err();
    assert!(matches!(FirstBlock::parse(b"\xff\xff"), Err(FirstBlockError::Unreadable(_))));
    assert!(matches!(parsed(Block::default()), FirstBlockError::Unreadable(_)));
    let header = |number| Some(BlockHeader { number, ..BlockHeader::default() });
    let later = Block { header: header(7), ..Block::default() };
    assert!(matches!(parsed(later), FirstBlockError::Later(7)));
    let data = |count| Some(BlockData { data: vec![b"x".to_vec(); count] });
    for block in [
        Block { header: header(0), data: data(2), metadata: None },
        Block { header: header(0), data: data(1), metadata: None },
    ] {
        assert!(matches!(parsed(block), FirstBlockError::Unreadable(_)));
    }
}
