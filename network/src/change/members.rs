//! Whose certificate a signature is made with, and in which role, by the channel's own membership rules.

use std::collections::BTreeSet;
use std::fmt;

use hlf_protos::msp::{FabricMspConfig, FabricOuIdentifier, SerializedIdentity};
use hlf_protos::prost::Message as _;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

use super::config::{APPLICATION, ChannelConfig, ConfigError, ORDERER};

/// The most certificates between a member's and a root.
const CHAIN_MAX: usize = 8;

/// A role that a policy can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Any member.
    Member,
    /// An administrator.
    Admin,
    /// A client.
    Client,
    /// A peer.
    Peer,
    /// An orderer.
    Orderer,
}

/// A member of one of the channel's organisations, known by a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// MSP id of the organisation.
    pub msp_id: String,
    /// Common name in the certificate.
    pub common_name: String,
    /// The roles it has there.
    pub roles: BTreeSet<Role>,
    /// The serialised identity, by which policies may name it.
    pub(crate) serialized: Vec<u8>,
}

/// Why a certificate is no member's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MembersError {
    /// The bytes are no identity with a certificate.
    #[error("the signer's identity cannot be read: {0}")]
    Unreadable(String),
    /// The channel has no such organisation.
    #[error("the signer's organisation `{msp_id}` is not in the channel; its organisations are {members}")]
    Stranger {
        /// The organisation.
        msp_id: String,
        /// Those of the channel.
        members: String,
    },
    /// The organisation's authorities did not issue the certificate.
    #[error(
        "`{common_name}` is not vouched for by the authorities that the channel knows of `{msp_id}`; \
         check that MSP id and certificate belong together"
    )]
    Foreign {
        /// The organisation.
        msp_id: String,
        /// Common name in the certificate.
        common_name: String,
    },
    /// The certificate is outside of its time.
    #[error("the certificate of `{common_name}` of `{msp_id}` is not valid now: it is for {from} to {until}")]
    Time {
        /// The organisation.
        msp_id: String,
        /// Common name in the certificate.
        common_name: String,
        /// First moment.
        from: String,
        /// Last moment.
        until: String,
    },
    /// The organisation revoked the certificate.
    #[error("the certificate of `{common_name}` is revoked by `{msp_id}`")]
    Revoked {
        /// The organisation.
        msp_id: String,
        /// Common name in the certificate.
        common_name: String,
    },
    /// The channel's configuration cannot be read.
    #[error("the channel's organisations cannot be read")]
    Config(#[from] ConfigError),
}

impl Signer {
    /// Who a serialised identity is in a channel, now.
    ///
    /// # Errors
    /// [`MembersError`] when it is no valid member of it.
    pub fn identify(config: &ChannelConfig, serialized: &[u8]) -> Result<Self, MembersError> {
        let unreadable = |what: &dyn fmt::Display| MembersError::Unreadable(what.to_string());
        let identity = SerializedIdentity::decode(serialized).map_err(|e| unreadable(&e))?;
        let msp_id = identity.mspid;
        let msp = match config.msp(&msp_id) {
            Ok(msp) => msp,
            Err(ConfigError::Missing(_)) => return Err(stranger(config, msp_id)?),
            Err(error) => return Err(error.into()),
        };
        let (_, pem) = parse_x509_pem(&identity.id_bytes).map_err(|e| unreadable(&e))?;
        let (_, certificate) = X509Certificate::from_der(&pem.contents).map_err(|e| unreadable(&e))?;
        let common_name = common_name(&certificate);
        if !is_issued(&certificate, &msp) {
            return Err(MembersError::Foreign { msp_id, common_name });
        }
        let validity = certificate.validity();
        if !validity.is_valid_at(ASN1Time::now()) {
            let (from, until) = (validity.not_before.to_string(), validity.not_after.to_string());
            return Err(MembersError::Time { msp_id, common_name, from, until });
        }
        if is_revoked(&certificate, &msp) {
            return Err(MembersError::Revoked { msp_id, common_name });
        }
        let roles = roles(&certificate, &identity.id_bytes, &msp);
        Ok(Self { msp_id, common_name, roles, serialized: serialized.to_vec() })
    }

    /// Somebody of an organisation of whom nothing but the roles matters.
    pub(crate) fn of_roles(msp_id: &str, roles: BTreeSet<Role>) -> Self {
        Self { msp_id: msp_id.to_owned(), common_name: String::new(), roles, serialized: Vec::new() }
    }

    /// Whether it has a role of an organisation.
    pub fn is(&self, msp_id: &str, role: Role) -> bool {
        self.msp_id == msp_id && self.roles.contains(&role)
    }
}

