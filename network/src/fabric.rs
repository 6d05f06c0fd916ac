//! Fabric's programs: found where the operator has them, or built once from pinned Go modules.
//!
//! [`Search::find`] looks, in this order, into the folder the operator names, `FABRIC_BIN`, `PATH`, and
//! the cache; what is in none of them is built by the Go toolchain into the cache.

mod build;
mod ca_server;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use crate::progress::{self, Progress};

pub use build::BuildError;
pub use ca_server::CaServerError;
pub(crate) use ca_server::RELEASE as CA_RELEASE;

/// The programs a network needs.
const PROGRAMS: [&str; 3] = ["peer", "orderer", "configtxgen"];

/// The oldest Fabric that has the gateway service and everything else this crate relies on.
const OLDEST: Version = Version::new(2, 5, 0);

/// A Fabric release, `major.minor.patch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    major: u16,
    minor: u16,
    patch: u16,
}

impl Version {
    /// The release `major.minor.patch`.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }

    /// The releases that this crate can build from source.
    pub fn buildable() -> Vec<Version> {
        build::RECIPES.iter().map(|recipe| recipe.version).collect()
    }

    /// Whether this is Fabric 3 or newer, which brings BFT ordering, multi-get and write batches.
    pub const fn is_v3(self) -> bool {
        self.major >= 3
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A text that is not a Fabric release number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a Fabric version such as `3.1.1`")]
pub struct VersionError(String);

impl FromStr for Version {
    type Err = VersionError;

    /// Reads `3.1.1`, `v3.1.1`, or a release with a suffix such as `3.1.1-beta`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || VersionError(text.to_owned());
        let numbers = text.strip_prefix('v').unwrap_or(text);
        let numbers = numbers.split_once('-').map_or(numbers, |(release, _)| release);
        let mut parts = numbers.split('.').map(u16::from_str);
        let mut next = || parts.next().and_then(Result::ok).ok_or_else(wrong);
        let version = Version::new(next()?, next()?, next()?);
        match parts.next() {
            None => Ok(version),
            Some(_) => Err(wrong()),
        }
    }
}

/// Where a set of programs came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The folder the operator named.
    Named,
    /// The folder in the environment variable `FABRIC_BIN`.
    Environment,
    /// A folder in `PATH`.
    Path,
    /// The cache, built by an earlier run.
    Cache,
    /// The cache, built by this run.
    Built,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Named => "the folder you named",
            Origin::Environment => "FABRIC_BIN",
            Origin::Path => "PATH",
            Origin::Cache => "the cache",
            Origin::Built => "built just now",
        })
    }
}

/// Fabric's programs and sample configuration, all of one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    folder: PathBuf,
    sample_config: PathBuf,
    version: Version,
    origin: Origin,
}

impl Binaries {
    /// The `peer` program.
    pub fn peer(&self) -> PathBuf {
        self.folder.join("peer")
    }

    /// The `orderer` program.
    pub fn orderer(&self) -> PathBuf {
        self.folder.join("orderer")
    }

    /// The `configtxgen` program.
    pub fn configtxgen(&self) -> PathBuf {
        self.folder.join("configtxgen")
    }

    /// The folder with the programs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder with this release's own `core.yaml` and `orderer.yaml`.
    pub fn sample_config(&self) -> &Path {
        &self.sample_config
    }

    /// The release, as `peer version` answers it.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where they were found.
    pub fn origin(&self) -> Origin {
        self.origin
    }
}

/// Why no set of Fabric programs could be had.
#[derive(Debug, thiserror::Error)]
pub enum FabricError {
    /// The operator pointed at a folder that cannot be used.
    #[error(
        "the Fabric programs in `{folder}` ({origin}) cannot be used; correct it, or leave it out to have them built"
    )]
    Unusable {
        /// The folder that was named.
        folder: PathBuf,
        /// How it was named.
        origin: Origin,
        /// What is wrong with it.
        source: Unusable,
    },
    /// They are nowhere and could not be built.
    #[error("Fabric {version} was not found and could not be built")]
    Build {
        /// The release that was wanted.
        version: Version,
        /// What stopped the build.
        source: BuildError,
    },
}

/// What is wrong with a folder of Fabric programs.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// A program is not there.
    #[error("`{0}` is not in it")]
    Missing(&'static str),
    /// `peer version` could not be run.
    #[error("`peer version` does not run")]
    NotRunnable(#[source] std::io::Error),
    /// `peer version` ran, and named no release.
    #[error("`peer version` names no release (it says `{0}`)")]
    Nameless(String),
    /// The release is too old.
    #[error("it is Fabric {0}, and Fabric 2.5 is the oldest that serves")]
    TooOld(Version),
    /// Its sample configuration is not beside it.
    #[error(
        "no `core.yaml` and `orderer.yaml` of that release are in `../config` beside it or in FABRIC_CFG_PATH"
    )]
    NoSampleConfig,
}

