//! What Fabric would reject, found before anybody signs.

use std::collections::BTreeSet;
use std::fmt;

use hlf_protos::common::{Capabilities, ConfigGroup};
use hlf_protos::orderer::{BatchSize, BatchTimeout, ConsensusType};
use hlf_protos::protos::AcLs;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

use super::config::{
    ACLS, APPLICATION, BATCH_SIZE, BATCH_TIMEOUT, BFT, CAPABILITIES, CONSENSUS_TYPE, ChannelConfig,
    ConfigError, ORDERER,
};
use super::members::common_name;
use super::standing::Rule;

/// BFT tolerates one faulty node from this many on.
const BFT_NODES_MIN: usize = 4;

/// Why Fabric, or whoever runs the channel afterwards, would not live with a change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// Nothing would change.
    #[error("the channel is like that already; nothing is to be done")]
    NothingChanges,
    /// More than one node of the ordering service would change at once.
    #[error(
        "{added} orderers would come and {removed} go at once; change one in each proposal, and wait until it takes part"
    )]
    SeveralConsenters {
        /// How many come.
        added: usize,
        /// How many go.
        removed: usize,
    },
    /// Too few nodes would be left.
    #[error("{nodes} orderers would be left; {why}")]
    TooFewConsenters {
        /// How many.
        nodes: usize,
        /// What needs more.
        why: &'static str,
    },
    /// No member would be left.
    #[error("no organisation would be left; a channel needs one at least")]
    NoMember,
    /// A policy could be satisfied and no longer could.
    #[error("nobody could satisfy `{policy}` afterwards: {why}")]
    Unsatisfiable {
        /// The policy.
        policy: String,
        /// What it would ask for.
        why: String,
    },
    /// A certificate of an organisation or node is no good.
    #[error("{whose}: {what}")]
    Certificate {
        /// Whose it is.
        whose: String,
        /// What is wrong with it.
        what: String,
    },
    /// A number is outside of what Fabric takes.
    #[error("`{what}` would be {value}; {fix}")]
    Number {
        /// Which number.
        what: &'static str,
        /// What it would be.
        value: String,
        /// What to give instead.
        fix: &'static str,
    },
    /// An access rule names a policy that is not there.
    #[error("`{resource}` would be guarded by `{policy}`, which the channel has not")]
    NoSuchPolicy {
        /// The request.
        resource: String,
        /// The policy.
        policy: String,
    },
    /// A capability is unknown or lower than the present one.
    #[error("{0}")]
    Capability(String),
    /// The configuration cannot be read.
    #[error("the channel's configuration cannot be judged")]
    Config(#[from] ConfigError),
}

/// Looks for what Fabric would reject in going from one configuration to another.
pub(crate) fn check(present: &ChannelConfig, wanted: &ChannelConfig) -> Result<(), Rejection> {
    consenters(present, wanted)?;
    numbers(wanted)?;
    capabilities(present, wanted)?;
    if wanted.organizations()?.is_empty() {
        return Err(Rejection::NoMember);
    }
    policies("/Channel", present.root().ok(), wanted.root()?)?;
    acls(wanted)?;
    authorities(present, wanted)
}

fn consenters(present: &ChannelConfig, wanted: &ChannelConfig) -> Result<(), Rejection> {
    let (before, after) = (present.consenters()?, wanted.consenters()?);
    let added = after.iter().filter(|consenter| !before.contains(consenter)).count();
    let removed = before.iter().filter(|consenter| !after.contains(consenter)).count();
    if added > 1 || removed > 1 {
        return Err(Rejection::SeveralConsenters { added, removed });
    }
    let kind: ConsensusType = wanted.value(&[ORDERER], CONSENSUS_TYPE)?;
    let nodes = after.len();
    if kind.r#type == BFT && nodes < BFT_NODES_MIN {
        let why = "BFT takes four at least, to live with a faulty one; add one before you remove one";
        return Err(Rejection::TooFewConsenters { nodes, why });
    }
    if nodes == 0 {
        return Err(Rejection::TooFewConsenters { nodes, why: "somebody has to order transactions" });
    }
    for consenter in after.iter().filter(|consenter| !before.contains(consenter)) {
        let whose = format!("orderer `{}`", consenter.address());
        leaf(&whose, &consenter.certificates.server)?;
        leaf(&whose, &consenter.certificates.client)?;
        if let Some(member) = &consenter.bft {
            leaf(&whose, &member.identity)?;
            wanted.msp(&member.msp_id).map_err(|_| Rejection::Certificate {
                whose,
                what: format!("its organisation `{}` is not in the channel", member.msp_id),
            })?;
        }
    }
    Ok(())
}

