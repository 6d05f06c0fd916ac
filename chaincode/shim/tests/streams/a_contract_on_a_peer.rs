//! Contract functions against a peer that simulates and commits.

use crate::support::{Entry, Facts, Listed, PageOf, Running, clerk, shop};
use hlf_chaincode::{Config, composite_key};
use hlf_testpeer::{InvokeError, Proposal, TestPeer, TestPeerBuilder, Validity, serialized_identity};
use serde::Serialize;
use serde_json::{Value, json};

async fn connect(builder: TestPeerBuilder) -> (Running, TestPeer) {
    let service = Running::start(shop()).await;
    let peer = builder.connect(service.address).await.unwrap();
    (service, peer)
}

fn call(function: &str, argument: &impl Serialize) -> Proposal {
    Proposal::new(clerk(), function).json(argument).unwrap()
}

fn entries(pairs: &[(&str, &str)]) -> Vec<Entry> {
    pairs.iter().map(|(key, value)| Entry { key: (*key).into(), value: (*value).into() }).collect()
}

fn numbered(count: usize) -> Vec<Entry> {
    (0..count).map(|n| Entry { key: format!("k{n:04}"), value: n.to_string() }).collect()
}

#[tokio::test]
async fn one_multi_get_and_one_batch_are_two_round_trips() {
    let (_service, peer) = connect(TestPeer::builder().run_twice()).await;
    assert_eq!(peer.package_id(), "shop:1");
    let keys: Vec<_> = (0..100).map(|n| format!("k{n}")).collect();
    let touched = peer.submit(&call("Touch", &keys)).await.unwrap();
    assert!(touched.is_valid());
    assert_eq!(touched.outcome.requests, ["GET_STATE_MULTIPLE", "WRITE_BATCH_STATE"]);
    assert_eq!(touched.outcome.round_trips(), 2);
    assert_eq!((touched.outcome.rwset.reads.len(), touched.outcome.rwset.writes.len()), (100, 100));
    let event = touched.outcome.event.unwrap();
    assert_eq!((event.name.as_str(), event.payload), ("touched", keys.join(",").into_bytes()));
    assert_eq!(peer.ledger().value("channel", "k7"), Some(b"!".to_vec()));
}

#[tokio::test]
async fn a_fixed_number_of_keys_comes_as_an_array() {
    let (_service, peer) = connect(TestPeer::builder().run_twice()).await;
    peer.submit(&call("PutAll", &entries(&[("a", "1")]))).await.unwrap();
    let renamed = peer.submit(&call("Rename", &("a", "b"))).await.unwrap();
    assert_eq!(renamed.outcome.requests, ["GET_STATE_MULTIPLE", "WRITE_BATCH_STATE"]);
    assert_eq!(peer.ledger().keys("channel"), ["b"]);
    assert_eq!(peer.invoke(&call("Rename", &("a", "c"))).await.unwrap().message, "CANNOT_RENAME");
}