/// Where to look for Fabric's programs.
#[derive(Debug, Clone)]
pub struct Search {
    /// The release to build, and to look for in the cache; elsewhere any from 2.5 on serves.
    pub version: Version,
    /// A folder named by the operator; nothing else is considered then.
    pub folder: Option<PathBuf>,
    /// The value of `FABRIC_BIN`; nothing after it is considered when it is set.
    pub fabric_bin: Option<PathBuf>,
    /// The value of `PATH`; programs there that do not serve are passed over.
    pub path: Option<OsString>,
    /// The value of `FABRIC_CFG_PATH`, for programs without a `../config` beside them.
    pub fabric_cfg_path: Option<PathBuf>,
    /// The user's cache folder for this purpose, such as `~/.cache/NAME`; made when absent.
    pub cache_dir: PathBuf,
}

/// Where built programs are kept unless somebody says otherwise, shared by every network of this user:
/// `HLF_NETWORK_CACHE`, or `hlf-network` in `XDG_CACHE_HOME` or `~/.cache`. `None` when the environment names none.
pub fn default_cache_dir() -> Option<PathBuf> {
    folder_in("HLF_NETWORK_CACHE")
        .or_else(|| folder_in("XDG_CACHE_HOME").map(|home| home.join("hlf-network")))
        .or_else(|| folder_in("HOME").map(|home| home.join(".cache/hlf-network")))
}

