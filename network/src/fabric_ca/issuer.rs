//! An organisation's registrar at its Fabric CA, who has everything registered and enrolled.

use std::path::{Path, PathBuf};

use time::{Duration, OffsetDateTime};
use x509_parser::pem::parse_x509_pem;

use super::server::{REGISTRAR, Server};
use super::{
    Acting, Attribute, Enrollment, FabricCa, FabricCaError, Identity, KeyAndRequest, Registration,
    Revocation, Secret,
};
use crate::ca::{self, CaError, Order, Signs, random_hex};
use crate::files;
use crate::spec::NodeOu;

/// From when on before its end the registrar's certificate is made anew.
const RENEW_BEFORE: Duration = Duration::days(30);

/// One of an organisation's two CAs with its registrar.
#[derive(Debug)]
struct Desk {
    ca: FabricCa,
    registrar: Identity,
}

/// An organisation's registrar, enrolled at both CAs of its Fabric CA server: of identities, and of TLS certificates.
#[derive(Debug)]
pub struct Registrar {
    identities: Desk,
    tls: Desk,
}

impl Registrar {
    /// Enrols the registrar at both CAs of a server that runs, unless it is enrolled.
    pub(crate) async fn open(server: &Server) -> Result<Self, CaError> {
        Ok(Self { identities: desk(server, Signs::Identities).await?, tls: desk(server, Signs::Tls).await? })
    }

    /// The CA of identities, asked by the registrar.
    pub fn identities(&self) -> Acting<'_> {
        self.identities.ca.acting(&self.identities.registrar)
    }

    /// The CA of TLS certificates, asked by the registrar.
    pub fn tls(&self) -> Acting<'_> {
        self.tls.ca.acting(&self.tls.registrar)
    }

    /// The CA of identities, for those who enrol by their secret.
    pub fn identity_ca(&self) -> &FabricCa {
        &self.identities.ca
    }

    /// The CA of TLS certificates.
    pub fn tls_ca(&self) -> &FabricCa {
        &self.tls.ca
    }

    fn of(&self, signs: Signs) -> (&FabricCa, &Identity) {
        let desk = match signs {
            Signs::Identities => &self.identities,
            Signs::Tls => &self.tls,
        };
        (&desk.ca, &desk.registrar)
    }

    /// Registers whom an order is for, and enrols them for its key; PEM.
    ///
    /// The secret between the two is known to nobody afterwards. Interrupted in between, it is set anew.
    pub(crate) async fn certify(&self, order: &Order) -> Result<String, CaError> {
        let name = &order.subject.common_name;
        self.certified(order).await.map_err(failed(name))
    }

    async fn certified(&self, order: &Order) -> Result<String, FabricCaError> {
        let (ca, registrar) = self.of(order.signs);
        let subject = &order.subject;
        let acting = ca.acting(registrar);
        let secret = Secret::from(random_hex().map_err(|error| FabricCaError::Request(Box::new(error)))?);
        let attributes = subject
            .attributes
            .iter()
            .map(|(name, value)| Attribute { name: name.clone(), value: value.clone(), ecert: true })
            .collect();
        let registration = Registration {
            kind: subject.node_ou.unwrap_or(NodeOu::Client).as_str().to_owned(),
            secret: Some(secret.clone()),
            max_enrollments: -1,
            attributes,
            ..Registration::client(&subject.common_name)
        };
        match acting.register(&registration).await {
            Err(error) if error.is_registered_already() => {
                acting.modify(&registration).await?;
            }
            registered => {
                registered?;
            }
        }
        let enrolled = ca.enroll(&subject.common_name, &secret, &enrollment(order)?).await?;
        Ok(enrolled.certificate_pem)
    }

    /// A new certificate by the one that there is, for an order's key; by the registrar when that one serves no longer.
    pub(crate) async fn certify_again(&self, order: &Order, old: &Identity) -> Result<String, CaError> {
        let name = &order.subject.common_name;
        let (ca, _) = self.of(order.signs);
        match ca.acting(old).reenroll(&enrollment(order).map_err(failed(name))?).await {
            Ok(enrolled) => Ok(enrolled.certificate_pem),
            Err(FabricCaError::Refused { .. } | FabricCaError::Identity(_)) => self.certify(order).await,
            Err(error) => Err(failed(name)(error)),
        }
    }

    /// Revokes an identity with all its certificates, and returns the CA's list; PEM.
    pub(crate) async fn revoke(&self, id: &str, reason: Option<&str>) -> Result<String, CaError> {
        let (ca, registrar) = self.of(Signs::Identities);
        let acting = ca.acting(registrar);
        let revocation = Revocation::Identity(id.to_owned());
        match acting.revoke(&revocation, reason).await {
            Err(error) if !error.is_revoked_already() => return Err(failed(id)(error)),
            _ => {}
        }
        acting.revocation_list().await.map_err(failed(id))
    }
}

