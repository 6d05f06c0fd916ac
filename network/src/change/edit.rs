//! What can be changed in a channel's configuration.

use hlf_protos::common::implicit_meta_policy::Rule as MetaKind;
use hlf_protos::common::msp_principal::Classification;
use hlf_protos::common::msp_role::MspRoleType;
use hlf_protos::common::policy::PolicyType;
use hlf_protos::common::signature_policy::{NOutOf, Type as SignatureRule};
use hlf_protos::common::{
    Capabilities, Capability, ImplicitMetaPolicy, MspPrincipal, MspRole, OrdererAddresses, Policy,
    SignaturePolicy, SignaturePolicyEnvelope,
};
use hlf_protos::msp::MspConfig;
use hlf_protos::orderer::{BatchSize, BatchTimeout, ConsensusType};
use hlf_protos::prost::Message as _;
use hlf_protos::protos::{AcLs, AnchorPeer, AnchorPeers, ApiResource};

use super::authorities;
use super::config::{
    ACLS, ANCHOR_PEERS, APPLICATION, BATCH_SIZE, BATCH_TIMEOUT, BFT, CAPABILITIES, CONSENSUS_TYPE,
    ChannelConfig, ConfigError, ENDPOINTS, MSP, ORDERER,
};
use super::consenters::{self, ConsenterEdit};
use super::members::Role;
use super::organization::OrganizationDefinition;

/// One change of a channel's configuration.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Edit {
    /// An organisation becomes a member.
    AddOrganization(Box<OrganizationDefinition>),
    /// A member organisation leaves: its peers and identities are no longer known.
    RemoveOrganization {
        /// Its MSP id.
        msp_id: String,
    },
    /// The peers by which the other organisations find a member's peers.
    AnchorPeers {
        /// The member.
        msp_id: String,
        /// Hosts and ports; none takes them away.
        peers: Vec<(String, u16)>,
    },
    /// How much a block holds; what is `None` stays.
    BatchSize {
        /// The most transactions.
        max_message_count: Option<u32>,
        /// The most bytes of transactions.
        absolute_max_bytes: Option<u32>,
        /// Bytes from which on a block is closed.
        preferred_max_bytes: Option<u32>,
    },
    /// How long a block waits to fill, in milliseconds.
    BatchTimeout {
        /// From 1.
        timeout_ms: u32,
    },
    /// The policy that guards a request to peers.
    Acl {
        /// The request, such as `qscc/GetBlockByNumber`.
        resource: String,
        /// Path of the policy, such as `/Channel/Application/Admins`; `None` gives Fabric's default back.
        policy: Option<String>,
    },
    /// A capability that all nodes must know from now on.
    Capability {
        /// Names from the root down: none for the channel's own, `Application` or `Orderer`.
        section: Option<String>,
        /// Such as `V3_0`.
        name: String,
    },
    /// What a policy asks for.
    Policy {
        /// Names from the root down, such as `Application`, `Endorsement`.
        path: Vec<String>,
        /// The new rule.
        rule: PolicyRule,
    },
    /// A node of the ordering service comes, goes, or gets new certificates.
    Consenter(ConsenterEdit),
    /// Where an ordering organisation's nodes are asked for blocks.
    OrdererEndpoints {
        /// The ordering organisation.
        msp_id: String,
        /// `host:port` of each.
        addresses: Vec<String>,
    },
    /// An organisation's list of revoked certificates, in place of the one before of the same authority.
    Revocations {
        /// The organisation.
        msp_id: String,
        /// The list in PEM, `X509 CRL`.
        list_pem: String,
    },
    /// A further authority of an organisation, for the time in which the old and the new one are in use. One that another
    /// authority issued is an intermediate one. Roles are no longer tied to one authority of identities then.
    AddAuthority {
        /// The organisation.
        msp_id: String,
        /// The authority's certificate in PEM.
        certificate_pem: String,
        /// Whether it issues TLS certificates; otherwise identities.
        tls: bool,
    },
    /// An authority of an organisation goes, and with it everything that it issued, its list of revoked ones too.
    RemoveAuthority {
        /// The organisation.
        msp_id: String,
        /// The authority's certificate in PEM.
        certificate_pem: String,
        /// Whether it issues TLS certificates; otherwise identities.
        tls: bool,
    },
}

/// What a policy asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyRule {
    /// So many of the child groups' policies of a name.
    Children {
        /// How many.
        rule: MetaRule,
        /// Their name, such as `Endorsement`.
        policy: String,
    },
    /// One signature of any of these roles.
    AnyOf(Vec<(String, Role)>),
}

