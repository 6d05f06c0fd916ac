//! The same logic on the official Go shim and on this one, driven by one peer: replies, events and
//! read-write sets are the same bytes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hlf_chaincode::{DialConfig, Limits, composite_key, dial};
use hlf_testpeer::{
    CallReply, Creator, ListeningPeer, Outcome, PrivateCollection, Proposal, TestPeer, TestPeerBuilder,
};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

use crate::every_operation::EveryOperation;

/// Long enough for any machine; a build that is cached takes a second.
const DEADLINE: Duration = Duration::from_secs(60);

/// Builds the Go chaincode beside cargo's own files: another checkout has its own. Go keeps what it compiled.
async fn go_chaincode() -> &'static Path {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    BUILT
        .get_or_init(|| async {
            let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/go/every-operation");
            let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("every-operation");
            let built = Command::new("go")
                .args(["build", "-mod=readonly", "-o"])
                .arg(&program)
                .arg(".")
                .current_dir(&module)
                .stdin(Stdio::null())
                .output()
                .await
                .expect("this test needs Go 1.24 or later on the PATH: install it from https://go.dev/dl");
            let words = String::from_utf8_lossy(&built.stderr);
            assert!(built.status.success(), "`go build` failed in {}:\n{words}", module.display());
            program
        })
        .await
}

async fn accept(listening: ListeningPeer) -> TestPeer {
    let accepted = tokio::time::timeout(DEADLINE, listening.accept()).await;
    accepted.expect("the chaincode did not dial in time").unwrap()
}

async fn on_go(builder: TestPeerBuilder) -> (TestPeer, Child) {
    let listening = builder.listen().await.unwrap();
    let chaincode = Command::new(go_chaincode().await)
        .arg("-peer.address")
        .arg(listening.address().to_string())
        .env("CORE_CHAINCODE_ID_NAME", "every:1")
        .env("CORE_PEER_TLS_ENABLED", "false")
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    (accept(listening).await, chaincode)
}

async fn on_ours(builder: TestPeerBuilder) -> TestPeer {
    let listening = builder.listen().await.unwrap();
    let config = DialConfig {
        package_id: "every:1".into(),
        peer_address: listening.address().to_string(),
        tls: None,
        peer_msp_id: None,
        metrics_address: None,
        limits: Limits::default(),
        strict: false,
    };
    tokio::spawn(dial(config, EveryOperation, std::future::pending()));
    accept(listening).await
}

fn builder(batching: bool) -> TestPeerBuilder {
    let sizes = batching.then_some(100);
    TestPeer::builder()
        .chaincode("every")
        .write_batch(sizes)
        .multi_get(sizes)
        .record_messages()
        .collection(PrivateCollection::new("prices").members(["NorthMSP", "SouthMSP"]))
        .decoration("site", "one")
        .rich_query(|query, _, value| value == query.as_bytes())
        .other_chaincode("tokens", |call| match call.args.first().map(Vec::as_slice) {
            Some(b"Pay") => CallReply::ok(format!("{} {}", call.channel, call.args.len())),
            _ => CallReply::error(404, "UNKNOWN"),
        })
}

