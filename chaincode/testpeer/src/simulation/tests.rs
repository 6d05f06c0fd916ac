//! One transaction's view, request by request.

use super::*;
use crate::ledger::{Candidate, Ledger};
use crate::rwset::Version;
use hlf_protos::protos::{GetStateByRange, QueryMetadata, QueryResponseMetadata};

fn simulation(keys: usize, query_limit: usize) -> Simulation {
    let ledger = Ledger::default();
    let writes = (0..keys).map(|n| (format!("k{n:03}"), Some(b"v".to_vec()))).collect();
    let rwset = ReadWriteSet { writes, ..ReadWriteSet::default() };
    let candidate = Candidate { tx_id: "t", timestamp_unix_ms: 0, rwset: &rwset, endorsers: None };
    ledger.commit("c", &[candidate]);
    Simulation::new(ledger.snapshot("c"), Arc::new(world(query_limit)), Subject::default())
}

fn world(query_limit: usize) -> World {
    World {
        namespace: "shop".into(),
        query_limit,
        collections: vec![PrivateCollection::new("prices").members(["N"]).member_only_write()],
        organization: Some("N".into()),
        rich_query: None,
        callees: Callees::default(),
    }
}

fn put(simulation: &mut Simulation, key: &str, value: &str) -> Result<Vec<u8>, String> {
    let ask = PutState { key: key.into(), value: value.into(), ..PutState::default() };
    simulation.answer(Type::PutState, &ask.encode_to_vec())
}

fn scan(simulation: &mut Simulation, size: i32, bookmark: &str) -> Result<QueryResponse, String> {
    let metadata = QueryMetadata { page_size: size, bookmark: bookmark.into() };
    let ask = GetStateByRange {
        start_key: "k".into(),
        end_key: "l".into(),
        metadata: if size == 0 { Vec::new() } else { metadata.encode_to_vec() },
        ..GetStateByRange::default()
    };
    let payload = simulation.answer(Type::GetStateByRange, &ask.encode_to_vec())?;
    Ok(QueryResponse::decode(payload.as_slice()).unwrap())
}

fn next(simulation: &mut Simulation, id: &str) -> Result<QueryResponse, String> {
    let ask = QueryStateNext { id: id.into() };
    let payload = simulation.answer(Type::QueryStateNext, &ask.encode_to_vec())?;
    Ok(QueryResponse::decode(payload.as_slice()).unwrap())
}

#[test]
fn a_scan_reads_one_entry_ahead_and_ends_when_it_has_seen_the_end() {
    let mut simulation = simulation(201, 1000);
    let first = scan(&mut simulation, 0, "").unwrap();
    assert_eq!((first.results.len(), first.has_more), (100, true));
    assert_eq!(simulation.rwset.ranges[0].found.len(), 101);
    assert!(!simulation.rwset.ranges[0].exhausted);
    assert_eq!(simulation.rwset.ranges[0].end, "k100");
    let second = next(&mut simulation, &first.id).unwrap();
    assert_eq!((second.results.len(), second.has_more), (100, true));
    let third = next(&mut simulation, &first.id).unwrap();
    assert_eq!((third.results.len(), third.has_more), (1, false));
    let range = &simulation.rwset.ranges[0];
    assert_eq!((range.found.len(), range.exhausted, range.end.as_str()), (201, true, "l"));
    assert!(next(&mut simulation, &first.id).is_err(), "it is closed");
}

#[test]
fn a_scan_stops_at_the_query_limit_without_a_word() {
    let mut simulation = simulation(20, 7);
    let all = scan(&mut simulation, 0, "").unwrap();
    assert_eq!((all.results.len(), all.has_more), (7, false));
    assert!(!simulation.rwset.ranges[0].exhausted);
}

#[test]
fn pages_name_their_successor_and_take_any_bookmark() {
    let mut simulation = simulation(5, 1000);
    let page = |simulation: &mut Simulation, bookmark| {
        let response = scan(simulation, 2, bookmark).unwrap();
        let metadata = QueryResponseMetadata::decode(response.metadata.as_slice()).unwrap();
        (response.results.len(), metadata.bookmark)
    };
    assert_eq!(page(&mut simulation, ""), (2, "k002".into()));
    assert_eq!(page(&mut simulation, "k002"), (2, "k004".into()));
    assert_eq!(page(&mut simulation, "k004"), (1, String::new()));
    assert_eq!(page(&mut simulation, "a"), (2, "k002".into()), "in place of the start, unchecked");
    assert_eq!(page(&mut simulation, "z"), (0, String::new()));
}

#[test]
fn pages_and_writes_exclude_each_other() {
    let mut paged = simulation(5, 1000);
    scan(&mut paged, 2, "").unwrap();
    assert!(put(&mut paged, "k", "v").is_err());
    let mut written = simulation(5, 1000);
    put(&mut written, "k", "v").unwrap();
    assert!(scan(&mut written, 2, "").is_err());
    assert!(scan(&mut written, 0, "").is_ok());
}