fn numbers(wanted: &ChannelConfig) -> Result<(), Rejection> {
    let size: BatchSize = wanted.value(&[ORDERER], BATCH_SIZE)?;
    let zero = |what, fix| Rejection::Number { what, value: "0".to_owned(), fix };
    if size.max_message_count == 0 {
        return Err(zero("max_message_count", "let a block hold one transaction at least"));
    }
    if size.absolute_max_bytes == 0 {
        return Err(zero("absolute_max_bytes", "let a block hold some bytes"));
    }
    if size.preferred_max_bytes == 0 || size.preferred_max_bytes > size.absolute_max_bytes {
        return Err(Rejection::Number {
            what: "preferred_max_bytes",
            value: size.preferred_max_bytes.to_string(),
            fix: "let it be from 1 to absolute_max_bytes",
        });
    }
    let timeout: BatchTimeout = wanted.value(&[ORDERER], BATCH_TIMEOUT)?;
    if timeout.timeout.starts_with('0') || timeout.timeout.starts_with('-') {
        let fix = "let a block wait for a millisecond at least";
        return Err(Rejection::Number { what: "batch timeout", value: timeout.timeout, fix });
    }
    Ok(())
}

/// Levels of capabilities that Fabric knows, from low to high, by section.
const CHANNEL_LEVELS: &[&str] = &["V1_1", "V1_3", "V1_4_2", "V1_4_3", "V2_0", "V3_0"];
const ORDERER_LEVELS: &[&str] = &["V1_1", "V1_4_2", "V2_0"];
const APPLICATION_LEVELS: &[&str] = &["V1_1", "V1_2", "V1_3", "V1_4_2", "V2_0", "V2_5"];

