//! Programs in Go, which stand on Fabric's own libraries.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// Builds the program of a module in `tests/go`, into a folder that outlives this run: Go leaves it alone when nothing
/// has changed.
///
/// # Panics
/// When it cannot be built; it says what to do.
pub async fn program(tmp: &Path, module: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("go").join(module);
    let program = tmp.join("go").join(module);
    let built = Command::new("go")
        .args(["build", "-mod=readonly", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(&source)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("this test needs Go 1.25 or later on the PATH: install it from https://go.dev/dl");
    let words = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "`go build` failed in {}:\n{words}", source.display());
    program
}
