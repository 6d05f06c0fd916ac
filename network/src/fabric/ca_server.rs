//! Fabric CA's server: found where the operator has it, or built once from its pinned Go module.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Search;
use super::build::{find_go, follow, go_in, lock, remove_leftovers, tail};
use crate::lock::LockError;
use crate::progress::{self, Progress, Step};

/// The release that is built.
pub(crate) const RELEASE: &str = "1.5.22";

const PROGRAM: &str = "fabric-ca-server";
const GO_MOD: &str = include_str!("../../fabric/ca-1.5.22/go.mod");
const GO_SUM: &str = include_str!("../../fabric/ca-1.5.22/go.sum");

/// How many Go packages it is compiled from, for telling how far a build is.
const PACKAGES: u32 = 520;

/// The Go that its module asks for; minor version of 1.
const GO_OF_MODULE: u32 = 26;

/// The oldest release whose REST interface and configuration are those that are spoken here.
const OLDEST: (u32, u32) = (1, 5);

/// What stopped `fabric-ca-server` from being had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaServerError {
    /// There is neither the program nor a Go toolchain.
    #[error(
        "there is no `fabric-ca-server` and no Go toolchain: install Go 1.26 or newer (https://go.dev/dl) so that it can \
         be built, put the program on PATH or beside Fabric's own, or write `ca = \"development\"` in the spec"
    )]
    NoGo,
    /// The Go toolchain can neither read the recipe nor fetch one that can.
    #[error(
        "the Go toolchain is {0}, and Fabric CA needs Go 1.26 or newer (https://go.dev/dl); or put `fabric-ca-server` on \
         PATH or beside Fabric's own programs"
    )]
    OldGo(String),
    /// There is no C compiler.
    #[error(
        "there is no C compiler `{0}`, and Fabric CA keeps its registry in SQLite, which is compiled from C: install one \
         (`apt-get install gcc libc6-dev`) or name it in CC; or put `fabric-ca-server` on PATH or beside Fabric's own \
         programs"
    )]
    NoC(String),
    /// Go ran and failed.
    #[error(
        "`go install` of Fabric CA failed; the end of its output (all of it is in `{log}`):\n{tail}\nIf the module proxy \
         cannot be reached, set GOPROXY, or put `fabric-ca-server` on PATH"
    )]
    Go {
        /// Its whole output.
        log: PathBuf,
        /// The end of its output.
        tail: String,
    },
    /// What was built does not run.
    #[error("`fabric-ca-server` was built, and does not answer with its version; remove `{0}` and try again")]
    Unusable(PathBuf),
    /// The cache folder could not be locked.
    #[error("the cache of Fabric programs cannot be locked")]
    Lock(#[source] LockError),
    /// The cache folder could not be written.
    #[error("`{path}` cannot be written")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
}

pub(super) async fn find(search: &Search, progress: &dyn Progress) -> Result<PathBuf, CaServerError> {
    let named = search.folder.iter().chain(&search.fabric_bin).cloned();
    let path = search.path.iter().flat_map(std::env::split_paths).filter(|folder| folder.is_absolute());
    for program in named.chain(path).map(|folder| folder.join(PROGRAM)).filter(|program| program.is_file()) {
        if let Some(release) = release_of(&program) {
            announce(progress, &release, &program);
            return Ok(program);
        }
    }
    cached_or_built(search, progress).await
}

fn announce(progress: &dyn Progress, release: &str, program: &Path) {
    progress::skipped(progress, "Fabric CA", &format!("using Fabric CA {release}, {}", program.display()));
}

/// The release that a program says it is of, when it serves.
fn release_of(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("version").output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let release = said.lines().find_map(|line| line.trim().strip_prefix("Version:"))?.trim().to_owned();
    let mut numbers = release.trim_start_matches('v').split('.').map(str::parse::<u32>);
    let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    ((major, minor) >= OLDEST).then_some(release)
}