fn capabilities(present: &ChannelConfig, wanted: &ChannelConfig) -> Result<(), Rejection> {
    let sections: [(&[&str], &[&str]); 3] =
        [(&[], CHANNEL_LEVELS), (&[ORDERER], ORDERER_LEVELS), (&[APPLICATION], APPLICATION_LEVELS)];
    for (path, levels) in sections {
        let highest = |config: &ChannelConfig| -> Result<Option<usize>, Rejection> {
            let found: Capabilities = match config.value(path, CAPABILITIES) {
                Ok(found) => found,
                Err(ConfigError::Missing(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let mut highest = None;
            for name in found.capabilities.keys() {
                let level = levels.iter().position(|level| level == name).ok_or_else(|| {
                    let known = levels.join(", ");
                    let section = path.first().unwrap_or(&"Channel");
                    Rejection::Capability(format!("{section} has no capability `{name}`; it has {known}"))
                })?;
                highest = highest.max(Some(level));
            }
            Ok(highest)
        };
        let (before, after) = (highest(present)?, highest(wanted)?);
        if after < before {
            let name = before.and_then(|level| levels.get(level)).unwrap_or(&"");
            return Err(Rejection::Capability(format!(
                "`{name}` is in force; nodes that wrote blocks under it cannot go back to a lower capability"
            )));
        }
    }
    Ok(())
}

/// Demands that no policy that could be satisfied becomes impossible.
fn policies(path: &str, present: Option<&ConfigGroup>, wanted: &ConfigGroup) -> Result<(), Rejection> {
    for name in wanted.policies.keys() {
        let rule = Rule::of(wanted, name, 0);
        let was_possible = present.is_none_or(|present| {
            !present.policies.contains_key(name) || Rule::of(present, name, 0).is_possible()
        });
        if was_possible && !rule.is_possible() {
            return Err(Rejection::Unsatisfiable { policy: format!("{path}/{name}"), why: rule.to_string() });
        }
    }
    for (name, inner) in &wanted.groups {
        policies(&format!("{path}/{name}"), present.and_then(|group| group.groups.get(name)), inner)?;
    }
    Ok(())
}

fn acls(wanted: &ChannelConfig) -> Result<(), Rejection> {
    let acls: AcLs = match wanted.value(&[APPLICATION], ACLS) {
        Ok(acls) => acls,
        Err(ConfigError::Missing(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for (resource, guard) in acls.acls {
        let policy = guard.policy_ref;
        let names: Vec<&str> = match policy.strip_prefix("/Channel/") {
            Some(absolute) => absolute.split('/').collect(),
            None => [APPLICATION].into_iter().chain(policy.split('/')).collect(),
        };
        let found = names
            .split_last()
            .is_some_and(|(name, at)| wanted.group(at).is_ok_and(|group| group.policies.contains_key(*name)));
        if !found {
            return Err(Rejection::NoSuchPolicy { resource, policy });
        }
    }
    Ok(())
}

/// Demands that authorities that come are authorities, in their time.
fn authorities(present: &ChannelConfig, wanted: &ChannelConfig) -> Result<(), Rejection> {
    for section in [APPLICATION, ORDERER] {
        let names: BTreeSet<&String> = wanted.group(&[section])?.groups.keys().collect();
        for msp_id in names {
            let after = wanted.msp(msp_id)?;
            let before = present.msp(msp_id).unwrap_or_default();
            let whose = format!("organisation `{msp_id}`");
            let lists = [
                (&before.root_certs, &after.root_certs, "authority"),
                (&before.tls_root_certs, &after.tls_root_certs, "TLS authority"),
            ];
            for (before, after, what) in lists {
                if after.is_empty() {
                    return Err(Rejection::Certificate { whose, what: format!("it has no {what}") });
                }
                for pem in after.iter().filter(|pem| !before.contains(pem)) {
                    let fail = |why: &dyn fmt::Display| Rejection::Certificate {
                        whose: whose.clone(),
                        what: format!("its {what} {why}"),
                    };
                    let (_, pem) = parse_x509_pem(pem).map_err(|_| fail(&"is not a certificate in PEM"))?;
                    let (_, found) = X509Certificate::from_der(&pem.contents)
                        .map_err(|_| fail(&"is not an X.509 certificate"))?;
                    if !found.is_ca() {
                        let name = common_name(&found);
                        return Err(fail(&format!("`{name}` may not issue certificates")));
                    }
                    in_its_time(&found).map_err(|when| fail(&when))?;
                }
            }
            if after.name != **msp_id {
                let what = format!("its membership rules are those of `{}`", after.name);
                return Err(Rejection::Certificate { whose, what });
            }
        }
    }
    Ok(())
}

/// Demands a certificate in its time.
fn leaf(whose: &str, pem: &[u8]) -> Result<(), Rejection> {
    let fail = |what: String| Rejection::Certificate { whose: whose.to_owned(), what };
    let (_, pem) = parse_x509_pem(pem).map_err(|_| fail("its certificate is not PEM".to_owned()))?;
    let (_, found) = X509Certificate::from_der(&pem.contents)
        .map_err(|_| fail("its certificate is not X.509".to_owned()))?;
    in_its_time(&found).map_err(|when| fail(format!("its certificate {when}")))
}

fn in_its_time(certificate: &X509Certificate<'_>) -> Result<(), String> {
    let validity = certificate.validity();
    if validity.is_valid_at(ASN1Time::now()) {
        return Ok(());
    }
    let name = common_name(certificate);
    Err(format!("`{name}` is not valid now: it is for {} to {}", validity.not_before, validity.not_after))
}
