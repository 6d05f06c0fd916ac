//! Certificates that an authority elsewhere makes: a request goes out, the certificate comes in.

use std::time::Duration;

use hlf_protos::msp::FabricMspConfig;
use serde::Serialize;
use time::OffsetDateTime;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::{Pem, parse_x509_pem};
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Version};

use super::CertificatesError;
use super::inventory::CertificateKind;
use crate::ca::{self, Held, Key, Order, public_key};
use crate::change::common_name;
use crate::commands::typed;
use crate::files;
use crate::lock::FolderLock;
use crate::network::up::Options;
use crate::network::{ChangeError, Network};
use crate::progress::Progress;

/// How far a certificate's beginning may lie ahead of this machine's clock.
const CLOCK_SLACK: Duration = Duration::from_secs(5 * 60);

/// How many authorities may stand between a certificate and its root.
const CHAIN_MAX: usize = 6;

/// Which of a node's or user's certificates is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// The one that it signs with.
    Identity,
    /// The one that it calls or is called with.
    Tls,
}

/// Which key a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestKey {
    /// A new one of the same kind, made here; it waits until its certificate comes.
    New,
    /// The one that there is.
    Same,
    /// One that was made elsewhere, PKCS #8 PEM; it waits until its certificate comes.
    Given(String),
}

/// Why a certificate from elsewhere is not taken; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnfitError {
    /// The text is no certificate.
    #[error("the file holds no certificate in PEM: {0}")]
    Unreadable(String),
    /// It is for another key.
    #[error(
        "the certificate is for another key than `{0}`'s; have it made of the request that was printed last"
    )]
    OtherKey(String),
    /// It is for somebody else.
    #[error("the certificate's common name is `{found}`, and must be `{wanted}`")]
    CommonName {
        /// The name in it.
        found: String,
        /// The name that it must have.
        wanted: String,
    },
    /// It gives no role, another one, or several.
    #[error(
        "the certificate's organisational units are `{found}`; of the roles client, peer, orderer and admin it must have \
         `{wanted}` and no other"
    )]
    Role {
        /// Those in it.
        found: String,
        /// The one that it must have.
        wanted: String,
    },
    /// It lacks names by which the node is called.
    #[error(
        "the certificate lacks the names {0}, by which the node is called; have them taken over from the request"
    )]
    Names(String),
    /// It is an authority's.
    #[error("the certificate is an authority's; have one made for a {0}")]
    Authority(&'static str),
    /// It cannot be used for it.
    #[error("the certificate's extended key usage lacks {0}")]
    Usage(&'static str),
    /// It has no extensions.
    #[error(
        "the certificate is of an X.509 version before 3, which TLS and Fabric do not take; have the request's extensions copied"
    )]
    Version,
    /// It does not serve yet, or any more.
    #[error("the certificate serves from {from} to {until}, and not now; compare this machine's clock")]
    Time {
        /// Its beginning.
        from: String,
        /// Its end.
        until: String,
    },
    /// No authority of the organisation made it.
    #[error(
        "the certificate is of `{issuer}`, and the channel knows no such authority of `{msp_id}` with that key; let the \
         channel know it first: {propose} with `--add-authority` or `--add-tls-authority`",
        propose = typed("change propose")
    )]
    Chain {
        /// Who made it.
        issuer: String,
        /// The organisation.
        msp_id: String,
    },
    /// An authority above it has ended.
    #[error("its authority `{0}` serves no longer, or not yet")]
    AuthorityTime(String),
    /// The authority that made it has another one below it.
    #[error(
        "the certificate is of `{0}`, below which the organisation has an intermediate authority; Fabric takes only what \
         the lowest authority made"
    )]
    NotLowest(String),
    /// It is revoked.
    #[error("the certificate is on the organisation's list of revoked ones")]
    Revoked,
}

/// What was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ImportedCertificate {
    /// The node or user.
    pub name: String,
    /// Which of its certificates.
    pub of: Use,
    /// Common name of the authority that made it.
    pub issuer: String,
    /// Whole days until it ends.
    pub days: i64,
}

