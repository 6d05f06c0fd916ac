//! The entry points on any bytes, and on what is right with changes.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The committed seeds of a fuzz target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}", folder.display());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// A seed of which bytes were replaced, and a piece put in elsewhere or left out.
fn spoiled(target: &str) -> impl Strategy<Value = Vec<u8>> {
    let replaced = prop::collection::vec((any::<Index>(), any::<u8>()), 0..4);
    let moved = prop::option::of(any::<(Index, Index, Index)>());
    (select(seeds(target)), replaced, moved, any::<bool>()).prop_map(|(mut bytes, replaced, moved, twice)| {
        for (at, byte) in replaced {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        if let Some((from, to, at)) = moved {
            let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
            let piece: Vec<u8> = match twice {
                true => bytes[from.min(to)..from.max(to)].to_vec(),
                false => bytes.drain(from.min(to)..from.max(to)).collect(),
            };
            let at = at.index(bytes.len() + 1);
            drop(bytes.splice(at..at, piece));
        }
        bytes
    })
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
}

#[test]
fn the_seeds_are_what_they_are_for() {
    for seed in seeds("contract_statements") {
        let text = seed.split(|byte| *byte == 0).next().unwrap().to_vec();
        let proof = super::Proof::Es256 { signature: String::new() };
        let signed = super::SignedStatement { statement: String::from_utf8(text).unwrap(), proof };
        assert!(signed.parse().is_ok(), "{}", signed.statement);
    }
    for seed in seeds("contract_policies") {
        let text = std::str::from_utf8(&seed).unwrap();
        let policy: super::ConsortiumPolicy = super::from_one_shape(text).unwrap();
        assert_eq!(policy.validate(), Ok(()), "{text}");
    }
}

proptest! {
    #[test]
    fn arguments_are_read_as_they_are_written(bytes in prop_oneof![any_bytes(), spoiled("contract_arguments")]) {
        super::arguments(&bytes);
    }

    #[test]
    fn statements_are_read_as_they_are_written(bytes in prop_oneof![any_bytes(), spoiled("contract_statements")]) {
        super::statements(&bytes);
    }

    #[test]
    fn policies_are_read_as_they_are_written(bytes in prop_oneof![any_bytes(), spoiled("contract_policies")]) {
        super::policies(&bytes);
    }

    #[test]
    fn state_is_read_as_it_is_written(bytes in prop_oneof![any_bytes(), spoiled("contract_state")]) {
        super::state(&bytes);
    }
}