async fn cached_or_built(search: &Search, progress: &dyn Progress) -> Result<PathBuf, CaServerError> {
    let shelf = search.cache_dir.join("fabric-ca");
    let key = format!("{RELEASE}-{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    let home = shelf.join(&key);
    let program = home.join("bin").join(PROGRAM);
    if program.is_file() && release_of(&program).is_some() {
        announce(progress, RELEASE, &program);
        return Ok(program);
    }
    let go = find_go(search, GO_OF_MODULE).await.map_err(|old| match old {
        Some(old) => CaServerError::OldGo(old),
        None => CaServerError::NoGo,
    })?;
    demand_c(search)?;
    fs::create_dir_all(&shelf).map_err(at(&shelf))?;

    let step = Step::begin(progress, format!("build Fabric CA {RELEASE}"));
    let lock_file = shelf.join(format!("{key}.lock"));
    let _lock = lock(&lock_file, &step).await.map_err(CaServerError::Lock)?;
    if program.is_file() && release_of(&program).is_some() {
        step.done("another process has built it");
        return Ok(program);
    }
    remove_leftovers(&shelf, &key).map_err(|(path, source)| CaServerError::Io { path, source })?;
    let bench = shelf.join(format!(".{key}.{}", std::process::id()));
    fs::create_dir_all(&bench).map_err(at(&bench))?;
    for (name, text) in [("go.mod", GO_MOD), ("go.sum", GO_SUM)] {
        let file = bench.join(name);
        fs::write(&file, text).map_err(at(&file))?;
    }
    step.waiting(
        "its source is fetched from Go's module proxy and compiled here: one to three minutes, this once",
    );
    let log = shelf.join(format!("{key}.log"));
    let log_file = File::create(&log).map_err(at(&log))?;
    let stamp = format!("-s -w -X github.com/hyperledger/fabric-ca/lib/metadata.Version={RELEASE}");
    let mut install = go_in(&go, &bench, true);
    install.args(["install", "-v", "-trimpath", "-ldflags", &stamp, "tool"]).env("GOBIN", bench.join("bin"));
    if !follow(install, log_file, PACKAGES, &step).await.map_err(at(&log))? {
        return Err(CaServerError::Go { tail: tail(&log), log });
    }
    if release_of(&bench.join("bin").join(PROGRAM)).is_none() {
        return Err(CaServerError::Unusable(bench));
    }
    fs::rename(&bench, &home).map_err(at(&home))?;
    step.done(&format!("kept in {} for every later run", home.display()));
    Ok(program)
}

/// Demands the C compiler that Go would run.
fn demand_c(search: &Search) -> Result<(), CaServerError> {
    let named =
        std::env::var("CC").ok().filter(|cc| !cc.trim().is_empty()).unwrap_or_else(|| "gcc".to_owned());
    let program = named.split_whitespace().next().unwrap_or("gcc").to_owned();
    let path = search.path.as_deref().unwrap_or_default();
    let found = Path::new(&program).is_absolute() && Path::new(&program).is_file()
        || std::env::split_paths(path).any(|folder| folder.join(&program).is_file());
    if found { Ok(()) } else { Err(CaServerError::NoC(program)) }
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> CaServerError + '_ {
    |source| CaServerError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::super::Version;
    use super::super::tests::write_program;
    use super::*;
    use crate::progress::Quiet;

    fn search(home: &Path) -> Search {
        Search {
            version: Version::new(3, 1, 1),
            folder: None,
            fabric_bin: None,
            path: Some(home.join("path").into_os_string()),
            fabric_cfg_path: None,
            cache_dir: home.join("cache"),
        }
    }

    /// A machine with a `go` that does in a moment what Go does in minutes, and counts how often.
    fn machine(with_c: bool) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let at = |path: &str| home.path().join(path);
        fs::create_dir(at("path")).unwrap();
        let install = format!(
            "cd {}\ncase \"$1\" in\nversion) echo go version go1.26.3 linux/amd64 ;;\ninstall) echo $CGO_ENABLED >> count; \
             mkdir -p $GOBIN; printf '#!/bin/sh\\necho \" Version: 1.5.22\"\\n' > $GOBIN/{PROGRAM}; \
             chmod +x $GOBIN/{PROGRAM} ;;\nesac\n",
            home.path().display()
        );
        write_program(&at("path/go"), &install);
        if with_c {
            write_program(&at("path/gcc"), "exit 0");
        }
        home
    }

    #[tokio::test]
    async fn it_is_built_once_with_c_and_found_again() {
        let machine = machine(true);
        let search = search(machine.path());
        let one = search.find_ca_server(&Quiet).await.unwrap();
        assert_eq!(search.find_ca_server(&Quiet).await.unwrap(), one);
        assert_eq!(fs::read_to_string(machine.path().join("count")).unwrap(), "1\n");
    }

    #[tokio::test]
    async fn a_missing_compiler_is_named_before_anything_is_fetched() {
        let machine = machine(false);
        let search = search(machine.path());
        let error = search.find_ca_server(&Quiet).await.unwrap_err();
        assert!(matches!(&error, CaServerError::NoC(_)), "{error:?}");
        assert!(error.to_string().contains("SQLite"), "{error}");
        assert!(!machine.path().join("count").exists());
    }

    #[tokio::test]
    async fn a_program_on_path_is_taken_when_it_is_new_enough() {
        let home = tempfile::tempdir().unwrap();
        let program = home.path().join("path").join(PROGRAM);
        fs::create_dir(home.path().join("path")).unwrap();
        write_program(&program, "echo ' Version: v1.5.9'");
        assert_eq!(search(home.path()).find_ca_server(&Quiet).await.unwrap(), program);
        write_program(&program, "echo ' Version: 1.4.9'");
        assert!(matches!(search(home.path()).find_ca_server(&Quiet).await, Err(CaServerError::NoGo)));
    }
}
