//! Renewal of what the development CAs issued: the same key, a new time, one node at a time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::CertificatesError;
use super::inventory::CertificateKind;
use crate::ca::{self, DevelopmentCa};
use crate::change::{ConsenterCertificates, ConsenterEdit, Edit, NewConsenter};
use crate::files;
use crate::genesis;
use crate::lock::FolderLock;
use crate::network::apply::Work;
use crate::network::up::{Options, Stand, UpError};
use crate::network::{ChangeError, Network, chaincode_service};
use crate::node::{self, ADMIN};
use crate::ports::Ports;
use crate::progress::{Progress, Step};
use crate::wait::{self, Look};

/// How long a node may take to be level with the others after its restart.
const LEVEL_LIMIT: Duration = Duration::from_secs(120);

/// What is renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum Renewal {
    /// A node, a user as `NAME@DOMAIN`, or a service, by the name of its folder.
    Named(String),
    /// Whatever has a certificate that ends within so many days.
    Within(i64),
}

/// What lies in one folder and is renewed together.
struct Holder {
    name: String,
    /// The folder's parent: `peers`, `orderers`, `users` or `services`.
    kind: String,
    /// The organisation's folder and domain.
    home: PathBuf,
    domain: String,
    certificates: Vec<(PathBuf, CertificateKind)>,
}

impl Network {
    /// Renews certificates of this folder for the keys that they have, and starts anew, one after the other, the nodes
    /// that use them. Returns the names of what was renewed.
    ///
    /// Of an ordering node the channel learns first, then the node is given them. The authorities themselves are not
    /// renewed: another one comes beside the old by a change of the channel.
    ///
    /// # Errors
    /// [`CertificatesError`]; called again it goes on.
    pub async fn renew_certificates(
        &self,
        what: &Renewal,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<Vec<String>, CertificatesError> {
        let _lock = FolderLock::try_take(&self.layout.lock())?;
        let holders = self.holders(what)?;
        let binaries = options.binaries.find(progress).await.map_err(UpError::from)?;
        genesis::demand_consensus(&self.spec, &binaries).map_err(UpError::from)?;
        let work = Work { at: self, after: self, options, progress, binaries: &binaries };
        let stand = work.stand();
        let ports = self.keep_ports(stand.wanted_ports()).map_err(UpError::from)?;
        let mut renewed = Vec::new();
        for holder in holders {
            let ca = DevelopmentCa::open(&holder.home, &holder.domain)?;
            for (certificate, _) in &holder.certificates {
                ca.draft_renewal(certificate, &key_of(certificate)?)?;
            }
            if holder.kind == "orderers" {
                work.tell_channel(&holder, &ports).await?;
            }
            for (certificate, _) in &holder.certificates {
                ca::take_up(certificate)?;
            }
            match holder.kind.as_str() {
                "orderers" | "peers" => work.restart(&stand, &holder.name, &ports).await?,
                // What peers fill their packages with is read when they build one.
                "services" => {
                    for host in self.forget_builds(&holder)? {
                        self.supervisor.stop(&host).await.map_err(UpError::from)?;
                        work.restart(&stand, &host, &ports).await?;
                    }
                }
                _ => {}
            }
            renewed.push(holder.name);
        }
        if !renewed.is_empty() {
            stand.settle().await?;
        }
        Ok(renewed)
    }

    /// The peers that build their packages anew, with the chaincode service's new certificates, at their next start.
    fn forget_builds(&self, service: &Holder) -> Result<Vec<String>, CertificatesError> {
        let mut peers = Vec::new();
        for organization in &self.spec.organizations {
            if chaincode_service(organization) == service.name {
                crate::peer::forget_builds(&self.layout, organization)?;
                peers.extend(organization.peers.iter().map(|peer| organization.host(peer)));
            }
        }
        Ok(peers)
    }

    fn holders(&self, what: &Renewal) -> Result<Vec<Holder>, CertificatesError> {
        let mut holders: BTreeMap<PathBuf, (Holder, i64)> = BTreeMap::new();
        for found in self.local_certificates()? {
            let Some(file) = found.file else { continue };
            if matches!(found.kind, CertificateKind::Authority | CertificateKind::TlsAuthority) {
                continue;
            }
            // HOME/KIND/NAME/tls/FILE or HOME/KIND/NAME/msp/signcerts/FILE.
            let up = if file.parent().is_some_and(|at| at.ends_with("signcerts")) { 3 } else { 2 };
            let Some(folder) = file.ancestors().nth(up) else { continue };
            let (Some(kind), Some(home)) = (folder.parent(), folder.ancestors().nth(2)) else { continue };
            let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (holder, days) = holders.entry(folder.to_owned()).or_insert_with(|| {
                let holder = Holder {
                    name: name(folder),
                    kind: name(kind),
                    domain: name(home),
                    home: home.to_owned(),
                    certificates: Vec::new(),
                };
                (holder, i64::MAX)
            });
            holder.certificates.push((file, found.kind));
            *days = found.days.min(*days);
        }
        match what {
            Renewal::Within(limit) => {
                let ending = holders.into_values().filter(|(_, days)| days < limit);
                Ok(ending.map(|(holder, _)| holder).collect())
            }
            Renewal::Named(name) => {
                let names: Vec<String> = holders.values().map(|(holder, _)| holder.name.clone()).collect();
                let named: Vec<Holder> = holders
                    .into_values()
                    .map(|(holder, _)| holder)
                    .filter(|found| found.name == *name)
                    .collect();
                if named.is_empty() {
                    let known = names.join(", ");
                    return Err(CertificatesError::Unknown { name: name.clone(), known });
                }
                Ok(named)
            }
        }
    }
}

/// The key beside a certificate.
fn key_of(certificate: &Path) -> Result<PathBuf, CertificatesError> {
    let wrong = || CertificatesError::NoCertificate {
        file: certificate.display().to_string(),
        what: "no key lies beside it".to_owned(),
    };
    let folder = certificate.parent().ok_or_else(wrong)?;
    let key = if folder.ends_with("signcerts") {
        folder.parent().ok_or_else(wrong)?.join("keystore/priv_sk")
    } else {
        certificate.with_extension("key")
    };
    if key.exists() { Ok(key) } else { Err(wrong()) }
}

impl Work<'_> {
    /// The channel learns an ordering node's new certificates, while the node still has the old ones.
    async fn tell_channel(&self, holder: &Holder, ports: &Ports) -> Result<(), CertificatesError> {
        let host = &holder.name;
        let found_at = node::public(ports, host).map_err(UpError::from)?;
        let newest = |kind| -> Result<Vec<u8>, CertificatesError> {
            let found = holder.certificates.iter().find(|(_, found)| *found == kind);
            let (file, _) = found.ok_or_else(|| CertificatesError::NoCertificate {
                file: host.clone(),
                what: "the node's folder has none".to_owned(),
            })?;
            let draft = ca::draft(file);
            let file = if draft.exists() { &draft } else { file };
            Ok(files::read(file)?.into_bytes())
        };
        self.await_level(self.at).await?;
        let tls = newest(CertificateKind::NodeTls)?;
        let identity = newest(CertificateKind::NodeIdentity)?;
        let address = format!("{}:{}", found_at.host, found_at.port);
        let by = NewConsenter {
            host: found_at.host,
            port: found_at.port,
            msp_id: self.at.spec.orderer.msp_id.clone(),
            certificates: ConsenterCertificates { server: tls.clone(), client: tls },
            identity_pem: Some(identity),
        };
        let title = format!("`{host}` has new certificates");
        self.change(self.at, &title, |present| {
            let known = present.consenters().map_err(ChangeError::from)?;
            let there = known.iter().any(|known| known.address() == address);
            let edit = Edit::Consenter(ConsenterEdit::Replace { address: address.clone(), by: by.clone() });
            Ok(if there { vec![edit] } else { Vec::new() })
        })
        .await?;
        Ok(())
    }

