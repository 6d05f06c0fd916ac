//! A channel's configuration as its blocks carry it.

use std::collections::BTreeSet;

use hlf_protos::common::{
    Block, Capabilities, ChannelHeader, Config, ConfigEnvelope, ConfigGroup, ConfigPolicy, ConfigValue,
    Envelope, HeaderType, Orderers, Payload,
};
use hlf_protos::etcdraft;
use hlf_protos::msp::{FabricMspConfig, MspConfig};
use hlf_protos::orderer::{BatchSize, BatchTimeout, ConsensusType, smartbft};
use hlf_protos::prost::{DecodeError, Message};
use hlf_protos::protos::{AcLs, AnchorPeers};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

/// Groups below the root.
pub(crate) const APPLICATION: &str = "Application";
pub(crate) const ORDERER: &str = "Orderer";

/// Values of these groups and of organisations.
pub(crate) const MSP: &str = "MSP";
pub(crate) const ANCHOR_PEERS: &str = "AnchorPeers";
pub(crate) const ACLS: &str = "ACLs";
pub(crate) const CAPABILITIES: &str = "Capabilities";
pub(crate) const ENDPOINTS: &str = "Endpoints";
pub(crate) const BATCH_SIZE: &str = "BatchSize";
pub(crate) const BATCH_TIMEOUT: &str = "BatchTimeout";
pub(crate) const CONSENSUS_TYPE: &str = "ConsensusType";
pub(crate) const ORDERERS: &str = "Orderers";
pub(crate) const BLOCK_VALIDATION: &str = "BlockValidation";
pub(crate) const ADMINS: &str = "Admins";

/// Names of the consensus protocols in `ConsensusType`.
pub(crate) const RAFT: &str = "etcdraft";
pub(crate) const BFT: &str = "BFT";

/// One version of a channel's whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelConfig {
    channel: String,
    config: Config,
}

/// Why a block or a tree is not a channel's configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A part is not the message it should be.
    #[error("{what} of the channel's configuration cannot be read")]
    Unreadable {
        /// Which part.
        what: String,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The block holds something else.
    #[error("the block holds no configuration; take the channel's newest configuration block")]
    NoConfig,
    /// A part that every channel has is missing.
    #[error("the channel's configuration has no `{0}`")]
    Missing(String),
}

/// A node of the ordering service as the channel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consenter {
    /// Host name or address where the other nodes find it.
    pub host: String,
    /// Port there.
    pub port: u16,
    /// Its certificates.
    pub certificates: ConsenterCertificates,
    /// What BFT knows of it besides; `None` of Raft.
    pub(crate) bft: Option<BftMember>,
}

/// What BFT knows of a node besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BftMember {
    pub(crate) id: u32,
    pub(crate) msp_id: String,
    pub(crate) identity: Vec<u8>,
}

/// A consenter's TLS certificates in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsenterCertificates {
    /// The one that it serves with.
    pub server: Vec<u8>,
    /// The one that it calls the others with.
    pub client: Vec<u8>,
}

