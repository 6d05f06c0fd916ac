//! A consortium as data: a TOML document, checked into a type that the rest can rely on.
//!
//! ```
//! let consortium = hlf_network::spec::Consortium::parse(
//!     r#"
//!     fabric = "3.1.1"
//!
//!     [channel]
//!     name = "consortium"
//!
//!     [orderer]
//!     msp_id = "OrdererMSP"
//!     domain = "orderer.example.com"
//!     consenters = ["orderer0"]
//!
//!     [[organizations]]
//!     name = "north"
//!     msp_id = "NorthMSP"
//!     domain = "north.example.com"
//!     peers = ["peer0"]
//!
//!     [[organizations.users]]
//!     name = "Admin"
//!     node_ou = "admin"
//!     "#,
//! )?;
//! assert_eq!(consortium.organizations.len(), 1);
//! # Ok::<(), hlf_network::spec::SpecError>(())
//! ```

mod address;
mod check;
mod draft;
mod part;
mod policy;
mod shape;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fabric::Version;

pub use address::{AddressError, NodeAddress};
pub use check::SpecError;
pub(crate) use check::is_user_name;
pub(crate) use part::reached_from_here;
pub use part::{Keys, NodeSettings, ORDERING, Part, part_schema};
pub use policy::{EndorsementPolicy, PolicyError};
pub use shape::Orderers;

/// The default consortium: two organisations with one peer each, one Raft consenter.
pub const DEFAULT: &str = include_str!("spec/default.toml");

/// Organisations, an ordering service and one channel between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Consortium {
    /// Fabric's release, which decides capabilities and, when none is found, what is built.
    #[serde(with = "release")]
    #[schemars(with = "String")]
    pub fabric: Version,
    /// The one channel.
    pub channel: Channel,
    /// The ordering service.
    pub orderer: OrderingService,
    /// The members of the channel, each with peers of its own.
    pub organizations: Vec<Organization>,
    /// What all peers are set to, where it is not as Fabric ships them.
    #[serde(default, skip_serializing_if = "PeerSettings::is_default")]
    pub peer: PeerSettings,
    /// The chaincode on the channel; absent for a channel without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chaincode: Option<Chaincode>,
}

/// The channel and how its blocks are cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Channel {
    /// Channel name: lower-case letters, digits, dots and hyphens, a letter first, 1–249 characters.
    pub name: String,
    /// Longest wait of a transaction for company in its block, in milliseconds, 10–60,000.
    #[serde(default = "defaults::batch_timeout_ms")]
    pub batch_timeout_ms: u32,
    /// Most transactions in a block, 1–10,000.
    #[serde(default = "defaults::max_message_count")]
    pub max_message_count: u32,
    /// Whose peers must endorse a transaction and a chaincode definition.
    #[serde(default)]
    pub endorsement: Endorsement,
}

/// How many organisations must endorse, each by one of its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Endorsement {
    /// Any one of them.
    Any,
    /// More than half of them.
    #[default]
    Majority,
    /// Every one of them.
    All,
}

/// The organisation that orders, and its nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OrderingService {
    /// MSP id of the ordering organisation.
    pub msp_id: String,
    /// DNS domain of the ordering organisation; names its folder and its nodes.
    pub domain: String,
    /// Consensus protocol.
    #[serde(default)]
    pub consensus: Consensus,
    /// Host names of the consenters inside the domain, each one process.
    pub consenters: Vec<String>,
    /// Where the organisation's certificates come from.
    #[serde(default, skip_serializing_if = "CertificateSource::is_default")]
    pub ca: CertificateSource,
    /// Where the others find consenters, by their host names (`{ orderer0 = "orderer0.example.com:7050" }`); 127.0.0.1
    /// and a port that is chosen for those that are not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoints: BTreeMap<String, NodeAddress>,
}

/// Where an organisation's certificates come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateSource {
    /// The built-in CA, whose keys lie beside what it issues: for trying out.
    #[default]
    Development,
    /// A Fabric CA server of the organisation, run with the network.
    FabricCa,
}

impl CertificateSource {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The consensus protocol of an ordering service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Consensus {
    /// Fabric's `etcdraft`: survives stopped nodes, not lying ones.
    #[default]
    Raft,
    /// Fabric 3's `BFT`: of 3f + 1 nodes, f may stop or lie; at least four.
    Bft,
}

impl Consensus {
    /// How many of so many nodes have to live for the ordering service to take a transaction.
    pub(crate) fn quorum(self, nodes: usize) -> usize {
        match self {
            Self::Raft => (nodes / 2).saturating_add(1),
            // ⌈(n + f + 1) / 2⌉ with f = ⌊(n − 1) / 3⌋.
            Self::Bft => {
                let faulty = nodes.saturating_sub(1) / 3;
                nodes.saturating_add(faulty).saturating_add(2) / 2
            }
        }
    }
}

/// A member of the channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Organization {
    /// Short name for people and commands: lower-case letters, digits and hyphens, 1–32 characters.
    pub name: String,
    /// MSP id, as it stands in every transaction.
    pub msp_id: String,
    /// DNS domain; names the organisation's folder, peers and users.
    pub domain: String,
    /// Host names of its peers inside the domain, each one process.
    pub peers: Vec<String>,
    /// Where the organisation's certificates come from.
    #[serde(default, skip_serializing_if = "CertificateSource::is_default")]
    pub ca: CertificateSource,
    /// Where the others find peers, by their host names (`{ peer0 = "peer0.north.example.com:7051" }`); 127.0.0.1 and
    /// a port that is chosen for those that are not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoints: BTreeMap<String, NodeAddress>,
    /// How many calls a peer's gateway runs at a time, by the peer's host name (`{ peer0 = 100 }`); the next one is
    /// refused. Fabric's own limit, 500, for peers that are not named. It is `peer.limits.concurrency.gatewayService`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gateway_concurrency: BTreeMap<String, u32>,
    /// Identities to issue; at least one of them an admin.
    pub users: Vec<User>,
}

