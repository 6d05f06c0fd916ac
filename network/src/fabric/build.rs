//! Building Fabric's programs from pinned Go modules, once per release and platform.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::{Binaries, Origin, Search, Unusable, Version, announce};
use crate::lock::{FolderLock, LockError};
use crate::progress::{Progress, Step};

/// The Go modules of one release, with the checksum of everything they are built from.
pub(super) struct Recipe {
    pub(super) version: Version,
    /// How many Go packages the programs are compiled from, for telling how far a build is.
    packages: u32,
    go_mod: &'static str,
    go_sum: &'static str,
}

pub(super) const RECIPES: [Recipe; 2] = [
    Recipe {
        version: Version::new(3, 1, 1),
        packages: 820,
        go_mod: include_str!("../../fabric/3.1.1/go.mod"),
        go_sum: include_str!("../../fabric/3.1.1/go.sum"),
    },
    Recipe {
        version: Version::new(2, 5, 9),
        packages: 800,
        go_mod: include_str!("../../fabric/2.5.9/go.mod"),
        go_sum: include_str!("../../fabric/2.5.9/go.sum"),
    },
];

const MODULE: &str = "github.com/hyperledger/fabric";

/// How often an operator hears that a build is still going on.
const REPORT_EVERY: Duration = Duration::from_secs(2);

const LOCK_POLL: Duration = Duration::from_millis(200);

/// The first Go that knows tools in `go.mod`, and the first that fetches a newer Go by itself; minor versions of 1.
const GO_WITH_TOOLS: u32 = 24;
const GO_THAT_UPGRADES: u32 = 21;

/// How many lines of Go's output an error carries.
const LOG_TAIL_LINES: usize = 12;