impl ChannelConfig {
    /// Reads a configuration block, such as a peer's `cscc` `GetConfigBlock` answers.
    ///
    /// # Errors
    /// [`ConfigError`] when the block is of another kind.
    pub fn of_block(block: &Block) -> Result<Self, ConfigError> {
        let bytes = block.data.as_ref().and_then(|data| data.data.first()).ok_or(ConfigError::NoConfig)?;
        let envelope: Envelope = decode("the envelope", bytes)?;
        let payload: Payload = decode("the payload", &envelope.payload)?;
        let header: ChannelHeader =
            decode("the header", &payload.header.ok_or(ConfigError::NoConfig)?.channel_header)?;
        if header.r#type != i32::from(HeaderType::Config) {
            return Err(ConfigError::NoConfig);
        }
        let content: ConfigEnvelope = decode("the content", &payload.data)?;
        let config = content.config.ok_or(ConfigError::NoConfig)?;
        Self::new(header.channel_id, config)
    }

    pub(crate) fn new(channel: String, config: Config) -> Result<Self, ConfigError> {
        let found = Self { channel, config };
        found.group(&[ORDERER])?;
        found.group(&[APPLICATION])?;
        Ok(found)
    }

    /// The channel's id.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// How often the configuration was changed; 0 in the first block.
    pub fn sequence(&self) -> u64 {
        self.config.sequence
    }

    /// MSP ids of the member organisations, in order.
    ///
    /// # Errors
    /// [`ConfigError`] when the tree has none.
    pub fn organizations(&self) -> Result<Vec<String>, ConfigError> {
        Ok(self.group(&[APPLICATION])?.groups.keys().cloned().collect())
    }

    /// The ordering service's nodes, in the channel's order.
    ///
    /// # Errors
    /// [`ConfigError`] when they cannot be read.
    pub fn consenters(&self) -> Result<Vec<Consenter>, ConfigError> {
        let kind: ConsensusType = self.value(&[ORDERER], CONSENSUS_TYPE)?;
        if kind.r#type == BFT {
            let orderers: Orderers = self.value(&[ORDERER], ORDERERS)?;
            return Ok(orderers.consenter_mapping.into_iter().map(Consenter::from).collect());
        }
        Ok(self.raft(&kind)?.consenters.into_iter().map(Consenter::from).collect())
    }

    /// Names of the capabilities of a section, `Application` or `Orderer`, or of the channel itself.
    ///
    /// # Errors
    /// [`ConfigError`] when it has none.
    pub fn capabilities(&self, section: Option<&str>) -> Result<Vec<String>, ConfigError> {
        let path: Vec<&str> = section.into_iter().collect();
        let found: Capabilities = self.value(&path, CAPABILITIES)?;
        Ok(found.capabilities.into_keys().collect())
    }

    /// The membership rules of an organisation of the channel, member or ordering, by its MSP id.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] when there is no such organisation.
    pub fn msp(&self, msp_id: &str) -> Result<FabricMspConfig, ConfigError> {
        for section in [APPLICATION, ORDERER] {
            if self.group(&[section])?.groups.contains_key(msp_id) {
                let msp: MspConfig = self.value(&[section, msp_id], MSP)?;
                return decode("an MSP", &msp.config);
            }
        }
        Err(ConfigError::Missing(msp_id.to_owned()))
    }

    /// The peers by which others find a member's peers; `None` when it never named any.
    pub(crate) fn anchors(&self, msp_id: &str) -> Option<AnchorPeers> {
        self.value(&[APPLICATION, msp_id], ANCHOR_PEERS).ok()
    }

    /// The serial numbers that an organisation's revocation lists name, in lower-case hexadecimal.
    pub(crate) fn revoked_serials(&self, msp_id: &str) -> BTreeSet<String> {
        let Ok(msp) = self.msp(msp_id) else { return BTreeSet::new() };
        let lists = msp.revocation_list.iter();
        lists
            .filter_map(|list| {
                parse_x509_pem(list).ok().map(|(_, pem)| pem.contents).or_else(|| Some(list.clone()))
            })
            .flat_map(|der| {
                let serials = CertificateRevocationList::from_der(&der).map(|(_, list)| {
                    list.iter_revoked_certificates()
                        .map(|revoked| hex::encode(revoked.raw_serial()))
                        .collect()
                });
                serials.unwrap_or_else(|_| Vec::new())
            })
            .collect()
    }

    pub(crate) fn raft(&self, kind: &ConsensusType) -> Result<etcdraft::ConfigMetadata, ConfigError> {
        decode("the Raft metadata", &kind.metadata)
    }

    pub(crate) fn smart_bft(&self, kind: &ConsensusType) -> Result<smartbft::Options, ConfigError> {
        decode("the BFT options", &kind.metadata)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn root(&self) -> Result<&ConfigGroup, ConfigError> {
        self.config.channel_group.as_ref().ok_or_else(|| ConfigError::Missing("channel group".to_owned()))
    }

    /// The tree with what is a map in key order: Go writes maps in any order, so that the same content has many
    /// encodings.
    pub(crate) fn in_one_order(&self) -> Result<ConfigGroup, ConfigError> {
        let mut root = self.root()?.clone();
        put_in_order(&mut root)?;
        Ok(root)
    }

    pub(crate) fn group(&self, path: &[&str]) -> Result<&ConfigGroup, ConfigError> {
        let mut group = self.root()?;
        for name in path {
            group = group.groups.get(*name).ok_or_else(|| ConfigError::Missing((*name).to_owned()))?;
        }
        Ok(group)
    }

    pub(crate) fn group_mut(&mut self, path: &[&str]) -> Result<&mut ConfigGroup, ConfigError> {
        let missing = |name: &str| ConfigError::Missing(name.to_owned());
        let mut group = self.config.channel_group.as_mut().ok_or_else(|| missing("channel group"))?;
        for name in path {
            group = group.groups.get_mut(*name).ok_or_else(|| missing(name))?;
        }
        Ok(group)
    }

    pub(crate) fn value<M: Message + Default>(&self, path: &[&str], name: &str) -> Result<M, ConfigError> {
        let value = self.group(path)?.values.get(name);
        let value = value.ok_or_else(|| ConfigError::Missing(name.to_owned()))?;
        decode(name, &value.value)
    }

    /// Writes a value; a new one is guarded by the group's `Admins`.
    ///
    /// One that says the same already stays as it is, byte by byte: Go writes maps in any order, and their empty values
    /// otherwise, and what differs in its bytes alone would be a change to Fabric.
    pub(crate) fn put<M: Message + Default + PartialEq>(
        &mut self,
        path: &[&str],
        name: &str,
        message: &M,
    ) -> Result<(), ConfigError> {
        if self.value::<M>(path, name).is_ok_and(|present| present == *message) {
            return Ok(());
        }
        let values = &mut self.group_mut(path)?.values;
        let value = values.entry(name.to_owned()).or_insert_with(new_value);
        value.value = message.encode_to_vec();
        Ok(())
    }

    pub(crate) fn policy_mut(&mut self, path: &[&str], name: &str) -> Result<&mut ConfigPolicy, ConfigError> {
        let policies = &mut self.group_mut(path)?.policies;
        policies.get_mut(name).ok_or_else(|| ConfigError::Missing(name.to_owned()))
    }
}