/// An identity of an organisation, issued by its CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Name of its folder, `NAME@DOMAIN`: letters, digits, `.`, `_` and `-`, 1–64 characters.
    pub name: String,
    /// The node OU in its certificate, which gives it its role in the MSP.
    #[serde(default)]
    pub node_ou: NodeOu,
    /// The certificate's common name: a literal, `random` for 32 lower-case hexadecimal characters that are
    /// drawn once, or absent for `NAME@DOMAIN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// Attributes in the certificate's extension 1.2.3.4.5.6.7.8.1, as Fabric CA writes them; `{common_name}` in
    /// a value stands for the common name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The kind of its signing key.
    #[serde(default, skip_serializing_if = "UserKey::is_default")]
    pub key: UserKey,
}

/// The kind of a user's signing key. TLS keys, nodes' keys and the authorities' own are P-256 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UserKey {
    /// ECDSA on P-256, as Fabric's own tools make it.
    #[default]
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519, which channels of Fabric 3 accept.
    Ed25519,
}

impl UserKey {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Settings of every peer; they may change between one `up` and the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PeerSettings {
    /// Whether peers take write batches and multi-gets from chaincode, which those of Fabric 3.1 and later do:
    /// `useWriteBatch` and `useGetMultipleKeys` in `core.yaml`. Without them chaincode reads and writes key by key.
    #[serde(default = "defaults::yes")]
    pub chaincode_batches: bool,
    /// Whether peers keep every earlier value of a key for chaincode that asks for them (`GetHistoryForKey`):
    /// `enableHistoryDatabase` in `core.yaml`. It costs an entry for each key that a transaction writes. Blocks keep the
    /// values all the same; a peer that is switched on again reads them anew when it starts.
    #[serde(default = "defaults::yes")]
    pub key_history: bool,
}

impl Default for PeerSettings {
    fn default() -> Self {
        Self { chaincode_batches: defaults::yes(), key_history: defaults::yes() }
    }
}

impl PeerSettings {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The role that an MSP reads from a certificate's organisational unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeOu {
    /// Submits transactions.
    #[default]
    Client,
    /// Also changes configuration and chaincode of its own organisation.
    Admin,
    /// Endorses and commits; for nodes, not for users.
    Peer,
    /// Orders; for nodes, not for users.
    Orderer,
}

impl NodeOu {
    /// The organisational unit in the certificate.
    pub const fn as_str(self) -> &'static str {
        match self {
            NodeOu::Client => "client",
            NodeOu::Admin => "admin",
            NodeOu::Peer => "peer",
            NodeOu::Orderer => "orderer",
        }
    }
}

/// A chaincode definition on the channel.
///
/// ```
/// # let others = hlf_network::spec::DEFAULT;
/// let definition = r#"
///     [chaincode]
///     name = "shelf"
///     label = "shelf_1"
///     endorsement = "AND('NorthMSP.peer', 'SouthMSP.peer')"
///
///     [[chaincode.packages]]
///     organization = "south"
///     label = "shelf_of_south"
///
///     [[chaincode.collections]]
///     name = "prices"
///     members = ["north", "south"]
///     required_peers = 1
///     block_to_live = 1000
/// "#;
/// let consortium = hlf_network::spec::Consortium::parse(&format!("{others}\n{definition}"))?;
/// assert_eq!(consortium.chaincode.unwrap().collections.len(), 1);
/// # Ok::<(), hlf_network::spec::SpecError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Chaincode {
    /// Name that transactions call.
    pub name: String,
    /// Version text of the definition.
    #[serde(default = "defaults::chaincode_version")]
    pub version: String,
    /// Label of the package; with the package's hash it makes the package id.
    pub label: String,
    /// Sequence of the definition, from 1, one more with every change.
    #[serde(default = "defaults::sequence")]
    pub sequence: u32,
    /// Whose peers must endorse its transactions; absent for the channel's policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endorsement: Option<EndorsementPolicy>,
    /// Organisations that run a package of their own under the same definition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<OwnPackage>,
    /// Private data that only some organisations' peers hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collections: Vec<Collection>,
}

