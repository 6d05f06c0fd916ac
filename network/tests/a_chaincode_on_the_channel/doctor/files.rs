//! Failures that lie in files: the folder, ports, profiles, configurations, ledgers, programs.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use hlf_network::fabric::{Search, Version};
use hlf_network::network::{Checkup, Code, Network, UpError};
use hlf_network::spec::Consortium;
use hlf_protos::common::{Block, ChannelHeader, Envelope, Payload};
use hlf_protos::prost::Message as _;
use rustix::fs::{FlockOperation, flock};

use super::{Damage, NORTH, NORTHS_CHAINCODE, ORDERERS, SOUTH, SOUTHS_CHAINCODE, Ward, programs_of};
use crate::bench::{Bench, cache_dir, say, told};

pub(super) async fn of_a_running_network(ward: &Ward) {
    the_folder_itself(ward).await;
    configurations_and_ledgers(ward).await;
    specs_and_programs(ward).await;
    an_organization_that_the_channel_does_not_know(ward).await;
}

async fn the_folder_itself(ward: &Ward) {
    let root = ward.root();
    let mut damage = Damage::none();
    // Another operator: the same lock, and who has it.
    let lock = fs::OpenOptions::new().read(true).write(true).open(root.join("lock")).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    fs::write(root.join("lock"), std::process::id().to_string()).unwrap();
    assert!(lock.metadata().unwrap().ino() > 0);
    // An apply that was interrupted notes where it leads to.
    let marker = fs::read_to_string(root.join("network.json")).unwrap();
    let mut marker: serde_json::Value = serde_json::from_str(&marker).unwrap();
    marker["applying"] = marker["consortium"].clone();
    damage.write(root.join("network.json"), marker.to_string());
    let address = format!("127.0.0.1:{}", ward.port(NORTH, "listen"));
    damage.edit(root.join("profiles/north.json"), &address, "127.0.0.1:1");
    let certificate = ward.keys(SOUTH).join("tls/server.crt");
    damage.copy(&certificate, certificate.with_file_name("server.crt.next"));
    let mut checkup = ward.checkup.clone();
    checkup.disk_free_bytes_min = u64::MAX;
    ward.finds_by(
        &ward.network,
        &checkup,
        &[
            (Code::FolderLocked, None),
            (Code::ApplyUnfinished, None),
            (Code::RenewalUnfinished, Some(SOUTH)),
            (Code::DiskAlmostFull, None),
            (Code::ProfileStale, Some("north")),
        ],
    )
    .await;
    drop(lock);
    damage.undo();
    ward.finds(&[]).await;
}

async fn configurations_and_ledgers(ward: &Ward) {
    let root = ward.root();
    let mut damage = Damage::none();
    let block = root.join("channel/consortium.block");
    damage.write(&block, of_another_channel(&fs::read(&block).unwrap()));
    damage.edit(ward.node(ORDERERS[1]).join("data/owner.json"), ORDERERS[1], ORDERERS[2]);
    // An absent key is off, and Fabric says nothing.
    let core = fs::read_to_string(ward.node(NORTH).join("core.yaml")).unwrap();
    let kept: Vec<&str> =
        core.lines().filter(|line| !line.trim_start().starts_with("enableHistoryDatabase")).collect();
    damage.write(ward.node(NORTH).join("core.yaml"), kept.join("\n"));
    damage.edit(ward.node(SOUTH).join("core.yaml"), "SouthMSP", "NorthMSP");
    let itself = std::env::current_exe().unwrap();
    damage.edit(ward.node(NORTH).join("builder/bin/detect"), &itself.display().to_string(), "/gone/builder");
    let builds = ward.node(SOUTH).join("data/externalbuilder/builds");
    let connection = super::only_file(&builds).join("release/chaincode/server/connection.json");
    let address = format!("127.0.0.1:{}", ward.port(SOUTHS_CHAINCODE, "listen"));
    damage.edit(&connection, &address, "127.0.0.1:1");
    ward.finds(&[
        (Code::BuilderMissing, Some(NORTH)),
        (Code::MspIdWrong, Some(SOUTH)),
        (Code::GenesisForeign, None),
        (Code::LedgerForeign, Some(ORDERERS[1])),
        (Code::SettingOff, Some(NORTH)),
        (Code::BuildStale, Some(SOUTH)),
    ])
    .await;
    // Standing it up meets the same causes, before anything is touched.
    let before = ward.network.supervisor().marked();
    let error = ward.network.up(&ward.options, &say).await.unwrap_err();
    let UpError::Obstacles(obstacles) = &error else { panic!("{}", told(&error)) };
    let codes: Vec<Code> = obstacles.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::GenesisForeign, Code::LedgerForeign], "{}", told(&error));
    assert!(told(&error).contains("what helps"), "{}", told(&error));
    assert_eq!(ward.network.supervisor().marked(), before);
    damage.undo();
    ward.finds(&[]).await;
}

/// The block with another channel's name in its header.
fn of_another_channel(block: &[u8]) -> Vec<u8> {
    let mut block = Block::decode(block).unwrap();
    let data = &mut block.data.as_mut().unwrap().data[0];
    let mut envelope = Envelope::decode(data.as_slice()).unwrap();
    let mut payload = Payload::decode(envelope.payload.as_slice()).unwrap();
    let header = payload.header.as_mut().unwrap();
    let mut channel = ChannelHeader::decode(header.channel_header.as_slice()).unwrap();
    channel.channel_id = "elsewhere".to_owned();
    header.channel_header = channel.encode_to_vec();
    envelope.payload = payload.encode_to_vec();
    *data = envelope.encode_to_vec();
    block.encode_to_vec()
}