impl Network {
    /// A PKCS #10 request, PEM, for a node's, user's or service's certificate, like the one that it has: for an authority
    /// elsewhere. `who` is a host name, or `NAME@DOMAIN`.
    ///
    /// A new key waits in its folder and changes nothing; asked again the same one is requested.
    ///
    /// # Errors
    /// [`CertificatesError::Unknown`] when there is nobody of that name; [`CertificatesError::Ca`] when a key cannot be read.
    pub fn request_certificate(
        &self,
        who: &str,
        of: Use,
        key: &RequestKey,
    ) -> Result<String, CertificatesError> {
        let _lock = FolderLock::try_take(&self.layout.lock())?;
        let (_, held) = self.held_by(who, of)?;
        let order = match key {
            RequestKey::Same => held.order(true)?,
            RequestKey::New => held.order(false)?,
            RequestKey::Given(pem) => {
                let damaged = |what| ca::CaError::Damaged { folder: "the given key".into(), what };
                Order::like(&held.certificate, Key::of_any_kind(pem).map_err(damaged)?)?
            }
        };
        match key {
            RequestKey::Same => held.drop_key_draft()?,
            RequestKey::New | RequestKey::Given(_) => held.draft_key(&order.key)?,
        }
        Ok(ca::whole_request(&order.key, &order.subject, order.purpose)?)
    }

    /// Takes a certificate that an authority elsewhere made of a request, gives it and its key their places, and starts the
    /// node that uses it anew; of an ordering node the channel learns first.
    ///
    /// It must fit: key, name, role, names of a server, time, and an authority that the channel knows of the organisation.
    ///
    /// # Errors
    /// [`CertificatesError::Import`] when it does not, and nothing was changed; others when a node did not come back, and
    /// then `renew_certificates` of that name goes on.
    pub async fn import_certificate(
        &self,
        who: &str,
        of: Use,
        certificate_pem: &str,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<ImportedCertificate, CertificatesError> {
        let lock = FolderLock::try_take(&self.layout.lock())?;
        let (holder, held) = self.held_by(who, of)?;
        let msp_id = self.msp_id_of(&holder);
        let msp = self.channel_config().await?.msp(&msp_id).map_err(ChangeError::from)?;
        let kept = files::read(&held.certificate)?;
        let key = held.newest_key()?;
        let der = demand_fit(who, of, certificate_pem, (&kept, &key), (&msp, &msp_id))?;
        let der = &der;
        let (_, found) = X509Certificate::from_der(der).map_err(|e| UnfitError::Unreadable(e.to_string()))?;
        let issuer = found.issuer().iter_common_name().next().and_then(|name| name.as_str().ok());
        let imported = ImportedCertificate {
            name: who.to_owned(),
            of,
            issuer: issuer.unwrap_or_default().to_owned(),
            days: (found.validity().not_after.timestamp() - OffsetDateTime::now_utc().unix_timestamp())
                / 86_400,
        };
        // The node's own folder must know the authority that made it.
        self.home_of_holder(&holder).set_trust(&msp)?;
        held.draft_certificate(&pem_of(der))?;
        self.put_in_place(holder, options, progress).await?;
        drop(lock);
        Ok(imported)
    }

    fn held_by(&self, who: &str, of: Use) -> Result<(super::renew::Holder, Held), CertificatesError> {
        let holders = self.holders(&super::renew::Renewal::Named(who.to_owned()))?;
        let wanted = |kind: CertificateKind| match of {
            Use::Identity => matches!(kind, CertificateKind::NodeIdentity | CertificateKind::UserIdentity),
            Use::Tls => matches!(kind, CertificateKind::NodeTls | CertificateKind::UserTls),
        };
        for holder in holders {
            let certificate = holder.certificates.iter().find(|(_, kind)| wanted(*kind));
            if let Some((certificate, _)) = certificate {
                let held = Held::of(certificate)?;
                return Ok((holder, held));
            }
        }
        Err(CertificatesError::Unknown { name: who.to_owned(), known: "nodes and users alone".to_owned() })
    }
}

impl Held {
    /// The public half of the key that waits, or of the one that there is.
    fn newest_key(&self) -> Result<Vec<u8>, CertificatesError> {
        if self.key_draft().exists() {
            return Ok(rcgen::PublicKeyData::der_bytes(&self.order(false)?.key).to_vec());
        }
        let damaged = |what| ca::CaError::Damaged { folder: self.certificate.clone(), what };
        Ok(public_key(&files::read(&self.certificate)?).map_err(damaged)?)
    }
}

/// Demands that a certificate fits: the one and the purpose that an older one is for, its key, and an authority of the
/// organisation; returns it in DER, without those that follow it.
pub(in crate::network) fn demand_fit(
    who: &str,
    of: Use,
    certificate_pem: &str,
    (kept, key): (&str, &[u8]),
    (msp, msp_id): (&FabricMspConfig, &str),
) -> Result<Vec<u8>, CertificatesError> {
    let (first, rest) = pems(certificate_pem).map_err(UnfitError::Unreadable)?;
    let (_, found) =
        X509Certificate::from_der(&first.contents).map_err(|e| UnfitError::Unreadable(e.to_string()))?;
    if found.public_key().subject_public_key.data.as_ref() != key {
        return Err(UnfitError::OtherKey(who.to_owned()).into());
    }
    check(&found, kept, of)?;
    let trust = Trust::of(msp, of).map_err(UnfitError::Unreadable)?;
    trust.demand_chain(&found, &rest, msp_id)?;
    if of == Use::Identity && is_revoked(&found, msp) {
        return Err(UnfitError::Revoked.into());
    }
    Ok(first.contents)
}

/// Demands that a certificate is for the one and the purpose that an older one is for, and serves now.
fn check(found: &X509Certificate<'_>, kept: &str, of: Use) -> Result<(), CertificatesError> {
    let unreadable = |e: String| CertificatesError::from(UnfitError::Unreadable(e));
    let (_, kept) = parse_x509_pem(kept.as_bytes()).map_err(|e| unreadable(e.to_string()))?;
    let (_, kept) = X509Certificate::from_der(&kept.contents).map_err(|e| unreadable(e.to_string()))?;
    let (name, wanted) = (common_name(found), common_name(&kept));
    if name != wanted {
        return Err(UnfitError::CommonName { found: name, wanted }.into());
    }
    if of == Use::Identity {
        let (units, wanted) = (units(found), roles(&units(&kept)));
        if roles(&units) != wanted {
            let wanted = wanted.join(", ");
            return Err(UnfitError::Role { found: units.join(", "), wanted }.into());
        }
    }
    if found.version() != X509Version::V3 {
        return Err(UnfitError::Version.into());
    }
    if found.is_ca() {
        return Err(UnfitError::Authority("node or user").into());
    }
    if of == Use::Tls {
        let have = names(found);
        let missing: Vec<String> = names(&kept).into_iter().filter(|name| !have.contains(name)).collect();
        if !missing.is_empty() {
            return Err(UnfitError::Names(missing.join(", ")).into());
        }
        let usages = |certificate: &X509Certificate<'_>| {
            let usage = certificate.extended_key_usage().ok().flatten().map(|usage| usage.value.clone());
            usage.map(|usage| (usage.server_auth || usage.any, usage.client_auth || usage.any))
        };
        if let (Some((serves, calls)), Some((must_serve, must_call))) = (usages(found), usages(&kept)) {
            if must_serve && !serves {
                return Err(UnfitError::Usage("TLS server authentication").into());
            }
            if must_call && !calls {
                return Err(UnfitError::Usage("TLS client authentication").into());
            }
        }
    }
    if !serves_now(found) {
        let (from, until) = (found.validity().not_before.to_string(), found.validity().not_after.to_string());
        return Err(UnfitError::Time { from, until }.into());
    }
    Ok(())
}

