//! Changes of the ordering service's nodes, in the way of its protocol.

use hlf_protos::common::msp_principal::Classification;
use hlf_protos::common::{self, MspPrincipal, OrdererAddresses, Orderers};
use hlf_protos::etcdraft;
use hlf_protos::msp::SerializedIdentity;
use hlf_protos::orderer::ConsensusType;
use hlf_protos::prost::Message as _;

use super::config::{
    BFT, BLOCK_VALIDATION, BftMember, CONSENSUS_TYPE, ChannelConfig, Consenter, ConsenterCertificates,
    ENDPOINTS, ORDERER, ORDERERS,
};
use super::edit::{EditError, signatures, signed_by};
use crate::exchange::Description;

/// What happens to a node of the ordering service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsenterEdit {
    /// It comes.
    Add(NewConsenter),
    /// It goes; the channel's endpoints go with it.
    Remove {
        /// Its `host:port`.
        address: String,
    },
    /// Another node takes its place, in one step.
    Replace {
        /// `host:port` of the one that goes.
        address: String,
        /// The one that comes.
        by: NewConsenter,
    },
}

/// A node that the ordering service gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConsenter {
    /// Host name or address where the other nodes and the peers find it.
    pub host: String,
    /// Port there.
    pub port: u16,
    /// MSP id of the ordering organisation that it belongs to.
    pub msp_id: String,
    /// Its TLS certificates, PEM.
    pub certificates: ConsenterCertificates,
    /// Its signing certificate, PEM; BFT needs it.
    pub identity_pem: Option<Vec<u8>>,
}

impl NewConsenter {
    /// A node of an ordering organisation, by its description; `None` when that has no ordering node of the name.
    pub fn of_description(description: &Description, host: &str) -> Option<Self> {
        let node = description.nodes.iter().find(|node| node.host == host)?;
        let identity = node.identity_certificate.as_ref()?;
        let certificate = node.tls_certificate.clone().into_bytes();
        Some(Self {
            host: node.endpoint.host.clone(),
            port: node.endpoint.port,
            msp_id: description.msp_id.clone(),
            certificates: ConsenterCertificates { server: certificate.clone(), client: certificate },
            identity_pem: Some(identity.clone().into_bytes()),
        })
    }

    /// Its `host:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl Consenter {
    /// Its `host:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Nodes of the ordering service that a change brings, takes away and leaves, each by its `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsentersChange {
    pub(crate) come: Vec<String>,
    pub(crate) go: Vec<String>,
    pub(crate) stay: Vec<String>,
}

impl ConsentersChange {
    pub(crate) fn between(before: &[Consenter], after: &[Consenter]) -> Self {
        let (before, after): (Vec<String>, Vec<String>) =
            (before.iter().map(Consenter::address).collect(), after.iter().map(Consenter::address).collect());
        let go = before.iter().filter(|address| !after.contains(address)).cloned().collect();
        let (stay, come) = after.into_iter().partition(|address| before.contains(address));
        Self { come, go, stay }
    }

    /// Whether a node comes or goes; one that gets other certificates stays.
    pub(crate) fn is_any(&self) -> bool {
        !self.come.is_empty() || !self.go.is_empty()
    }
}

pub(crate) fn apply(edit: &ConsenterEdit, config: &mut ChannelConfig) -> Result<(), EditError> {
    let mut consenters = config.consenters()?;
    let bft = consenters.iter().any(|consenter| consenter.bft.is_some());
    match edit {
        ConsenterEdit::Add(new) => {
            demand_free(&consenters, &new.address())?;
            consenters.push(consenter(new, bft, &consenters)?);
            endpoints(config, None, Some(new))?;
        }
        ConsenterEdit::Remove { address } => {
            let at = position(&consenters, address)?;
            consenters.remove(at);
            endpoints(config, Some(address), None)?;
        }
        ConsenterEdit::Replace { address, by } => {
            let at = position(&consenters, address)?;
            if *address != by.address() {
                demand_free(&consenters, &by.address())?;
            }
            let mut new = consenter(by, bft, &consenters)?;
            let old = consenters.remove(at);
            if *address == by.address() {
                // The same node with other certificates stays who it is.
                if let (Some(new), Some(old)) = (&mut new.bft, &old.bft) {
                    new.id = old.id;
                }
            }
            consenters.insert(at, new);
            endpoints(config, Some(address), Some(by))?;
        }
    }
    if bft { write_bft(config, &consenters) } else { write_raft(config, &consenters) }
}

