use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use hlf_network::fabric::{Search, default_cache_dir};
use hlf_network::network::{
    ApplyError, ChangeError, Checkup, Finding, Network, Severity, StateError, UpError, catalogue,
};
use hlf_network::spec::Consortium;
use serde::Serialize;

use super::COMMAND;
use super::up::CONSORTIUM;
use crate::app::App;
use crate::failure::Exit;
use crate::printer::Format;

#[derive(Debug, Args)]
#[command(after_help = "It looks and changes nothing. What it knows is listed in docs/doctor.md.\n\
                        It ends with 0 when nothing is wrong, and with 1 when something is.\n\n\
                        Examples:\n  caretrail network doctor\n  caretrail network doctor --spec consortium.toml --format json")]
pub(crate) struct Doctor {
    /// A consortium, TOML, that the network shall be like.
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// Folder of Fabric's programs.
    #[arg(long, value_name = "DIR")]
    fabric_bin: Option<PathBuf>,
    /// Free space on the disk that is enough, in MiB.
    #[arg(long, env = "CARETRAIL_DISK_FREE_MIN", value_name = "MIB", default_value_t = 1024)]
    disk_free_min: u64,
    /// Days before its end from which on a certificate is told of.
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    certificate_days_min: u16,
    /// How long it is waited for what may pass by itself, such as `10s`.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    patience: Duration,
    /// Prints all that it knows as Markdown, which docs/doctor.md is made of, and looks at nothing.
    #[arg(long, hide = true)]
    catalogue: bool,
}

#[derive(Serialize)]
struct Found<'a> {
    healthy: bool,
    findings: &'a [Finding],
}

impl Doctor {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        if self.catalogue {
            app.printer.text(&document())?;
            return Ok(Exit::Done);
        }
        let folder = app.network_folder();
        let network = match Network::existing(&folder) {
            // Processes of a folder that was removed are found by its path.
            Err(StateError::None(_)) => Network::new(&folder, Consortium::parse(CONSORTIUM)?)?,
            network => network?,
        };
        let mut checkup = Checkup::default();
        checkup.spec = self.spec;
        checkup.disk_free_bytes_min = self.disk_free_min.saturating_mul(1 << 20);
        checkup.certificate_days_min = i64::from(self.certificate_days_min);
        checkup.patience = self.patience;
        let cache = default_cache_dir().context("no folder is known in which built programs are kept")?;
        let mut search = Search::from_environment(network.spec().fabric, cache);
        search.folder = self.fabric_bin;
        checkup.binaries = Some(search);
        let findings = network.doctor(&checkup).await?;
        match app.printer.format {
            Format::Json => {
                app.printer.data(&Found { healthy: findings.is_empty(), findings: &findings })?;
            }
            Format::Table => app.printer.text(&told(&findings))?,
        }
        Ok(if findings.is_empty() { Exit::Done } else { Exit::Failed })
    }
}

/// What came of a command; when it failed, what is known to be wrong is said on stderr before the error.
pub(super) async fn explained<T>(app: &App, result: anyhow::Result<T>) -> anyhow::Result<T> {
    if let Err(error) = &result
        && may_be_known(error)
    {
        explain_failure(app).await;
    }
    result
}

/// Whether a look at the network can tell more than the error does.
fn may_be_known(error: &anyhow::Error) -> bool {
    match error.downcast_ref() {
        Some(UpError::Lock(_) | UpError::State(_) | UpError::Obstacles(_) | UpError::Fabric(_)) => {
            return false;
        }
        Some(_) => return true,
        None => {}
    }
    match error.downcast_ref() {
        Some(ApplyError::Step { .. } | ApplyError::Base(_)) => return true,
        Some(_) => return false,
        None => {}
    }
    !matches!(error.downcast_ref(), None | Some(ChangeError::Proposal(_)))
}

async fn explain_failure(app: &App) {
    let Ok(network) = Network::existing(&app.network_folder()) else { return };
    let mut checkup = Checkup::default();
    checkup.patience = Duration::ZERO;
    let Ok(findings) = network.doctor(&checkup).await else { return };
    let errors: Vec<Finding> =
        findings.into_iter().filter(|finding| finding.severity == Severity::Error).collect();
    if !errors.is_empty() {
        app.printer.say(format!("what is known to be wrong:\n{}", told(&errors)));
    }
}

/// Findings in words, one block each.
fn told(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "nothing is wrong\n".to_owned();
    }
    let block = |finding: &Finding| {
        let node = finding.node.as_deref().map(|node| format!("  {node}")).unwrap_or_default();
        format!(
            "{}  {}{node}\n  symptom  {}\n  seen     {}\n  cause    {}\n  fix      {}\n",
            finding.severity, finding.code, finding.symptom, finding.evidence, finding.cause, finding.fix
        )
    };
    findings.iter().map(block).collect::<Vec<_>>().join("\n")
}

/// docs/doctor.md.
fn document() -> String {
    format!(
        "# What `{COMMAND} doctor` knows\n\n\
         Each failure has a code that does not change. `error` is what does not work now, `warning` what will not for \
         long. A consequence is not told beside its cause: a peer that is down is not said to be behind as well.\n\n\
         This file is generated (`caretrail network doctor --catalogue`); a test compares it.\n\n{}",
        catalogue(COMMAND)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_document_is_what_the_program_knows() {
        let committed = include_str!("../../../../../docs/doctor.md");
        assert_eq!(committed, document(), "run `caretrail network doctor --catalogue > docs/doctor.md`");
    }
}