/// One organisation's own package of a chaincode: another implementation of what all agreed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnPackage {
    /// The organisation's name.
    pub organization: String,
    /// Label of its package, other than the chaincode's.
    pub label: String,
}

/// A private data collection: its members' peers hold the data, and the channel its hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Collection {
    /// Its name: letters, digits, `-` and `_`, not `_` first, 1–128 characters.
    pub name: String,
    /// Names of the organisations that hold the data.
    pub members: Vec<String>,
    /// Peers of members that must have the data before a transaction is endorsed, the endorsing one not counted.
    #[serde(default)]
    pub required_peers: u16,
    /// Peers of members that are given the data at endorsement; the others fetch it when the block comes.
    #[serde(default = "defaults::max_peers")]
    pub max_peers: u16,
    /// Number of blocks after which peers forget the data; 0 for never. It cannot change later.
    #[serde(default)]
    pub block_to_live: u64,
    /// Whether only members' clients may read.
    #[serde(default = "defaults::yes")]
    pub member_only_read: bool,
    /// Whether only members' clients may write.
    #[serde(default = "defaults::yes")]
    pub member_only_write: bool,
    /// Whose peers must endorse writes to it; absent for the chaincode's policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endorsement: Option<EndorsementPolicy>,
}

/// The JSON Schema of a consortium's document, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Consortium).to_value()
}

impl Consortium {
    /// Reads and checks a TOML document.
    ///
    /// # Errors
    /// [`SpecError`] names the field, its value and what to write instead.
    pub fn parse(document: &str) -> Result<Self, SpecError> {
        let consortium: Self = toml::from_str(document).map_err(SpecError::Syntax)?;
        consortium.check()?;
        Ok(consortium)
    }

    /// Gives an organisation one more user.
    ///
    /// # Errors
    /// [`SpecError`] when no organisation has that name, or the user is not valid in it.
    pub fn add_user(&mut self, organization: &str, user: User) -> Result<(), SpecError> {
        let mut changed = self.clone();
        let Some((index, target)) =
            changed.organizations.iter_mut().enumerate().find(|(_, o)| o.name == organization)
        else {
            return Err(SpecError::field(
                "organizations.name",
                organization,
                "name one of the organisations in the spec",
            ));
        };
        target.users.push(user);
        target.check(index, changed.fabric)?;
        *self = changed;
        Ok(())
    }

    /// The same consortium with another channel, which has no chaincode yet.
    pub(crate) fn on_channel(&self, name: &str) -> Result<Self, SpecError> {
        let mut changed = Self { chaincode: None, ..self.clone() };
        name.clone_into(&mut changed.channel.name);
        changed.check()?;
        Ok(changed)
    }

    /// A changed copy, when it is valid.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Self)) -> Result<Self, SpecError> {
        let mut changed = self.clone();
        change(&mut changed);
        changed.check()?;
        Ok(changed)
    }

    /// Sets the chaincode on the channel.
    ///
    /// # Errors
    /// [`SpecError`] when Fabric would refuse it, or it names organisations or peers that are not there.
    pub fn set_chaincode(&mut self, chaincode: Chaincode) -> Result<(), SpecError> {
        chaincode.check(&self.organizations)?;
        self.chaincode = Some(chaincode);
        Ok(())
    }

    /// The organisation with this name or MSP id.
    pub fn organization(&self, name: &str) -> Option<&Organization> {
        self.organizations.iter().find(|o| o.name == name || o.msp_id == name)
    }
}

impl Chaincode {
    /// A first definition, sequence 1, of a chaincode and its package label.
    pub fn new(name: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: defaults::chaincode_version(),
            label: label.into(),
            sequence: defaults::sequence(),
            endorsement: None,
            packages: Vec::new(),
            collections: Vec::new(),
        }
    }

    /// The label of an organisation's package, by the organisation's name.
    pub fn label_of(&self, organization: &str) -> &str {
        self.packages
            .iter()
            .find(|package| package.organization == organization)
            .map_or(&self.label, |package| &package.label)
    }
}

impl Organization {
    /// The user that acts on the organisation's peers: the first admin.
    pub fn admin(&self) -> Option<&User> {
        self.users.iter().find(|user| user.node_ou == NodeOu::Admin)
    }

    /// A peer's host name inside the domain.
    pub fn host(&self, peer: &str) -> String {
        format!("{peer}.{}", self.domain)
    }
}

impl OrderingService {
    /// A consenter's host name inside the domain.
    pub fn host(&self, consenter: &str) -> String {
        format!("{consenter}.{}", self.domain)
    }
}

mod defaults {
    pub(super) const fn batch_timeout_ms() -> u32 {
        200
    }

    pub(super) const fn max_message_count() -> u32 {
        500
    }

    pub(super) fn chaincode_version() -> String {
        "1.0".to_owned()
    }

    pub(super) const fn max_peers() -> u16 {
        1
    }

    pub(super) const fn yes() -> bool {
        true
    }

    pub(super) const fn sequence() -> u32 {
        1
    }
}

/// A release as a TOML string.
pub(crate) mod release {
    use super::Version;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(version: &Version, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(version)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Version, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}
