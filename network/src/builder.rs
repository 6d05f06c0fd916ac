//! The external builder of a peer: it fills a package's placeholders with this organisation's own values.
//!
//! A peer calls three programs of a builder, `detect`, `build` and `release`. Here each is a shell script of one
//! command that [`write_scripts`] makes; it runs a program of the caller's, which calls [`run`]. A peer hands a
//! builder almost no environment, so everything it needs stands in the file that the script names.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::files::{self, FileError};
use crate::package;

/// A `connection.json` larger than this is not one.
const CONNECTION_BYTES_MAX: u64 = 1 << 20;

/// A value that a package leaves to each organisation, written `{{.name}}` as for Fabric's own builder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Where the chaincode service listens, `host:port`.
    Address,
    /// The CA of the service's TLS certificate, PEM.
    RootCert,
    /// The peer's TLS client certificate, PEM.
    ClientCert,
    /// The key of that certificate, PEM.
    ClientKey,
}

impl Field {
    const ALL: [Field; 4] = [Field::Address, Field::RootCert, Field::ClientCert, Field::ClientKey];

    /// The text that stands for the value in a package.
    pub const fn placeholder(self) -> &'static str {
        match self {
            Field::Address => "{{.address}}",
            Field::RootCert => "{{.root_cert}}",
            Field::ClientCert => "{{.client_cert}}",
            Field::ClientKey => "{{.client_key}}",
        }
    }
}

/// One organisation's values for a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Values {
    /// Where the chaincode service listens, `host:port`.
    pub address: String,
    /// File of the CA of the service's TLS certificate, PEM.
    pub root_cert: PathBuf,
    /// File of the peer's TLS client certificate, PEM.
    pub client_cert: PathBuf,
    /// File of that certificate's key, PEM.
    pub client_key: PathBuf,
}

/// A program that calls [`run`] with `PHASE --config FILE ARGS…` after its own arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuilderProgram {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Arguments before the phase, such as `["network", "builder"]`.
    pub args: Vec<String>,
}

/// One of the three calls of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Is this package for this builder? Arguments: source, metadata.
    Detect,
    /// Check and keep the source. Arguments: source, metadata, output.
    Build,
    /// Write the connection. Arguments: output of the build, release.
    Release,
}

impl Phase {
    const ALL: [Phase; 3] = [Phase::Detect, Phase::Build, Phase::Release];

    /// The name of the phase's program.
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Detect => "detect",
            Phase::Build => "build",
            Phase::Release => "release",
        }
    }
}

impl std::str::FromStr for Phase {
    type Err = BuilderError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Phase::ALL
            .into_iter()
            .find(|phase| phase.as_str() == text)
            .ok_or_else(|| BuilderError::Phase(text.to_owned()))
    }
}

/// Why a builder could not do its part; the peer writes it to its log.
#[derive(Debug, thiserror::Error)]
pub enum BuilderError {
    /// There is no such phase.
    #[error("`{0}` is not one of `detect`, `build` and `release`")]
    Phase(String),
    /// The peer's arguments are not those of the phase.
    #[error("`{phase}` takes {wanted} folders, and was given {found}")]
    Arguments {
        /// The phase.
        phase: &'static str,
        /// How many it takes.
        wanted: usize,
        /// How many there were.
        found: usize,
    },
    /// The package is of another type.
    #[error("the package is of type `{0}`, and this builder is for `ccaas`")]
    OtherType(String),
    /// A file of the package or of the builder is not the JSON it should be.
    #[error("`{path}` is not valid: {reason}")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The package carries a private key, which everybody who installs it would see.
    #[error(
        "the package's connection.json carries a private key; replace it by the placeholder `{{{{.client_key}}}}`"
    )]
    KeyInPackage,
    /// A placeholder is not known.
    #[error(
        "the package's connection.json has the unknown placeholder `{0}`; known are address, root_cert, client_cert and client_key"
    )]
    UnknownPlaceholder(String),
    /// A file cannot be read or written.
    #[error("a file of the builder cannot be used")]
    File(#[from] FileError),
}

/// Writes `bin/{detect,build,release}` into a builder folder.
///
/// `config` is the file of [`Values`] that `release` will read; one beside it that ends in `.address` instead of `.json`
/// says, when it is there, where the service listens now.
///
/// # Errors
/// [`BuilderError::File`] when they cannot be written.
pub fn write_scripts(folder: &Path, program: &BuilderProgram, config: &Path) -> Result<(), BuilderError> {
    let bin = folder.join("bin");
    files::make_folder(&bin)?;
    for (phase, script) in scripts(program, config) {
        files::replace(&bin.join(phase.as_str()), files::PROGRAM, script.as_bytes())?;
    }
    Ok(())
}

/// The scripts of a builder, each of one command.
pub(crate) fn scripts(program: &BuilderProgram, config: &Path) -> [(Phase, String); 3] {
    Phase::ALL.map(|phase| {
        let words = std::iter::once(program.program.to_string_lossy().into_owned())
            .chain(program.args.iter().cloned())
            .chain([phase.as_str().to_owned(), "--config".to_owned(), config.to_string_lossy().into_owned()])
            .map(|word| quoted(&word))
            .collect::<Vec<_>>()
            .join(" ");
        (phase, format!("#!/bin/sh\nexec {words} \"$@\"\n"))
    })
}

