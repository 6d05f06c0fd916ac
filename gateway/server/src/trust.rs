//! Which TLS authority vouches for which hospital.

use std::sync::Arc;

use caretrail_model::hash::sha256;
use caretrail_model::ids::{Digest, MspId};
use caretrail_model::policy::ConsortiumPolicy;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

/// The TLS authorities of the consortium's members, as its policy names them.
#[derive(Debug)]
pub(crate) struct Trust {
    all: Arc<dyn ClientCertVerifier>,
    members: Vec<(MspId, Arc<dyn ClientCertVerifier>)>,
}

/// Authorities that do not fit the consortium's policy.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// An authority is none of the policy's.
    #[error(
        "a TLS authority with digest {digest} is none that the consortium's policy names: remove it, or have the policy changed"
    )]
    Unknown {
        /// SHA-256 of its DER.
        digest: Digest,
    },
    /// This hospital is no member.
    #[error("`{msp_id}` is no member in the consortium's policy: a daemon serves a member hospital")]
    NotAMember {
        /// This hospital.
        msp_id: MspId,
    },
    /// No member's authority is given.
    #[error("none of the given TLS authorities is a member's: no hospital could connect")]
    None,
    /// The daemon's own certificate is not one that other hospitals would accept.
    #[error(
        "the daemon's TLS certificate is not what the consortium's policy announces for `{url}`: use one of this hospital's TLS CA that names this host"
    )]
    OwnCertificate {
        /// The daemon's URL in the policy.
        url: String,
        /// What the check found.
        source: rustls::Error,
    },
    /// An authority cannot be used.
    #[error("the TLS authority of `{msp_id}` cannot be used: {reason}")]
    Unusable {
        /// Whose it is.
        msp_id: MspId,
        /// What is wrong.
        reason: String,
    },
}

impl Trust {
    /// Joins a policy and the authorities that are at hand. Members without one cannot connect, which is
    /// logged.
    pub(crate) fn new(
        policy: &ConsortiumPolicy,
        authorities: &[CertificateDer<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TrustError> {
        let mut everyone = RootCertStore::empty();
        let mut members = Vec::new();
        for member in &policy.members {
            let authority =
                authorities.iter().find(|authority| sha256(authority) == member.daemon.tls_ca_digest);
            let Some(authority) = authority else {
                tracing::warn!(msp_id = %member.msp_id, "no TLS authority of this member: it cannot connect");
                continue;
            };
            let unusable = |reason: String| TrustError::Unusable { msp_id: member.msp_id.clone(), reason };
            let mut roots = RootCertStore::empty();
            roots.add(authority.clone()).map_err(|error| unusable(error.to_string()))?;
            everyone.add(authority.clone()).map_err(|error| unusable(error.to_string()))?;
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider))
                .build()
                .map_err(|error| unusable(error.to_string()))?;
            members.push((member.msp_id.clone(), verifier));
        }
        let all = WebPkiClientVerifier::builder_with_provider(everyone.into(), Arc::clone(provider))
            .build()
            .map_err(|_| TrustError::None)?;
        Ok(Self { all, members })
    }

    /// Refuses an authority that the policy does not name: most likely the wrong file.
    pub(crate) fn refuse_unknown(
        policy: &ConsortiumPolicy,
        authorities: &[CertificateDer<'static>],
    ) -> Result<(), TrustError> {
        for authority in authorities {
            let digest = sha256(authority);
            if !policy.members.iter().any(|member| member.daemon.tls_ca_digest == digest) {
                return Err(TrustError::Unknown { digest });
            }
        }
        Ok(())
    }

    /// Checks the daemon's own certificate as the other hospitals will: against its authority and for the host
    /// that the policy names. Without that authority at hand there is nothing to check with.
    pub(crate) fn check_own(
        policy: &ConsortiumPolicy,
        msp_id: &MspId,
        authorities: &[CertificateDer<'static>],
        chain: &[CertificateDer<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> Result<(), TrustError> {
        let daemon =
            &policy.member(msp_id).ok_or_else(|| TrustError::NotAMember { msp_id: msp_id.clone() })?.daemon;
        let authority = authorities.iter().find(|authority| sha256(authority) == daemon.tls_ca_digest);
        let (Some(authority), Some((certificate, intermediates))) = (authority, chain.split_first()) else {
            return Ok(());
        };
        let unusable = |reason: String| TrustError::Unusable { msp_id: msp_id.clone(), reason };
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone()).map_err(|error| unusable(error.to_string()))?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(provider))
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        let authority_and_port = daemon.url.strip_prefix("https://").unwrap_or(&daemon.url);
        let host = authority_and_port.rsplit_once(':').map_or(authority_and_port, |(host, _)| host);
        let refused = |source| TrustError::OwnCertificate { url: daemon.url.clone(), source };
        let name = ServerName::try_from(host).map_err(|error| unusable(error.to_string()))?;
        verifier
            .verify_server_cert(certificate, intermediates, &name, &[], UnixTime::now())
            .map(|_| ())
            .map_err(refused)
    }

    /// Verifies certificates of any member.
    pub(crate) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.all)
    }

    /// The hospitals whose authority vouches for a certificate chain; more than one if they share it.
    pub(crate) fn hospitals(&self, chain: &[CertificateDer<'_>]) -> Vec<MspId> {
        let Some((certificate, intermediates)) = chain.split_first() else { return Vec::new() };
        let now = UnixTime::now();
        self.members
            .iter()
            .filter(|(_, verifier)| verifier.verify_client_cert(certificate, intermediates, now).is_ok())
            .map(|(msp_id, _)| msp_id.clone())
            .collect()
    }
}