/// A spec with another MSP id than the channel has: nothing of that organisation can be asked.
async fn an_organization_that_the_channel_does_not_know(ward: &Ward) {
    let mistyped = ward.spec().to_toml().unwrap().replace("SouthMSP", "SudMSP");
    let network = Network::new(ward.root(), Consortium::parse(&mistyped).unwrap()).unwrap();
    ward.finds_by(
        &network,
        &ward.checkup,
        &[
            (Code::SpecEdited, None),
            (Code::ProfileStale, Some("south")),
            (Code::MspIdWrong, Some("south")),
            (Code::MspIdWrong, Some(SOUTH)),
            (Code::LedgerForeign, Some(SOUTH)),
        ],
    )
    .await;
}

async fn specs_and_programs(ward: &Ward) {
    let file = ward.root().join("wanted.toml");
    let document = ward.spec().to_toml().unwrap();
    let other: Version =
        if ward.spec().fabric.is_v3() { Version::new(2, 5, 9) } else { Version::new(3, 1, 1) };
    let found = |spec: Option<&str>, search: Search, expected: Vec<(Code, Option<&'static str>)>| {
        let mut checkup = ward.checkup.clone();
        checkup.binaries = Some(search);
        checkup.spec = spec.map(|document| {
            fs::write(&file, document).unwrap();
            file.clone()
        });
        async move { ward.finds_by(&ward.network, &checkup, &expected).await }
    };
    let usual = Search::from_environment(ward.spec().fabric, cache_dir());
    found(Some(&document), usual.clone(), vec![]).await;

    let edited = document.replacen("timeout_ms = 200", "timeout_ms = 300", 1);
    let of_other = Search { folder: Some(programs_of(&other.to_string())), ..usual.clone() };
    found(Some(&edited), of_other, vec![(Code::SpecEdited, None), (Code::VersionWrong, None)]).await;

    // Neither programs nor Go are to be found on an empty path, with an empty cache.
    let empty = tempfile::tempdir().unwrap();
    let nowhere = Search {
        fabric_bin: None,
        path: Some(empty.path().into()),
        cache_dir: empty.path().to_owned(),
        ..usual.clone()
    };
    let bft = document.replacen("\"raft\"", "\"bft\"", 1).replacen(
        &format!("fabric = \"{}\"", ward.spec().fabric),
        "fabric = \"3.1.1\"",
        1,
    );
    found(Some(&bft), nowhere, vec![(Code::BftTooFew, None), (Code::ProgramsMissing, None)]).await;

    let policy = document.replacen(
        "[chaincode]",
        "[chaincode]\nendorsement = \"AND('SouthMSP.peer', 'SouthMSP.peer')\"",
        1,
    );
    found(Some(&policy), usual.clone(), vec![(Code::PolicyUnsatisfiable, None)]).await;
    found(Some("fabric = 7"), usual, vec![(Code::SpecInvalid, None)]).await;
    fs::remove_file(&file).unwrap();
}

/// Processes of a folder that was removed are found by the path that it had.
pub(super) async fn of_a_removed_folder(ward: &Ward) {
    let away = ward.root().with_extension("away");
    fs::rename(ward.root(), &away).unwrap();
    let removed = Network::new(ward.root(), ward.spec().clone()).unwrap();
    let expected: Vec<(Code, Option<&str>)> =
        every_process().map(|name| (Code::ProcessOrphaned, Some(name))).collect();
    ward.finds_by(&removed, &ward.checkup, &expected).await;
    fs::rename(&away, ward.root()).unwrap();
    ward.finds(&[]).await;
}

/// A copied file of ports leads to the network that it was copied from.
pub(super) async fn of_another_network(ward: &Ward, bench: &Bench) {
    let folder = bench.folder.with_extension("copy");
    fs::create_dir_all(&folder).unwrap();
    for file in ["network.json", "ports.json"] {
        fs::copy(ward.root().join(file), folder.join(file)).unwrap();
    }
    let copy = Network::existing(&folder).unwrap();
    let expected: Vec<(Code, Option<&str>)> =
        every_process().map(|name| (Code::PortsForeign, Some(name))).collect();
    ward.finds_by(&copy, &ward.checkup, &expected).await;
    let seen = &copy.doctor(&ward.checkup).await.unwrap()[0].evidence;
    assert!(seen.contains(&ward.root().display().to_string()), "{seen}");
    fs::remove_dir_all(&folder).unwrap();
}

fn every_process() -> impl Iterator<Item = &'static str> {
    ORDERERS.into_iter().chain([NORTH, SOUTH, NORTHS_CHAINCODE, SOUTHS_CHAINCODE])
}

/// What needs no running network is found on a stopped one.
pub(super) async fn of_a_stopped_network(ward: &Ward) {
    ward.finds(&[(Code::NetworkStopped, None)]).await;
    let mut damage = Damage::none();
    damage.copy(ward.keys(ORDERERS[0]).join("tls/server.key"), ward.keys(ORDERERS[1]).join("tls/server.key"));
    damage.edit(ward.node(SOUTH).join("core.yaml"), "SouthMSP", "NorthMSP");
    ward.finds(&[
        (Code::KeyMismatch, Some(ORDERERS[1])),
        (Code::MspIdWrong, Some(SOUTH)),
        (Code::NetworkStopped, None),
    ])
    .await;
    let error = ward.network.up(&ward.options, &say).await.unwrap_err();
    assert!(matches!(&error, UpError::Obstacles(_)), "{}", told(&error));
    assert!(ward.network.supervisor().marked().is_empty(), "nothing was started");
    damage.undo();
    let mut patient = ward.checkup.clone();
    patient.patience = Checkup::default().patience;
    ward.finds_by(&ward.network, &patient, &[(Code::NetworkStopped, None)]).await;
}
