//! The contract's sources name nothing that is another thing on another peer.

use std::fs;
use std::path::{Path, PathBuf};

/// What differs between peers, or between two runs of one: clocks, randomness, maps without an order, fractions, what
/// surrounds a process, and what other threads do meanwhile.
const DIFFERING: [&str; 23] = [
    "SystemTime",
    "Instant",
    "UNIX_EPOCH",
    "getrandom",
    "rand::",
    "HashMap",
    "HashSet",
    "RandomState",
    "f32",
    "f64",
    "env::",
    "std::fs",
    "File",
    "std::net",
    "std::process",
    "std::thread",
    "spawn",
    "select!",
    "join!",
    "sleep",
    "tokio::time",
    "LazyLock",
    "thread_local",
];

/// Where such a thing is named, and why what is endorsed does not depend on it.
const EXCEPTIONS: [(&str, &str); 2] = [
    // The endorser's own clock refuses, and refusing is not writing.
    ("admission.rs", "SystemTime"),
    ("admission.rs", "UNIX_EPOCH"),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The code of a source that is endorsed: without comments, and without its tests.
fn endorsed(source: &str) -> String {
    let code = source.split("#[cfg(test)]").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn neither_contract_nor_model_names_what_differs_between_peers() {
    let contract = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut looked_at = 0;
    let mut named = Vec::new();
    for source in
        [contract.join("src"), contract.join("../model/src")].iter().flat_map(|folder| sources(folder))
    {
        let name = source.file_name().unwrap().to_str().unwrap().to_owned();
        // The program around the contract, and the engine's tests.
        if name == "main.rs" || name.ends_with("tests.rs") {
            continue;
        }
        looked_at += 1;
        let code = endorsed(&fs::read_to_string(&source).unwrap());
        for word in DIFFERING {
            if code.contains(word) {
                named.push((name.clone(), word));
            }
        }
    }
    let expected: Vec<_> = EXCEPTIONS.iter().map(|(file, word)| ((*file).to_owned(), *word)).collect();
    assert_eq!(named, expected);
    assert!(looked_at > 40, "{looked_at} sources");
}

/// Tests run with the checks anyway: what is released has to be told.
#[test]
fn a_released_build_checks_for_overflow_as_every_other_does() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let workspace = fs::read_to_string(workspace).unwrap();
    let (_, release) = workspace.split_once("[profile.release]\n").unwrap();
    let release = release.split("\n[").next().unwrap();
    assert!(release.lines().any(|line| line == "overflow-checks = true"), "{release}");
}