    /// Starts a node anew with what it has now, and waits until it is level with the others.
    async fn restart(&self, stand: &Stand<'_>, host: &str, ports: &Ports) -> Result<(), CertificatesError> {
        self.await_level(self.at).await?;
        let step = Step::begin(self.progress, format!("`{host}` with its new certificates"));
        let services = stand.nodes(ports).map_err(UpError::from)?;
        let Some(service) = services.iter().find(|service| service.name == host) else {
            step.done("it is no node of this network");
            return Ok(());
        };
        let highest = self.highest().await?;
        self.at.supervisor.ensure(service).await.map_err(UpError::from)?;
        wait::until(&step, "it to be level with the others", LEVEL_LIMIT, || async {
            self.at.supervisor.demand_alive(host).map_err(UpError::from)?;
            let status = self.at.status().await;
            let node = status.ok().and_then(|status| status.nodes.into_iter().find(|node| node.name == host));
            Ok::<_, CertificatesError>(match node {
                Some(node) if node.problem.is_none() && node.height >= highest => Look::Holds(()),
                Some(node) => Look::NotYet(node.problem.unwrap_or_else(|| "it is behind".to_owned())),
                None => Look::NotYet("nothing is known of it".to_owned()),
            })
        })
        .await?;
        if self.at.spec.orderer.consenters.iter().any(|name| self.at.spec.orderer.host(name) == host) {
            self.await_active(&step, host, ports).await?;
            stand.await_leader(ports, self.at).await?;
        }
        step.done("level with the others");
        Ok(self.await_level(self.at).await?)
    }

    async fn await_active(
        &self,
        step: &Step<'_>,
        host: &str,
        ports: &Ports,
    ) -> Result<(), CertificatesError> {
        let operations = self.at.orderer_operations().map_err(UpError::from)?;
        let admin = node::loopback(ports, host, ADMIN).map_err(UpError::from)?;
        let channel = &self.at.spec.channel.name;
        wait::until(step, "it to be a consenter again", LEVEL_LIMIT, || async {
            Ok(match operations.participation(&admin, channel).await {
                Ok(Some(node)) if node.consensus_relation == "consenter" => Look::Holds(()),
                Ok(node) => Look::NotYet(format!("{node:?}")),
                Err(error) => Look::NotYet(wait::chain(&error)),
            })
        })
        .await
    }

    /// The most blocks that a node of the network has.
    async fn highest(&self) -> Result<Option<u64>, CertificatesError> {
        let status =
            self.at.status().await.map_err(|super::super::StatusError::Port(error)| UpError::from(error))?;
        Ok(status.nodes.iter().filter_map(|node| node.height).max())
    }
}