/// How many child groups are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaRule {
    /// One of them.
    Any,
    /// More than half of them.
    Majority,
    /// All of them.
    All,
}

/// Why an edit cannot be made to a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The configuration lacks what is to be changed, or cannot be read.
    #[error("the channel cannot be changed so")]
    Config(#[from] ConfigError),
    /// The organisation is there already.
    #[error("`{0}` is in the channel already")]
    Member(String),
    /// There is no such organisation.
    #[error("`{msp_id}` is not a member; members are {members}")]
    NotMember {
        /// The organisation.
        msp_id: String,
        /// Those of the channel.
        members: String,
    },
    /// There is no such node in the ordering service.
    #[error("no orderer is at `{address}`; orderers are at {known}")]
    NoConsenter {
        /// The address that was asked for.
        address: String,
        /// Those of the channel.
        known: String,
    },
    /// A node is in the ordering service already.
    #[error("an orderer is at `{0}` already")]
    Consenter(String),
    /// BFT wants to know more of a node.
    #[error("BFT ordering needs the node's MSP id and signing certificate too")]
    NoIdentity,
}

impl Edit {
    /// Makes the change to a configuration.
    pub(crate) fn apply(&self, config: &mut ChannelConfig) -> Result<(), EditError> {
        match self {
            Self::AddOrganization(definition) => add_organization(config, definition),
            Self::RemoveOrganization { msp_id } => {
                demand_member(config, msp_id)?;
                config.group_mut(&[APPLICATION])?.groups.remove(msp_id);
                Ok(())
            }
            Self::AnchorPeers { msp_id, peers } => {
                demand_member(config, msp_id)?;
                Ok(config.put(&[APPLICATION, msp_id], ANCHOR_PEERS, &anchors(peers))?)
            }
            Self::BatchSize { max_message_count, absolute_max_bytes, preferred_max_bytes } => {
                let mut size: BatchSize = config.value(&[ORDERER], BATCH_SIZE)?;
                size.max_message_count = max_message_count.unwrap_or(size.max_message_count);
                size.absolute_max_bytes = absolute_max_bytes.unwrap_or(size.absolute_max_bytes);
                size.preferred_max_bytes = preferred_max_bytes.unwrap_or(size.preferred_max_bytes);
                Ok(config.put(&[ORDERER], BATCH_SIZE, &size)?)
            }
            Self::BatchTimeout { timeout_ms } => batch_timeout(config, *timeout_ms),
            Self::Acl { resource, policy } => {
                let mut acls: AcLs = config.value(&[APPLICATION], ACLS).or_else(absent)?;
                match policy {
                    Some(policy) => {
                        let guard = ApiResource { policy_ref: policy.clone() };
                        acls.acls.insert(resource.clone(), guard);
                    }
                    None => {
                        acls.acls.remove(resource);
                    }
                }
                Ok(config.put(&[APPLICATION], ACLS, &acls)?)
            }
            Self::Capability { section, name } => {
                let path: Vec<&str> = section.iter().map(String::as_str).collect();
                // One capability names the level; lower ones are part of it.
                let capabilities = Capabilities { capabilities: [(name.clone(), Capability {})].into() };
                Ok(config.put(&path, CAPABILITIES, &capabilities)?)
            }
            Self::Policy { path, rule } => {
                let names: Vec<&str> = path.iter().map(String::as_str).collect();
                let Some((name, at)) = names.split_last() else {
                    return Err(ConfigError::Missing("policy".to_owned()).into());
                };
                config.policy_mut(at, name)?.policy = Some(rule.encode());
                Ok(())
            }
            Self::Consenter(edit) => consenters::apply(edit, config),
            Self::OrdererEndpoints { msp_id, addresses } => {
                let addresses = OrdererAddresses { addresses: addresses.clone() };
                Ok(config.put(&[ORDERER, msp_id], ENDPOINTS, &addresses)?)
            }
            Self::Revocations { msp_id, list_pem } => {
                let list = list_pem.as_bytes().to_vec();
                change_msp(config, msp_id, |msp| authorities::revoke(msp, &list))
            }
            Self::AddAuthority { msp_id, certificate_pem, tls } => {
                change_msp(config, msp_id, |msp| authorities::add(msp, certificate_pem, *tls))
            }
            Self::RemoveAuthority { msp_id, certificate_pem, tls } => {
                change_msp(config, msp_id, |msp| authorities::remove(msp, certificate_pem, *tls))
            }
        }
    }
}

/// A value that is not there reads as empty.
fn absent<M: Default>(error: ConfigError) -> Result<M, ConfigError> {
    match error {
        ConfigError::Missing(_) => Ok(M::default()),
        error => Err(error),
    }
}