/// The program that a script of [`write_scripts`] runs; `None` when it is no such script.
pub(crate) fn program_of_script(script: &str) -> Option<String> {
    let command = script.lines().find_map(|line| line.strip_prefix("exec '"))?;
    // A quote inside of a word ends it, stands for itself, and begins it again.
    let quote = r"'\''";
    let mut program = String::new();
    let mut rest = command;
    loop {
        let (part, after) = rest.split_once('\'')?;
        program.push_str(part);
        match after.strip_prefix(quote.strip_prefix('\'')?) {
            Some(next) => {
                program.push('\'');
                rest = next;
            }
            None => return Some(program),
        }
    }
}

/// Does one phase of the builder.
///
/// # Errors
/// [`BuilderError`]; the caller ends with a status other than 0 then. For `detect` that says "not mine".
pub fn run(phase: Phase, config: &Path, folders: &[PathBuf]) -> Result<(), BuilderError> {
    let arguments = |wanted| BuilderError::Arguments { phase: phase.as_str(), wanted, found: folders.len() };
    match (phase, folders) {
        (Phase::Detect, [_source, metadata]) => detect(metadata),
        (Phase::Detect, _) => Err(arguments(2)),
        (Phase::Build, [source, _metadata, output]) => build(source, output),
        (Phase::Build, _) => Err(arguments(3)),
        (Phase::Release, [output, release]) => self::release(config, output, release),
        (Phase::Release, _) => Err(arguments(2)),
    }
}

fn detect(metadata: &Path) -> Result<(), BuilderError> {
    let metadata = read_object(&metadata.join("metadata.json"))?;
    match metadata.get("type").and_then(Value::as_str) {
        Some(kind) if kind.eq_ignore_ascii_case(package::TYPE) => Ok(()),
        other => Err(BuilderError::OtherType(other.unwrap_or("").to_owned())),
    }
}

fn build(source: &Path, output: &Path) -> Result<(), BuilderError> {
    let connection = read_object(&source.join("connection.json"))?;
    for text in connection.values().filter_map(Value::as_str) {
        if text.contains("PRIVATE KEY") {
            return Err(BuilderError::KeyInPackage);
        }
        if let Some(unknown) = unknown_placeholder(text) {
            return Err(BuilderError::UnknownPlaceholder(unknown));
        }
    }
    let text = Value::Object(connection).to_string();
    files::write_new(&output.join("connection.json"), files::PUBLIC, text.as_bytes())?;
    Ok(())
}

/// The values of a file, with the address that the service has now.
pub(crate) fn read_values(config: &Path) -> Result<Values, BuilderError> {
    let mut values: Values = serde_json::from_str(&files::read(config)?)
        .map_err(|error| BuilderError::Json { path: config.to_owned(), reason: error.to_string() })?;
    let now = address_file(config);
    if now.exists() {
        values.address = files::read(&now)?.trim().to_owned();
    }
    Ok(values)
}

/// Where an address is noted that another one's place took: peers read the values themselves at their start alone, and
/// need no start for it.
pub(crate) fn address_file(config: &Path) -> PathBuf {
    config.with_extension("address")
}

fn release(config: &Path, output: &Path, release: &Path) -> Result<(), BuilderError> {
    let values = read_values(config)?;
    let filled = [
        (Field::Address, values.address.clone()),
        (Field::RootCert, files::read(&values.root_cert)?),
        (Field::ClientCert, files::read(&values.client_cert)?),
        (Field::ClientKey, files::read(&values.client_key)?),
    ];
    let mut connection = read_object(&output.join("connection.json"))?;
    for value in connection.values_mut() {
        if let Value::String(text) = value {
            for (field, with) in &filled {
                *text = text.replace(field.placeholder(), with);
            }
        }
    }
    let server = release.join("chaincode").join("server");
    files::make_folder(&server)?;
    let text = Value::Object(connection).to_string();
    files::write_new(&server.join("connection.json"), files::SECRET, text.as_bytes())?;
    Ok(())
}

