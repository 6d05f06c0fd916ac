//! What an organisation that wants to join hands over: its public membership rules, no key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hlf_protos::common::{ConfigGroup, ConfigPolicy, ConfigValue};
use hlf_protos::msp::{FabricCryptoConfig, FabricMspConfig, FabricNodeOUs, FabricOuIdentifier, MspConfig};
use hlf_protos::prost::Message as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::{ADMINS, ANCHOR_PEERS, MSP};
use super::edit::{PolicyRule, anchors};
use super::members::Role;
use crate::exchange::Description;
use crate::files::{self, FileError};

/// The file's first words; another number is another layout.
const FORMAT: &str = "hlf-network organization 1";

/// The policies of a member organisation: peers endorse, clients and admins write, admins administer, whole blocks
/// are for admins and peers.
pub(crate) const MEMBER_POLICIES: [(&str, &[Role]); 5] = [
    ("Readers", &[Role::Admin, Role::Client, Role::Peer]),
    ("Writers", &[Role::Admin, Role::Client]),
    (ADMINS, &[Role::Admin]),
    ("Endorsement", &[Role::Peer]),
    ("BlockReaders", &[Role::Admin, Role::Peer]),
];

/// An organisation as the other members need to know it, as a file; it holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrganizationDefinition {
    /// `hlf-network organization 1`.
    format: String,
    /// Its MSP id, such as `EastMSP`.
    pub msp_id: String,
    /// Certificates of the authorities that issue its identities, PEM; at least one.
    pub root_certificates: Vec<String>,
    /// Certificates between those and its identities, PEM.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intermediate_certificates: Vec<String>,
    /// Certificates of the authorities that issue its TLS certificates, PEM; at least one.
    pub tls_root_certificates: Vec<String>,
    /// Certificates between those and its TLS certificates, PEM.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tls_intermediate_certificates: Vec<String>,
    /// The peers by which others find its peers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anchor_peers: Vec<AnchorAddress>,
}

/// Where an anchor peer is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnchorAddress {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Why an organisation's definition could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OrganizationError {
    /// A file cannot be read or written.
    #[error("the organisation's folder cannot be used")]
    File(#[from] FileError),
    /// A folder holds no certificate.
    #[error(
        "`{0}` holds no certificate; give the public MSP folder of an organisation, with `cacerts` and `tlscacerts`"
    )]
    NoCertificate(PathBuf),
    /// The text is no definition.
    #[error("this is no organisation's definition; `organization export` writes one")]
    Syntax(#[source] serde_json::Error),
    /// The text is of another layout.
    #[error("the definition's format is `{0}`, this program reads `{FORMAT}`")]
    Format(String),
}

impl OrganizationDefinition {
    /// Reads the public MSP folder of an organisation: `cacerts`, `tlscacerts`, and the folders of intermediate
    /// authorities if there are any.
    ///
    /// # Errors
    /// [`OrganizationError`] when it holds no authority.
    pub fn of_msp_folder(
        msp_id: &str,
        folder: &Path,
        anchor_peers: Vec<AnchorAddress>,
    ) -> Result<Self, OrganizationError> {
        let some = |name: &str| match certificates(&folder.join(name))? {
            found if found.is_empty() => Err(OrganizationError::NoCertificate(folder.join(name))),
            found => Ok(found),
        };
        Ok(Self {
            format: FORMAT.to_owned(),
            msp_id: msp_id.to_owned(),
            root_certificates: some("cacerts")?,
            intermediate_certificates: certificates(&folder.join("intermediatecerts"))?,
            tls_root_certificates: some("tlscacerts")?,
            tls_intermediate_certificates: certificates(&folder.join("tlsintermediatecerts"))?,
            anchor_peers,
        })
    }

