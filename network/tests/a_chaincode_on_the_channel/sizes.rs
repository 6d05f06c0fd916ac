//! A chaincode on networks of more organisations, peers and consenters.

use hlf_network::network::{Network, NodeKind};
use hlf_network::spec::Consortium;

use crate::bench::{Bench, document, say};
use crate::shelf::{edition, has, put, ready, shelf, up};

/// Five organisations of two peers each, three of which must endorse, and three consenters.
fn five_of_two() -> Consortium {
    let mut document = document().replace(r#"["peer0"]"#, r#"["peer0", "peer1"]"#).replacen(
        r#"["orderer0"]"#,
        r#"["orderer0", "orderer1", "orderer2"]"#,
        1,
    );
    for (name, msp_id) in [("east", "EastMSP"), ("west", "WestMSP"), ("centre", "CentreMSP")] {
        document.push_str(&format!(
            r#"
            [[organizations]]
            name = "{name}"
            msp_id = "{msp_id}"
            domain = "{name}.example.com"
            peers = ["peer0", "peer1"]
            [[organizations.users]]
            name = "Admin"
            node_ou = "admin"
            [[organizations.users]]
            name = "User1"
            "#,
        ));
    }
    let mut spec = Consortium::parse(&document).unwrap();
    let mut chaincode = shelf().chaincode.unwrap();
    let peers: Vec<String> = spec.organizations.iter().map(|o| format!("'{}.peer'", o.msp_id)).collect();
    chaincode.endorsement = Some(format!("OutOf(3, {})", peers.join(", ")).parse().unwrap());
    spec.set_chaincode(chaincode).unwrap();
    spec
}

pub(crate) async fn five_organizations_of_two_peers_use_a_chaincode() {
    let bench = Bench::new("five");
    let network = Network::new(&bench.folder, five_of_two()).unwrap();
    let options = edition(network.spec(), std::env::current_exe().unwrap(), "first");
    up(&network, &options).await;
    let status = ready(&network).await;
    let count = |kind| status.nodes.iter().filter(|node| node.kind == kind).count();
    assert_eq!([count(NodeKind::Orderer), count(NodeKind::Peer), count(NodeKind::Chaincode)], [3, 10, 5]);
    for organization in ["north", "south", "east", "west", "centre"] {
        put(&network, organization, organization).await;
        has(&network, organization, organization).await;
    }
    network.destroy(&say).await.unwrap();
}
