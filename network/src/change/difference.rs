//! What a change does, in plain words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hlf_protos::common::{ConfigGroup, ConfigPolicy};
use hlf_protos::msp::FabricMspConfig;
use hlf_protos::orderer::ConsensusType;
use sha2::{Digest as _, Sha256};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::config::{BFT, ChannelConfig, ConfigError, Consenter, Known, RAFT, decode};
use super::members::common_name;
use super::standing::Rule;

/// One thing that differs between two configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is, such as `/Channel/Orderer/BatchSize max_message_count`.
    pub what: String,
    /// How it was; `None` if it was not there.
    pub before: Option<String>,
    /// How it will be; `None` if it goes.
    pub after: Option<String>,
}

impl Difference {
    /// All differences, by the path of what differs.
    pub(crate) fn between(before: &ChannelConfig, after: &ChannelConfig) -> Result<Vec<Self>, ConfigError> {
        let (old, new) = (facts(before)?, facts(after)?);
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        Ok(names
            .into_iter()
            .map(|name| Self {
                what: name.clone(),
                before: old.get(name).cloned(),
                after: new.get(name).cloned(),
            })
            .filter(|difference| difference.before != difference.after)
            .collect())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (None, Some(after)) => write!(f, "+ {}: {after}", self.what),
            (Some(before), None) => write!(f, "- {}: {before}", self.what),
            (Some(before), Some(after)) => write!(f, "~ {}: {before} -> {after}", self.what),
            (None, None) => Ok(()),
        }
    }
}

/// A configuration as facts, by their names.
type Facts = BTreeMap<String, String>;

fn facts(config: &ChannelConfig) -> Result<Facts, ConfigError> {
    let mut found = Facts::new();
    group(&mut found, "/Channel", config.root()?)?;
    Ok(found)
}

fn group(found: &mut Facts, path: &str, at: &ConfigGroup) -> Result<(), ConfigError> {
    found.insert(format!("{path} (guarded by)"), at.mod_policy.clone());
    for (name, value) in &at.values {
        let path = format!("{path}/{name}");
        found.insert(format!("{path} (guarded by)"), value.mod_policy.clone());
        match Known::read(name, &value.value)? {
            Some(known) => known_facts(found, &path, known)?,
            None => {
                found.insert(path, digest(&value.value));
            }
        }
    }
    for (name, policy) in &at.policies {
        let path = format!("{path}/{name} (policy)");
        found.insert(format!("{path} (guarded by)"), policy.mod_policy.clone());
        found.insert(path, policy_text(at, name, policy));
    }
    for (name, inner) in &at.groups {
        group(found, &format!("{path}/{name}"), inner)?;
    }
    Ok(())
}

fn known_facts(found: &mut Facts, path: &str, known: Known) -> Result<(), ConfigError> {
    let mut fact = |name: &str, value: String| {
        found.insert(format!("{path} {name}"), value);
    };
    match known {
        Known::Msp(msp) => msp_facts(found, path, &msp),
        Known::Anchors(anchors) => {
            for peer in anchors.anchor_peers {
                fact(&format!("{}:{}", peer.host, peer.port), "anchor peer".to_owned());
            }
        }
        Known::Acls(acls) => {
            for (resource, guard) in acls.acls {
                fact(&resource, guard.policy_ref);
            }
        }
        Known::Capabilities(capabilities) => {
            for name in capabilities.capabilities.into_keys() {
                fact(&name, "demanded of all nodes".to_owned());
            }
        }
        Known::Endpoints(endpoints) => {
            for address in endpoints.addresses {
                fact(&address, "ordering endpoint".to_owned());
            }
        }
        Known::Batch(size) => {
            fact("max_message_count", size.max_message_count.to_string());
            fact("absolute_max_bytes", size.absolute_max_bytes.to_string());
            fact("preferred_max_bytes", size.preferred_max_bytes.to_string());
        }
        Known::Timeout(timeout) => fact("timeout", timeout.timeout),
        Known::Consensus(kind) => consensus_facts(found, path, &kind)?,
        Known::Orderers(orderers) => {
            for consenter in orderers.consenter_mapping {
                let id = consenter.id;
                let identity = certificate_text(&consenter.identity);
                let consenter = Consenter::from(consenter);
                fact(&format!("node {id}"), format!("{}, signs as {identity}", node_text(&consenter)));
            }
        }
    }
    Ok(())
}