    /// What an organisation's description says of it as a member of a channel.
    pub fn of_description(description: &Description) -> Self {
        let pems = |folder| description.pems(folder).map(str::to_owned).collect();
        let anchors = description
            .nodes
            .iter()
            .map(|node| AnchorAddress { host: node.endpoint.host.clone(), port: node.endpoint.port });
        Self {
            format: FORMAT.to_owned(),
            msp_id: description.msp_id.clone(),
            root_certificates: pems("cacerts"),
            intermediate_certificates: pems("intermediatecerts"),
            tls_root_certificates: pems("tlscacerts"),
            tls_intermediate_certificates: pems("tlsintermediatecerts"),
            anchor_peers: anchors.collect(),
        }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`OrganizationError`] when it is another kind of file.
    pub fn parse(text: &str) -> Result<Self, OrganizationError> {
        let found: Self = serde_json::from_str(text).map_err(OrganizationError::Syntax)?;
        if found.format == FORMAT { Ok(found) } else { Err(OrganizationError::Format(found.format)) }
    }

    /// The file's text.
    ///
    /// # Errors
    /// [`OrganizationError::Syntax`] when memory for it cannot be had.
    pub fn to_text(&self) -> Result<String, OrganizationError> {
        serde_json::to_string_pretty(self).map(|text| text + "\n").map_err(OrganizationError::Syntax)
    }

    /// The organisation's group in a channel's `Application` section.
    pub(crate) fn group(&self) -> ConfigGroup {
        let guarded =
            |bytes: Vec<u8>| ConfigValue { version: 0, value: bytes, mod_policy: ADMINS.to_owned() };
        let msp = MspConfig { r#type: 0, config: self.msp().encode_to_vec() };
        let mut values = BTreeMap::from([(MSP.to_owned(), guarded(msp.encode_to_vec()))]);
        if !self.anchor_peers.is_empty() {
            let peers: Vec<_> = self.anchor_peers.iter().map(|peer| (peer.host.clone(), peer.port)).collect();
            values.insert(ANCHOR_PEERS.to_owned(), guarded(anchors(&peers).encode_to_vec()));
        }
        let policies = MEMBER_POLICIES
            .iter()
            .map(|(name, roles)| {
                let any = roles.iter().map(|role| (self.msp_id.clone(), *role)).collect();
                let policy = ConfigPolicy {
                    version: 0,
                    policy: Some(PolicyRule::AnyOf(any).encode()),
                    mod_policy: ADMINS.to_owned(),
                };
                ((*name).to_owned(), policy)
            })
            .collect();
        ConfigGroup { version: 0, groups: BTreeMap::new(), values, policies, mod_policy: ADMINS.to_owned() }
    }

    /// The membership rules, with roles told by organisational units.
    fn msp(&self) -> FabricMspConfig {
        let pems = |list: &[String]| list.iter().map(|pem| pem.clone().into_bytes()).collect::<Vec<_>>();
        // Without a certificate in the rule, any authority of the organisation may give a role.
        let unit = |role: Role| {
            Some(FabricOuIdentifier {
                certificate: Vec::new(),
                organizational_unit_identifier: role.to_string(),
            })
        };
        FabricMspConfig {
            name: self.msp_id.clone(),
            root_certs: pems(&self.root_certificates),
            intermediate_certs: pems(&self.intermediate_certificates),
            tls_root_certs: pems(&self.tls_root_certificates),
            tls_intermediate_certs: pems(&self.tls_intermediate_certificates),
            crypto_config: Some(FabricCryptoConfig {
                signature_hash_family: "SHA2".to_owned(),
                identity_identifier_hash_function: "SHA256".to_owned(),
            }),
            fabric_node_ous: Some(FabricNodeOUs {
                enable: true,
                client_ou_identifier: unit(Role::Client),
                peer_ou_identifier: unit(Role::Peer),
                admin_ou_identifier: unit(Role::Admin),
                orderer_ou_identifier: unit(Role::Orderer),
            }),
            ..FabricMspConfig::default()
        }
    }
}

/// The certificates in a folder's files, by file name; none when there is no folder.
fn certificates(folder: &Path) -> Result<Vec<String>, OrganizationError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).map_err(|e| FileError::new(folder, "read", e))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(|e| FileError::new(folder, "read", e)))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths.iter().map(|path| files::read(path)).collect::<Result<_, _>>()?)
}
