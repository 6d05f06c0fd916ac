//! Private data, key-level endorsement, rich queries and other chaincode, on peers with and without batches.

use std::collections::BTreeMap;

use hlf_chaincode::{Collection, Failure, Page, Router, SignaturePolicy, Transaction, composite_key};
use hlf_testpeer::{
    CallReply, Creator, Fault, Outcome, PrivateCollection, PrivateWrite, Proposal, TestPeer, TestPeerBuilder,
    Validity,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::{Running, clerk};

/// One operation on the public state, on a collection, or on an organisation's own collection.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Op {
    Put { key: String, value: String },
    Delete { key: String },
    Purge { key: String },
    Policy { key: String, msp_ids: Vec<String> },
    NoPolicy { key: String },
    Get { key: String },
    GetAll { keys: Vec<String> },
    Hash { key: String },
    PolicyOf { key: String },
    Range { start: String, end: String },
    Partial { attributes: Vec<String> },
    Query { query: String },
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Script {
    collection: Option<String>,
    ops: Vec<Op>,
}

fn text(value: Option<Vec<u8>>) -> Value {
    value.map_or(Value::Null, |bytes| Value::String(String::from_utf8_lossy(&bytes).into_owned()))
}

fn all_of(msp_ids: &[String]) -> SignaturePolicy {
    SignaturePolicy::and(msp_ids.iter().map(SignaturePolicy::peer))
}

async fn private(collection: &Collection<'_>, op: Op) -> Result<Value, Failure> {
    Ok(match op {
        Op::Put { key, value } => json!(collection.put(key, value)?),
        Op::Delete { key } => json!(collection.delete(key)?),
        Op::Purge { key } => json!(collection.purge(key)?),
        Op::Policy { key, msp_ids } => json!(collection.set_validation_parameter(key, &all_of(&msp_ids))?),
        Op::NoPolicy { key } => json!(collection.clear_validation_parameter(key)?),
        Op::Get { key } => text(collection.state(&key).await?),
        Op::GetAll { keys } => collection.states(&keys).await?.into_iter().map(text).collect(),
        Op::Hash { key } => json!(collection.hash(&key).await?),
        Op::PolicyOf { key } => json!(collection.validation_parameter(&key).await?),
        Op::Range { start, end } => keys(collection.range(&start, &end).await?.collect().await?),
        Op::Partial { attributes } => {
            keys(collection.partial_composite("lot", &attributes).await?.collect().await?)
        }
        Op::Query { query } => keys(collection.query(&query).await?.collect().await?),
    })
}

async fn public(tx: &Transaction, op: Op) -> Result<Value, Failure> {
    Ok(match op {
        Op::Put { key, value } => json!(tx.put(key, value)?),
        Op::Delete { key } => json!(tx.delete(key)?),
        Op::Policy { key, msp_ids } => json!(tx.set_validation_parameter(key, &all_of(&msp_ids))?),
        Op::NoPolicy { key } => json!(tx.clear_validation_parameter(key)?),
        Op::Get { key } => text(tx.state(&key).await?),
        Op::GetAll { keys } => tx.states(&keys).await?.into_iter().map(text).collect(),
        Op::PolicyOf { key } => json!(tx.validation_parameter(&key).await?),
        Op::Range { start, end } => keys(tx.range(&start, &end).await?.collect().await?),
        Op::Partial { attributes } => keys(tx.partial_composite("lot", &attributes).await?.collect().await?),
        Op::Query { query } => keys(tx.query(&query).await?.collect().await?),
        Op::Purge { .. } | Op::Hash { .. } => return Err(Failure::new(400, "PRIVATE_ONLY")),
    })
}

fn keys(entries: Vec<hlf_chaincode::Entry>) -> Value {
    entries.into_iter().map(|entry| entry.key).collect()
}

async fn run(tx: &Transaction, script: Script) -> Result<Vec<Value>, Failure> {
    let mut replies = Vec::new();
    for op in script.ops {
        replies.push(match &script.collection {
            Some(name) => private(&tx.collection(name)?, op).await?,
            None => public(tx, op).await?,
        });
    }
    Ok(replies)
}

async fn offer(tx: &Transaction, (): ()) -> Result<(), Failure> {
    let price = tx.transient("price").ok_or(Failure::new(400, "PRICE_MISSING"))?;
    let own = tx.organization_collection(tx.msp_id())?;
    own.put("price", price)?;
    assert_eq!(tx.transient_data().len(), 1);
    Ok(())
}

async fn page(
    tx: &Transaction,
    (query, size, bookmark): (Option<String>, u16, String),
) -> Result<Value, Failure> {
    let page = Page::at(size.try_into().map_err(|_| Failure::new(400, "SIZE_ZERO"))?, bookmark);
    let page = match query {
        Some(query) => tx.query_page(&query, &page).await?,
        None => tx.all_composite_page(&page).await?,
    };
    let keys: Vec<_> = page.entries.into_iter().map(|entry| entry.key).collect();
    Ok(json!({ "keys": keys, "bookmark": page.bookmark }))
}

async fn page_and_write(tx: &Transaction, write_first: bool) -> Result<(), Failure> {
    let size = 1.try_into().map_err(|_| Failure::new(400, "SIZE_ZERO"))?;
    if write_first {
        tx.put("k", "v")?;
    }
    tx.range_page("", "", &Page::first(size)).await?;
    tx.put("k", "v")?;
    Ok(())
}

async fn pay(
    tx: &Transaction,
    (channel, args): (String, Vec<String>),
) -> Result<(i32, String, String), Failure> {
    let reply = match channel.as_str() {
        "" => tx.call("tokens", &args).await?,
        channel => tx.call_on(channel, "tokens", &args).await?,
    };
    let payload = String::from_utf8_lossy(reply.payload()).into_owned();
    Ok((reply.status(), reply.message().to_owned(), payload))
}

async fn call_nobody(tx: &Transaction, name: String) -> Result<(), Failure> {
    tx.call::<&str>(&name, &[]).await?;
    Ok(())
}

async fn signed(tx: &Transaction, (): ()) -> Result<Value, Failure> {
    let decorations: BTreeMap<_, _> = tx.decorations().clone();
    Ok(
        json!({ "binding": tx.binding(), "bytes": tx.signed_proposal().proposal_bytes, "decorations": decorations }),
    )
}

fn market() -> Router {
    Router::builder("market", "1")
        .submit("Run", run)
        .submit("Offer", offer)
        .evaluate("Page", page)
        .submit("PageAndWrite", page_and_write)
        .submit("Pay", pay)
        .submit("CallNobody", call_nobody)
        .evaluate("Signed", signed)
        .build()
        .unwrap()
}

fn script(collection: &str, ops: Value) -> Proposal {
    let collection = (!collection.is_empty()).then_some(collection);
    Proposal::new(clerk(), "Run").json(&json!({ "collection": collection, "ops": ops })).unwrap()
}

fn put(key: &str, value: &str) -> Value {
    json!({ "op": "put", "key": key, "value": value })
}

fn peers() -> [TestPeerBuilder; 2] {
    let peer = || {
        TestPeer::builder()
            .run_twice()
            .collection(PrivateCollection::new("prices").members(["NorthMSP", "SouthMSP"]).member_only_read())
            .collection(PrivateCollection::new("terms"))
            .rich_query(|query, _, value| value == query.as_bytes())
    };
    [peer(), peer().write_batch(None).multi_get(None)]
}

async fn replies(peer: &TestPeer, proposal: Proposal) -> (Outcome, Vec<Value>) {
    let submitted = peer.submit(&proposal).await.unwrap();
    assert!(submitted.is_valid(), "{}", submitted.outcome);
    let replies = submitted.outcome.json().unwrap();
    (submitted.outcome, replies)
}

#[tokio::test]
async fn private_data_is_kept_by_collection_and_endorsed_as_hashes() {
    let mut sets = Vec::new();
    for (batching, builder) in [true, false].into_iter().zip(peers()) {
        let service = Running::start(market()).await;
        let peer = builder.connect(service.address).await.unwrap();
        let lot = composite_key("lot", &["north", "7"]).unwrap();
        let wrote = json!([put("a", "1"), put("b", "2"), put(&lot, "x"), put("a", "3"), { "op": "delete", "key": "c" }]);
        let (outcome, _) = replies(&peer, script("prices", wrote)).await;
        let expected: &[&str] = if batching {
            &["WRITE_BATCH_STATE"]
        } else {
            &["PUT_STATE", "PUT_STATE", "PUT_STATE", "DEL_STATE"]
        };
        assert_eq!(outcome.requests, expected);
        assert!(outcome.rwset.writes.is_empty() && outcome.rwset.collections.len() == 1);
        assert_eq!(outcome.rwset.collections["prices"].writes["a"], PrivateWrite::Put(b"3".to_vec()));
        sets.push(outcome.rwset.endorsed_bytes("market"));
        assert_eq!(peer.ledger().private_value("channel", "prices", "a"), Some(b"3".to_vec()));
        assert_eq!(peer.ledger().value("channel", "a"), None);

        replies(&peer, script("", json!([put("a", "public")]))).await;
        replies(&peer, script("terms", json!([put("a", "others")]))).await;
        let read = json!([
            { "op": "get", "key": "a" }, { "op": "get_all", "keys": ["b", "absent", "a"] },
            { "op": "hash", "key": "a" }, { "op": "hash", "key": "absent" },
            { "op": "range", "start": "", "end": "" }, { "op": "partial", "attributes": ["north"] },
            { "op": "query", "query": "2" }
        ]);
        let (outcome, read) = replies(&peer, script("prices", read)).await;
        assert_eq!(read[0], "3");
        assert_eq!(read[1], json!(["2", null, "3"]));
        let hash: Vec<u8> = serde_json::from_value(read[2].clone()).unwrap();
        assert_eq!(Some(hash), peer.ledger().private_hash("channel", "prices", "a"));
        assert_eq!(read[3], Value::Null);
        assert_eq!((&read[4], &read[5], &read[6]), (&json!(["a", "b"]), &json!([lot]), &json!(["b"])));
        assert_eq!(outcome.rwset.collections["prices"].reads.len(), 3);
        assert!(outcome.rwset.reads.is_empty() && outcome.rwset.ranges.is_empty());
        sets.push(outcome.rwset.endorsed_bytes("market"));

        let purged = json!([{ "op": "delete", "key": "b" }, { "op": "purge", "key": "a" }]);
        let (outcome, _) = replies(&peer, script("prices", purged)).await;
        assert_eq!(outcome.rwset.collections["prices"].writes["a"], PrivateWrite::Purge);
        assert_eq!(peer.ledger().private_hash("channel", "prices", "a"), None);
        sets.push(outcome.rwset.endorsed_bytes("market"));
    }
    let (new, old) = sets.split_at(3);
    assert_eq!(new, old, "batches change nothing that is endorsed");
}

#[tokio::test]
async fn collections_refuse_what_fabric_refuses() {
    for (batching, builder) in [true, false].into_iter().zip(peers()) {
        let service = Running::start(market()).await;
        let peer = builder.organization("SouthMSP").connect(service.address).await.unwrap();
        replies(&peer, script("prices", json!([put("a", "1")]))).await;
        let refused = |collection: &'static str, ops: Value| {
            let peer = &peer;
            async move {
                let outcome = peer.invoke(&script(collection, ops)).await.unwrap();
                (outcome.status, outcome.message)
            }
        };
        let code = |status, code: &str| (status, code.to_owned());
        assert_eq!(refused("absent", json!([put("a", "1")])).await, code(500, "LEDGER_REFUSED"));
        assert_eq!(refused("prices", json!([put("a", "")])).await, code(500, "WRITE_INVALID"));
        assert_eq!(refused("prices", json!([put("", "v")])).await, code(400, "KEY_INVALID"));
        let range = json!({ "op": "range", "start": "", "end": "" });
        let both = refused("prices", json!([range, put("a", "1")])).await;
        assert_eq!(both, code(500, "QUERIED_AND_WROTE"));
        let both = refused("prices", json!([put("a", "1"), range])).await;
        assert_eq!(both, code(500, "QUERIED_AND_WROTE"));
        let own = refused("prices", json!([put("a", "1"), { "op": "get", "key": "a" }])).await;
        assert_eq!(own, code(500, "READ_AFTER_WRITE"));
        let apart = refused("prices", json!([put("b", "1"), { "op": "get", "key": "a" }])).await;
        assert_eq!(apart.0, 200);
        let unnamed =
            Proposal::new(clerk(), "Run").json(&json!({ "collection": "", "ops": [range] })).unwrap();
        assert_eq!(peer.invoke(&unnamed).await.unwrap().message, "NAME_INVALID");

        let west = Creator::builder("WestMSP").build().unwrap().serialized();
        let read = json!({ "collection": "prices", "ops": [{ "op": "get", "key": "a" }] });
        let outcome = peer.invoke(&Proposal::new(west, "Run").json(&read).unwrap()).await.unwrap();
        assert_eq!(outcome.message, "LEDGER_REFUSED", "only members read it");

        let offer = Proposal::new(clerk(), "Offer").transient("price", "7");
        assert!(peer.submit(&offer).await.unwrap().is_valid());
        let own = "_implicit_org_NorthMSP";
        assert_eq!(peer.ledger().private_value("channel", own, "price"), Some(b"7".to_vec()));
        let elsewhere = refused(own, json!([{ "op": "get", "key": "price" }])).await;
        assert_eq!(elsewhere, code(500, "LEDGER_REFUSED"), "South's peer keeps hashes only");
        for keys in [json!(["price"]), json!(["absent", "price"])] {
            let together = refused(own, json!([{ "op": "get_all", "keys": keys }])).await;
            assert_eq!(together, code(500, "LEDGER_REFUSED"), "what is there is never read as absent");
        }
        let read = json!([{ "op": "get_all", "keys": ["a", "absent"] }]);
        let (outcome, read) = replies(&peer, script("prices", read)).await;
        assert_eq!((&read[0], outcome.requests), (&json!(["1", null]), vec!["GET_STATE"; 2]));
        let hash = replies(&peer, script(own, json!([{ "op": "hash", "key": "price" }]))).await.1;
        assert!(hash[0].is_array());

        peer.inject(Some(Fault::ShortMultiGet));
        let short = refused("", json!([{ "op": "get_all", "keys": ["a", "b"] }])).await;
        let expected = if batching { code(500, "LEDGER_REPLY_INVALID") } else { code(200, "") };
        assert_eq!(short, expected);
    }
}

