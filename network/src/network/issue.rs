//! Keys and certificates of a network, made by whichever CA each organisation has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::Network;
use super::reach::ORDERER_ADMIN;
use super::up::{START_LIMIT, Stand, UpError};
use crate::ca::{self, CaError, DevelopmentCa, Holding, Home, Order, Signs, TlsFiles};
use crate::fabric_ca::{Enrollment, Identity, Registrar, Secret, Server};
use crate::files::{self, FileError};
use crate::node::{self, LISTEN, OPERATIONS};
use crate::ports::Ports;
use crate::progress::{self, Step};
use crate::spec::{CertificateSource, Keys, NodeOu, Organization, User, UserKey};
use crate::wait::{self, Look};

/// The name by which a chaincode service has its certificates.
pub(super) const CHAINCODE_SERVICE: &str = "chaincode";

/// Why a certificate could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The CA did not make it.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// Keys and certificates of this part were given as files.
    #[error(
        "keys and certificates are given as files here (`keys` of the part); have them made where those are made"
    )]
    GivenKeys,
    /// The organisation has a development CA.
    #[error("`{0}` has no Fabric CA; it would be `ca = \"fabric-ca\"` in the spec of a new network")]
    NoFabricCa(String),
    /// A file cannot be read or written.
    #[error("the identity's folder cannot be used")]
    File(#[from] FileError),
    /// The organisation's Fabric CA is not reached.
    #[error("the organisation's Fabric CA has no port; stand the network up first")]
    NoPort,
    /// The file of ports cannot be read.
    #[error("the network's ports cannot be read")]
    Port(#[from] crate::ports::PortError),
}

/// Whoever signs an organisation's certificates.
#[derive(Debug)]
pub(super) enum Issuer {
    Development(Home, DevelopmentCa),
    Fabric(Home, Registrar),
}

impl Issuer {
    /// Makes what one folder holds, when it is not there yet; false when it is.
    pub(super) async fn make(&self, holding: &Holding) -> Result<bool, CaError> {
        match self {
            Self::Development(_, ca) => ca.make(holding),
            Self::Fabric(home, ca) => {
                if holding.is_there() {
                    return Ok(false);
                }
                let mut certificates = Vec::new();
                for order in holding.orders() {
                    certificates.push(ca.certify(order).await?);
                }
                home.install(holding, &certificates)
            }
        }
    }

    /// A certificate for an order, like an old one; PEM.
    pub(super) async fn renew(&self, order: &Order, old: (&Path, &Path)) -> Result<String, CaError> {
        match self {
            Self::Development(_, ca) => ca.certify(order),
            Self::Fabric(_, ca) => {
                let (certificate, key) = (files::read(old.0)?, files::read(old.1)?);
                match Identity::from_pem(&certificate, &key) {
                    Ok(identity) => ca.certify_again(order, &identity).await,
                    Err(_) => ca.certify(order).await,
                }
            }
        }
    }

    /// Revokes whom a certificate is for, and returns the list of all revoked; PEM.
    pub(super) async fn revoke(&self, certificate: &Path) -> Result<String, CaError> {
        match self {
            Self::Development(_, ca) => ca.revoke(certificate),
            Self::Fabric(_, ca) => {
                let pem = files::read(certificate)?;
                let damaged = |what: String| CaError::Damaged { folder: certificate.to_owned(), what };
                let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes())
                    .map_err(|error| damaged(error.to_string()))?;
                let found = pem.parse_x509().map_err(|error| damaged(error.to_string()))?;
                ca.revoke(&crate::change::common_name(&found), None).await
            }
        }
    }

    fn home(&self) -> &Home {
        match self {
            Self::Development(home, _) | Self::Fabric(home, _) => home,
        }
    }
}

impl Network {
    /// An organisation's development CA, to issue further identities and service certificates.
    ///
    /// # Errors
    /// [`CaError`] when the network was never up, the CA is damaged, or the organisation has a Fabric CA.
    pub fn ca(&self, organization: &Organization) -> Result<DevelopmentCa, CaError> {
        if organization.ca != CertificateSource::Development {
            return Err(CaError::NotDevelopment(organization.name.clone()));
        }
        DevelopmentCa::open(&self.layout.organization(organization), &organization.domain)
    }