#[test]
fn a_transaction_does_not_read_its_writes_and_an_empty_value_deletes() {
    let mut simulation = simulation(1, 1000);
    put(&mut simulation, "k000", "").unwrap();
    put(&mut simulation, "new", "v").unwrap();
    let get = GetStateMultiple { keys: vec!["new".into(), "k000".into()], ..GetStateMultiple::default() };
    let payload = simulation.answer(Type::GetStateMultiple, &get.encode_to_vec()).unwrap();
    let values = GetStateMultipleResult::decode(payload.as_slice()).unwrap().values;
    assert_eq!(values, [b"".to_vec(), b"v".to_vec()]);
    let (rwset, _) = simulation.into_results();
    assert_eq!(rwset.writes["k000"], None);
    assert_eq!(rwset.reads["new"], None);
    assert_eq!(rwset.reads["k000"], Some(Version { block: 1, tx: 0 }));
}

#[test]
fn what_this_peer_lacks_is_refused() {
    let mut simulation = simulation(1, 1000);
    let mut refused = |kind: Type, ask: &dyn Fn() -> Vec<u8>| simulation.answer(kind, &ask()).unwrap_err();
    let get = |collection: &str| GetState { key: "k".into(), collection: collection.into() };
    assert!(refused(Type::GetState, &|| get("absent").encode_to_vec()).contains("could not be found"));
    assert!(refused(Type::GetQueryResult, &Vec::new).contains("not supported for leveldb"));
    assert!(refused(Type::InvokeChaincode, &Vec::new).contains("not found"));
    assert!(refused(Type::Ready, &Vec::new).contains("READY"));
    assert!(refused(Type::GetState, &|| vec![0xff]).contains("does not decode"));
    let put = PutState { key: "k".into(), value: b"v".to_vec(), collection: "prices".into() };
    assert!(refused(Type::PutState, &|| put.encode_to_vec()).contains("write access"));
    let purge = DelState { key: "k".into(), ..DelState::default() };
    assert!(refused(Type::PurgePrivateData, &|| purge.encode_to_vec()).contains("private data"));
}

#[test]
fn a_peer_that_keeps_only_hashes_tells_the_hash_and_not_the_value() {
    let mut member = simulation(0, 1000);
    member.subject.creator_msp_id = "N".into();
    let put = PutState { key: "k".into(), value: b"v".to_vec(), collection: "prices".into() };
    member.answer(Type::PutState, &put.encode_to_vec()).unwrap();
    let (rwset, _) = member.into_results();
    let ledger = Ledger::default();
    ledger.commit("c", &[Candidate { tx_id: "t", timestamp_unix_ms: 0, rwset: &rwset, endorsers: None }]);
    let world = Arc::new(World { organization: Some("S".into()), ..world(1000) });
    let new = |subject| Simulation::new(ledger.snapshot("c"), Arc::clone(&world), subject);
    let mut outside = new(Subject::default());
    let get = GetState { key: "k".into(), collection: "prices".into() }.encode_to_vec();
    assert!(outside.answer(Type::GetState, &get).unwrap_err().contains("not available"));
    assert_eq!(outside.answer(Type::GetPrivateDataHash, &get).unwrap(), hash(b"v"));
    let both = GetStateMultiple { keys: vec!["k".into(), "absent".into()], collection: "prices".into() };
    let mut together = new(Subject::default());
    let payload = together.answer(Type::GetStateMultiple, &both.encode_to_vec()).unwrap();
    let values = GetStateMultipleResult::decode(payload.as_slice()).unwrap().values;
    assert_eq!(values, [b"", b""], "a multi-get does not look at hashes");
    assert_eq!(together.into_results().0.collections["prices"].reads["k"], None, "it is invalid at commit");
    let mut init = new(Subject { init: true, ..Subject::default() });
    assert!(init.answer(Type::GetStateMultiple, &both.encode_to_vec()).unwrap_err().contains("Init"));
    let mut init = simulation(0, 1000);
    init.subject.init = true;
    assert!(init.answer(Type::GetPrivateDataHash, &get).unwrap_err().contains("Init"));
}

proptest::proptest! {
    #[test]
    fn no_request_is_a_panic(
        requests in proptest::collection::vec((0..30_i32, proptest::prelude::any::<Vec<u8>>()), 1..8),
    ) {
        let mut simulation = simulation(3, 2);
        for (kind, payload) in requests {
            let _ = simulation.answer(Type::try_from(kind).unwrap_or(Type::Undefined), &payload);
        }
        let (rwset, _) = simulation.into_results();
        let _ = (rwset.endorsed_bytes("shop"), rwset.to_string());
    }
}