/// What stopped a build of Fabric's programs.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Neither programs nor a Go toolchain are on this machine.
    #[error(
        "there are no Fabric programs and no Go toolchain: either install Go 1.24 or newer (https://go.dev/dl) \
         so that they can be built, or point --fabric-bin or FABRIC_BIN at a folder with `peer`, `orderer` and \
         `configtxgen` of Fabric 2.5 or newer and its sample configuration in `../config`"
    )]
    NoGo,
    /// The Go toolchain can neither read the recipe nor fetch one that can.
    #[error(
        "the Go toolchain is {0}, and Go 1.24 or newer is needed (https://go.dev/dl); or point --fabric-bin or \
         FABRIC_BIN at a folder with programs of Fabric 2.5 or newer and its sample configuration in `../config`"
    )]
    OldGo(String),
    /// This crate has no recipe for the release.
    #[error(
        "there is no recipe to build it; name one of {known} in the spec, or point --fabric-bin or FABRIC_BIN at its programs"
    )]
    NoRecipe {
        /// The releases there are recipes for.
        known: String,
    },
    /// Go ran and failed.
    #[error(
        "`go {task}` failed; the end of its output (all of it is in `{log}`):\n{tail}\nIf the module proxy cannot be \
         reached, set GOPROXY, or point --fabric-bin or FABRIC_BIN at existing programs"
    )]
    Go {
        /// The Go command.
        task: &'static str,
        /// Its whole output.
        log: PathBuf,
        /// The end of its output.
        tail: String,
    },
    /// What was built does not serve.
    #[error("the programs were built, but do not serve")]
    Unusable(#[source] Unusable),
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

/// Takes the release from the cache, building it there first when it is absent.
///
/// A folder under its final name is complete: a build happens in a sibling and is renamed as its last act.
pub(super) async fn cached_or_built(
    search: &Search,
    progress: &dyn Progress,
) -> Result<Binaries, BuildError> {
    let recipe = RECIPES.iter().find(|recipe| recipe.version == search.version).ok_or_else(|| {
        BuildError::NoRecipe {
            known: RECIPES.iter().map(|recipe| recipe.version.to_string()).collect::<Vec<_>>().join(", "),
        }
    })?;
    let shelf = search.cache_dir.join("fabric");
    let key = format!("{}-{}-{}", recipe.version, std::env::consts::OS, std::env::consts::ARCH);
    let home = shelf.join(&key);
    if let Ok(found) = search.inspect(&home.join("bin"), Origin::Cache) {
        announce(progress, &found);
        return Ok(found);
    }
    let go = find_go(search, GO_WITH_TOOLS).await.map_err(|old| match old {
        Some(old) => BuildError::OldGo(old),
        None => BuildError::NoGo,
    })?;
    fs::create_dir_all(&shelf).map_err(at(&shelf))?;

    let step = Step::begin(progress, format!("build Fabric {}", recipe.version));
    let lock_file = shelf.join(format!("{key}.lock"));
    let _lock = lock(&lock_file, &step).await.map_err(BuildError::Lock)?;
    if let Ok(found) = search.inspect(&home.join("bin"), Origin::Cache) {
        step.done("another process has built it");
        return Ok(found);
    }

    remove_leftovers(&shelf, &key).map_err(|(path, source)| BuildError::Io { path, source })?;
    let bench = shelf.join(format!(".{key}.{}", std::process::id()));
    let log = shelf.join(format!("{key}.log"));
    build(recipe, &go, &bench, &log, &step).await?;
    let built = Search { folder: None, ..search.clone() };
    built.inspect(&bench.join("bin"), Origin::Built).map_err(BuildError::Unusable)?;
    fs::rename(&bench, &home).map_err(at(&home))?;
    let found = built.inspect(&home.join("bin"), Origin::Built).map_err(BuildError::Unusable)?;
    step.done(&format!("kept in {} for every later run", home.display()));
    Ok(found)
}

/// Takes the lock of a release; somebody who has it is building what is wanted.
pub(super) async fn lock(file: &Path, step: &Step<'_>) -> Result<FolderLock, LockError> {
    let mut told = false;
    loop {
        match FolderLock::try_take(file) {
            Err(LockError::Held { .. }) => {
                if !told {
                    step.waiting("another process is building it; waiting for that to end");
                    told = true;
                }
                tokio::time::sleep(LOCK_POLL).await;
            }
            taken => return taken,
        }
    }
}

async fn build(
    recipe: &Recipe,
    go: &Path,
    bench: &Path,
    log: &Path,
    step: &Step<'_>,
) -> Result<(), BuildError> {
    let config = bench.join("config");
    fs::create_dir_all(&config).map_err(at(&config))?;
    for (name, text) in [("go.mod", recipe.go_mod), ("go.sum", recipe.go_sum)] {
        let file = bench.join(name);
        fs::write(&file, text).map_err(at(&file))?;
    }
    step.waiting(
        "its source is fetched from Go's module proxy and compiled here: one to five minutes, this once",
    );
    let log_file = File::create(log).map_err(at(log))?;
    let stamp = format!("-s -w -X {MODULE}/common/metadata.Version={}", recipe.version);
    let mut install = go_in(go, bench, false);
    install.args(["install", "-v", "-trimpath", "-ldflags", &stamp, "tool"]).env("GOBIN", bench.join("bin"));
    follow(install, log_file, recipe.packages, step)
        .await
        .map_err(at(log))?
        .then_some(())
        .ok_or_else(|| BuildError::Go { task: "install", log: log.to_owned(), tail: tail(log) })?;

    let listed = go_in(go, bench, false)
        .args(["list", "-m", "-f", "{{.Dir}}", MODULE])
        .output()
        .await
        .map_err(at(go))?;
    let module = PathBuf::from(String::from_utf8_lossy(&listed.stdout).trim());
    for name in ["core.yaml", "orderer.yaml"] {
        let from = module.join("sampleconfig").join(name);
        let text = fs::read(&from).map_err(at(&from))?;
        let to = config.join(name);
        fs::write(&to, text).map_err(at(&to))?;
    }
    Ok(())
}

/// Go, in the recipe's folder, told nothing but what the recipe says; with C when something of it is written in C.
pub(super) fn go_in(go: &Path, bench: &Path, with_c: bool) -> Command {
    let mut command = Command::new(go);
    command
        .current_dir(bench)
        .env("GOFLAGS", "-mod=readonly -buildvcs=false")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", if with_c { "1" } else { "0" })
        .env_remove("GOOS")
        .env_remove("GOARCH")
        // Whoever gives up on a build, by Ctrl-C for instance, gives up on Go too.
        .kill_on_drop(true);
    command
}

/// Runs Go, keeps its output, and tells what it is at; false when it failed.
pub(super) async fn follow(
    mut command: Command,
    mut log: File,
    packages: u32,
    step: &Step<'_>,
) -> std::io::Result<bool> {
    let mut child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(Stdio::piped()).spawn()?;
    let (mut downloaded, mut compiled) = (0_u32, 0_u32);
    let mut tell = tokio::time::interval(REPORT_EVERY);
    tell.tick().await;
    if let Some(output) = child.stderr.take() {
        let mut lines = BufReader::new(output).lines();
        loop {
            tokio::select! {
                line = lines.next_line() => match line? {
                    None => break,
                    Some(line) => {
                        writeln!(log, "{line}")?;
                        if line.starts_with("go: downloading") {
                            downloaded = downloaded.saturating_add(1);
                        } else if !line.starts_with("go: ") {
                            compiled = compiled.saturating_add(1);
                        }
                    }
                },
                _ = tell.tick() => step.waiting(&match compiled {
                    0 => format!("downloading source: {downloaded} modules so far"),
                    _ => format!("compiling and linking: {compiled} of about {packages} packages"),
                }),
            }
        }
    }
    Ok(child.wait().await?.success())
}

/// Finds a Go toolchain that can build the recipe, which needs this minor version of 1; when there is none, what the one
/// that is too old says of itself.
pub(super) async fn find_go(search: &Search, minor_min: u32) -> Result<PathBuf, Option<String>> {
    let path = search.path.as_deref().unwrap_or_default();
    for go in std::env::split_paths(path).map(|folder| folder.join("go")).filter(|go| go.is_file()) {
        let asked = Command::new(&go).arg("version").env("GOTOOLCHAIN", "local").output().await;
        let Ok(output) = asked else { continue };
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let Some(minor) = go_minor(&said) else { continue };
        let pinned = std::env::var("GOTOOLCHAIN").is_ok_and(|wanted| wanted == "local");
        let needed = if pinned { minor_min } else { GO_THAT_UPGRADES };
        return if minor >= needed { Ok(go) } else { Err(Some(said)) };
    }
    Err(None)
}

/// The minor version in `go version go1.24.2 linux/amd64`.
fn go_minor(said: &str) -> Option<u32> {
    let version = said.strip_prefix("go version go1.")?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Removes what interrupted builds left; called under the lock, so nobody is using it.
pub(super) fn remove_leftovers(shelf: &Path, key: &str) -> Result<(), (PathBuf, std::io::Error)> {
    let prefix = format!(".{key}.");
    let refused = |path: &Path| {
        let path = path.to_owned();
        |error| (path, error)
    };
    for entry in fs::read_dir(shelf).map_err(refused(shelf))? {
        let entry = entry.map_err(refused(shelf))?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(refused(&path))?;
        }
    }
    // A folder that is there and does not serve was damaged after it was built.
    let damaged = shelf.join(key);
    match fs::remove_dir_all(&damaged) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(refused(&damaged)(error)),
        _ => Ok(()),
    }
}