/// Each becomes a block on both sides, so that later ones read what earlier ones wrote.
fn scripts() -> Vec<Value> {
    let lot = |parts: &[&str]| composite_key("lot", parts).unwrap();
    let many: Vec<_> =
        (0..250).map(|n| json!({"op": "put", "key": format!("m{n:03}"), "value": "many"})).collect();
    let mut scripts = vec![json!(many)];
    // Left before the first result, within a page of a hundred, at its end, in the next page, and at the end;
    // more than one open at a time, in turn with reads.
    for op in ["first_query", "first", "first_history"] {
        let upto = |size: u16| json!({"op": op, "key": if op == "first_history" { "m000" } else { "" }, "value": if op == "first_query" { "many" } else { "" }, "size": size});
        scripts.extend([1, 99, 100, 101, 150, 251, 300].map(|size| json!([upto(size)])));
        scripts.push(json!([upto(1), upto(150), {"op": "get", "key": "m000"}, upto(0), upto(3)]));
    }
    scripts.extend(
        [1, 2, 100, 249, 250, 251]
            .map(|size: u16| json!([{"op": "query_page", "key": "many", "size": size}])),
    );
    scripts.push(json!([{"op": "query_page", "key": "many", "size": 100, "value": "m200"}, {"op": "query_page", "key": "none", "size": 5}]));
    for collection in ["", "prices", "_implicit_org_NorthMSP"] {
        let with = |mut operations: Value| {
            for operation in operations.as_array_mut().unwrap() {
                operation["collection"] = json!(collection);
            }
            operations
        };
        scripts.extend([
            with(json!([
                {"op": "put", "key": "b", "value": "1"}, {"op": "put", "key": "a", "value": "1"},
                {"op": "delete", "key": "b"}, {"op": "put", "key": "c", "value": "ü\u{0}"},
                {"op": "put", "key": "a", "value": "2"}, {"op": "delete", "key": "absent"},
                {"op": "put", "key": lot(&["north", "7"]), "value": "x"},
                {"op": "put", "key": lot(&["north", ""]), "value": "y"},
                {"op": "put", "key": lot(&["south", "1"]), "value": "z"},
                {"op": "set_policy", "key": "a", "keys": ["SouthMSP", "NorthMSP"]},
            ])),
            with(json!([
                {"op": "get", "key": "a"}, {"op": "get", "key": "absent"},
                {"op": "get_many", "keys": ["c", "absent", "a", "b"]},
                {"op": "policy", "key": "a"}, {"op": "policy", "key": "c"}, {"op": "policy", "key": "absent"},
                {"op": "put", "key": "d", "value": "after reading"},
            ])),
            with(json!([
                {"op": "range"}, {"op": "range", "key": "a", "value": "c"}, {"op": "range", "key": "z", "value": "a"},
                {"op": "partial", "key": "lot", "keys": ["north"]}, {"op": "partial", "key": "lot"},
                {"op": "partial", "key": "none"}, {"op": "query", "value": "2"}, {"op": "query", "value": "nothing"},
            ])),
            with(json!([{"op": "clear_policy", "key": "a"}, {"op": "delete", "key": "c"}])),
            with(json!([{"op": "policy", "key": "a"}, {"op": "get", "key": "c"}])),
        ]);
        if !collection.is_empty() {
            scripts.extend([
                with(json!([{"op": "hash", "key": "a"}, {"op": "hash", "key": "absent"}])),
                with(json!([{"op": "purge", "key": "a"}, {"op": "purge", "key": "absent"}])),
                with(json!([{"op": "hash", "key": "a"}, {"op": "get", "key": "a"}])),
            ]);
        }
    }
    scripts.extend([
        json!([{"op": "put", "key": "a", "value": "3"}, {"op": "event", "key": "changed", "value": "a"},
               {"op": "event", "key": "changed", "value": "a again"}]),
        json!([{"op": "history", "key": "a"}, {"op": "history", "key": "b"}, {"op": "history", "key": "absent"}]),
        json!([{"op": "range_page", "size": 100}, {"op": "range_page", "size": 7, "value": "m200"},
               {"op": "partial_page", "key": "lot", "keys": ["north"], "size": 1},
               {"op": "partial_page", "key": "lot", "size": 10}, {"op": "composite_page", "size": 2},
               {"op": "query_page", "key": "many", "size": 3}]),
        json!([{"op": "composite", "key": "lot", "keys": ["north", "", "ü"]}, {"op": "composite", "key": "lot"}]),
        json!([{"op": "call", "key": "tokens", "keys": ["Pay", "7"]},
               {"op": "call", "key": "tokens", "keys": ["Pay"], "value": "other"},
               {"op": "call", "key": "tokens", "keys": ["Steal"]}, {"op": "put", "key": "paid", "value": "1"}]),
        json!([{"op": "facts"}]),
        json!([{"op": "get", "key": "a"}, {"op": "fail", "value": "NO"}]),
        json!([{"op": "event"}]),
        json!([{"op": "put", "value": "a key without characters"}]),
        json!([{"op": "get", "key": "k", "collection": "absent"}]),
        json!("no list"),
    ]);
    scripts
}

fn compare(script: &Value, go: &Outcome, ours: &Outcome) {
    let said = || format!("{script}\nGo:\n{go}ours:\n{ours}");
    assert_eq!(go.status, ours.status, "{}", said());
    assert_eq!(go.message, ours.message, "{}", said());
    assert_eq!(go.payload, ours.payload, "{}", said());
    assert_eq!(go.event, ours.event, "{}", said());
    assert_eq!(go.calls, ours.calls, "{}", said());
    if go.is_ok() {
        assert_eq!(go.rwset.endorsed_bytes("every"), ours.rwset.endorsed_bytes("every"), "{}", said());
    }
    // Writes differ: the Go shim sends batches in the order of a hash map, or each write when it is made.
    if go.rwset.writes.is_empty() && !go.requests.iter().any(|request| WRITES.contains(request)) {
        assert_eq!(go.requests, ours.requests, "{}", said());
        assert_eq!(go.messages, ours.messages, "{}", said());
    }
}

