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

/// Seeds of which some bytes are others, some are gone or there twice, and the end may be cut off.
fn changed(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let set = prop::collection::vec((any::<Index>(), any::<u8>()), 0..6);
    let moved = prop::option::of((any::<Index>(), any::<Index>(), any::<bool>()));
    let cut = prop::option::weighted(0.2, any::<Index>());
    (prop::sample::select(seeds), set, moved, cut).prop_map(|(mut bytes, set, moved, cut)| {
        for (at, byte) in set {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        if let Some((one, other, twice)) = moved {
            let (one, other) = (one.index(bytes.len() + 1), other.index(bytes.len() + 1));
            let part: Vec<u8> = bytes.drain(one.min(other)..one.max(other)).collect();
            if twice {
                let at = one.min(other);
                drop(bytes.splice(at..at, [part.clone(), part].concat()));
            }
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
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
fn any_stage_is_read_or_refused() {
    holds("gateway_stages", super::stages);
}

#[test]
fn any_key_is_read_or_refused() {
    holds("gateway_keys", super::keys);
}

#[test]
fn any_certificate_is_read_or_refused() {
    holds("gateway_certificates", super::certificates);
}

#[test]
fn any_failure_is_told() {
    holds("gateway_failures", super::failures);
}

#[test]
fn any_block_is_explained_as_far_as_it_can_be_read() {
    holds("gateway_blocks", super::blocks);
}

#[test]
fn anything_that_was_kept_is_read_or_refused() {
    holds("gateway_kept", super::kept);
}