fn consensus_facts(found: &mut Facts, path: &str, kind: &ConsensusType) -> Result<(), ConfigError> {
    let mut fact = |name: &str, value: String| {
        found.insert(format!("{path} {name}"), value);
    };
    fact("protocol", kind.r#type.clone());
    fact("state", if kind.state == 0 { "normal" } else { "maintenance" }.to_owned());
    match kind.r#type.as_str() {
        RAFT => {
            let metadata: hlf_protos::etcdraft::ConfigMetadata = decode("the Raft metadata", &kind.metadata)?;
            for consenter in metadata.consenters {
                let consenter = Consenter::from(consenter);
                fact(&consenter.address(), node_text(&consenter));
            }
            fact("options", format!("{:?}", metadata.options.unwrap_or_default()));
        }
        BFT => {
            let options: hlf_protos::orderer::smartbft::Options = decode("the BFT options", &kind.metadata)?;
            fact("request_batch_max_interval", options.request_batch_max_interval.clone());
            fact("options", format!("{options:?}"));
        }
        _ => fact("metadata", digest(&kind.metadata)),
    }
    Ok(())
}

fn msp_facts(found: &mut Facts, path: &str, msp: &FabricMspConfig) {
    let mut fact = |name: String, value: String| {
        found.insert(format!("{path} {name}"), value);
    };
    fact("id".to_owned(), msp.name.clone());
    let lists = [
        ("authority", &msp.root_certs),
        ("intermediate authority", &msp.intermediate_certs),
        ("named administrator", &msp.admins),
        ("TLS authority", &msp.tls_root_certs),
        ("intermediate TLS authority", &msp.tls_intermediate_certs),
    ];
    for (what, list) in lists {
        for pem in list {
            fact(format!("{what} {}", short_digest(pem)), certificate_text(pem));
        }
    }
    for list in &msp.revocation_list {
        fact(format!("revocation list {}", short_digest(list)), revocation_text(list));
    }
    fact(
        "roles by units".to_owned(),
        format!("{:?}", msp.fabric_node_ous.as_ref().map(|units| units.enable)),
    );
}

fn policy_text(at: &ConfigGroup, name: &str, policy: &ConfigPolicy) -> String {
    use hlf_protos::common::policy::PolicyType;
    use hlf_protos::common::{ImplicitMetaPolicy, implicit_meta_policy};
    use hlf_protos::prost::Message as _;

    // An implicit policy is told by its rule: what it comes to depends on who is a member, which is told elsewhere.
    let bytes = policy.policy.as_ref().filter(|policy| policy.r#type == i32::from(PolicyType::ImplicitMeta));
    let meta = bytes.and_then(|policy| ImplicitMetaPolicy::decode(policy.value.as_slice()).ok());
    match meta {
        Some(meta) => {
            let rule = implicit_meta_policy::Rule::try_from(meta.rule).map_or("?", |rule| rule.as_str_name());
            format!("{rule} of {}", meta.sub_policy)
        }
        None => Rule::of(at, name, 0).to_string(),
    }
}

fn node_text(consenter: &Consenter) -> String {
    let (server, client) = (&consenter.certificates.server, &consenter.certificates.client);
    let server_text = certificate_text(server);
    if server == client {
        format!("{}, TLS {server_text}", consenter.address())
    } else {
        format!("{}, TLS server {server_text}, client {}", consenter.address(), certificate_text(client))
    }
}

/// A certificate by its name, end and digest.
pub(crate) fn certificate_text(pem: &[u8]) -> String {
    let read = parse_x509_pem(pem).ok().and_then(|(_, pem)| {
        X509Certificate::from_der(&pem.contents)
            .ok()
            .map(|(_, found)| format!("`{}` until {}", common_name(&found), found.validity().not_after))
    });
    format!("{} ({})", read.unwrap_or_else(|| "an unreadable certificate".to_owned()), short_digest(pem))
}

fn revocation_text(list: &[u8]) -> String {
    let Ok((_, pem)) = parse_x509_pem(list) else { return "unreadable".to_owned() };
    match x509_parser::parse_x509_crl(&pem.contents) {
        Ok((_, found)) => {
            format!("{} revoked by {}", found.iter_revoked_certificates().count(), found.issuer())
        }
        Err(_) => "unreadable".to_owned(),
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("{} bytes, SHA-256 {}", bytes.len(), hex::encode(Sha256::digest(bytes)))
}

/// Enough of a digest to tell certificates apart.
fn short_digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes)).chars().take(16).collect()
}
