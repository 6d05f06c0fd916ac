//! One organisation's own part of a consortium: a private TOML document beside the public one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Consortium, SpecError};

/// The name of the ordering organisation, where organisations are named.
pub const ORDERING: &str = "orderer";

/// Which organisation this machine is, and what concerns nobody else: folders, listening addresses, keys, programs.
///
/// ```
/// use hlf_network::spec::{Consortium, DEFAULT, Part};
///
/// let consortium = Consortium::parse(DEFAULT)?;
/// let part = Part::parse("organization = \"north\"\n[nodes.peer0]\nlisten = \"0.0.0.0:7051\"")?;
/// part.check(&consortium)?;
/// # Ok::<(), hlf_network::spec::SpecError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Part {
    /// The organisation's name in the consortium; `orderer` for the ordering organisation.
    pub organization: String,
    /// The consortium's document, from this one's folder.
    #[serde(default = "consortium_file")]
    pub consortium: PathBuf,
    /// The folder of keys, ledgers and everything else that runs here, from this document's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<PathBuf>,
    /// Where keys and certificates come from.
    #[serde(default)]
    pub keys: Keys,
    /// The program that serves the chaincode; absent for the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chaincode_program: Option<PathBuf>,
    /// Where own nodes listen, by their host names inside the domain.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<String, NodeSettings>,
}

/// Where an organisation's keys and certificates come from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, tag = "source", rename_all = "lowercase")]
pub enum Keys {
    /// The built-in development CA makes and issues them, here.
    #[default]
    Development,
    /// Keys are made here, and certificates by an authority elsewhere, of requests.
    Requests {
        /// The folder, from this document's folder, in which requests are put, and certificates are looked for.
        folder: PathBuf,
    },
    /// They are given, as files in the tree that cryptogen writes.
    Files {
        /// The organisation's folder, from this document's folder: `msp`, `tlsca`, `users`, and `peers` or `orderers`.
        folder: PathBuf,
    },
}

/// Where a node listens, when it is not where the consortium's document says that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NodeSettings {
    /// For peers, orderers and clients: `IP:PORT`, such as `0.0.0.0:7051`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,
    /// For health and metrics; absent for a port on 127.0.0.1 that is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub operations: Option<SocketAddr>,
    /// Of an orderer, for channel participation; absent for a port on 127.0.0.1 that is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub admin: Option<SocketAddr>,
}

/// The JSON Schema of a part's document, for editors.
pub fn part_schema() -> serde_json::Value {
    schemars::schema_for!(Part).to_value()
}

fn consortium_file() -> PathBuf {
    PathBuf::from("consortium.toml")
}

impl Part {
    /// A part with nothing but its organisation's name.
    pub fn new(organization: impl Into<String>) -> Self {
        Self {
            organization: organization.into(),
            consortium: consortium_file(),
            state: None,
            keys: Keys::default(),
            chaincode_program: None,
            nodes: BTreeMap::new(),
        }
    }

    /// Reads a TOML document; [`Part::check`] holds it against the consortium.
    ///
    /// # Errors
    /// [`SpecError::Syntax`] when it is not one.
    pub fn parse(document: &str) -> Result<Self, SpecError> {
        toml::from_str(document).map_err(SpecError::Syntax)
    }

    /// The same with paths that are no longer relative to the document's folder.
    #[must_use]
    pub fn resolved(mut self, folder: &Path) -> Self {
        let absolute = |path: &mut PathBuf| *path = folder.join(&*path);
        absolute(&mut self.consortium);
        self.state.iter_mut().for_each(absolute);
        self.chaincode_program.iter_mut().for_each(absolute);
        if let Keys::Files { folder } | Keys::Requests { folder } = &mut self.keys {
            absolute(folder);
        }
        self
    }

    /// Whether it is the ordering organisation's.
    pub fn is_ordering(&self) -> bool {
        self.organization == ORDERING
    }

