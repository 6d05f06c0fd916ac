//! What the tests on real processes share.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hlf_network::Event;
use hlf_network::builder::BuilderProgram;
use hlf_network::fabric::{Search, default_cache_dir};
use hlf_network::network::Options;
use hlf_network::process::MARKER;
use hlf_network::spec::{Consortium, DEFAULT};

/// The default consortium, on the Fabric release in `HLF_NETWORK_FABRIC` when it is set.
pub(crate) fn document() -> String {
    match std::env::var("HLF_NETWORK_FABRIC") {
        Ok(release) => DEFAULT.replacen("3.1.1", &release, 1),
        Err(_) => DEFAULT.to_owned(),
    }
}

pub(crate) fn cache_dir() -> PathBuf {
    default_cache_dir().expect("HOME or HLF_NETWORK_CACHE must be set")
}

/// An error with everything that caused it.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        text.push_str(&format!("\n  caused by: {cause}"));
        at = cause.source();
    }
    text
}

pub(crate) fn say(event: &Event<'_>) {
    eprintln!("{event:?}");
}

/// A network without chaincode: its builder is never called.
pub(crate) fn no_chaincode(spec: &Consortium) -> Options {
    Options {
        binaries: Search::from_environment(spec.fabric, cache_dir()),
        builder: BuilderProgram { program: PathBuf::from("/bin/false"), args: Vec::new() },
        chaincode: None,
        chaincode_of: BTreeMap::new(),
    }
}

/// A state folder whose processes end with the test, and whose logs stay when it fails.
pub(crate) struct Bench {
    pub(crate) folder: PathBuf,
}

impl Bench {
    pub(crate) fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        Self { folder }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for pid in marked(&self.folder) {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// The processes that carry a folder, found without the code under test.
pub(crate) fn marked(folder: &Path) -> Vec<u32> {
    let wanted = format!("{MARKER}={}", folder.display());
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|text| text.split(|b| *b == 0).any(|e| e == wanted.as_bytes()))
        })
        .collect()
}
