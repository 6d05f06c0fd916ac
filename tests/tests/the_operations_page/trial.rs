//! One operator who tries everything out, section by section.

use std::fs;
use std::process::Stdio;

use caretrail_tests::processes;
use caretrail_tests::stage::Stage;
use caretrail_tests::telling::World;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::page::{Operator, blocks};

pub(crate) struct Trial {
    pub(crate) operator: Operator,
}

impl World for Trial {
    async fn stand_up(stage: &Stage) -> Self {
        Self { operator: Operator::of_all(stage).await }
    }
}

impl Trial {
    async fn section(&mut self, section: &str) -> String {
        self.operator.section("trial", section).await
    }

    async fn status(&self) -> Value {
        self.operator.data("caretrail network status").await
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.operator.folder().join(file)).unwrap()
    }
}

pub(crate) async fn the_first_day(trial: &mut Trial) {
    trial.section("The first day").await;
    let status = trial.status().await;
    assert_eq!(status["ready"], true);
    assert_eq!(status["nodes"].as_array().unwrap().len(), 3 + 2 + 2);
    let height = status["nodes"][0]["height"].as_u64().unwrap();

    let said = trial.section("Fabric's own tools and clients").await;
    assert!(said.contains(&format!("Blockchain info: {{\"height\":{height},")), "{said}");
    let profile = trial.text("north.connection.json");
    assert!(profile.contains("peer0.north.example.com") && !profile.contains("PRIVATE KEY"), "{profile}");
}

pub(crate) async fn the_network_grows(trial: &mut Trial) {
    let said = trial.section("A network that grows and shrinks").await;
    let planned = "a block waits 150 ms at most, and holds 500 transactions";
    assert!(said.contains(planned), "{said}");
    let status = trial.status().await;
    assert_eq!(status["ready"], true);
    assert_eq!(named(&status["nodes"], "peer1.north.example.com")["problem"], Value::Null);
    let plan = trial.operator.data("caretrail network plan --spec wanted.toml").await;
    assert_eq!(plan["changes"], 0, "{plan}");
}

pub(crate) async fn proposals_change_the_channels_rules(trial: &mut Trial) {
    let said = trial.section("Proposals").await;
    for expected in [
        "/Channel/Orderer/BatchSize max_message_count    500      200",
        "OrdererMSP.admin",
        "MAJORITY of Endorsement",
        "ALL of Endorsement",
        "/Channel/Application/BlockReaders",
        "2 of (NorthMSP.admin, SouthMSP.admin)",
    ] {
        assert!(said.contains(expected), "no `{expected}` in {said}");
    }
    // It is in force: the same once more is no change.
    let again = "caretrail network change propose again.json --title Again --max-message-count 200";
    let (exit, _, said) = trial.operator.line("", again).await;
    assert!(exit == 3 && said.contains("the channel is like that already"), "{said}");
    // A capability that all nodes know is in force already, a lower or unknown one is refused.
    for (capability, expected) in [
        ("Channel=V3_0", "like that already"),
        ("Application=V2_0", "cannot go back to a lower capability"),
        ("Application=V9_0", "has no capability `V9_0`"),
    ] {
        let line =
            format!("caretrail network change propose no.json --title Capability --capability {capability}");
        let (exit, _, said) = trial.operator.line("", &line).await;
        assert!(exit == 3 && said.contains(expected), "{capability}: {said}");
    }
    assert!(!trial.operator.folder().join("no.json").exists());
}

