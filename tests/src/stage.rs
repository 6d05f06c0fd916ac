//! The folder of one run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::processes;

/// How long processes may take to be gone once they are ended.
const GONE: Duration = Duration::from_secs(60);

/// A folder for one run of one test program, `<tmp>/<program>-<process id>`.
///
/// What earlier runs left is removed first, except of those that still run. Ending it ends every process of a
/// network in it.
#[derive(Debug)]
pub struct Stage {
    folder: PathBuf,
}

impl Stage {
    /// Sets the stage in cargo's folder for tests.
    ///
    /// # Panics
    /// When the folder cannot be made.
    pub fn set(tmp: &Path, program: &str) -> Self {
        sweep(tmp, program);
        let folder = tmp.join(format!("{program}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for this run");
        // As the kernel names it, so that processes are found by it.
        Self { folder: folder.canonicalize().expect("the folder that was just made") }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends all processes, and removes the folder unless it is to be looked at.
    pub fn clear(self, keep: bool) {
        end_processes(&self.folder);
        if keep {
            eprintln!("kept for a look: {}", self.folder.display());
            for log in logs(&self.folder) {
                eprintln!("  {}", log.display());
            }
        } else if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("`{}` is not removed: {error}", self.folder.display());
        }
    }
}

fn end_processes(folder: &Path) {
    let begun = Instant::now();
    while processes::end_all(folder) && begun.elapsed() < GONE {
        std::thread::yield_now();
    }
}

/// Removes the folders of runs that are over.
fn sweep(tmp: &Path, program: &str) {
    for entry in fs::read_dir(tmp).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(program)?.strip_prefix('-')?.parse().ok());
        if pid.is_some_and(|pid: u32| !processes::is_there(pid)) {
            end_processes(&entry.path());
            // It may be another user's; a full disk tells soon enough.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Every log file below a folder; a ledger's own `.log` files are no logs.
fn logs(folder: &Path) -> Vec<PathBuf> {
    let of_processes = folder.ends_with("logs") || folder.ends_with("files");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(logs(&path));
        } else if of_processes && path.extension().is_some_and(|extension| extension == "log") {
            found.push(path);
        }
    }
    found.sort();
    found
}
