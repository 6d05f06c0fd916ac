//! Any sequence of transactions gives what a sorted map gives, with and without batches.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use hlf_chaincode::{Collection, Config, Failure, LedgerError, Page, Router, Transaction, composite_key};
use hlf_testpeer::{PrivateCollection, Proposal, TestPeer};
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::{Running, clerk};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
enum Op {
    Put(String, String),
    Delete(String),
    Get(String),
    GetAll(Vec<String>),
    /// From, to, and how many entries to read; 0 for all.
    Range(String, String, usize),
    Partial(Vec<String>),
    /// From, to, size: all pages, one after the other.
    Pages(String, String, u16),
    PartialPages(Vec<String>, u16),
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
enum Came {
    Done,
    Values(Vec<Option<String>>),
    Entries(Vec<(String, String)>),
    Pages(Vec<Vec<String>>),
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Script {
    private: bool,
    ops: Vec<Op>,
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn lot(attributes: &[String]) -> String {
    composite_key("lot", attributes).unwrap()
}

async fn some(
    mut scan: hlf_chaincode::Scan<'_, hlf_chaincode::Entry>,
    count: usize,
) -> Result<Came, LedgerError> {
    let mut entries = Vec::new();
    while (count == 0 || entries.len() < count)
        && let Some(entry) = scan.next().await?
    {
        entries.push((entry.key, text(entry.value)));
    }
    Ok(Came::Entries(entries))
}

async fn public(tx: &Transaction, op: Op) -> Result<Came, LedgerError> {
    Ok(match op {
        Op::Put(key, value) => tx.put(key, value).map(|()| Came::Done)?,
        Op::Delete(key) => tx.delete(key).map(|()| Came::Done)?,
        Op::Get(key) => Came::Values(vec![tx.state(&key).await?.map(text)]),
        Op::GetAll(keys) => {
            Came::Values(tx.states(&keys).await?.into_iter().map(|value| value.map(text)).collect())
        }
        Op::Range(start, end, count) => some(tx.range(&start, &end).await?, count).await?,
        Op::Partial(attributes) => some(tx.partial_composite("lot", &attributes).await?, 0).await?,
        Op::Pages(start, end, size) => {
            let size = NonZeroU16::new(size).unwrap_or(NonZeroU16::MIN);
            let (mut pages, mut page) = (Vec::new(), Page::first(size));
            loop {
                let read = tx.range_page(&start, &end, &page).await?;
                pages.push(read.entries.into_iter().map(|entry| entry.key).collect());
                let Some(bookmark) = read.bookmark else { return Ok(Came::Pages(pages)) };
                page = Page::at(size, bookmark);
            }
        }
        Op::PartialPages(attributes, size) => {
            let size = NonZeroU16::new(size).unwrap_or(NonZeroU16::MIN);
            let (mut pages, mut page) = (Vec::new(), Page::first(size));
            loop {
                let read = tx.partial_composite_page("lot", &attributes, &page).await?;
                pages.push(read.entries.into_iter().map(|entry| entry.key).collect());
                let Some(bookmark) = read.bookmark else { return Ok(Came::Pages(pages)) };
                page = Page::at(size, bookmark);
            }
        }
    })
}

async fn private(collection: &Collection<'_>, op: Op) -> Result<Came, LedgerError> {
    Ok(match op {
        Op::Put(key, value) => collection.put(key, value).map(|()| Came::Done)?,
        Op::Delete(key) => collection.delete(key).map(|()| Came::Done)?,
        Op::Get(key) => Came::Values(vec![collection.state(&key).await?.map(text)]),
        Op::GetAll(keys) => {
            Came::Values(collection.states(&keys).await?.into_iter().map(|value| value.map(text)).collect())
        }
        Op::Range(start, end, count) => some(collection.range(&start, &end).await?, count).await?,
        Op::Partial(attributes) => some(collection.partial_composite("lot", &attributes).await?, 0).await?,
        Op::Pages(..) | Op::PartialPages(..) => Came::Done,
    })
}

async fn run(tx: &Transaction, script: Script) -> Result<Vec<Came>, Failure> {
    let mut came = Vec::new();
    for op in script.ops {
        came.push(if script.private {
            private(&tx.collection("prices")?, op).await?
        } else {
            public(tx, op).await?
        });
    }
    Ok(came)
}

/// Sorted keys: all there is to a ledger, for one transaction after the other.
type Model = BTreeMap<String, String>;

/// What the operations give, and the state after them. Reads see the state before.
fn expected(before: &Model, script: &Script) -> (Vec<Came>, Model) {
    let mut after = before.clone();
    let entries = |of: &dyn Fn(&str) -> bool| -> Vec<(String, String)> {
        before.iter().filter(|(key, _)| of(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let simple = |start: &str, end: &str| {
        entries(&|key| !key.starts_with('\u{0}') && key >= start && (end.is_empty() || key < end))
    };
    let composite = |attributes: &[String]| entries(&|key| key.starts_with(&lot(attributes)));
    let pages = |entries: Vec<(String, String)>, size: u16| {
        let keys: Vec<_> = entries.into_iter().map(|(key, _)| key).collect();
        let pages: Vec<_> = keys.chunks(size.max(1).into()).map(<[_]>::to_vec).collect();
        if pages.is_empty() { vec![Vec::new()] } else { pages }
    };
    let came = script.ops.iter().map(|op| match op {
        Op::Put(key, value) => {
            after.insert(key.clone(), value.clone());
            Came::Done
        }
        Op::Delete(key) => {
            after.remove(key);
            Came::Done
        }
        Op::Get(key) => Came::Values(vec![before.get(key).cloned()]),
        Op::GetAll(keys) => Came::Values(keys.iter().map(|key| before.get(key).cloned()).collect()),
        Op::Range(start, end, count) => {
            let mut entries = simple(start, end);
            entries.truncate(if *count == 0 { usize::MAX } else { *count });
            Came::Entries(entries)
        }
        Op::Partial(attributes) => Came::Entries(composite(attributes)),
        Op::Pages(..) | Op::PartialPages(..) if script.private => Came::Done,
        Op::Pages(start, end, size) => Came::Pages(pages(simple(start, end), *size)),
        Op::PartialPages(attributes, size) => Came::Pages(pages(composite(attributes), *size)),
    });
    let came = came.collect();
    (came, after)
}

fn attributes(most: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[xy\u{1}\u{10FFFE}]{0,2}", 0..=most)
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-c\u{1}\u{10FFFF}]{1,2}", 1 => "f[0-2][0-9]{2}", 2 => attributes(3).prop_map(|parts| lot(&parts))]
}

fn bound() -> impl Strategy<Value = String> {
    prop_oneof![1 => Just(String::new()), 3 => "[a-g]{1,2}", 1 => "f[0-2][0-9]{2}"]
}

fn point() -> impl Strategy<Value = Op> {
    prop_oneof![key().prop_map(Op::Get), prop::collection::vec(key(), 0..9).prop_map(Op::GetAll),]
}

fn scan() -> impl Strategy<Value = Op> {
    let count = prop_oneof![Just(0_usize), 1..5_usize, Just(100), Just(101)];
    prop_oneof![
        (bound(), bound(), count).prop_map(|(start, end, count)| Op::Range(start, end, count)),
        attributes(2).prop_map(Op::Partial),
    ]
}

fn page() -> impl Strategy<Value = Op> {
    let size = || prop_oneof![1..6_u16, Just(100), Just(300)];
    prop_oneof![
        (bound(), bound(), size()).prop_map(|(start, end, size)| Op::Pages(start, end, size)),
        (attributes(2), size()).prop_map(|(attributes, size)| Op::PartialPages(attributes, size)),
    ]
}

fn write() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (key(), "[a-z]{1,3}").prop_map(|(key, value)| Op::Put(key, value)),
        1 => key().prop_map(Op::Delete),
    ]
}

/// Peers refuse pages beside writes, and scans of private data as well.
fn script() -> impl Strategy<Value = Script> {
    let of = |ops: BoxedStrategy<Op>, private: bool| {
        prop::collection::vec(ops, 0..12).prop_map(move |ops| Script { private, ops })
    };
    prop_oneof![
        4 => of(prop_oneof![2 => write(), 1 => point(), 1 => scan()].boxed(), false),
        2 => of(prop_oneof![1 => point(), 1 => scan(), 2 => page()].boxed(), false),
        2 => of(prop_oneof![2 => write(), 1 => point()].boxed(), true),
        1 => of(prop_oneof![1 => point(), 1 => scan()].boxed(), true),
    ]
}

#[test]
fn any_sequence_of_transactions_gives_what_a_sorted_map_gives_with_and_without_batches() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let contract = Router::builder("model", "1").submit("Run", run).build().unwrap();
    // Not strict: transactions that read what they wrote are among them.
    let config = Config { strict: false, ..Config::for_tests("model:1") };
    let service = runtime.block_on(Running::with(config, contract));
    let clerk = clerk();
    let cases = ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() };
    let scripts = (any::<bool>(), prop::collection::vec(script(), 1..8));
    proptest!(cases, |((filled, mut scripts) in scripts)| {
        if filled {
            let ops = (0..230).map(|n| Op::Put(format!("f{n:03}"), "fill".into())).collect();
            scripts.insert(0, Script { private: false, ops });
        }
        runtime.block_on(async {
            let mut peers = Vec::new();
            for (batch, multi) in [(Some(3), Some(2)), (None, None), (Some(1000), Some(1000))] {
                let peer = TestPeer::builder()
                    .write_batch(batch)
                    .multi_get(multi)
                    .collection(PrivateCollection::new("prices"));
                peers.push(peer.connect(service.address).await.unwrap());
            }
            let mut models = [Model::new(), Model::new()];
            for script in &scripts {
                let model = &mut models[usize::from(script.private)];
                let (came, after) = expected(model, script);
                let proposal = Proposal::new(clerk.clone(), "Run").json(script).unwrap();
                let mut endorsed = Vec::new();
                for peer in &peers {
                    let submitted = peer.submit(&proposal).await.unwrap();
                    prop_assert!(submitted.is_valid(), "{:?}\n{}", script, submitted.outcome);
                    prop_assert_eq!(&submitted.outcome.json::<Vec<Came>>().unwrap(), &came, "{:?}", script);
                    endorsed.push(submitted.outcome.rwset.endorsed_bytes("model"));
                }
                prop_assert!(endorsed.iter().all(|bytes| *bytes == endorsed[0]), "{:?}", script);
                *model = after;
            }
            for peer in &peers {
                let keys: Vec<_> = models[0].keys().cloned().collect();
                prop_assert_eq!(peer.ledger().keys("channel"), keys);
                for (key, value) in &models[1] {
                    let kept = peer.ledger().private_value("channel", "prices", key);
                    prop_assert_eq!(kept.as_deref(), Some(value.as_bytes()));
                }
            }
            Ok(())
        })?;
    });
}
