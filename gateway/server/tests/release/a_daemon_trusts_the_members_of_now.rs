use std::time::Duration;

use caretrail_model::hash::sha256;
use caretrail_model::ids::{RecordId, TxId};
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_records::Failure;
use caretrail_records::release::blob_path;
use reqwest::Client;
use serde_json::Value;

use crate::a_daemon_says_whether_it_can_release::ask;
use crate::consortium::{Consortium, Running, msp, until};

/// What the daemon says about whom it trusts.
async fn trust(daemon: &Running) -> Value {
    let (status, body) = ask(&format!("http://{}/readyz", daemon.health)).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["ready"], status == 200);
    body["checks"]["trust"]["code"].clone()
}

async fn reaches(client: &Client, daemon: &Running) -> bool {
    client.get(format!("https://localhost:{}/livez", daemon.address.port())).send().await.is_ok()
}

#[tokio::test]
async fn a_hospital_that_is_expelled_trusts_nobody_until_it_is_back() {
    let consortium = Consortium::new().await;
    let daemon = consortium.daemon().await;
    assert_eq!(trust(&daemon).await, Value::Null);
    assert!(reaches(&consortium.http(), &daemon).await);

    let expel = |policy: &mut ConsortiumPolicy| policy.members[0].msp_id = msp("EastMSP");
    consortium.change(expel).await;
    until(async || trust(&daemon).await == "TRUSTS_NOBODY").await;
    assert!(!reaches(&consortium.http(), &daemon).await);

    consortium.change_by(["EastMSP", "SouthMSP"], 3, |_| {}).await;
    until(async || trust(&daemon).await == Value::Null).await;
    assert!(reaches(&consortium.http(), &daemon).await);
    assert!(daemon.stop().await.in_time);
}

#[tokio::test]
async fn a_policy_whose_authorities_are_not_at_hand_leaves_nobody_to_trust() {
    let consortium = Consortium::new().await;
    let daemon = consortium.daemon().await;
    let replace = |policy: &mut ConsortiumPolicy| {
        for member in &mut policy.members {
            member.daemon.tls_ca_digest = sha256(member.msp_id.as_str().as_bytes());
        }
    };
    consortium.change(replace).await;
    until(async || trust(&daemon).await == "TRUSTS_NOBODY").await;
    assert!(!reaches(&consortium.http(), &daemon).await);
    assert!(daemon.stop().await.in_time);
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_changes_nothing_and_is_told() {
    let consortium = Consortium::new().await;
    let daemon = consortium.daemon().await;
    consortium.gateway.go_deaf();
    until(async || trust(&daemon).await == "POLICY_UNREADABLE").await;
    assert!(reaches(&consortium.http(), &daemon).await);
    consortium.gateway.listen();
    until(async || trust(&daemon).await == Value::Null).await;
    assert!(daemon.stop().await.in_time);
}

#[tokio::test]
async fn a_connection_does_not_outlive_its_hospitals_membership() {
    let consortium = Consortium::new().await;
    let mut config = consortium.config();
    // For so long a connection may be idle.
    config.limits.handshake_timeout = Duration::from_secs(600);
    let daemon = consortium.daemon_with(config).await;
    let http = consortium.http();
    let url = format!("https://localhost:{}", daemon.address.port());
    let blob = blob_path(&TxId::from_bytes([9; 32]), &RecordId::from_bytes([9; 16]));
    // One connection serves all of these: after the change no other could be made.
    let fetched = async || {
        let answer = http.get(format!("{url}{blob}")).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Failure>().await.unwrap().code)
    };
    assert_eq!(fetched().await, (404, "RELEASE_UNKNOWN".to_owned()));
    let replace = |policy: &mut ConsortiumPolicy| policy.members[1].daemon.tls_ca_digest = sha256(b"another");
    consortium.change(replace).await;
    until(async || fetched().await == (403, "HOSPITAL_FOREIGN".to_owned())).await;
    let asked = http.post(format!("{url}/v1/releases")).body("{}").send().await.unwrap();
    assert_eq!(asked.json::<Failure>().await.unwrap().code, "HOSPITAL_FOREIGN");
    assert!(!reaches(&consortium.http(), &daemon).await);
    assert!(daemon.stop().await.in_time);
}