#[tokio::test]
async fn a_key_with_a_policy_of_its_own_needs_those_it_names() {
    let mut sets = Vec::new();
    for collection in ["", "terms"] {
        for builder in peers() {
            let service = Running::start(market()).await;
            let peer = builder.connect(service.address).await.unwrap();
            let set = json!({ "op": "policy", "key": "a", "msp_ids": ["NorthMSP", "SouthMSP"] });
            let (outcome, _) = replies(&peer, script(collection, json!([put("a", "1"), set]))).await;
            sets.push(outcome.rwset.endorsed_bytes("market"));
            let of = json!([{ "op": "policy_of", "key": "a" }, { "op": "policy_of", "key": "b" }]);
            let (_, read) = replies(&peer, script(collection, of)).await;
            let bytes: Vec<u8> = serde_json::from_value(read[0].clone()).unwrap();
            let policy = SignaturePolicy::from_bytes(&bytes).unwrap();
            assert_eq!(policy.to_string(), "AND('NorthMSP.peer', 'SouthMSP.peer')");
            assert_eq!(read[1], Value::Null);

            let again = peer.invoke(&script(collection, json!([put("a", "2")]))).await.unwrap();
            let other = peer.invoke(&script(collection, json!([put("b", "2")]))).await.unwrap();
            let block = [
                again.clone().endorsed_by(["NorthMSP"]),
                again.clone().endorsed_by(["SouthMSP", "NorthMSP"]),
                other.endorsed_by(["NorthMSP"]),
            ];
            let policy = Validity::EndorsementPolicyFailure;
            assert_eq!(peer.commit(&block).1, [policy, Validity::Valid, Validity::Valid]);

            let clear = json!([{ "op": "no_policy", "key": "a" }]);
            let clear = peer.invoke(&script(collection, clear)).await.unwrap();
            let block = [clear.clone().endorsed_by(["SouthMSP"]), clear, again.endorsed_by(["WestMSP"])];
            assert_eq!(peer.commit(&block).1, [policy, Validity::Valid, Validity::Valid]);
            let strict = json!([{ "op": "no_policy", "key": "a" }, { "op": "policy_of", "key": "a" }]);
            let strict = peer.invoke(&script(collection, strict)).await.unwrap();
            assert_eq!(strict.message, "READ_AFTER_WRITE");
            let nobody = json!([{ "op": "policy", "key": "a", "msp_ids": [] }]);
            assert_eq!(peer.invoke(&script(collection, nobody)).await.unwrap().message, "POLICY_INVALID");
        }
    }
    assert_eq!(sets[0], sets[1]);
    assert_eq!(sets[2], sets[3]);
}

