//! `caretrail network change`: the channel's configuration, changed by proposals that travel as files.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use hlf_gateway::Credentials;
use hlf_network::change::{ChannelConfig, Proposal};
use hlf_network::network::Network;
use serde::Serialize;

use crate::app::App;
use crate::failure::{Exit, Invalid};

mod propose;
mod show;
mod sign;
mod submit;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Writes a proposal of a change, checked against what Fabric would reject.
    Propose(Box<propose::Propose>),
    /// Shows what a proposal changes, which signatures it needs, and who is missing.
    Show(show::Show),
    /// Adds the own organisation's signature to a proposal.
    Sign(sign::Sign),
    /// Submits a proposal that nobody is missing on, and waits until all peers have it.
    Submit(submit::Submit),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Propose(propose) => propose.run(app).await,
        Verb::Show(show) => show.run(app).await,
        Verb::Sign(sign) => sign.run(app).await,
        Verb::Submit(submit) => submit.run(app).await,
    }
}

/// A proposal against the channel as it is now.
#[derive(Serialize)]
pub(super) struct Shown {
    channel: String,
    title: String,
    complete: bool,
    differences: Vec<Difference>,
    signatures: Vec<Requirement>,
}

#[derive(Serialize)]
struct Difference {
    what: String,
    before: Option<String>,
    after: Option<String>,
}

/// A policy that guards the change, and how far its signatures go.
#[derive(Serialize)]
struct Requirement {
    policy: String,
    wants: String,
    signed: String,
    missing: String,
    satisfied: bool,
}

impl Shown {
    pub(super) fn of(proposal: &Proposal, present: &ChannelConfig) -> anyhow::Result<Self> {
        let standing = proposal.standing(present)?;
        Ok(Self {
            channel: proposal.channel().to_owned(),
            title: proposal.title().to_owned(),
            complete: standing.is_complete(),
            differences: proposal
                .differences(present)?
                .into_iter()
                .map(|found| Difference { what: found.what, before: found.before, after: found.after })
                .collect(),
            signatures: standing
                .requirements
                .into_iter()
                .map(|found| Requirement {
                    wants: found.rule.to_string(),
                    policy: found.policy,
                    signed: found.signed.join(", "),
                    missing: if found.satisfied { String::new() } else { found.missing.join(", ") },
                    satisfied: found.satisfied,
                })
                .collect(),
        })
    }
}

/// Reads a proposal; of several copies the signatures are put together.
pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Proposal> {
    let mut found: Option<Proposal> = None;
    for file in files {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("`{}` cannot be read", file.display()))?;
        let invalid = |error: &dyn std::error::Error| Invalid(format!("`{}`: {error}", file.display()));
        let proposal = Proposal::parse(&text).map_err(|error| invalid(&error))?;
        match &mut found {
            None => found = Some(proposal),
            Some(found) => found.merge(&proposal).map_err(|error| invalid(&error))?,
        }
    }
    found.context("no file was named")
}

/// Writes a proposal over its file, at once or not at all.
pub(super) fn write(file: &Path, proposal: &Proposal) -> anyhow::Result<()> {
    let draft = file.with_extension("draft");
    std::fs::write(&draft, proposal.to_string())
        .and_then(|()| std::fs::rename(&draft, file))
        .with_context(|| format!("`{}` cannot be written", file.display()))
}

/// The admin of an organisation by its name, in any case, or its MSP id.
fn admin(network: &Network, name: &str) -> anyhow::Result<Credentials> {
    let spec = network.spec();
    if name.eq_ignore_ascii_case("orderer") || name == spec.orderer.msp_id {
        return Ok(network.orderer_credentials()?);
    }
    let found = spec.organization(name).or_else(|| spec.organization(&name.to_ascii_lowercase()));
    let Some(organization) = found else {
        let names: Vec<&str> = spec.organizations.iter().map(|member| member.name.as_str()).collect();
        return Err(Invalid(format!("`{name}` is neither `orderer` nor one of {}", names.join(", "))).into());
    };
    Ok(network.admin_credentials(organization)?)
}