    /// Holds it against the consortium.
    ///
    /// # Errors
    /// [`SpecError`] names the field, its value and what to write instead.
    pub fn check(&self, consortium: &Consortium) -> Result<(), SpecError> {
        let (known, wanted): (&[String], _) = if self.is_ordering() {
            (&consortium.orderer.consenters, "name one of `orderer.consenters` in the consortium's document")
        } else {
            let found = consortium.organizations.iter().find(|member| member.name == self.organization);
            let own = found.ok_or_else(|| {
                let fix = "name an organisation of the consortium's document, or `orderer`";
                SpecError::field("organization", &self.organization, fix)
            })?;
            (&own.peers, "name one of the organisation's `peers` in the consortium's document")
        };
        let mut taken = BTreeSet::new();
        for (node, settings) in &self.nodes {
            if !known.contains(node) {
                return Err(SpecError::field(format!("nodes.{node}"), "settings", wanted));
            }
            if let Some(admin) = settings.admin.filter(|_| !self.is_ordering()) {
                let fix = "leave it out: only ordering nodes listen for channel participation";
                return Err(SpecError::field(format!("nodes.{node}.admin"), admin, fix));
            }
            let addresses =
                [("listen", settings.listen), ("operations", settings.operations), ("admin", settings.admin)];
            for (name, address) in addresses.into_iter().filter_map(|(name, at)| Some((name, at?))) {
                let field = format!("nodes.{node}.{name}");
                if address.port() == 0 {
                    return Err(SpecError::field(field, address, "give it a port of its own, 1 to 65535"));
                }
                if !taken.insert(address) {
                    return Err(SpecError::field(field, address, "another one listens there already"));
                }
            }
        }
        Ok(())
    }
}

/// How this machine reaches what listens at an address.
pub(crate) fn reached_from_here(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(IpAddr::from(Ipv4Addr::LOCALHOST), listen.port()),
        _ => listen,
    }
}

#[cfg(test)]
mod tests {
    use super::super::DEFAULT;
    use super::*;

    fn checked(document: &str) -> Result<Part, SpecError> {
        let part = Part::parse(document)?;
        part.check(&Consortium::parse(DEFAULT).unwrap())?;
        Ok(part)
    }

    #[test]
    fn a_part_is_of_one_organization_and_its_nodes() {
        let part = checked("organization = \"north\"").unwrap();
        assert_eq!(part, Part::new("north"));
        assert_eq!(Part::parse(&toml::to_string(&part).unwrap()).unwrap(), part);
        let text = "organization = \"orderer\"\nstate = \"state\"\n[keys]\nsource = \"files\"\nfolder = \"pki\"\n\
                    [nodes.orderer0]\nlisten = \"0.0.0.0:7050\"\noperations = \"127.0.0.1:9443\"\n";
        let part = checked(text).unwrap().resolved("/etc/consortium".as_ref());
        assert_eq!(part.state.as_deref(), Some("/etc/consortium/state".as_ref()));
        assert_eq!(part.keys, Keys::Files { folder: "/etc/consortium/pki".into() });
        assert!(part.is_ordering());
    }

    #[test]
    fn every_wrong_value_of_a_part_is_named_by_its_field() {
        let north = "organization = \"north\"\n";
        for (text, named) in [
            ("organization = \"west\"".to_owned(), "organization"),
            (format!("{north}[nodes.orderer0]\nlisten = \"0.0.0.0:7050\""), "nodes.orderer0"),
            (format!("{north}[nodes.peer0]\nlisten = \"0.0.0.0:0\""), "nodes.peer0.listen"),
            (format!("{north}[nodes.peer0]\nadmin = \"10.0.0.5:9443\""), "nodes.peer0.admin"),
            (
                format!("{north}[nodes.peer0]\nlisten = \"0.0.0.0:1\"\noperations = \"0.0.0.0:1\""),
                "nodes.peer0.operations",
            ),
        ] {
            match checked(&text) {
                Err(SpecError::Field { field, .. }) => assert_eq!(field, named, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        for text in ["", "organization = 7", "organization = \"north\"\nprivate = true"] {
            assert!(matches!(checked(text), Err(SpecError::Syntax(_))), "{text}");
        }
    }

    #[test]
    fn editors_are_told_of_every_field_of_a_part() {
        let schema = part_schema();
        for field in ["organization", "consortium", "state", "keys", "chaincode_program", "nodes"] {
            assert!(schema["properties"][field].is_object(), "{field}: {schema:#}");
        }
    }
}