/// Requests that write.
const WRITES: [&str; 5] =
    ["PUT_STATE", "DEL_STATE", "PURGE_PRIVATE_DATA", "PUT_STATE_METADATA", "WRITE_BATCH_STATE"];

#[tokio::test]
async fn a_rich_query_on_leveldb_is_refused_in_the_peers_words_to_both() {
    let leveldb = || TestPeer::builder().chaincode("every").record_messages();
    let (go, _chaincode) = on_go(leveldb()).await;
    let ours = on_ours(leveldb()).await;
    for size in [0, 3] {
        let op = json!([{"op": "refusal", "value": "{}", "size": size}]);
        let proposal = Proposal::new(clerk(), "Run").json(&op).unwrap();
        let (go, ours) = (go.invoke(&proposal).await.unwrap(), ours.invoke(&proposal).await.unwrap());
        compare(&op, &go, &ours);
        let words = format!(
            "GET_QUERY_RESULT failed: transaction ID: {}: ExecuteQuery not supported for leveldb",
            ours.tx_id
        );
        assert_eq!((ours.status, ours.payload.as_slice()), (200, words.as_bytes()));
        assert_eq!(ours.requests, ["GET_QUERY_RESULT"]);
    }
}

fn clerk() -> Vec<u8> {
    Creator::builder("NorthMSP")
        .common_name("clerk")
        .organizational_unit("client")
        .attribute("role", "clerk")
        .build()
        .unwrap()
        .serialized()
}

/// The Go shim closes what the peer has already closed with the last results: a round trip that ours saves.
#[tokio::test]
async fn a_scan_left_among_its_last_results_is_closed_by_the_go_shim_only() {
    let (go, _chaincode) = on_go(builder(true)).await;
    let ours = on_ours(builder(true)).await;
    let many: Vec<_> =
        (0..250).map(|n| json!({"op": "put", "key": format!("m{n:03}"), "value": "many"})).collect();
    let put = Proposal::new(clerk(), "Run").json(&many).unwrap();
    assert!(go.submit(&put).await.unwrap().is_valid() && ours.submit(&put).await.unwrap().is_valid());
    for size in [200, 201, 249] {
        let left = json!([{"op": "first", "size": size}]);
        let proposal = Proposal::new(clerk(), "Run").json(&left).unwrap();
        let (go, ours) = (go.invoke(&proposal).await.unwrap(), ours.invoke(&proposal).await.unwrap());
        assert_eq!(ours.requests, ["GET_STATE_BY_RANGE", "QUERY_STATE_NEXT", "QUERY_STATE_NEXT"]);
        assert_eq!(go.requests, [ours.requests.as_slice(), &["QUERY_STATE_CLOSE"]].concat());
        assert_eq!(go.payload, ours.payload);
        assert_eq!(go.rwset.endorsed_bytes("every"), ours.rwset.endorsed_bytes("every"));
    }
}

async fn drive(batching: bool) {
    let (go, _chaincode) = on_go(builder(batching)).await;
    let ours = on_ours(builder(batching)).await;
    assert_eq!((go.package_id(), ours.package_id()), ("every:1", "every:1"));
    let clerk = clerk();
    let init = Proposal::new(clerk.clone(), "Init").init();
    compare(
        &json!("init"),
        &go.submit(&init).await.unwrap().outcome,
        &ours.submit(&init).await.unwrap().outcome,
    );
    let mut succeeded = 0;
    for script in scripts() {
        let proposal = Proposal::new(clerk.clone(), "Run")
            .json(&script)
            .unwrap()
            .transient("price", "7")
            .transient("a", "");
        let (go, ours) = (go.submit(&proposal).await.unwrap(), ours.submit(&proposal).await.unwrap());
        compare(&script, &go.outcome, &ours.outcome);
        assert_eq!((go.validity, go.block), (ours.validity, ours.block), "{script}");
        succeeded += usize::from(go.is_valid());
    }
    assert_eq!(succeeded, scripts().len() - 5, "all but the last five succeed");
}

#[tokio::test]
async fn endorses_the_same_bytes_with_batches() {
    drive(true).await;
}

#[tokio::test]
async fn endorses_the_same_bytes_without_batches() {
    drive(false).await;
}
