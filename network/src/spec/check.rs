//! What a consortium must be before anything is made from it.

mod chaincode;
mod names;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::{
    CertificateSource, Channel, Consensus, Consortium, NodeOu, OrderingService, Organization, User, UserKey,
};
use crate::fabric::Version;
use names::{domain, hosts, msp_id};

pub(super) use names::is_host;
pub(crate) use names::is_user_name;

/// Why a spec is refused.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The document is not TOML of the expected shape.
    #[error("the spec cannot be read")]
    Syntax(#[source] toml::de::Error),
    /// A value cannot be used.
    #[error("`{field}` is `{value}`: {fix}")]
    Field {
        /// The field's path, with an index into lists.
        field: String,
        /// Its value.
        value: String,
        /// What to write instead.
        fix: &'static str,
    },
}

impl SpecError {
    pub(super) fn field(field: impl Into<String>, value: impl ToString, fix: &'static str) -> Self {
        Self::Field { field: field.into(), value: value.to_string(), fix }
    }
}

const TWICE: &str = "it is there twice; give each its own";

/// The organisations a channel of this kind is meant for; Fabric itself has no such limit.
const ORGANIZATIONS_MAX: usize = 32;
const NODES_MAX: usize = 16;
const BFT_CONSENTERS_MIN: usize = 4;

impl Consortium {
    pub(super) fn check(&self) -> Result<(), SpecError> {
        if self.fabric < Version::new(2, 5, 0) {
            return Err(SpecError::field("fabric", self.fabric, "use Fabric 2.5 or newer, such as `3.1.1`"));
        }
        self.channel.check()?;
        self.orderer.check(self.fabric)?;
        within(
            "organizations",
            self.organizations.len(),
            1..=ORGANIZATIONS_MAX,
            "name 1 to 32 organisations",
        )?;
        let mut names = BTreeSet::new();
        let mut msp_ids = BTreeSet::from([self.orderer.msp_id.as_str()]);
        let mut domains = BTreeSet::from([self.orderer.domain.as_str()]);
        for (index, organization) in self.organizations.iter().enumerate() {
            organization.check(index, self.fabric)?;
            let at = |field: &str| format!("organizations[{index}].{field}");
            once(&mut names, at("name"), &organization.name)?;
            once(&mut msp_ids, at("msp_id"), &organization.msp_id)?;
            once(&mut domains, at("domain"), &organization.domain)?;
        }
        self.check_endpoints()?;
        self.chaincode.as_ref().map_or(Ok(()), |chaincode| chaincode.check(&self.organizations))
    }
}

impl Consortium {
    /// Endpoints are those of nodes that there are, and of one node each.
    fn check_endpoints(&self) -> Result<(), SpecError> {
        let ordering = ("orderer".to_owned(), &self.orderer.consenters, &self.orderer.endpoints);
        let members = self.organizations.iter().enumerate().map(|(index, organization)| {
            (format!("organizations[{index}]"), &organization.peers, &organization.endpoints)
        });
        let mut taken = BTreeSet::new();
        for (at, nodes, endpoints) in std::iter::once(ordering).chain(members) {
            for (node, address) in endpoints {
                let field = format!("{at}.endpoints.{node}");
                if !nodes.contains(node) {
                    return Err(SpecError::field(field, address, "name a node of that organisation"));
                }
                if !taken.insert(address.to_string()) {
                    return Err(SpecError::field(field, address, "another node is found there already"));
                }
            }
        }
        Ok(())
    }
}

impl Channel {
    fn check(&self) -> Result<(), SpecError> {
        let valid = (1..=249).contains(&self.name.len())
            && self.name.starts_with(|c: char| c.is_ascii_lowercase())
            && self
                .name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-'));
        if !valid {
            return Err(SpecError::field(
                "channel.name",
                &self.name,
                "use lower-case letters, digits, dots and hyphens, a letter first, 1 to 249 characters",
            ));
        }
        within(
            "channel.batch_timeout_ms",
            self.batch_timeout_ms,
            10..=60_000,
            "use 10 to 60000 milliseconds",
        )?;
        within("channel.max_message_count", self.max_message_count, 1..=10_000, "use 1 to 10000 transactions")
    }
}

impl OrderingService {
    fn check(&self, fabric: Version) -> Result<(), SpecError> {
        not_called_ca(self.ca, "orderer.consenters", &self.consenters)?;
        msp_id("orderer.msp_id", &self.msp_id)?;
        domain("orderer.domain", &self.domain)?;
        within("orderer.consenters", self.consenters.len(), 1..=NODES_MAX, "name 1 to 16 consenters")?;
        hosts("orderer.consenters", &self.consenters)?;
        if self.consensus == Consensus::Bft {
            if !fabric.is_v3() {
                return Err(SpecError::field(
                    "orderer.consensus",
                    format_args!("bft with Fabric {fabric}"),
                    "BFT ordering came with Fabric 3; use `raft`, or write `fabric = \"3.1.1\"`",
                ));
            }
            within(
                "orderer.consenters",
                self.consenters.len(),
                BFT_CONSENTERS_MIN..=NODES_MAX,
                "name 4 to 16 consenters: of fewer than four, BFT ordering could bear no faulty one",
            )?;
        }
        Ok(())
    }
}