    /// Has a further user's signing identity and TLS client certificate issued by the organisation's CA, into
    /// `users/NAME@DOMAIN`, and returns that folder.
    ///
    /// # Errors
    /// [`CaError::Exists`] when the user has one; [`IssueError`] when the CA does not make it, or does not run.
    pub async fn issue_user(&self, organization: &Organization, user: &User) -> Result<PathBuf, IssueError> {
        let issuer = self.issuer(organization).await?;
        let holding = issuer.home().of_user(user, None)?;
        if issuer.make(&holding).await? {
            Ok(holding.target().to_owned())
        } else {
            Err(CaError::Exists(holding.target().to_owned()).into())
        }
    }

    /// Has TLS certificates issued for a service of the organisation, once, into `services/NAME.DOMAIN/tls`: first those
    /// that it is called with, then those that its callers call with.
    ///
    /// # Errors
    /// [`IssueError`] when they cannot be made.
    pub async fn service_tls(
        &self,
        organization: &Organization,
        name: &str,
    ) -> Result<(TlsFiles, TlsFiles), IssueError> {
        let home = self.home(organization);
        let holding = home.of_service(name)?;
        if !holding.is_there() {
            self.issuer(organization).await?.make(&holding).await?;
        }
        Ok(home.service(name))
    }

    /// The folders of the organisations here that have a Fabric CA, the ordering one's first.
    pub(super) fn fabric_cas(&self) -> Vec<Home> {
        let of = |source| source == CertificateSource::FabricCa && self.makes_keys();
        let ordering = (self.holds_ordering() && of(self.spec.orderer.ca)).then(|| self.ordering_home());
        let members = self.own_organizations().filter(|member| of(member.ca));
        ordering.into_iter().chain(members.map(|member| self.home(member))).collect()
    }

    /// Whether keys are made here; otherwise they were given as files.
    fn makes_keys(&self) -> bool {
        self.part.as_ref().is_none_or(|part| part.keys == Keys::Development)
    }

    /// What the ordering organisation holds.
    pub(super) fn ordering_holdings(&self, home: &Home) -> Result<Vec<Holding>, CaError> {
        let service = &self.spec.orderer;
        let mut wanted = Vec::new();
        for host in service.consenters.iter().map(|consenter| service.host(consenter)) {
            let names = self.names_of(&host);
            wanted.push(home.of_node("orderers", &host, &names, NodeOu::Orderer)?);
        }
        wanted.push(home.of_user(&orderer_admin(), None)?);
        Ok(wanted)
    }

    /// What a member holds, the chaincode's service apart.
    pub(super) fn holdings(&self, organization: &Organization, home: &Home) -> Result<Vec<Holding>, CaError> {
        let mut wanted = Vec::new();
        for host in organization.peers.iter().map(|peer| organization.host(peer)) {
            let names = self.names_of(&host);
            wanted.push(home.of_node("peers", &host, &names, NodeOu::Peer)?);
        }
        for user in &organization.users {
            wanted.push(home.of_user(user, None)?);
        }
        Ok(wanted)
    }

    /// Where an organisation's keys and certificates lie.
    pub(super) fn home(&self, organization: &Organization) -> Home {
        Home::new(&self.layout.organization(organization), &organization.domain)
    }

    pub(super) fn ordering_home(&self) -> Home {
        let orderer = &self.spec.orderer;
        Home::new(&self.layout.ordering_organization(orderer), &orderer.domain)
    }

    /// Whoever signs an organisation's certificates; a Fabric CA must run.
    pub(super) async fn issuer(&self, organization: &Organization) -> Result<Issuer, IssueError> {
        self.issuer_of(self.home(organization), organization.ca).await
    }

    /// Whoever signs the certificates of an organisation's folder.
    pub(super) async fn issuer_of(
        &self,
        home: Home,
        source: CertificateSource,
    ) -> Result<Issuer, IssueError> {
        if !self.makes_keys() {
            return Err(IssueError::GivenKeys);
        }
        match source {
            CertificateSource::Development => {
                let ca = DevelopmentCa::open(home.folder(), home.domain())?;
                Ok(Issuer::Development(home, ca))
            }
            CertificateSource::FabricCa => {
                let server = ca_server(&home, &self.ports()?)?;
                let ca = Registrar::open(&server).await?;
                Ok(Issuer::Fabric(home, ca))
            }
        }
    }

