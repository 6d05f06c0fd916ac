//! Failures of the chaincode: its service, its package, what was approved and committed.

use std::collections::BTreeMap;
use std::ffi::OsString;

use hlf_gateway::{ChaincodeDefinition, Deadlines, Gateway};
use hlf_network::network::{Code, Network};
use hlf_network::package::Package;
use hlf_network::process::Service;
use hlf_network::spec::Chaincode;

use super::{NORTH, NORTHS_CHAINCODE, SOUTH, Ward};

pub(super) async fn of_a_running_network(ward: &Ward) {
    ward.stop(&[NORTHS_CHAINCODE]).await;
    ward.finds(&[(Code::ChaincodeDown, Some(NORTHS_CHAINCODE))]).await;
    let id = Package::of_service("shelf_1").unwrap().id();
    serve(ward, "shelf_9:00", "north").await;
    ward.finds(&[(Code::ServedDiffers, Some(NORTHS_CHAINCODE))]).await;
    serve(ward, &id, "south").await;
    ward.finds(&[(Code::ChaincodeTlsMismatch, Some(NORTHS_CHAINCODE))]).await;
    // It lives, and listens nowhere.
    ward.stop(&[NORTHS_CHAINCODE]).await;
    let deaf = Service {
        name: NORTHS_CHAINCODE.to_owned(),
        program: "/bin/sleep".into(),
        args: vec!["1000".into()],
        env: BTreeMap::from([("CHAINCODE_ID".to_owned(), id.clone().into())]),
        ports: Vec::new(),
        reads: Vec::new(),
    };
    ward.network.supervisor().ensure(&deaf).await.unwrap();
    ward.finds(&[(Code::ChaincodeSilent, Some(NORTHS_CHAINCODE))]).await;
    ward.mend().await;

    // The spec has gone on, and the network has not.
    let mut changed = ward.spec().clone();
    let mut next = Chaincode::new("shelf", "shelf_2");
    changed.set_chaincode(next.clone()).unwrap();
    let network = Network::new(ward.root(), changed.clone()).unwrap();
    let of_packages = [(Code::PackageNotInstalled, Some(NORTH)), (Code::PackageNotInstalled, Some(SOUTH))];
    // The profiles name the package that is on the channel.
    let stale = [(Code::ProfileStale, Some("north")), (Code::ProfileStale, Some("south"))];
    ward.finds_by(&network, &ward.checkup, &[of_packages, stale].concat()).await;
    next.label = "shelf_1".to_owned();
    next.sequence = 2;
    changed.set_chaincode(next).unwrap();
    let network = Network::new(ward.root(), changed).unwrap();
    ward.finds_by(&network, &ward.checkup, &[(Code::DefinitionDiffers, Some("shelf"))]).await;

    // An approval by hand, of a package that nobody has.
    approve(ward, "shelf_1:00").await;
    ward.finds(&[(Code::ApprovalDiffers, Some("NorthMSP"))]).await;
    ward.mend().await;
}

/// Starts North's service for a package id, with an organisation's certificates.
async fn serve(ward: &Ward, id: &str, certificates: &str) {
    // The one before has ended when the next begins.
    let _ = ward.network.supervisor().stop(NORTHS_CHAINCODE).await.unwrap();
    let organization = ward.spec().organization(certificates).unwrap();
    let (server, _) = ward.network.ca(organization).unwrap().service("chaincode").unwrap();
    let address = format!("127.0.0.1:{}", ward.port(NORTHS_CHAINCODE, "listen"));
    let program = ward.options.chaincode.as_ref().unwrap();
    let mut env = program.env.clone();
    let told: [(&str, OsString); 6] = [
        ("CHAINCODE_ID", id.into()),
        ("CHAINCODE_SERVER_ADDRESS", address.into()),
        ("CHAINCODE_TLS_DISABLED", "false".into()),
        ("CHAINCODE_TLS_KEY", server.key.into()),
        ("CHAINCODE_TLS_CERT", server.certificate.into()),
        ("CHAINCODE_CLIENT_CA_CERT", server.roots.into()),
    ];
    env.extend(told.map(|(name, value)| (name.to_owned(), value)));
    let service = Service {
        name: NORTHS_CHAINCODE.to_owned(),
        program: program.program.clone(),
        args: program.args.clone(),
        env,
        ports: Vec::new(),
        reads: Vec::new(),
    };
    ward.network.supervisor().ensure(&service).await.unwrap();
}

/// North approves the definition in force with another package.
async fn approve(ward: &Ward, package_id: &str) {
    let north = ward.spec().organization("north").unwrap();
    let profile = ward.network.profile(north).unwrap();
    let admin = ward.network.admin_credentials(north).unwrap();
    let endpoint = profile.gateway().unwrap();
    let endorser =
        hlf_gateway::Endorser::connect(&endpoint, admin.clone(), Deadlines::default()).await.unwrap();
    let in_force = endorser.lifecycle().committed("consortium", "shelf").await.unwrap().unwrap();
    let definition = ChaincodeDefinition {
        name: "shelf".to_owned(),
        sequence: in_force.sequence,
        version: in_force.version,
        validation_parameter: in_force.validation_parameter,
        ..ChaincodeDefinition::default()
    };
    let gateway = Gateway::connect(&endpoint, admin, Deadlines::default()).await.unwrap();
    let lifecycle = gateway.lifecycle("consortium");
    let proposal = lifecycle.approve(&definition, Some(package_id)).endorsing_organizations(["NorthMSP"]);
    lifecycle.contract().submit(proposal.build().unwrap()).await.unwrap();
}