/// A folder that a variable of the environment names.
fn folder_in(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

impl Search {
    /// A search as the process's own environment describes it.
    pub fn from_environment(version: Version, cache_dir: impl Into<PathBuf>) -> Self {
        Self {
            version,
            folder: None,
            fabric_bin: folder_in("FABRIC_BIN"),
            path: std::env::var_os("PATH"),
            fabric_cfg_path: folder_in("FABRIC_CFG_PATH"),
            cache_dir: cache_dir.into(),
        }
    }

    /// Finds the programs, or builds them, which takes minutes.
    ///
    /// # Errors
    /// [`FabricError::Unusable`] when the operator named a folder that does not serve, and
    /// [`FabricError::Build`] when nothing was found and nothing could be built.
    pub async fn find(&self, progress: &dyn Progress) -> Result<Binaries, FabricError> {
        if let Some((folder, origin)) = self.demanded() {
            return self
                .inspect(folder, origin)
                .inspect(|found| announce(progress, found))
                .map_err(|source| FabricError::Unusable { folder: folder.to_owned(), origin, source });
        }
        if let Some(found) = self.on_path() {
            announce(progress, &found);
            return Ok(found);
        }
        build::cached_or_built(self, progress)
            .await
            .map_err(|source| FabricError::Build { version: self.version, source })
    }

    /// Finds `fabric-ca-server`, or builds it, which takes minutes: in the folder that the operator named, in `FABRIC_BIN`,
    /// on `PATH`, in the cache, in this order.
    ///
    /// # Errors
    /// [`CaServerError`] when it is nowhere and cannot be built.
    pub async fn find_ca_server(&self, progress: &dyn Progress) -> Result<PathBuf, CaServerError> {
        ca_server::find(self, progress).await
    }

    fn demanded(&self) -> Option<(&Path, Origin)> {
        let named = self.folder.as_deref().map(|f| (f, Origin::Named));
        named.or_else(|| self.fabric_bin.as_deref().map(|f| (f, Origin::Environment)))
    }

    fn on_path(&self) -> Option<Binaries> {
        let path = self.path.as_ref()?;
        std::env::split_paths(path)
            .filter(|folder| folder.is_absolute() && folder.join("peer").is_file())
            .find_map(|folder| self.inspect(&folder, Origin::Path).ok())
    }

    /// Checks that a folder holds every program, of a release that serves, with its configuration.
    fn inspect(&self, folder: &Path, origin: Origin) -> Result<Binaries, Unusable> {
        for program in PROGRAMS {
            if !folder.join(program).is_file() {
                return Err(Unusable::Missing(program));
            }
        }
        let version = ask_version(&folder.join("peer"))?;
        if version < OLDEST {
            return Err(Unusable::TooOld(version));
        }
        let folder = std::path::absolute(folder).map_err(Unusable::NotRunnable)?;
        let beside = folder.parent().map(|parent| parent.join("config"));
        let sample_config = beside
            .into_iter()
            .chain(self.fabric_cfg_path.clone())
            .find(|config| has_sample_config(config))
            .ok_or(Unusable::NoSampleConfig)?;
        Ok(Binaries { folder, sample_config, version, origin })
    }
}

fn has_sample_config(folder: &Path) -> bool {
    ["core.yaml", "orderer.yaml"].iter().all(|file| folder.join(file).is_file())
}

fn announce(progress: &dyn Progress, found: &Binaries) {
    progress::skipped(
        progress,
        "Fabric programs",
        &format!("using Fabric {} from {} ({})", found.version, found.folder.display(), found.origin),
    );
}

/// Runs `peer version` and reads the release from its ` Version: …` line.
fn ask_version(peer: &Path) -> Result<Version, Unusable> {
    let output = Command::new(peer)
        .arg("version")
        .env_remove("FABRIC_CFG_PATH")
        .output()
        .map_err(Unusable::NotRunnable)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.lines()
        .find_map(|line| line.trim().strip_prefix("Version:"))
        .and_then(|version| version.trim().parse().ok())
        .ok_or_else(|| Unusable::Nameless(said.lines().take(2).collect::<Vec<_>>().join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Quiet;

    /// Writes a shell script, by another process: one of this process's threads could otherwise start a program
    /// while the script is open for writing, and it would not run.
    pub(super) fn write_program(path: &Path, script: &str) {
        let written = Command::new("/bin/sh")
            .args(["-c", r#"printf '#!/bin/sh\n%s\n' "$2" > "$1" && chmod 755 "$1""#, "sh"])
            .arg(path)
            .arg(script)
            .status();
        assert!(written.unwrap().success());
    }

    fn release(text: &str) -> Version {
        text.parse().unwrap()
    }

    /// A folder with programs that answer `peer version` as Fabric does.
    fn programs(answer: &str, with_config: bool) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        for program in PROGRAMS {
            write_program(&bin.join(program), &format!("echo peer:; echo ' {answer}'"));
        }
        if with_config {
            let config = home.path().join("config");
            std::fs::create_dir(&config).unwrap();
            std::fs::write(config.join("core.yaml"), "peer: {}\n").unwrap();
            std::fs::write(config.join("orderer.yaml"), "General: {}\n").unwrap();
        }
        home
    }

    fn search(home: &tempfile::TempDir) -> Search {
        Search {
            version: release("3.1.1"),
            folder: Some(home.path().join("bin")),
            fabric_bin: None,
            path: None,
            fabric_cfg_path: None,
            cache_dir: home.path().join("cache"),
        }
    }

    async fn refusal(search: &Search) -> Unusable {
        match search.find(&Quiet).await {
            Err(FabricError::Unusable { source, .. }) => source,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn versions_are_read_and_ordered() {
        assert!(release("2.5.9") < release("2.5.12"));
        assert!(release("v3.1.1-beta") == Version::new(3, 1, 1));
        for wrong in ["", "3", "3.1", "latest", "3.1.1.1", "3.x.1", "-1.2.3"] {
            assert!(wrong.parse::<Version>().is_err(), "{wrong}");
        }
        assert!(release("3.0.0").is_v3() && !release("2.5.16").is_v3());
    }

    #[tokio::test]
    async fn a_named_folder_is_used_and_said() {
        let home = programs("Version: v3.1.5", true);
        let found = search(&home).find(&Quiet).await.unwrap();
        assert_eq!(found.version(), release("3.1.5"));
        assert_eq!(found.origin(), Origin::Named);
        assert!(found.sample_config().join("core.yaml").is_file());
    }

    #[tokio::test]
    async fn a_named_folder_that_does_not_serve_is_refused_with_the_reason() {
        let old = programs("Version: 2.4.9", true);
        assert!(matches!(refusal(&search(&old)).await, Unusable::TooOld(_)));
        let nameless = programs("Version: latest", true);
        assert!(matches!(refusal(&search(&nameless)).await, Unusable::Nameless(_)));
        let bare = programs("Version: 3.1.1", false);
        assert!(matches!(refusal(&search(&bare)).await, Unusable::NoSampleConfig));
        std::fs::remove_file(bare.path().join("bin/orderer")).unwrap();
        assert!(matches!(refusal(&search(&bare)).await, Unusable::Missing("orderer")));
    }

    #[tokio::test]
    async fn fabric_bin_comes_after_the_named_folder_and_before_path() {
        let home = programs("Version: 3.1.1", true);
        let environment = Search { folder: None, fabric_bin: Some(home.path().join("bin")), ..search(&home) };
        assert_eq!(environment.find(&Quiet).await.unwrap().origin(), Origin::Environment);
        let path =
            Search { folder: None, path: Some(home.path().join("bin").into_os_string()), ..search(&home) };
        assert_eq!(path.find(&Quiet).await.unwrap().origin(), Origin::Path);
    }

    #[tokio::test]
    async fn no_go_and_no_programs_names_both_ways_out() {
        let home = tempfile::tempdir().unwrap();
        let nowhere =
            Search { folder: None, path: Some(home.path().as_os_str().to_owned()), ..search(&home) };
        let error = nowhere.find(&Quiet).await.unwrap_err();
        let FabricError::Build { source, .. } = &error else { panic!("{error:?}") };
        let said = source.to_string();
        assert!(said.contains("Go") && said.contains("FABRIC_BIN"), "{said}");
    }
}