pub(crate) async fn certificates_are_renewed_requested_and_revoked(trial: &mut Trial) {
    let before = trial.text(PEER_CERTIFICATE);
    // What the page takes for granted there: a root, and a lower authority that it certified.
    trial.operator.authority("").await;
    let said = trial.section("Certificates").await;
    assert!(said.contains("refused_by  3"), "{said}");
    assert_ne!(trial.text(PEER_CERTIFICATE), before, "it was renewed with a new key");
    let certificates = trial.operator.data("caretrail network certificates").await;
    let tls = certificates["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .find(|found| found["name"] == "peer0.north.example.com" && found["kind"] == "node_tls")
        .unwrap_or_else(|| panic!("{certificates}"));
    assert!(tls["days"].as_u64().unwrap() <= 365, "the authority elsewhere made it: {tls}");
    assert_eq!(trial.status().await["ready"], true);
}

const PEER_CERTIFICATE: &str = ".caretrail/network/organizations/peerOrganizations/north.example.com/peers/\
     peer0.north.example.com/msp/signcerts/peer0.north.example.com-cert.pem";

pub(crate) async fn a_backup_comes_back(trial: &mut Trial) {
    let before = trial.status().await;
    let said = trial.section("Backup and restore").await;
    assert!(said.contains("differences      -"), "{said}");
    let after = trial.status().await;
    assert_eq!(after["ready"], true);
    for node in before["nodes"].as_array().unwrap() {
        let again = named(&after["nodes"], node["name"].as_str().unwrap());
        assert!(again["height"].as_u64() >= node["height"].as_u64(), "{again} was {node}");
    }
    let compared = trial.operator.data("caretrail network backup compare --with backups/monday").await;
    assert_eq!(compared["differences"].as_array().map(Vec::len), Some(0), "{compared}");
    assert_eq!(compared["peers"].as_array().map(Vec::len), Some(3), "{compared}");
    // One organisation's own is held against the same peers.
    let north = trial.operator.data("caretrail network backup verify backups/north").await;
    assert_eq!(north["whose"], "north");
    fs::remove_dir_all(trial.operator.folder().join("lost")).unwrap();
}

pub(crate) async fn peers_join_by_a_snapshot(trial: &mut Trial) {
    trial.section("A peer from a snapshot").await;
    let compared = trial.operator.data("caretrail network backup compare").await;
    let peer = named(&compared["peers"], "peer1.south.example.com");
    assert!(peer["first_block"].as_u64().unwrap() > 0, "it has no block from before: {compared}");
    assert_eq!(compared["differences"].as_array().map(Vec::len), Some(0), "{compared}");
    assert_eq!(trial.status().await["ready"], true);
}

pub(crate) async fn the_contract_changes(trial: &mut Trial) {
    let said = trial.section("The contract, changed while it is used").await;
    for expected in ["SouthMSP  false", "sequence  3", "new_on_peers  2"] {
        assert!(said.contains(expected), "no `{expected}` in {said}");
    }
    let status = trial.status().await;
    assert_eq!(status["chaincode"]["committed_sequence"], 3, "{status}");
    let id = status["chaincode"]["package_id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("caretrail_3:"), "{id}");
    // Fabric's own program calculates the same of the file.
    let script = "eval \"$(caretrail network env south)\"; peer lifecycle chaincode calculatepackageid caretrail_3.tar.gz";
    let (exit, data, said) = trial.operator.line("", script).await;
    assert!(exit == 0 && data.trim() == id, "{id}: {data}{said}");
}

pub(crate) async fn looking_finds_what_the_page_did(trial: &mut Trial) {
    let said = trial.section("Looking").await;
    assert!(said.contains("hlf_network_up{"), "{said}");
    assert!(trial.text("prometheus.yml").contains("127.0.0.1:9464"));
    let dashboard: Value = serde_json::from_str(&trial.text("grafana.json")).unwrap();
    assert!(dashboard["panels"].as_array().is_some_and(|panels| !panels.is_empty()));
    let said = trial.section("Bad days").await;
    // The page revoked the auditor, and nothing else is wrong.
    let json = said.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{said}"));
    let found: Value = serde_json::from_str(json).unwrap();
    let codes: Vec<&str> =
        found["findings"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["certificate-revoked"], "{said}");
}

pub(crate) async fn the_exporter_answers(trial: &mut Trial) {
    let mut exporter = trial.operator.shell("", "exec caretrail network exporter --listen 127.0.0.1:0");
    let mut exporter = exporter.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(exporter.stderr.take().unwrap()).lines();
    let address = loop {
        let line = said.next_line().await.unwrap().expect("a line with its address");
        if let Some((_, rest)) = line.split_once("http://") {
            break rest.split_once('/').unwrap().0.to_owned();
        }
    };
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("hlf_network_up{"), "{answer}");
    exporter.kill().await.unwrap();
}

pub(crate) async fn units_are_written(trial: &mut Trial) {
    let said = trial.section("On real machines").await;
    assert!(said.contains("addresses of this machine alone"), "{said}");
    assert!(trial.text("north-units/README.md").contains("systemctl"));
    let (exit, data, _) = trial.operator.line("", "find north-units -name '*.service' | wc -l").await;
    assert!(exit == 0 && data.trim() == "3", "two peers and the chaincode's service: {data}");
}

pub(crate) async fn a_fix_is_what_an_operator_types(trial: &mut Trial) {
    let operator = &trial.operator;
    let tls = |name: &str| {
        format!(
            ".caretrail/network/organizations/peerOrganizations/{name}.example.com/peers/peer0.{name}.example.com/tls"
        )
    };
    let (north, south) = (tls("north"), tls("south"));
    let spoil = format!("caretrail network down && cp -r {north} kept-tls && cp {south}/server.* {north}/");
    let (exit, _, said) = operator.line("", &spoil).await;
    assert_eq!(exit, 0, "{said}");
    let (exit, _, said) = operator.line("", "caretrail network up --format json").await;
    assert_eq!(exit, 1, "{said}");
    let error: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(error["code"], "TLS_ROOT_FOREIGN", "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("then: caretrail network up"), "{message}");
    let (exit, found, _) = operator.line("", "caretrail network doctor").await;
    assert!(exit == 1 && found.contains("tls-root-foreign"), "{found}");
    assert!(found.contains("caretrail network up") && !found.contains(": network "), "{found}");
    let mend = format!("cp kept-tls/server.* {north}/ && caretrail network up");
    let (exit, _, said) = operator.line("", &mend).await;
    assert_eq!(exit, 0, "{said}");
}

pub(crate) async fn nothing_is_left(trial: &mut Trial) {
    let operator = &trial.operator;
    let of_trial = blocks().iter().filter(|block| block.network == "trial").count();
    assert_eq!(operator.run, of_trial, "every block was run");
    let (exit, _, said) = operator.line("", "caretrail network destroy --yes-destroy records").await;
    assert_eq!(exit, 0, "{said}");
    assert_eq!(processes::marked(operator.folder()), [0_u32; 0]);
    assert!(!operator.folder().join(".caretrail/network").exists());
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let found = list.as_array().unwrap().iter().find(|one| one["name"] == name);
    found.unwrap_or_else(|| panic!("no `{name}` in {list}"))
}