    /// The registrar of an organisation's Fabric CA, which must run.
    ///
    /// # Errors
    /// [`IssueError::NoFabricCa`] when it has none.
    pub async fn registrar(&self, organization: &Organization) -> Result<Registrar, IssueError> {
        match self.issuer(organization).await? {
            Issuer::Fabric(_, registrar) => Ok(registrar),
            Issuer::Development(..) => Err(IssueError::NoFabricCa(organization.name.clone())),
        }
    }

    /// Enrols an identity that was registered at an organisation's Fabric CA, by its secret, into a folder that is not
    /// there yet: its MSP is `FOLDER/msp`. Its certificate has the attributes that are marked `ecert`.
    ///
    /// # Errors
    /// [`CaError::Exists`] when the folder is there; [`IssueError`] when the CA refuses.
    pub async fn enroll(
        &self,
        organization: &Organization,
        id: &str,
        secret: &Secret,
        folder: &Path,
    ) -> Result<(), IssueError> {
        let registrar = self.registrar(organization).await?;
        let home = self.home(organization);
        let holding = home.of_enrolled(id, folder)?;
        if holding.is_there() {
            return Err(CaError::Exists(folder.to_owned()).into());
        }
        let mut certificates = Vec::new();
        for order in holding.orders() {
            let request_pem = ca::request(&order.key, &order.subject)?;
            let asked = Enrollment { request_pem, profile: None, attributes: None };
            let enrolled = registrar.identity_ca().enroll(id, secret, &asked).await;
            certificates.push(enrolled.map_err(|error| of_fabric_ca(id, error))?.certificate_pem);
        }
        home.install(&holding, &certificates)?;
        Ok(())
    }

    /// Enrols the identity of an MSP folder again, at the organisation's Fabric CA, by the certificate that it has: for a
    /// new key, or for the same one. The certificate takes the old one's place at once, and the old key goes.
    ///
    /// # Errors
    /// [`IssueError`] when the CA refuses, as it does a certificate that is revoked or has ended.
    pub async fn reenroll(
        &self,
        organization: &Organization,
        msp: &Path,
        same_key: bool,
    ) -> Result<(), IssueError> {
        let registrar = self.registrar(organization).await?;
        let held = ca::Held::in_msp(msp)?;
        let old = Identity::from_pem(&files::read(&held.certificate)?, &files::read(&held.key)?);
        let old = old.map_err(|error| of_fabric_ca("identity", error))?;
        let order = held.order(same_key)?;
        let request_pem = ca::request(&order.key, &order.subject)?;
        let mut asked = Enrollment { request_pem, profile: None, attributes: None };
        let names: Vec<&str> = order.subject.attributes.keys().map(String::as_str).collect();
        asked = asked.asking_for(&names);
        let made = registrar.identity_ca().acting(&old).reenroll(&asked).await;
        let made = made.map_err(|error| of_fabric_ca(&order.subject.common_name, error))?;
        if !same_key {
            held.draft_key(&order.key)?;
        }
        held.draft_certificate(&made.certificate_pem)?;
        held.take_up()?;
        Ok(())
    }
}

fn of_fabric_ca(name: &str, error: crate::fabric_ca::FabricCaError) -> CaError {
    CaError::FabricCa { name: name.to_owned(), source: Box::new(error) }
}

pub(super) fn ca_server(home: &Home, ports: &Ports) -> Result<Server, IssueError> {
    let name = Server::name(home.domain());
    let port = |purpose| ports.port(&name, purpose).ok_or(IssueError::NoPort);
    Ok(Server::new(home.clone(), port(LISTEN)?, port(OPERATIONS)?))
}