fn position(consenters: &[Consenter], address: &str) -> Result<usize, EditError> {
    consenters.iter().position(|consenter| consenter.address() == address).ok_or_else(|| {
        let known = consenters.iter().map(Consenter::address).collect::<Vec<_>>().join(", ");
        EditError::NoConsenter { address: address.to_owned(), known }
    })
}

fn demand_free(consenters: &[Consenter], address: &str) -> Result<(), EditError> {
    if consenters.iter().any(|consenter| consenter.address() == address) {
        return Err(EditError::Consenter(address.to_owned()));
    }
    Ok(())
}

fn consenter(new: &NewConsenter, bft: bool, known: &[Consenter]) -> Result<Consenter, EditError> {
    let highest = known.iter().filter_map(|consenter| consenter.bft.as_ref()).map(|member| member.id).max();
    let member = match (bft, &new.identity_pem) {
        (false, _) => None,
        (true, None) => return Err(EditError::NoIdentity),
        (true, Some(identity)) => Some(BftMember {
            id: highest.unwrap_or_default().saturating_add(1),
            msp_id: new.msp_id.clone(),
            identity: identity.clone(),
        }),
    };
    Ok(Consenter {
        host: new.host.clone(),
        port: new.port,
        certificates: new.certificates.clone(),
        bft: member,
    })
}

fn write_raft(config: &mut ChannelConfig, consenters: &[Consenter]) -> Result<(), EditError> {
    let mut kind: ConsensusType = config.value(&[ORDERER], CONSENSUS_TYPE)?;
    let mut metadata = config.raft(&kind)?;
    metadata.consenters = consenters
        .iter()
        .map(|consenter| etcdraft::Consenter {
            host: consenter.host.clone(),
            port: u32::from(consenter.port),
            client_tls_cert: consenter.certificates.client.clone(),
            server_tls_cert: consenter.certificates.server.clone(),
        })
        .collect();
    kind.metadata = metadata.encode_to_vec();
    Ok(config.put(&[ORDERER], CONSENSUS_TYPE, &kind)?)
}

fn write_bft(config: &mut ChannelConfig, consenters: &[Consenter]) -> Result<(), EditError> {
    debug_assert!(consenters.iter().all(|consenter| consenter.bft.is_some()), "of {BFT}");
    let mapping: Vec<common::Consenter> = consenters
        .iter()
        .filter_map(|consenter| consenter.bft.as_ref().map(|member| (consenter, member)))
        .map(|(consenter, member)| common::Consenter {
            id: member.id,
            host: consenter.host.clone(),
            port: u32::from(consenter.port),
            msp_id: member.msp_id.clone(),
            identity: member.identity.clone(),
            client_tls_cert: consenter.certificates.client.clone(),
            server_tls_cert: consenter.certificates.server.clone(),
        })
        .collect();
    let policy = block_validation(&mapping);
    config.put(&[ORDERER], ORDERERS, &Orderers { consenter_mapping: mapping })?;
    config.policy_mut(&[ORDERER], BLOCK_VALIDATION)?.policy = Some(policy);
    Ok(())
}

/// The one policy that BFT orderers take for who must have signed a block: a quorum of the nodes, in their order.
fn block_validation(mapping: &[common::Consenter]) -> common::Policy {
    let nodes = mapping.len();
    let faulty = nodes.saturating_sub(1) / 3;
    let quorum = (nodes + faulty + 1).div_ceil(2);
    let identities = mapping
        .iter()
        .map(|consenter| {
            let identity =
                SerializedIdentity { mspid: consenter.msp_id.clone(), id_bytes: consenter.identity.clone() };
            MspPrincipal {
                principal_classification: Classification::Identity.into(),
                principal: identity.encode_to_vec(),
            }
        })
        .collect();
    let rules = (0..).take(nodes).map(signed_by).collect();
    signatures(i32::try_from(quorum).unwrap_or(i32::MAX), rules, identities)
}

/// Takes an address out of the ordering organisations' endpoints and puts another in.
fn endpoints(
    config: &mut ChannelConfig,
    gone: Option<&String>,
    new: Option<&NewConsenter>,
) -> Result<(), EditError> {
    let organizations: Vec<String> = config.group(&[ORDERER])?.groups.keys().cloned().collect();
    for msp_id in organizations {
        let path = [ORDERER, msp_id.as_str()];
        if !config.group(&path)?.values.contains_key(ENDPOINTS) {
            continue;
        }
        let mut endpoints: OrdererAddresses = config.value(&path, ENDPOINTS)?;
        endpoints.addresses.retain(|address| Some(address) != gone);
        endpoints.addresses.extend(new.filter(|new| new.msp_id == msp_id).map(NewConsenter::address));
        config.put(&path, ENDPOINTS, &endpoints)?;
    }
    Ok(())
}
