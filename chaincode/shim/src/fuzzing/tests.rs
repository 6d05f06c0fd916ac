//! The entry points on any bytes, on the committed seeds, and on seeds with changes.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

/// The committed seeds of a fuzz target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}", folder.display());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// What is done to a seed.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    Cut(Index),
}

fn changed(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        1 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        1 => any::<(Index, Index)>().prop_map(|(from, to)| Change::Remove(from, to)),
        1 => any::<Index>().prop_map(Change::Cut),
    ];
    (prop::sample::select(seeds), prop::collection::vec(change, 1..6)).prop_map(|(mut bytes, changes)| {
        for change in changes {
            let place = |at: Index, bytes: &[u8]| at.index(bytes.len() + 1);
            match change {
                Change::Set(at, byte) => {
                    let at = place(at, &bytes);
                    if let Some(found) = bytes.get_mut(at) {
                        *found = byte;
                    }
                }
                Change::Insert(at, more) => {
                    let at = place(at, &bytes);
                    drop(bytes.splice(at..at, more));
                }
                Change::Remove(from, to) => {
                    let (from, to) = (place(from, &bytes), place(to, &bytes));
                    drop(bytes.drain(from.min(to)..from.max(to)));
                }
                Change::Cut(at) => {
                    let at = place(at, &bytes);
                    bytes.truncate(at);
                }
            }
        }
        bytes
    })
}

/// Runs an entry point on all of them.
fn holds(target: &str, entry: fn(&[u8])) {
    let seeds = seeds(target);
    for seed in &seeds {
        entry(seed);
    }
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(bytes in prop::collection::vec(any::<u8>(), 0..300), changed in changed(seeds))| {
        entry(&bytes);
        entry(&changed);
    });
}

#[test]
fn any_sequence_of_messages_leaves_nothing_behind() {
    holds("chaincode_session", super::session);
}

#[test]
fn any_answer_of_a_peer_is_taken_or_refused() {
    holds("chaincode_answers", super::answers);
}

#[test]
fn any_signed_proposal_is_taken_or_refused() {
    holds("chaincode_proposal", super::proposal);
}

#[test]
fn any_creator_is_an_identity_or_refused() {
    holds("chaincode_creator", super::creator);
}

#[test]
fn any_key_that_splits_joins_to_itself() {
    holds("chaincode_keys", super::keys);
}

#[test]
fn any_policy_that_decodes_survives_its_bytes() {
    holds("chaincode_policy", super::policy);
}

#[test]
fn any_arguments_are_a_call_or_refused() {
    holds("chaincode_arguments", super::arguments);
}

#[test]
fn any_pem_is_a_key_and_certificate_or_refused() {
    holds("chaincode_certificates", super::certificates);
}