impl Stand<'_> {
    /// Starts the Fabric CAs, and issues every key and certificate that is not there.
    pub(super) async fn issue(&self, ports: &Ports) -> Result<(), UpError> {
        let Network { spec, layout, .. } = self.network;
        self.start_cas(ports).await?;
        let begun = Instant::now();
        let mut issued = 0_usize;
        let mut count = |new: bool| issued = issued.saturating_add(usize::from(new));

        let service = &spec.orderer;
        if self.network.holds_ordering() {
            let home = self.network.ordering_home();
            let wanted = self.network.ordering_holdings(&home)?;
            let issuer = self.opened(home, service.ca, ports).await?;
            for holding in &wanted {
                count(issuer.make(holding).await?);
            }
        }

        for organization in self.network.own_organizations() {
            let home = self.network.home(organization);
            let wanted = self.network.holdings(organization, &home)?;
            let of_chaincode = home.of_service(CHAINCODE_SERVICE)?;
            let issuer = self.opened(home, organization.ca, ports).await?;
            for holding in &wanted {
                count(issuer.make(holding).await?);
            }
            issuer.make(&of_chaincode).await?;
        }
        let what = "keys and certificates";
        match issued {
            0 => progress::skipped(self.progress, what, "all are there; none is issued twice"),
            _ => Step::begun_at(self.progress, what, begun).done(&format!(
                "{issued} identities issued by {}, in {}",
                issuers(self.network),
                layout.root().join("organizations").display()
            )),
        }
        Ok(())
    }

    /// Whoever signs an organisation's certificates; a development CA is made when there is none.
    async fn opened(&self, home: Home, source: CertificateSource, ports: &Ports) -> Result<Issuer, UpError> {
        match source {
            CertificateSource::Development => {
                let ca = DevelopmentCa::open_or_make(home.folder(), home.domain())?;
                Ok(Issuer::Development(home, ca))
            }
            CertificateSource::FabricCa => {
                let server = ca_server(&home, ports)?;
                let ca = Registrar::open(&server).await?;
                for signs in [Signs::Identities, Signs::Tls] {
                    let file = home.authority(signs);
                    if !file.exists() {
                        let certificate = files::read(&server.certificate(signs))?;
                        files::replace(&file, files::PUBLIC, certificate.as_bytes())?;
                    }
                }
                home.make_msp()?;
                Ok(Issuer::Fabric(home, ca))
            }
        }
    }

    /// Starts the Fabric CAs of the organisations that have one, and waits until both CAs of each answer.
    pub(super) async fn start_cas(&self, ports: &Ports) -> Result<(), UpError> {
        let supervisor = &self.network.supervisor;
        let homes = self.network.fabric_cas();
        if homes.is_empty() {
            return Ok(());
        }
        let program = self.options.binaries.find_ca_server(self.progress).await?;
        let mut servers = Vec::new();
        let mut services = Vec::new();
        for home in homes {
            let server = ca_server(&home, ports)?;
            services.push(server.prepare(&program)?);
            servers.push(server);
        }
        let step = Step::begin(self.progress, "Fabric CAs");
        let started = supervisor.ensure_all(&services).await?;
        for (server, service) in servers.iter().zip(&services) {
            let what = format!("`{}` to answer", service.name);
            wait::until(&step, &what, START_LIMIT, || async {
                supervisor.demand_alive(&service.name)?;
                for signs in [Signs::Identities, Signs::Tls] {
                    let asked = match server.client(signs) {
                        Ok(client) => client.info().await.map(|_| ()),
                        Err(error) => Err(error),
                    };
                    if let Err(error) = asked {
                        return Ok(Look::NotYet(wait::chain(&error)));
                    }
                }
                Ok::<_, UpError>(Look::Holds(()))
            })
            .await?;
        }
        step.done(&super::up::said(services.len(), started));
        Ok(())
    }
}

impl From<IssueError> for UpError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Ca(error) => Self::Ca(error),
            IssueError::Port(error) => Self::Port(error),
            IssueError::File(error) => Self::File(error),
            IssueError::GivenKeys => Self::Ca(CaError::NotDevelopment("this part".to_owned())),
            IssueError::NoFabricCa(name) => Self::Ca(CaError::NotDevelopment(name)),
            IssueError::NoPort => {
                Self::Node(node::NodeError::Port { host: "ca".to_owned(), purpose: LISTEN })
            }
        }
    }
}

fn issuers(network: &Network) -> &'static str {
    let all = network.own_organizations().count().saturating_add(usize::from(network.holds_ordering()));
    match network.fabric_cas().len() {
        0 => "development CAs",
        of_fabric if of_fabric == all => "Fabric CAs",
        _ => "development CAs and Fabric CAs",
    }
}

fn orderer_admin() -> User {
    User {
        name: ORDERER_ADMIN.to_owned(),
        node_ou: NodeOu::Admin,
        common_name: None,
        attributes: BTreeMap::new(),
        key: UserKey::default(),
    }
}