pub(super) fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let skip = lines.len().saturating_sub(LOG_TAIL_LINES);
    lines.into_iter().skip(skip).collect::<Vec<_>>().join("\n")
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> BuildError + '_ {
    |source| BuildError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fabric::tests::write_program;
    use crate::progress::Quiet;

    /// A machine with a `go` that does in a moment what Go does in minutes, and counts how often.
    struct Machine {
        home: tempfile::TempDir,
    }

    impl Machine {
        fn new(install: &str) -> Self {
            let home = tempfile::tempdir().unwrap();
            let machine = Self { home };
            for folder in ["path", "module/sampleconfig"] {
                fs::create_dir_all(machine.at(folder)).unwrap();
            }
            for file in ["core.yaml", "orderer.yaml"] {
                fs::write(machine.at("module/sampleconfig").join(file), "a: 1\n").unwrap();
            }
            write_program(&machine.at("path/go"), &machine.script(install));
            machine
        }

        fn script(&self, install: &str) -> String {
            format!(
                "cd {home}\ncase \"$1\" in\n\
                 version) echo go version go1.24.2 ;;\n\
                 list) echo {home}/module ;;\n\
                 install) echo once >> count; echo 'go: downloading x' >&2; {install} ;;\n\
                 esac\n",
                home = self.home.path().display()
            )
        }

        fn at(&self, path: &str) -> PathBuf {
            self.home.path().join(path)
        }

        fn search(&self) -> Search {
            Search {
                version: Version::new(3, 1, 1),
                folder: None,
                fabric_bin: None,
                path: Some(self.at("path").into_os_string()),
                fabric_cfg_path: None,
                cache_dir: self.at("cache"),
            }
        }

        fn built(&self) -> PathBuf {
            let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
            self.at("cache/fabric").join(format!("3.1.1-{platform}"))
        }

        fn builds(&self) -> usize {
            fs::read_to_string(self.at("count")).unwrap_or_default().lines().count()
        }
    }

    const PROGRAMS: &str = "mkdir -p $GOBIN; for p in peer orderer configtxgen; do \
                            printf '#!/bin/sh\\necho \" Version: 3.1.1\"\\n' > $GOBIN/$p; chmod +x $GOBIN/$p; done";

    #[tokio::test]
    async fn it_is_built_once_and_found_again() {
        let machine = Machine::new(PROGRAMS);
        let first = cached_or_built(&machine.search(), &Quiet).await.unwrap();
        assert_eq!(first.origin(), Origin::Built);
        assert!(first.sample_config().join("orderer.yaml").is_file());
        let second = cached_or_built(&machine.search(), &Quiet).await.unwrap();
        assert_eq!(second.origin(), Origin::Cache);
        assert_eq!((first.peer(), machine.builds()), (second.peer(), 1));
    }

    #[tokio::test]
    async fn two_at_once_share_one_build() {
        let machine = Machine::new(PROGRAMS);
        let search = machine.search();
        let one = || cached_or_built(&search, &Quiet);
        let (a, b, c) = tokio::join!(one(), one(), one());
        assert_eq!(a.unwrap().peer(), b.unwrap().peer());
        c.unwrap();
        assert_eq!(machine.builds(), 1);
    }

    #[tokio::test]
    async fn an_interrupted_build_is_not_taken_for_a_finished_one() {
        let machine = Machine::new(PROGRAMS);
        let shelf = machine.at("cache/fabric");
        let name = machine.built().file_name().unwrap().to_string_lossy().into_owned();
        let left = shelf.join(format!(".{name}.4242/bin"));
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join("peer"), "half").unwrap();
        // Under its final name too: what was removed from there by hand.
        fs::create_dir_all(machine.built().join("bin")).unwrap();
        cached_or_built(&machine.search(), &Quiet).await.unwrap();
        assert!(!left.exists());
        assert!(machine.built().join("bin/orderer").is_file());
    }

    #[tokio::test]
    async fn a_failed_build_leaves_nothing_and_shows_gos_words() {
        let machine = Machine::new("echo 'proxy says: 404 Not Found' >&2; exit 1");
        let error = cached_or_built(&machine.search(), &Quiet).await.unwrap_err();
        let BuildError::Go { tail, log, .. } = &error else { panic!("{error:?}") };
        assert!(tail.contains("404") && log.is_file(), "{tail}");
        assert!(!machine.built().exists());
        assert!(error.to_string().contains("FABRIC_BIN"));
        // What was built must run: a program that does not is no success.
        let silent = Machine::new(&PROGRAMS.replace("3.1.1", "latest"));
        assert!(matches!(cached_or_built(&silent.search(), &Quiet).await, Err(BuildError::Unusable(_))));
        assert!(!silent.built().exists());
    }

    #[tokio::test]
    async fn a_release_without_a_recipe_names_those_with_one() {
        let machine = Machine::new(PROGRAMS);
        let search = Search { version: Version::new(3, 0, 0), ..machine.search() };
        let error = cached_or_built(&search, &Quiet).await.unwrap_err();
        assert!(error.to_string().contains("3.1.1, 2.5.9"), "{error}");
    }

    #[tokio::test]
    async fn a_build_that_is_given_up_is_no_build() {
        let machine = Machine::new("exec sleep 1000");
        let count = machine.at("count");
        let search = machine.search();
        let begun = async {
            while !count.exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            built = cached_or_built(&search, &Quiet) => panic!("{built:?}"),
            () = begun => {}
        }
        assert!(!machine.built().exists());
        write_program(&machine.at("path/go"), &machine.script(PROGRAMS));
        cached_or_built(&search, &Quiet).await.unwrap();
    }

    #[tokio::test]
    async fn an_old_go_is_named() {
        let machine = Machine::new(PROGRAMS);
        write_program(&machine.at("path/go"), "echo go version go1.19.8 linux/amd64");
        assert!(matches!(
            cached_or_built(&machine.search(), &Quiet).await,
            Err(BuildError::OldGo(found)) if found.contains("go1.19.8")
        ));
        assert_eq!(go_minor("go version go1.26.8 linux/amd64"), Some(26));
        assert_eq!(go_minor("go version devel"), None);
    }
}