/// What an order asks for: its attributes and no others, not even the CA's own about affiliation and type.
fn enrollment(order: &Order) -> Result<Enrollment, FabricCaError> {
    let request_pem =
        ca::request(&order.key, &order.subject).map_err(|error| FabricCaError::Request(Box::new(error)))?;
    let names: Vec<&str> = order.subject.attributes.keys().map(String::as_str).collect();
    let asked = Enrollment { request_pem, profile: None, attributes: None }.asking_for(&names);
    Ok(match order.signs {
        Signs::Identities => asked,
        Signs::Tls => asked.of_profile("tls"),
    })
}

fn failed(name: &str) -> impl Fn(FabricCaError) -> CaError + '_ {
    |source| CaError::FabricCa { name: name.to_owned(), source: Box::new(source) }
}

/// Enrols the registrar of one CA, unless there is a certificate that serves for a while.
async fn desk(server: &Server, signs: Signs) -> Result<Desk, CaError> {
    let ca = server.client(signs).map_err(failed(REGISTRAR))?;
    let folder = registrar_folder(server, signs);
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    if !serves(&certificate) || !key.exists() {
        let secret = Secret::from(files::read(&server.secret_file())?.trim().to_owned());
        let own = KeyAndRequest::generate(REGISTRAR, &[]).map_err(failed(REGISTRAR))?;
        // It asks for no attributes: what it may do is in the registry, and its certificate is shown with every request.
        let asked = Enrollment::of(&own).asking_for(&[]);
        let enrolled = ca.enroll(REGISTRAR, &secret, &asked).await.map_err(failed(REGISTRAR))?;
        files::make_private_folder(&folder)?;
        let key_pem = own.key_pem().map_err(failed(REGISTRAR))?;
        // The certificate comes last: without it both are made anew.
        let _ = std::fs::remove_file(&certificate);
        files::replace(&key, files::SECRET, key_pem.as_str().as_bytes())?;
        files::replace(&certificate, files::PUBLIC, enrolled.certificate_pem.as_bytes())?;
    }
    let registrar =
        Identity::from_pem(&files::read(&certificate)?, &files::read(&key)?).map_err(failed(REGISTRAR))?;
    Ok(Desk { ca, registrar })
}

fn registrar_folder(server: &Server, signs: Signs) -> PathBuf {
    match signs {
        Signs::Identities => server.folder().join("registrar"),
        Signs::Tls => server.folder().join("tlsca/registrar"),
    }
}

/// Whether a certificate is there and serves for a while.
fn serves(certificate: &Path) -> bool {
    let until = || {
        let pem = std::fs::read(certificate).ok()?;
        let (_, pem) = parse_x509_pem(&pem).ok()?;
        Some(pem.parse_x509().ok()?.validity().not_after.timestamp())
    };
    let soon = OffsetDateTime::now_utc() + RENEW_BEFORE;
    until().is_some_and(|until| until > soon.unix_timestamp())
}