fn serves_now(certificate: &X509Certificate<'_>) -> bool {
    let now = OffsetDateTime::now_utc();
    let validity = certificate.validity();
    validity.not_before.timestamp() <= (now + CLOCK_SLACK).unix_timestamp()
        && validity.not_after.timestamp() > now.unix_timestamp()
}

fn units(certificate: &X509Certificate<'_>) -> Vec<String> {
    let units = certificate.subject().iter_organizational_unit();
    units.filter_map(|unit| unit.as_str().ok().map(ToOwned::to_owned)).collect()
}

/// Of organisational units those that are roles.
fn roles(units: &[String]) -> Vec<String> {
    let role = |unit: &&String| ["client", "peer", "orderer", "admin"].contains(&unit.as_str());
    units.iter().filter(role).cloned().collect()
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = names.value.general_names.iter().map(|name| match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).map(std::net::Ipv4Addr::from).map(|it| it.to_string()),
            _ => <[u8; 16]>::try_from(*bytes).map(std::net::Ipv6Addr::from).map(|it| it.to_string()),
        }
        .unwrap_or_default(),
        other => other.to_string(),
    });
    names.collect()
}

/// Whether an organisation's rules on the channel have a certificate's number on a list of its issuer's.
fn is_revoked(found: &X509Certificate<'_>, msp: &FabricMspConfig) -> bool {
    msp.revocation_list.iter().any(|list| {
        let Ok((_, pem)) = parse_x509_pem(list) else { return false };
        let Ok((_, list)) = x509_parser::parse_x509_crl(&pem.contents) else { return false };
        list.issuer().as_raw() == found.issuer().as_raw()
            && list.iter_revoked_certificates().any(|revoked| revoked.raw_serial() == found.raw_serial())
    })
}

