//! What an enrolled identity asks of a Fabric CA.

use reqwest::{Method, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::request::Secret;
use super::token::Identity;
use super::wire::{
    Affiliation, CertificatesWire, Enrolled, EnrolledWire, Enrollment, IdentitiesWire, ListWire,
    RegisteredIdentity, Registration, Revocation, RevocationWire, Revoked, SecretWire,
};
use super::{FabricCa, FabricCaError, from_base64};

/// A Fabric CA, asked by an identity that it enrolled.
#[derive(Debug, Clone, Copy)]
pub struct Acting<'a> {
    pub(super) ca: &'a FabricCa,
    pub(super) identity: &'a Identity,
}

/// A request without a body.
const NOTHING: Option<&()> = None;

impl Acting<'_> {
    /// Registers an identity, and returns the secret that it enrols with.
    ///
    /// # Errors
    /// [`FabricCaError::is_registered_already`]; code 71 when the one who asks is no registrar of that type, affiliation or
    /// attribute.
    pub async fn register(&self, registration: &Registration) -> Result<Secret, FabricCaError> {
        let url = self.ca.at(&["register"], &[]);
        let made: SecretWire = self.ask(Method::POST, url, Some(registration), "register it").await?;
        Ok(Secret::from(made.secret))
    }

    /// A new certificate for the one who asks, of a request for the same or a new key.
    ///
    /// # Errors
    /// [`FabricCaError::Refused`] with code 20 when its certificate is revoked or has ended.
    pub async fn reenroll(&self, enrollment: &Enrollment) -> Result<Enrolled, FabricCaError> {
        let url = self.ca.at(&["reenroll"], &[]);
        let made: EnrolledWire =
            self.ask(Method::POST, url.clone(), Some(enrollment), "enrol it again").await?;
        made.read().map_err(|what| FabricCaError::Answer { url: url.to_string(), what })
    }

    /// Revokes an identity or a certificate, for a reason such as `keycompromise`; peers refuse it once the CA's list is on
    /// the channel.
    ///
    /// # Errors
    /// [`FabricCaError::is_revoked_already`]; code 71 when the one who asks is no revoker.
    pub async fn revoke(&self, what: &Revocation, reason: Option<&str>) -> Result<Revoked, FabricCaError> {
        let url = self.ca.at(&["revoke"], &[]);
        let body = match what {
            Revocation::Identity(id) => RevocationWire { id: Some(id), reason, ..RevocationWire::default() },
            Revocation::Certificate { serial, authority_key_id } => RevocationWire {
                serial: Some(serial),
                aki: Some(authority_key_id),
                reason,
                ..RevocationWire::default()
            },
        };
        self.ask(Method::POST, url, Some(&body), "revoke it").await
    }

    /// The CA's list of revoked certificates that have not ended, PEM.
    ///
    /// # Errors
    /// Code 71 when the one who asks lacks `hf.GenCRL`.
    pub async fn revocation_list(&self) -> Result<String, FabricCaError> {
        let url = self.ca.at(&["gencrl"], &[]);
        let body = serde_json::json!({});
        let made: ListWire = self.ask(Method::POST, url.clone(), Some(&body), "make its list").await?;
        from_base64(&made.list).map_err(|what| FabricCaError::Answer { url: url.to_string(), what })
    }

    /// Every identity that the one who asks may see.
    ///
    /// # Errors
    /// [`FabricCaError`].
    pub async fn identities(&self) -> Result<Vec<RegisteredIdentity>, FabricCaError> {
        let url = self.ca.at(&["identities"], &[]);
        let found: IdentitiesWire = self.ask(Method::GET, url, NOTHING, "show its identities").await?;
        Ok(found.identities)
    }

    /// One identity.
    ///
    /// # Errors
    /// [`FabricCaError::Refused`] when there is none of that name.
    pub async fn identity(&self, id: &str) -> Result<RegisteredIdentity, FabricCaError> {
        let url = self.ca.at(&["identities", id], &[]);
        self.ask(Method::GET, url, NOTHING, "show the identity").await
    }

    /// Makes a registered identity as described: type, affiliation, attributes by name, and the secret when one is given.
    ///
    /// # Errors
    /// [`FabricCaError::Refused`].
    pub async fn modify(&self, registration: &Registration) -> Result<RegisteredIdentity, FabricCaError> {
        let url = self.ca.at(&["identities", &registration.id], &[]);
        self.ask(Method::PUT, url, Some(registration), "change the identity").await
    }

    /// Removes an identity and revokes its certificates. The one who asks removes itself only by `force`.
    ///
    /// # Errors
    /// Code 56 when the CA was not started with `cfg.identities.allowremove`.
    pub async fn remove(&self, id: &str, force: bool) -> Result<RegisteredIdentity, FabricCaError> {
        let forced: &[(&str, &str)] = if force { &[("force", "true")] } else { &[] };
        let url = self.ca.at(&["identities", id], forced);
        self.ask(Method::DELETE, url, NOTHING, "remove the identity").await
    }

    /// Certificates in PEM: of one identity, or all that the one who asks may see; without the revoked and the ended ones
    /// when only those that serve are wanted.
    ///
    /// # Errors
    /// [`FabricCaError`].
    pub async fn certificates(&self, id: Option<&str>, serving: bool) -> Result<Vec<String>, FabricCaError> {
        let mut parameters: Vec<(&str, &str)> = id.map(|id| ("id", id)).into_iter().collect();
        if serving {
            parameters.extend([("notrevoked", "true"), ("notexpired", "true")]);
        }
        let url = self.ca.at(&["certificates"], &parameters);
        let found: CertificatesWire = self.ask(Method::GET, url, NOTHING, "show its certificates").await?;
        Ok(found.certs.into_iter().map(|found| found.pem).collect())
    }

    /// The affiliation of the one who asks, and all below it.
    ///
    /// # Errors
    /// [`FabricCaError::Refused`] when there are none.
    pub async fn affiliations(&self) -> Result<Affiliation, FabricCaError> {
        let url = self.ca.at(&["affiliations"], &[]);
        self.ask(Method::GET, url, NOTHING, "show its affiliations").await
    }

    /// Adds an affiliation, such as `ward.night`, and those above it that are missing.
    ///
    /// # Errors
    /// Code 71 when the one who asks lacks `hf.AffiliationMgr`.
    pub async fn add_affiliation(&self, name: &str) -> Result<Affiliation, FabricCaError> {
        let url = self.ca.at(&["affiliations"], &[("force", "true")]);
        let body = serde_json::json!({ "name": name });
        self.ask(Method::POST, url, Some(&body), "add the affiliation").await
    }

    /// Removes an affiliation; with those below it, and all their identities, by `force`.
    ///
    /// # Errors
    /// [`FabricCaError::Refused`] when the CA was not started with `cfg.affiliations.allowremove`.
    pub async fn remove_affiliation(&self, name: &str, force: bool) -> Result<Affiliation, FabricCaError> {
        let forced: &[(&str, &str)] = if force { &[("force", "true")] } else { &[] };
        let url = self.ca.at(&["affiliations", name], forced);
        self.ask(Method::DELETE, url, NOTHING, "remove the affiliation").await
    }

    async fn ask<B: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Option<&B>,
        asked: &'static str,
    ) -> Result<A, FabricCaError> {
        self.ca.signed(self.identity, method, url, body, asked).await
    }
}
