//! Every test that the threat model names is there, and no attack is left out of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const MODEL: &str = "docs/threat-model.md";
/// Where tests are that are named without a folder, and what an act looks like there.
const IN_MEMORY: &str = "chaincode/contract/tests/contract";
const ON_THE_NETWORK: &str = "tests/tests/attacks_on_the_contract";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a table of the model names in backticks in its last column: `file.rs::test`, by the repository's root.
fn named(model: &str) -> BTreeSet<String> {
    let rows = model.lines().filter(|line| line.starts_with("| ") && line.contains(".rs::"));
    let last = rows.filter_map(|row| row.trim_end_matches('|').rsplit(" | ").next());
    last.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(by_the_root).collect()
}

/// `network:file.rs::test` is one of the real network's, and what has no folder is one of this folder.
fn by_the_root(name: &str) -> String {
    match name.strip_prefix("network:") {
        Some(name) => format!("{ON_THE_NETWORK}/{name}"),
        None if name.split("::").next().unwrap().contains('/') => name.to_owned(),
        None => format!("{IN_MEMORY}/{name}"),
    }
}

#[test]
fn every_test_that_it_names_is_there() {
    let named = named(&read(&root().join(MODEL)));
    assert!(named.len() > 80, "{}", named.len());
    for name in named {
        let Some((file, test)) = name.split_once("::") else { panic!("`{name}` names no test") };
        let source = read(&root().join(file));
        let found = source.contains(&format!("fn {test}("));
        assert!(found, "`{MODEL}` names `{test}`, which is not in `{file}`");
        // It is one that is run: by the test harness, or as an act of its program.
        let program = root().join(file).with_file_name("main.rs");
        let act = program.is_file() && read(&program).contains(&format!("::{test},"));
        let attribute = source.split(&format!("fn {test}(")).next().unwrap();
        let attribute = attribute.rsplit("}").next().unwrap();
        let harness = attribute.contains("#[test]") || attribute.contains("#[tokio::test");
        assert!(act || harness, "`{test}` in `{file}` is not run as a test");
    }
}

#[test]
fn it_names_every_attack_that_is_tried() {
    let named = named(&read(&root().join(MODEL)));
    let program = read(&root().join(ON_THE_NETWORK).join("main.rs"));
    let (_, acts) = program.split_once("acts![").unwrap();
    let (acts, _) = acts.split_once(']').unwrap();
    let mut tried: Vec<String> = acts
        .split(',')
        .map(str::trim)
        .filter(|act| !act.is_empty())
        .map(|act| format!("{ON_THE_NETWORK}/{}", act.replacen("::", ".rs::", 1)))
        .collect();
    assert!(tried.len() > 25, "{tried:?}");
    let attacks = read(&root().join(IN_MEMORY).join("attacks.rs"));
    for part in attacks.split("#[tokio::test]\nasync fn ").skip(1) {
        tried.push(format!("{IN_MEMORY}/attacks.rs::{}", part.split('(').next().unwrap()));
    }
    let left_out: Vec<_> = tried.iter().filter(|attack| !named.contains(*attack)).collect();
    assert!(left_out.is_empty(), "`{MODEL}` leaves out {left_out:#?}");
}