fn stranger(config: &ChannelConfig, msp_id: String) -> Result<MembersError, ConfigError> {
    let mut members: BTreeSet<String> = config.group(&[APPLICATION])?.groups.keys().cloned().collect();
    members.extend(config.group(&[ORDERER])?.groups.keys().cloned());
    let members = members.into_iter().collect::<Vec<_>>().join(", ");
    Ok(MembersError::Stranger { msp_id, members })
}

/// Whether a chain of signatures leads from a certificate to one of the organisation's roots.
fn is_issued(certificate: &X509Certificate<'_>, msp: &FabricMspConfig) -> bool {
    is_issued_by(certificate, &msp.root_certs, &msp.intermediate_certs)
}

/// Whether a chain of signatures leads from a certificate to one of these roots, all in PEM.
pub(crate) fn is_issued_by(
    certificate: &X509Certificate<'_>,
    roots: &[Vec<u8>],
    intermediates: &[Vec<u8>],
) -> bool {
    let pems = |list: &[Vec<u8>]| {
        list.iter()
            .filter_map(|pem| parse_x509_pem(pem).ok().map(|(_, pem)| pem.contents))
            .collect::<Vec<_>>()
    };
    let roots = pems(roots);
    let intermediates = pems(intermediates);
    let signs = |issuer: &[u8], subject: &X509Certificate<'_>| {
        X509Certificate::from_der(issuer).is_ok_and(|(_, issuer)| {
            issuer.subject() == subject.issuer()
                && issuer.is_ca()
                && subject.verify_signature(Some(issuer.public_key())).is_ok()
        })
    };
    let mut current = certificate.clone();
    for _ in 0..CHAIN_MAX {
        if roots.iter().any(|root| signs(root, &current)) {
            return true;
        }
        let Some(next) = intermediates.iter().find(|candidate| signs(candidate, &current)) else {
            return false;
        };
        match X509Certificate::from_der(next) {
            Ok((_, next)) => current = next,
            Err(_) => return false,
        }
    }
    false
}

/// Whether one of the organisation's revocation lists names a certificate's serial number.
fn is_revoked(certificate: &X509Certificate<'_>, msp: &FabricMspConfig) -> bool {
    msp.revocation_list.iter().any(|list| {
        let der = parse_x509_pem(list).map(|(_, pem)| pem.contents).unwrap_or_else(|_| list.clone());
        x509_parser::revocation_list::CertificateRevocationList::from_der(&der).is_ok_and(|(_, list)| {
            list.issuer() == certificate.issuer()
                && list
                    .iter_revoked_certificates()
                    .any(|revoked| revoked.raw_serial() == certificate.raw_serial())
        })
    })
}

/// The roles that the certificate's units give, where the organisation tells roles by units.
fn roles(certificate: &X509Certificate<'_>, pem: &[u8], msp: &FabricMspConfig) -> BTreeSet<Role> {
    let mut roles = BTreeSet::from([Role::Member]);
    if msp.admins.iter().any(|admin| same_certificate(admin, pem)) {
        roles.insert(Role::Admin);
    }
    let Some(units) = msp.fabric_node_ous.as_ref().filter(|units| units.enable) else { return roles };
    let has = |unit: &Option<FabricOuIdentifier>| {
        unit.as_ref().is_some_and(|unit| {
            let name = unit.organizational_unit_identifier.as_str();
            certificate
                .subject()
                .iter_organizational_unit()
                .any(|found| found.as_str().is_ok_and(|found| found == name))
        })
    };
    let named = [
        (Role::Client, &units.client_ou_identifier),
        (Role::Peer, &units.peer_ou_identifier),
        (Role::Admin, &units.admin_ou_identifier),
        (Role::Orderer, &units.orderer_ou_identifier),
    ];
    roles.extend(named.into_iter().filter(|(_, unit)| has(unit)).map(|(role, _)| role));
    roles
}

fn same_certificate(one: &[u8], other: &[u8]) -> bool {
    match (parse_x509_pem(one), parse_x509_pem(other)) {
        (Ok((_, one)), Ok((_, other))) => one.contents == other.contents,
        _ => false,
    }
}

pub(crate) fn common_name(certificate: &X509Certificate<'_>) -> String {
    let name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    name.unwrap_or("a certificate without common name").to_owned()
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Member => "member",
            Role::Admin => "admin",
            Role::Client => "client",
            Role::Peer => "peer",
            Role::Orderer => "orderer",
        })
    }
}