impl Organization {
    pub(super) fn check(&self, index: usize, fabric: Version) -> Result<(), SpecError> {
        let at = |field: &str| format!("organizations[{index}].{field}");
        if self.name.len() > 32 || !is_host(&self.name) {
            return Err(SpecError::field(
                at("name"),
                &self.name,
                "use lower-case letters, digits and hyphens, 1 to 32 characters",
            ));
        }
        if self.name == super::ORDERING {
            let fix = "that name stands for the ordering organisation; choose another one";
            return Err(SpecError::field(at("name"), &self.name, fix));
        }
        msp_id(&at("msp_id"), &self.msp_id)?;
        domain(&at("domain"), &self.domain)?;
        within(&at("peers"), self.peers.len(), 1..=NODES_MAX, "name 1 to 16 peers")?;
        hosts(&at("peers"), &self.peers)?;
        not_called_ca(self.ca, &at("peers"), &self.peers)?;
        for (peer, limit) in &self.gateway_concurrency {
            let at = at(&format!("gateway_concurrency.{peer}"));
            if !self.peers.contains(peer) {
                return Err(SpecError::field(at, limit, "name one of the organisation's peers"));
            }
            within(&at, *limit, 1..=1_000_000, "allow 1 to 1000000 calls at a time")?;
        }
        let mut names = BTreeSet::new();
        for (number, user) in self.users.iter().enumerate() {
            let at = |field: &str| format!("organizations[{index}].users[{number}].{field}");
            user.check(&at, fabric)?;
            if self.ca == CertificateSource::FabricCa {
                user.check_for_fabric_ca(&at)?;
            }
            once(&mut names, at("name"), &user.name)?;
        }
        if self.admin().is_none() {
            return Err(SpecError::field(
                at("users"),
                format!("{} users, no admin", self.users.len()),
                "give one of them `node_ou = \"admin\"`; it installs and approves chaincode",
            ));
        }
        Ok(())
    }
}

/// A Fabric CA's process has the name that a node called `ca` would have.
fn not_called_ca(source: CertificateSource, at: &str, hosts: &[String]) -> Result<(), SpecError> {
    if source == CertificateSource::FabricCa && hosts.iter().any(|host| host == "ca") {
        return Err(SpecError::field(
            at,
            "ca",
            "that is the name of the organisation's Fabric CA; choose another",
        ));
    }
    Ok(())
}

impl User {
    fn check_for_fabric_ca(&self, at: &dyn Fn(&str) -> String) -> Result<(), SpecError> {
        if self.key == UserKey::Ed25519 {
            return Err(SpecError::field(
                at("key"),
                "ed25519",
                "Fabric CA certifies no Ed25519 keys; use `p256` or `p384`, or `ca = \"development\"`",
            ));
        }
        if let Some("registrar") = self.common_name.as_deref() {
            return Err(SpecError::field(
                at("common_name"),
                "registrar",
                "that is the identity by which the network asks Fabric CA; choose another",
            ));
        }
        Ok(())
    }

    fn check(&self, at: &dyn Fn(&str) -> String, fabric: Version) -> Result<(), SpecError> {
        if self.key == UserKey::Ed25519 && !fabric.is_v3() {
            return Err(SpecError::field(
                at("key"),
                format_args!("ed25519 with Fabric {fabric}"),
                "Ed25519 identities came with Fabric 3; use `p256` or `p384`, or write `fabric = \"3.1.1\"`",
            ));
        }
        if !is_user_name(&self.name) {
            return Err(SpecError::field(
                at("name"),
                &self.name,
                "use letters, digits, `.`, `_` and `-`, a letter or digit first, 1 to 64 characters",
            ));
        }
        if !matches!(self.node_ou, NodeOu::Client | NodeOu::Admin) {
            return Err(SpecError::field(
                at("node_ou"),
                self.node_ou.as_str(),
                "a user is `client` or `admin`; list peers and consenters as such",
            ));
        }
        if let Some(name) = &self.common_name
            && (name.is_empty() || name.len() > 64 || name.chars().any(char::is_control))
        {
            return Err(SpecError::field(
                at("common_name"),
                name,
                "use 1 to 64 printable characters, or `random`",
            ));
        }
        for (name, value) in &self.attributes {
            if name.is_empty() || name.len() > 256 || value.len() > 1024 {
                return Err(SpecError::field(
                    at("attributes"),
                    name,
                    "use names of 1 to 256 characters and values of up to 1024",
                ));
            }
        }
        Ok(())
    }
}

fn within<T: PartialOrd + ToString>(
    field: &str,
    value: T,
    range: std::ops::RangeInclusive<T>,
    fix: &'static str,
) -> Result<(), SpecError> {
    if range.contains(&value) { Ok(()) } else { Err(SpecError::field(field, value, fix)) }
}

fn once<'a>(seen: &mut BTreeSet<&'a str>, field: String, value: &'a str) -> Result<(), SpecError> {
    if seen.insert(value) { Ok(()) } else { Err(SpecError::field(field, value, TWICE)) }
}