fn demand_member(config: &ChannelConfig, msp_id: &str) -> Result<(), EditError> {
    let members = config.organizations()?;
    if members.iter().any(|member| member == msp_id) {
        return Ok(());
    }
    Err(EditError::NotMember { msp_id: msp_id.to_owned(), members: members.join(", ") })
}

fn add_organization(
    config: &mut ChannelConfig,
    definition: &OrganizationDefinition,
) -> Result<(), EditError> {
    let msp_id = &definition.msp_id;
    if config.msp(msp_id).is_ok() {
        return Err(EditError::Member(msp_id.clone()));
    }
    let group = definition.group();
    config.group_mut(&[APPLICATION])?.groups.insert(msp_id.clone(), group);
    Ok(())
}

fn batch_timeout(config: &mut ChannelConfig, timeout_ms: u32) -> Result<(), EditError> {
    let timeout = format!("{timeout_ms}ms");
    config.put(&[ORDERER], BATCH_TIMEOUT, &BatchTimeout { timeout: timeout.clone() })?;
    let mut kind: ConsensusType = config.value(&[ORDERER], CONSENSUS_TYPE)?;
    if kind.r#type == BFT {
        // BFT has an interval of its own for the same thing.
        let mut options = config.smart_bft(&kind)?;
        options.request_batch_max_interval = timeout;
        kind.metadata = options.encode_to_vec();
        config.put(&[ORDERER], CONSENSUS_TYPE, &kind)?;
    }
    Ok(())
}

fn change_msp(
    config: &mut ChannelConfig,
    msp_id: &str,
    change: impl Fn(&mut hlf_protos::msp::FabricMspConfig),
) -> Result<(), EditError> {
    let mut found = false;
    // An organisation that has peers and orderers has its rules in both sections.
    for section in [APPLICATION, ORDERER] {
        if config.group(&[section])?.groups.contains_key(msp_id) {
            found = true;
            let mut wrapped: MspConfig = config.value(&[section, msp_id], MSP)?;
            let mut msp = super::config::decode("an MSP", &wrapped.config)?;
            change(&mut msp);
            wrapped.config = msp.encode_to_vec();
            config.put(&[section, msp_id], MSP, &wrapped)?;
        }
    }
    if found { Ok(()) } else { demand_member(config, msp_id) }
}

pub(crate) fn anchors(peers: &[(String, u16)]) -> AnchorPeers {
    let anchor_peers =
        peers.iter().map(|(host, port)| AnchorPeer { host: host.clone(), port: i32::from(*port) }).collect();
    AnchorPeers { anchor_peers }
}

impl PolicyRule {
    pub(crate) fn encode(&self) -> Policy {
        match self {
            Self::Children { rule, policy } => {
                let rule = match rule {
                    MetaRule::Any => MetaKind::Any,
                    MetaRule::Majority => MetaKind::Majority,
                    MetaRule::All => MetaKind::All,
                };
                let meta = ImplicitMetaPolicy { sub_policy: policy.clone(), rule: rule.into() };
                Policy { r#type: PolicyType::ImplicitMeta.into(), value: meta.encode_to_vec() }
            }
            Self::AnyOf(principals) => {
                let identities = principals.iter().map(|(msp_id, role)| principal(msp_id, *role)).collect();
                let rules = (0..).take(principals.len()).map(signed_by).collect();
                signatures(1, rules, identities)
            }
        }
    }
}

/// A signature policy of so many out of several rules.
pub(crate) fn signatures(n: i32, rules: Vec<SignaturePolicy>, identities: Vec<MspPrincipal>) -> Policy {
    let rule = SignaturePolicy { r#type: Some(SignatureRule::NOutOf(NOutOf { n, rules })) };
    let envelope = SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities };
    Policy { r#type: PolicyType::Signature.into(), value: envelope.encode_to_vec() }
}

/// A rule for the principal of an index.
pub(crate) fn signed_by(index: i32) -> SignaturePolicy {
    SignaturePolicy { r#type: Some(SignatureRule::SignedBy(index)) }
}

fn principal(msp_id: &str, role: Role) -> MspPrincipal {
    let role = match role {
        Role::Member => MspRoleType::Member,
        Role::Admin => MspRoleType::Admin,
        Role::Client => MspRoleType::Client,
        Role::Peer => MspRoleType::Peer,
        Role::Orderer => MspRoleType::Orderer,
    };
    let role = MspRole { msp_identifier: msp_id.to_owned(), role: role.into() };
    MspPrincipal { principal_classification: Classification::Role.into(), principal: role.encode_to_vec() }
}