fn read_object(path: &Path) -> Result<Map<String, Value>, BuilderError> {
    let wrong = |reason: String| BuilderError::Json { path: path.to_owned(), reason };
    let size = fs::metadata(path).map_err(|e| FileError::new(path, "read", e))?.len();
    if size > CONNECTION_BYTES_MAX {
        return Err(wrong(format!("{size} bytes are too many")));
    }
    match serde_json::from_str(&files::read(path)?) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(wrong("it is not an object".to_owned())),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// The first `{{…}}` in a text that is not a [`Field`]'s.
fn unknown_placeholder(text: &str) -> Option<String> {
    let mut rest = text.to_owned();
    for field in Field::ALL {
        rest = rest.replace(field.placeholder(), "");
    }
    let from = rest.find("{{")?;
    let found = rest.get(from..)?;
    let end = found.find("}}").map_or(found.len(), |end| end.saturating_add(2));
    found.get(..end).map(ToOwned::to_owned)
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::Package;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    /// The folders that a peer makes for a builder, with a package's content in them.
    struct Bench {
        home: tempfile::TempDir,
    }

    impl Bench {
        fn new(connection: &str) -> Self {
            let home = tempfile::tempdir().unwrap();
            for folder in ["source", "metadata", "output", "release"] {
                fs::create_dir(home.path().join(folder)).unwrap();
            }
            let bench = Self { home };
            fs::write(bench.at("source/connection.json"), connection).unwrap();
            fs::write(bench.at("metadata/metadata.json"), r#"{"type":"ccaas","label":"l"}"#).unwrap();
            for (file, text) in [("root", "ROOT\n"), ("cert", "CERT\n"), ("key", "KEY\n")] {
                fs::write(bench.at(file), text).unwrap();
            }
            let values = Values {
                address: "127.0.0.1:9999".to_owned(),
                root_cert: bench.at("root"),
                client_cert: bench.at("cert"),
                client_key: bench.at("key"),
            };
            fs::write(bench.at("values.json"), serde_json::to_string(&values).unwrap()).unwrap();
            bench
        }

        fn at(&self, path: &str) -> PathBuf {
            self.home.path().join(path)
        }

        fn run(&self, phase: Phase) -> Result<(), BuilderError> {
            let folders: &[&str] = match phase {
                Phase::Detect => &["source", "metadata"],
                Phase::Build => &["source", "metadata", "output"],
                Phase::Release => &["output", "release"],
            };
            let folders: Vec<PathBuf> = folders.iter().map(|name| self.at(name)).collect();
            run(phase, &self.at("values.json"), &folders)
        }
    }

    /// The connection.json inside a package of ours.
    fn packaged_connection() -> String {
        let package = Package::of_service("l").unwrap();
        let unpack = |bytes: &[u8], wanted: &str| -> Vec<u8> {
            let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
            for entry in archive.entries().unwrap() {
                let mut entry = entry.unwrap();
                if entry.path().unwrap().to_str() == Some(wanted) {
                    let mut content = Vec::new();
                    std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
                    return content;
                }
            }
            panic!("no {wanted}")
        };
        let code = unpack(package.bytes(), "code.tar.gz");
        String::from_utf8(unpack(&code, "connection.json")).unwrap()
    }

    #[test]
    fn a_package_is_filled_with_local_values() {
        let bench = Bench::new(&packaged_connection());
        for phase in Phase::ALL {
            bench.run(phase).unwrap();
        }
        let path = bench.at("release/chaincode/server/connection.json");
        let connection = read_object(&path).unwrap();
        assert_eq!(connection["address"], "127.0.0.1:9999");
        assert_eq!(connection["root_cert"], "ROOT\n");
        assert_eq!(connection["client_cert"], "CERT\n");
        assert_eq!(connection["client_key"], "KEY\n");
        assert_eq!(connection["tls_required"], true);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn other_packages_are_left_to_other_builders() {
        let bench = Bench::new("{}");
        fs::write(bench.at("metadata/metadata.json"), r#"{"type":"golang"}"#).unwrap();
        assert!(matches!(bench.run(Phase::Detect), Err(BuilderError::OtherType(_))));
        fs::write(bench.at("metadata/metadata.json"), "[]").unwrap();
        assert!(matches!(bench.run(Phase::Detect), Err(BuilderError::Json { .. })));
    }

    #[test]
    fn keys_and_unknown_placeholders_are_refused() {
        let key = r#"{"client_key":"-----BEGIN PRIVATE KEY-----\n"}"#;
        assert!(matches!(Bench::new(key).run(Phase::Build), Err(BuilderError::KeyInPackage)));
        let unknown = r#"{"address":"{{.address}}:{{.port}}"}"#;
        assert!(matches!(
            Bench::new(unknown).run(Phase::Build),
            Err(BuilderError::UnknownPlaceholder(name)) if name == "{{.port}}"
        ));
    }

    #[test]
    fn wrong_calls_are_refused() {
        let nowhere = Path::new("/nowhere");
        for phase in Phase::ALL {
            assert!(matches!(run(phase, nowhere, &[]), Err(BuilderError::Arguments { found: 0, .. })));
        }
        assert!("deploy".parse::<Phase>().is_err());
        assert_eq!("release".parse::<Phase>().unwrap(), Phase::Release);
    }

    #[test]
    fn the_scripts_call_the_program_word_by_word() {
        let home = tempfile::tempdir().unwrap();
        let echo = BuilderProgram {
            program: PathBuf::from("/bin/echo"),
            args: vec!["it's".to_owned(), "$HOME".to_owned()],
        };
        let config = Path::new("/a b/c.json");
        write_scripts(home.path(), &echo, config).unwrap();
        let output =
            Command::new("/bin/sh").arg(home.path().join("bin/release")).args(["x", "y z"]).output().unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "it's $HOME release --config /a b/c.json x y z\n"
        );
    }
}