#[tokio::test]
async fn batches_and_multi_gets_split_exactly_at_the_size_the_peer_announced() {
    for (count, batch, multi) in [(9, 1, 1), (10, 1, 1), (11, 2, 2), (20, 2, 2), (21, 3, 3)] {
        let (_service, peer) = connect(TestPeer::builder().write_batch(Some(10)).multi_get(Some(10))).await;
        let put = peer.submit(&call("PutAll", &numbered(count))).await.unwrap();
        assert_eq!(put.outcome.requests, vec!["WRITE_BATCH_STATE"; batch], "{count} puts");
        assert_eq!(put.outcome.json::<u64>().unwrap(), 0, "nothing is sent before the contract has returned");
        let keys: Vec<_> = numbered(count).into_iter().map(|entry| entry.key).collect();
        let got = peer.invoke(&call("GetAll", &keys)).await.unwrap();
        assert_eq!(got.requests, vec!["GET_STATE_MULTIPLE"; multi], "{count} gets");
        let values: Vec<Option<String>> = got.json().unwrap();
        assert_eq!(values, (0..count).map(|n| Some(n.to_string())).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_peer_without_batches_gets_the_same_read_write_set() {
    let (_service, new) = connect(TestPeer::builder()).await;
    let (_service, old) = connect(TestPeer::builder().write_batch(None).multi_get(None)).await;
    let writes = entries(&[("b", "1"), ("a", "1"), ("b", ""), ("c", "2"), ("a", "3")]);
    let reads = ["c", "absent", "a", "b"];
    for (function, argument) in [("PutAll", json!(writes)), ("Touch", json!(reads)), ("GetAll", json!(reads))]
    {
        let proposal = call(function, &argument);
        let new = new.submit(&proposal).await.unwrap();
        let old = old.submit(&proposal).await.unwrap();
        assert_eq!(
            new.outcome.rwset.to_bytes(),
            old.outcome.rwset.to_bytes(),
            "{}{}",
            new.outcome,
            old.outcome
        );
        assert_eq!(new.outcome.payload, old.outcome.payload);
        assert!(old.is_valid() && new.is_valid());
    }
    let old = old.invoke(&call("PutAll", &writes)).await.unwrap();
    assert_eq!(
        old.requests,
        ["DEL_STATE", "PUT_STATE", "PUT_STATE"],
        "the contract's order, last write wins"
    );
    assert_eq!(old.rwset.writes.get("a"), Some(&Some(b"3".to_vec())));
    assert_eq!(old.rwset.writes.get("b"), Some(&None));
}

#[tokio::test]
async fn strict_mode_reports_reads_of_own_writes_and_the_ledger_never_shows_them() {
    let (_service, peer) = connect(TestPeer::builder()).await;
    let entry = Entry { key: "k".into(), value: "v".into() };
    for function in ["PutThenGet", "PutThenScan"] {
        let strict = peer.invoke(&call(function, &entry)).await.unwrap();
        assert_eq!((strict.status, strict.message.as_str()), (500, "READ_AFTER_WRITE"));
        assert!(strict.requests.is_empty());
    }
    let service = Running::with(Config { strict: false, ..Config::for_tests("shop:1") }, shop()).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    let lenient = peer.invoke(&call("PutThenGet", &entry)).await.unwrap();
    assert_eq!(lenient.json::<Option<String>>().unwrap(), None);
}

#[tokio::test]
async fn scans_cross_batches_of_a_hundred_and_never_show_composite_keys() {
    let (_service, peer) = connect(TestPeer::builder()).await;
    peer.submit(&call("PutAll", &numbered(250))).await.unwrap();
    peer.submit(&call("PutComposite", &["north", "1"])).await.unwrap();

    let all = peer.invoke(&call("Scan", &("", ""))).await.unwrap();
    let expected: Vec<_> = numbered(250).into_iter().map(|entry| entry.key).collect();
    assert_eq!(all.json::<Vec<String>>().unwrap(), expected);
    assert_eq!(all.requests, ["GET_STATE_BY_RANGE", "QUERY_STATE_NEXT", "QUERY_STATE_NEXT"]);
    assert!(all.rwset.ranges[0].exhausted && all.rwset.ranges[0].found.len() == 250);

    let part = peer.invoke(&call("Scan", &("k0010", "k0020"))).await.unwrap();
    assert_eq!(part.json::<Vec<String>>().unwrap(), expected[10..20]);
    let leak = peer.invoke(&call("Scan", &("\u{0}", ""))).await.unwrap();
    assert_eq!(leak.message, "KEY_INVALID");

    let some = peer.invoke(&call("ScanSome", &5)).await.unwrap();
    assert_eq!(some.requests, ["GET_STATE_BY_RANGE", "QUERY_STATE_CLOSE"]);
    assert!(!some.rwset.ranges[0].exhausted);
    let none = peer.invoke(&call("ScanSome", &1000)).await.unwrap();
    assert_eq!(none.requests.last(), Some(&"QUERY_STATE_NEXT"), "a scan at its end is closed already");
}

#[tokio::test]
async fn a_scan_that_the_peer_cuts_off_is_an_error() {
    let config = Config::for_tests("shop:1");
    let limits = hlf_chaincode::Limits { scan_entries: 150, ..config.limits.clone() };
    let service = Running::with(Config { limits, ..config }, shop()).await;
    let peer = TestPeer::builder().query_limit(150).connect(service.address).await.unwrap();
    peer.submit(&call("PutAll", &numbered(149))).await.unwrap();
    assert!(peer.invoke(&call("Scan", &("", ""))).await.unwrap().is_ok());
    peer.submit(&call("PutAll", &numbered(200))).await.unwrap();
    let cut = peer.invoke(&call("Scan", &("", ""))).await.unwrap();
    assert_eq!((cut.status, cut.message.as_str()), (500, "SCAN_TRUNCATED"));
}

#[tokio::test]
async fn pages_follow_their_bookmarks_and_refuse_those_of_other_ranges() {
    let (_service, peer) = connect(TestPeer::builder()).await;
    for (owner, count) in [("north", 5), ("northern", 1), ("south", 3)] {
        for n in 0..count {
            peer.submit(&call("PutComposite", &[owner.to_owned(), n.to_string()])).await.unwrap();
        }
    }
    let all = peer.invoke(&call("Lots", &["north"])).await.unwrap();
    let all: Vec<String> = all.json().unwrap();
    assert_eq!(all.len(), 5);
    assert_eq!(peer.invoke(&call("Lots", &json!([]))).await.unwrap().json::<Vec<String>>().unwrap().len(), 9);

    let page = |attributes: &[&str], size, bookmark: String| PageOf {
        attributes: attributes.iter().map(|part| (*part).to_owned()).collect(),
        size,
        bookmark,
    };
    for size in 1..=6 {
        let (mut keys, mut bookmark, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let outcome = peer.invoke(&call("LotsPage", &page(&["north"], size, bookmark))).await.unwrap();
            assert_eq!(outcome.requests, ["GET_STATE_BY_RANGE"]);
            let listed: Listed = outcome.json().unwrap();
            keys.extend(listed.keys);
            pages += 1;
            match listed.bookmark {
                Some(next) => bookmark = next,
                None => break,
            }
        }
        assert_eq!((keys, pages), (all.clone(), 5_usize.div_ceil(size.into())), "pages of {size}");
    }
    let foreign = [
        composite_key("lot", &["south", "0"]).unwrap(),
        composite_key("lot", &["nort", "z"]).unwrap(),
        "k".to_owned(),
        "\u{10FFFF}".to_owned(),
    ];
    for bookmark in foreign {
        let refused = peer.invoke(&call("LotsPage", &page(&["north"], 2, bookmark))).await.unwrap();
        assert_eq!((refused.status, refused.message.as_str()), (400, "BOOKMARK_INVALID"));
        assert!(refused.requests.is_empty(), "the peer is not asked");
    }
}

#[tokio::test]
async fn history_is_newest_first_with_deletions() {
    let (_service, peer) = connect(TestPeer::builder().clock_unix_ms(1_000)).await;
    for value in ["one", "two", ""] {
        peer.submit(&call("PutAll", &entries(&[("k", value)]))).await.unwrap();
        peer.advance_clock_ms(500);
    }
    let history = peer.invoke(&call("History", &"k")).await.unwrap();
    assert_eq!(history.json::<Value>().unwrap(), json!([[2000, null], [1500, "two"], [1000, "one"]]));
}

#[tokio::test]
async fn failures_and_panics_complete_with_their_code_and_write_nothing() {
    let (_service, peer) = connect(TestPeer::builder()).await;
    let entry = Entry { key: "k".into(), value: "v".into() };
    for (function, status, code) in [
        ("WriteAndFail", 409, "CONFLICT"),
        ("WriteAndPanic", 500, "CONTRACT_PANICKED"),
        ("Sneak", 500, "EVALUATE_WROTE"),
    ] {
        let failed = peer.submit(&call(function, &entry)).await.unwrap();
        assert_eq!((failed.outcome.status, failed.outcome.message.as_str()), (status, code));
        assert!(failed.validity.is_none() && failed.outcome.event.is_none());
        assert!(failed.outcome.requests.is_empty() && failed.outcome.rwset.writes.is_empty());
    }
    assert!(peer.submit(&call("PutAll", &[entry])).await.unwrap().is_valid(), "the service goes on");
}

#[tokio::test]
async fn calls_that_do_not_fit_get_fixed_codes() {
    let (_service, peer) = connect(TestPeer::builder()).await;
    let put = || Proposal::new(clerk(), "PutAll");
    let refused = [
        (Proposal::new(clerk(), "Absent"), 404, "FUNCTION_UNKNOWN"),
        (Proposal::new(clerk(), vec![0xff, 0xfe]), 404, "FUNCTION_UNKNOWN"),
        (Proposal::new(clerk(), "other:PutAll").arg("[]"), 404, "FUNCTION_UNKNOWN"),
        (put(), 400, "ARGUMENT_INVALID"),
        (put().arg("[]").arg("[]"), 400, "ARGUMENT_INVALID"),
        (put().arg(vec![0xff]), 400, "ARGUMENT_INVALID"),
        (put().arg(r#"[{"key":"k"}]"#), 400, "ARGUMENT_INVALID"),
        (put().arg(r#"[{"key":"k","value":"v","extra":1}]"#), 400, "ARGUMENT_INVALID"),
        (put().arg(r#"[{"key":"k","key":"l","value":"v"}]"#), 400, "ARGUMENT_INVALID"),
        (put().arg("[] []"), 400, "ARGUMENT_INVALID"),
        (put().arg("[".repeat(100_000)), 400, "ARGUMENT_INVALID"),
        (put().arg(r#"[{"key":"","value":"v"}]"#), 400, "KEY_INVALID"),
        (put().arg("[]").timestamp_unix_ms(0), 400, "TIMESTAMP_REFUSED"),
        (Proposal::new(Vec::new(), "Facts"), 400, "PROPOSAL_INVALID"),
        (Proposal::new(vec![0xff], "Facts"), 400, "PROPOSAL_INVALID"),
        (Proposal::new(serialized_identity("NorthMSP", b"no certificate"), "Facts"), 403, "IDENTITY_INVALID"),
    ];
    for (proposal, status, code) in refused {
        let outcome = peer.invoke(&proposal).await.unwrap();
        assert_eq!((outcome.status, outcome.message.as_str()), (status, code), "{outcome}");
        assert!(outcome.payload.is_empty());
    }
}

#[tokio::test]
async fn a_transaction_knows_its_facts_and_whether_other_chaincode_made_the_call() {
    let (_service, peer) =
        connect(TestPeer::builder().chaincode("shop").channel("trade").clock_unix_ms(1_234_567)).await;
    let direct = peer.invoke(&Proposal::new(clerk(), "shop:Facts")).await.unwrap();
    let facts: Facts = direct.json().unwrap();
    let expected = Facts {
        id: direct.tx_id.clone(),
        channel: "trade".into(),
        timestamp_unix_ms: 1_234_567,
        msp_id: "NorthMSP".into(),
        chaincode: "shop".into(),
        from_client: true,
        common_name: Some("clerk".into()),
    };
    assert_eq!(facts, expected);
    let passed = Proposal::new(clerk(), "Outer").chaincode("outer").passed_args(vec![b"Facts".to_vec()]);
    let facts: Facts = peer.invoke(&passed).await.unwrap().json().unwrap();
    assert!(!facts.from_client && facts.chaincode == "outer");
}

#[tokio::test]
async fn metadata_describes_every_function_and_never_changes() {
    let (_service, peer) = connect(TestPeer::builder().run_twice()).await;
    let described = peer.invoke(&Proposal::new(clerk(), "org.hyperledger.fabric:GetMetadata")).await.unwrap();
    assert_eq!(described.payload, shop().metadata());
    let metadata: Value = described.json().unwrap();
    let transactions = metadata["contracts"]["shop"]["transactions"].as_array().unwrap();
    let names: Vec<_> =
        transactions.iter().map(|transaction| transaction["name"].as_str().unwrap()).collect();
    assert!(names.is_sorted() && names.len() == 17, "{names:?}");
    let of = |name: &str| transactions.iter().find(|transaction| transaction["name"] == name).unwrap();
    assert_eq!(of("PutAll")["tag"], json!(["submit", "SUBMIT"]));
    assert_eq!(of("Scan")["tag"], json!(["evaluate", "EVALUATE"]));
    assert_eq!(of("Facts")["parameters"], json!([]));
    assert_eq!(of("Facts")["returns"]["$ref"], "#/components/schemas/Facts");
    assert_eq!(of("LotsPage")["parameters"][0]["schema"]["$ref"], "#/components/schemas/PageOf");
    assert_eq!(metadata["components"]["schemas"]["PageOf"]["properties"]["size"]["type"], "integer");
}

#[tokio::test]
async fn conflicting_transactions_are_told_apart_at_commit() {
    let (_service, peer) = connect(TestPeer::builder()).await;
    let first = peer.invoke(&call("Touch", &["a"])).await.unwrap();
    let second = peer.invoke(&call("Touch", &["a"])).await.unwrap();
    let scan = peer.invoke(&call("Scan", &("", ""))).await.unwrap();
    let (block, validity) = peer.commit(&[first, second, scan]);
    assert_eq!(block, 1);
    assert_eq!(validity, [Validity::Valid, Validity::MvccReadConflict, Validity::PhantomReadConflict]);
}

#[tokio::test]
async fn a_contract_that_depends_on_the_order_of_a_hash_map_is_found_out() {
    let (_service, peer) = connect(TestPeer::builder().run_twice()).await;
    let found = peer.invoke(&Proposal::new(clerk(), "Shuffled")).await;
    assert!(matches!(found, Err(InvokeError::NotDeterministic { .. })), "{found:?}");
}