#[tokio::test]
async fn rich_queries_read_what_they_find_and_come_in_pages() {
    for builder in peers() {
        let service = Running::start(market()).await;
        let peer = builder.connect(service.address).await.unwrap();
        let all: Vec<_> =
            (0..120).map(|n| put(&format!("k{n:03}"), if n % 2 == 0 { "even" } else { "odd" })).collect();
        replies(&peer, script("", json!(all))).await;
        let (outcome, found) = replies(&peer, script("", json!([{ "op": "query", "query": "odd" }]))).await;
        assert_eq!(found[0].as_array().unwrap().len(), 60);
        assert_eq!((outcome.requests.as_slice(), outcome.rwset.reads.len()), (&["GET_QUERY_RESULT"][..], 60));
        let stale = json!([put("k000", "x"), { "op": "query", "query": "odd" }]);
        assert_eq!(peer.invoke(&script("", stale)).await.unwrap().message, "READ_AFTER_WRITE");

        let (mut count, mut bookmark) = (0, String::new());
        loop {
            let asked = Proposal::new(clerk(), "Page").json(&("odd", 25, &bookmark)).unwrap();
            let page: Value = peer.invoke(&asked).await.unwrap().json().unwrap();
            count += page["keys"].as_array().unwrap().len();
            match page["bookmark"].as_str() {
                Some(next) => bookmark = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(count, 60);
        for (first, requests) in [(true, 0), (false, 1)] {
            let both = Proposal::new(clerk(), "PageAndWrite").json(&first).unwrap();
            let both = peer.invoke(&both).await.unwrap();
            assert_eq!((both.message.as_str(), both.requests.len()), ("QUERIED_AND_WROTE", requests));
        }
    }
    let service = Running::start(market()).await;
    let leveldb = TestPeer::builder().connect(service.address).await.unwrap();
    let refused = leveldb.invoke(&script("", json!([{ "op": "query", "query": "odd" }]))).await.unwrap();
    assert_eq!((refused.status, refused.message.as_str()), (500, "LEDGER_REFUSED"));
}

#[tokio::test]
async fn all_composite_keys_come_in_pages_and_no_simple_ones() {
    let service = Running::start(market()).await;
    let peer = TestPeer::builder().connect(service.address).await.unwrap();
    let keys = [composite_key("lot", &["7"]).unwrap(), composite_key("owner", &["north"]).unwrap()];
    replies(&peer, script("", json!([put("simple", "1"), put(&keys[0], "1"), put(&keys[1], "1")]))).await;
    let asked = Proposal::new(clerk(), "Page").json(&(Value::Null, 10, "")).unwrap();
    let page: Value = peer.invoke(&asked).await.unwrap().json().unwrap();
    assert_eq!(page, json!({ "keys": keys, "bookmark": null }));
}

#[tokio::test]
async fn other_chaincode_is_called_here_and_on_other_channels() {
    for builder in peers() {
        let service = Running::start(market()).await;
        let peer = builder
            .other_chaincode("tokens", |call| match call.args.first().map(Vec::as_slice) {
                Some(b"Pay") => CallReply::ok([b"paid on ", call.channel.as_bytes()].concat()),
                _ => CallReply::error(404, "FUNCTION_UNKNOWN"),
            })
            .connect(service.address)
            .await
            .unwrap();
        let pay = |channel: &str, function: &str| {
            Proposal::new(clerk(), "Pay").json(&(channel, [function, "7"])).unwrap()
        };
        let here = peer.invoke(&pay("", "Pay")).await.unwrap();
        assert_eq!(here.json::<Value>().unwrap(), json!([200, "", "paid on channel"]));
        assert_eq!((here.calls[0].chaincode.as_str(), here.calls[0].args.len()), ("tokens", 2));
        let there = peer.invoke(&pay("trade", "Pay")).await.unwrap();
        assert_eq!(there.json::<Value>().unwrap(), json!([200, "", "paid on trade"]));
        let failed = peer.invoke(&pay("", "Steal")).await.unwrap();
        assert_eq!(failed.json::<Value>().unwrap(), json!([404, "FUNCTION_UNKNOWN", ""]));
        for (name, code) in [("absent", "LEDGER_REFUSED"), ("", "NAME_INVALID"), ("a/b", "NAME_INVALID")] {
            let refused =
                peer.invoke(&Proposal::new(clerk(), "CallNobody").json(&name).unwrap()).await.unwrap();
            assert_eq!(refused.message, code);
        }
    }
}

#[tokio::test]
async fn what_was_signed_its_binding_and_decorations_are_at_hand() {
    let service = Running::start(market()).await;
    let peer = TestPeer::builder().decoration("site", "one").connect(service.address).await.unwrap();
    let seen = peer.invoke(&Proposal::new(b"\x0a\x08NorthMSP", "Signed").nonce("nonce")).await.unwrap();
    let seen: Value = seen.json().unwrap();
    // SHA-256 of "nonce", the creator's bytes and eight zero bytes, computed apart.
    let binding: Vec<u8> = serde_json::from_value(seen["binding"].clone()).unwrap();
    let hex: String = binding.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "74e287e1957e7e5e7b427425a7ac65534a4eb8760329e87b029706668c199f0f");
    assert!(seen["bytes"].as_array().unwrap().len() > 100);
    assert_eq!(seen["decorations"]["site"], json!(b"one"));
}
