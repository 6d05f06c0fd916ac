use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use hlf_network::builder::BuilderProgram;
use hlf_network::fabric::{Search, default_cache_dir};
use hlf_network::network::{ChaincodeProgram, Network, Options};
use hlf_network::spec::Consortium;

use super::doctor::explained;
use super::part;
use super::plan::read;
use crate::app::App;
use crate::failure::{Exit, Invalid};

/// The built-in consortium.
pub(super) const CONSORTIUM: &str = include_str!("consortium.toml");
/// The contract's program, built beside this one.
const CHAINCODE: &str = "caretrail-chaincode";

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Fabric's programs come from --fabric-bin, FABRIC_BIN or PATH, where they answer with a version of 2.5 or \
                        later; otherwise they are built once, with Go, into the user's cache folder.\n\n\
                        Where each hospital has its own part (`caretrail network init`), it does the own one as far as the \
                        others have done theirs, says what is awaited from whom, and then ends with 75.\n\n\
                        Examples:\n  caretrail network up\n  caretrail network up --fabric-bin /opt/fabric/bin"
)]
pub(crate) struct Up {
    /// The consortium as TOML [default: two hospitals, see `caretrail network spec`].
    #[arg(long, value_name = "FILE")]
    pub(crate) spec: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) programs: Programs,
}

/// The programs that a network runs.
#[derive(Clone, Debug, Args)]
pub(crate) struct Programs {
    /// Folder of Fabric's programs.
    #[arg(long, value_name = "DIR")]
    pub(crate) fabric_bin: Option<PathBuf>,
    /// The contract's program [default: beside this one].
    #[arg(long, value_name = "FILE", env = "CARETRAIL_CHAINCODE_BIN")]
    pub(crate) chaincode_bin: Option<PathBuf>,
    /// Milliseconds that a proposal's timestamp may be off the endorsers' clocks.
    #[arg(long, value_name = "MS", default_value_t = 120_000)]
    pub(crate) admission_window_ms: u64,
    /// Threads that serve transactions in each organisation's contract: more than one where its process takes a whole
    /// processor.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) chaincode_threads: NonZeroUsize,
}

impl Up {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        if let Some(own) = part::own(app)? {
            return self.up_part(own, app).await;
        }
        let network = explained(app, stand_up(&self, app).await).await?;
        app.printer.data(&network.status().await?)?;
        Ok(Exit::Done)
    }
}

impl Up {
    async fn up_part(self, own: Network, app: &App) -> anyhow::Result<Exit> {
        part::demand_no_spec(self.spec.as_deref())?;
        let options = part::options(&self.programs, &own)?;
        let standing = own.up_part(&options, &app.progress()).await?;
        for awaited in &standing.waiting_for {
            app.printer.say(format!("waiting for {}: {}; {}", awaited.from, awaited.what, awaited.fix));
        }
        app.printer.data(&standing)?;
        Ok(if standing.complete { Exit::Done } else { Exit::Waiting })
    }
}

/// Makes the network run, with the contract on its channel.
pub(crate) async fn stand_up(up: &Up, app: &App) -> anyhow::Result<Network> {
    let folder = app.network_folder();
    let network = match &up.spec {
        Some(file) => Network::new(&folder, read(file)?)?,
        None if folder.exists() => match Network::existing(&folder) {
            Ok(network) => network,
            // An interruption before the first step leaves a folder that is not a network's yet.
            Err(_) => Network::new(&folder, parse(CONSORTIUM)?)?,
        },
        None => Network::new(&folder, parse(CONSORTIUM)?)?,
    };
    let options = options(&up.programs, network.spec())?;
    let progress = app.progress();
    network.up(&options, &progress).await?;
    Ok(network)
}

/// What nodes and the contract are run with.
pub(super) fn options(programs: &Programs, spec: &Consortium) -> anyhow::Result<Options> {
    let chaincode = match &programs.chaincode_bin {
        Some(program) => std::path::absolute(program)?,
        None => beside(&itself()?, CHAINCODE)?,
    };
    let mut options = without_chaincode(programs, spec)?;
    options.chaincode = Some(ChaincodeProgram {
        program: chaincode,
        args: Vec::new(),
        env: BTreeMap::from([
            ("CARETRAIL_ADMISSION_WINDOW_MS".to_owned(), programs.admission_window_ms.to_string().into()),
            ("CARETRAIL_CHAINCODE_THREADS".to_owned(), programs.chaincode_threads.to_string().into()),
            // It is not away while certificates are renewed.
            ("CHAINCODE_TLS_RELOAD".to_owned(), "true".into()),
        ]),
    });
    Ok(options)
}

fn itself() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("this program's own path is unknown")
}

/// What nodes are run with.
pub(super) fn without_chaincode(programs: &Programs, spec: &Consortium) -> anyhow::Result<Options> {
    let cache = default_cache_dir()
        .context("neither HOME nor XDG_CACHE_HOME nor HLF_NETWORK_CACHE says where to keep built programs")?;
    let mut binaries = Search::from_environment(spec.fabric, cache);
    if let Some(folder) = &programs.fabric_bin {
        binaries.folder = Some(folder.clone());
    }
    Ok(Options {
        binaries,
        builder: BuilderProgram { program: itself()?, args: vec!["network".into(), "builder".into()] },
        chaincode: None,
        chaincode_of: BTreeMap::new(),
    })
}

pub(super) fn parse(text: &str) -> anyhow::Result<Consortium> {
    Consortium::parse(text).map_err(|error| Invalid(format!("the spec does not serve: {error}")).into())
}

fn beside(own: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let program = own.with_file_name(name);
    if program.is_file() {
        return Ok(program);
    }
    Err(Invalid(format!(
        "`{}` is missing: build it with `make build`, or name it with --chaincode-bin",
        program.display()
    ))
    .into())
}