/// An organisation's authorities of one kind, as the channel knows them.
struct Trust {
    roots: Vec<Vec<u8>>,
    between: Vec<Vec<u8>>,
}

impl Trust {
    fn of(msp: &FabricMspConfig, of: Use) -> Result<Self, String> {
        let (roots, between) = match of {
            Use::Identity => (&msp.root_certs, &msp.intermediate_certs),
            Use::Tls => (&msp.tls_root_certs, &msp.tls_intermediate_certs),
        };
        let read = |pems: &Vec<Vec<u8>>| {
            pems.iter()
                .map(|pem| parse_x509_pem(pem).map(|(_, pem)| pem.contents).map_err(|e| e.to_string()))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self { roots: read(roots)?, between: read(between)? })
    }

    /// Demands that a certificate is of the lowest of these authorities, and that they serve now.
    ///
    /// Further certificates that came with it must be known: what the channel does not know, the peers do not.
    fn demand_chain(
        &self,
        found: &X509Certificate<'_>,
        rest: &[Pem],
        msp_id: &str,
    ) -> Result<(), CertificatesError> {
        let unknown = |of: &X509Certificate<'_>| UnfitError::Chain {
            issuer: of.issuer().to_string(),
            msp_id: msp_id.to_owned(),
        };
        for pem in rest {
            if !self.roots.iter().chain(&self.between).any(|known| *known == pem.contents) {
                let (_, of) = X509Certificate::from_der(&pem.contents)
                    .map_err(|e| UnfitError::Unreadable(e.to_string()))?;
                return Err(unknown(&of).into());
            }
        }
        let lowest = self.issuer_of(found).ok_or_else(|| unknown(found))?;
        let (_, authority) =
            X509Certificate::from_der(lowest).map_err(|e| UnfitError::Unreadable(e.to_string()))?;
        let above_another = self.between.iter().any(|other| {
            X509Certificate::from_der(other)
                .is_ok_and(|(_, other)| other.verify_signature(Some(authority.public_key())).is_ok())
        });
        if above_another {
            return Err(UnfitError::NotLowest(common_name(&authority)).into());
        }
        let mut at = lowest;
        for _ in 0..CHAIN_MAX {
            let (_, authority) =
                X509Certificate::from_der(at).map_err(|e| UnfitError::Unreadable(e.to_string()))?;
            if !serves_now(&authority) {
                return Err(UnfitError::AuthorityTime(common_name(&authority)).into());
            }
            if self.roots.iter().any(|root| root == at) {
                return Ok(());
            }
            at = self.issuer_of(&authority).ok_or_else(|| unknown(&authority))?;
        }
        Err(unknown(found).into())
    }

    /// The authority whose key made a certificate's signature.
    fn issuer_of(&self, found: &X509Certificate<'_>) -> Option<&Vec<u8>> {
        self.between.iter().chain(&self.roots).find(|authority| {
            X509Certificate::from_der(authority).is_ok_and(|(_, authority)| {
                authority.subject().as_raw() == found.issuer().as_raw()
                    && signs_certificates(&authority)
                    && found.verify_signature(Some(authority.public_key())).is_ok()
            })
        })
    }
}

fn signs_certificates(authority: &X509Certificate<'_>) -> bool {
    authority.is_ca()
        && authority.extensions().iter().all(|extension| match extension.parsed_extension() {
            ParsedExtension::KeyUsage(usage) => usage.key_cert_sign(),
            _ => true,
        })
}

/// The first certificate of a text, and those that follow.
pub(in crate::network) fn pems(text: &str) -> Result<(Pem, Vec<Pem>), String> {
    let mut found = Vec::new();
    for pem in Pem::iter_from_buffer(text.as_bytes()) {
        let pem = pem.map_err(|error| error.to_string())?;
        if pem.label != "CERTIFICATE" {
            return Err(format!("it holds a `{}`", pem.label));
        }
        found.push(pem);
    }
    if found.is_empty() {
        return Err("it holds none".to_owned());
    }
    let first = found.remove(0);
    Ok((first, found))
}

/// A certificate as PEM, in lines of 64 characters.
pub(in crate::network) fn pem_of(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for (number, letter) in text.chars().enumerate() {
        if number > 0 && number % 64 == 0 {
            pem.push('\n');
        }
        pem.push(letter);
    }
    pem.push_str("\n-----END CERTIFICATE-----\n");
    pem
}