/// A value that is not there yet.
fn new_value() -> ConfigValue {
    ConfigValue { mod_policy: ADMINS.to_owned(), ..ConfigValue::default() }
}

pub(crate) fn decode<M: Message + Default>(what: &str, bytes: &[u8]) -> Result<M, ConfigError> {
    M::decode(bytes).map_err(|source| ConfigError::Unreadable { what: what.to_owned(), source })
}

impl From<hlf_protos::common::Consenter> for Consenter {
    fn from(found: hlf_protos::common::Consenter) -> Self {
        Self {
            host: found.host,
            port: port(found.port),
            certificates: ConsenterCertificates {
                server: found.server_tls_cert,
                client: found.client_tls_cert,
            },
            bft: Some(BftMember { id: found.id, msp_id: found.msp_id, identity: found.identity }),
        }
    }
}

impl From<etcdraft::Consenter> for Consenter {
    fn from(found: etcdraft::Consenter) -> Self {
        Self {
            host: found.host,
            port: port(found.port),
            certificates: ConsenterCertificates {
                server: found.server_tls_cert,
                client: found.client_tls_cert,
            },
            bft: None,
        }
    }
}

fn put_in_order(group: &mut ConfigGroup) -> Result<(), ConfigError> {
    for (name, value) in &mut group.values {
        match Known::read(name, &value.value)? {
            Some(Known::Acls(acls)) => value.value = acls.encode_to_vec(),
            Some(Known::Capabilities(capabilities)) => value.value = capabilities.encode_to_vec(),
            _ => {}
        }
    }
    group.groups.values_mut().try_for_each(put_in_order)
}

/// A port as the wire has it; what is none reads as 0, which nobody listens on.
fn port(number: u32) -> u16 {
    u16::try_from(number).unwrap_or_default()
}

/// Values that are shown and checked by their message.
pub(crate) enum Known {
    Msp(Box<FabricMspConfig>),
    Anchors(AnchorPeers),
    Acls(AcLs),
    Capabilities(Capabilities),
    Endpoints(hlf_protos::common::OrdererAddresses),
    Batch(BatchSize),
    Timeout(BatchTimeout),
    Consensus(ConsensusType),
    Orderers(Orderers),
}

impl Known {
    /// A value by its name, if it is one of these.
    pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<Option<Self>, ConfigError> {
        Ok(Some(match name {
            MSP => {
                let msp: MspConfig = decode(name, bytes)?;
                Self::Msp(Box::new(decode(name, &msp.config)?))
            }
            ANCHOR_PEERS => Self::Anchors(decode(name, bytes)?),
            ACLS => Self::Acls(decode(name, bytes)?),
            CAPABILITIES => Self::Capabilities(decode(name, bytes)?),
            ENDPOINTS => Self::Endpoints(decode(name, bytes)?),
            BATCH_SIZE => Self::Batch(decode(name, bytes)?),
            BATCH_TIMEOUT => Self::Timeout(decode(name, bytes)?),
            CONSENSUS_TYPE => Self::Consensus(decode(name, bytes)?),
            ORDERERS => Self::Orderers(decode(name, bytes)?),
            _ => return Ok(None),
        }))
    }
}
