//! Renewal of what the development CAs issued: the same key, a new time, one node at a time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::CertificatesError;
use super::inventory::CertificateKind;
use crate::ca::{CaError, Held, Home};
use crate::change::{ConsenterCertificates, ConsenterEdit, Edit, NewConsenter};
use crate::fabric_ca::Server;
use crate::files::{self, FileError};
use crate::genesis;
use crate::lock::FolderLock;
use crate::network::apply::Work;
use crate::network::issue::Issuer;
use crate::network::up::{Options, Stand, UpError};
use crate::network::{ChangeError, Network, chaincode_service};
use crate::node::{self, ADMIN};
use crate::ports::Ports;
use crate::progress::{Progress, Step};
use crate::spec::CertificateSource;
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

/// Which keys renewed certificates are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RenewedKeys {
    /// Those that there are: files change, and nothing else needs to know.
    #[default]
    Same,
    /// New ones, of the same kinds.
    New,
}

/// What lies in one folder and is renewed together.
pub(super) struct Holder {
    pub(super) name: String,
    /// The folder's parent: `peers`, `orderers`, `users` or `services`.
    pub(super) kind: String,
    /// The organisation's folder and domain.
    pub(super) home: PathBuf,
    domain: String,
    pub(super) certificates: Vec<(PathBuf, CertificateKind)>,
}

impl Holder {
    pub(super) fn helds(&self) -> Result<Vec<Held>, CaError> {
        self.certificates.iter().map(|(certificate, _)| Held::of(certificate)).collect()
    }
}

impl Network {
    /// Renews certificates of this folder, for the keys that they have or for new ones, and starts anew, one after the
    /// other, the nodes that use them. Returns the names of what was renewed.
    ///
    /// Of an ordering node the channel learns first, then the node is given them. The authorities themselves are not
    /// renewed: another one comes beside the old by [`Network::renew_authority`].
    ///
    /// # Errors
    /// [`CertificatesError`]; called again it goes on.
    pub async fn renew_certificates(
        &self,
        what: &Renewal,
        keys: RenewedKeys,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<Vec<String>, CertificatesError> {
        let _lock = FolderLock::try_take(&self.layout.lock())?;
        let holders = in_turns(self.holders(what)?);
        let bench = self.bench(options, progress).await?;
        let mut renewed = Vec::new();
        for holder in holders {
            let issuer = self.issuer_of(self.home_of_holder(&holder), self.source_of(&holder)).await?;
            for held in &holder.helds()? {
                draft_renewal(&issuer, held, keys == RenewedKeys::Same).await?;
            }
            bench.put_in_place(&holder).await?;
            renewed.push(holder.name);
        }
        if let Renewal::Within(limit) = what {
            renewed.extend(self.renew_fabric_cas(*limit).await?);
        }
        if !renewed.is_empty() {
            bench.settle().await?;
        }
        Ok(renewed)
    }

    /// Lets Fabric CAs make themselves another TLS certificate at their next start, when theirs ends within so many days.
    async fn renew_fabric_cas(&self, limit: i64) -> Result<Vec<String>, CertificatesError> {
        let mut renewed = Vec::new();
        for found in self.local_certificates()?.into_iter().filter(|found| found.days < limit) {
            let Some(file) = found.file.filter(|file| is_of_fabric_ca(file)) else { continue };
            let Some(home) = file.ancestors().nth(2) else { continue };
            let domain = home.file_name().unwrap_or_default().to_string_lossy();
            let name = Server::name(&domain);
            self.supervisor.stop(&name).await.map_err(UpError::from)?;
            std::fs::remove_file(&file).map_err(|e| FileError::new(&file, "removed", e))?;
            renewed.push(name);
        }
        Ok(renewed)
    }

    /// Gives the certificates that wait in a holder's folder their places, and starts anew what uses them.
    pub(super) async fn put_in_place(
        &self,
        holder: Holder,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<(), CertificatesError> {
        let bench = self.bench(options, progress).await?;
        bench.put_in_place(&holder).await?;
        bench.settle().await
    }

    /// What certificates are put in place with.
    pub(super) async fn bench<'a>(
        &'a self,
        options: &'a Options,
        progress: &'a dyn Progress,
    ) -> Result<Bench<'a>, CertificatesError> {
        let binaries = options.binaries.find(progress).await.map_err(UpError::from)?;
        genesis::demand_consensus(&self.spec, &binaries).map_err(UpError::from)?;
        let work = Work { at: self, after: self, options, progress, binaries, leaving: Vec::new() };
        let ports = self.keep_ports(work.stand().wanted_ports()).map_err(UpError::from)?;
        // An interruption may have left a node stopped; all must be there before one may be away.
        let stand = work.stand();
        stand.start_cas(&ports).await?;
        stand.start_nodes(&ports).await?;
        if self.holds_ordering() {
            stand.await_leader(&ports, self).await?;
        }
        Ok(Bench { work, ports })
    }

    pub(super) fn home_of_holder(&self, holder: &Holder) -> Home {
        Home::new(&holder.home, &holder.domain)
    }

    /// The MSP id of a holder's organisation.
    pub(super) fn msp_id_of(&self, holder: &Holder) -> String {
        let member = self.spec.organizations.iter().find(|member| member.domain == holder.domain);
        member.map_or(&self.spec.orderer.msp_id, |member| &member.msp_id).clone()
    }

    /// Where a holder's certificates come from.
    pub(super) fn source_of(&self, holder: &Holder) -> CertificateSource {
        let members = self.spec.organizations.iter().map(|member| (&member.domain, member.ca));
        let ordering = (&self.spec.orderer.domain, self.spec.orderer.ca);
        let mut all = std::iter::once(ordering).chain(members);
        all.find(|(domain, _)| **domain == holder.domain).map(|(_, source)| source).unwrap_or_default()
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

    pub(super) fn holders(&self, what: &Renewal) -> Result<Vec<Holder>, CertificatesError> {
        let mut holders: BTreeMap<PathBuf, (Holder, i64)> = BTreeMap::new();
        for found in self.local_certificates()? {
            let Some(file) = found.file.filter(|file| !is_of_fabric_ca(file)) else { continue };
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

/// Has a certificate like one that there is made, for the same key or a new one, and a new time; it waits beside the old
/// one. One that waits already stays: it may have been told to others.
pub(super) async fn draft_renewal(
    issuer: &Issuer,
    held: &Held,
    same_key: bool,
) -> Result<(), CertificatesError> {
    if held.certificate_draft().exists() {
        return Ok(());
    }
    let order = held.order(same_key)?;
    if !same_key {
        held.draft_key(&order.key)?;
    }
    let new = issuer.renew(&order, (&held.certificate, &held.key)).await?;
    Ok(held.draft_certificate(&new)?)
}

/// Holders in the order in which they are renewed: an organisation's peers never one right after the other, so that the
/// others find the one again before the next is away.
fn in_turns(holders: Vec<Holder>) -> Vec<Holder> {
    let mut turns: BTreeMap<(usize, u8, String), Holder> = BTreeMap::new();
    let mut peers: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for holder in holders {
        let (turn, rank) = match holder.kind.as_str() {
            "peers" => {
                let next = peers.entry(holder.home.clone()).or_default();
                *next = next.saturating_add(1);
                (*next, 0)
            }
            "orderers" => (1, 1),
            "services" => (usize::MAX, 0),
            _ => (usize::MAX, 1),
        };
        turns.insert((turn, rank, format!("{}/{}", holder.home.display(), holder.name)), holder);
    }
    turns.into_values().collect()
}

/// Whether a certificate is the one that a Fabric CA is called with.
fn is_of_fabric_ca(file: &Path) -> bool {
    file.parent().is_some_and(|folder| folder.ends_with("fabric-ca"))
}

/// What certificates are put in place with.
pub(super) struct Bench<'a> {
    pub(super) work: Work<'a>,
    pub(super) ports: Ports,
}

impl Bench<'_> {
    /// Makes everything true again that is this folder's.
    pub(super) async fn settle(&self) -> Result<(), CertificatesError> {
        let stand = self.work.stand();
        if self.work.at.part.is_none() {
            return Ok(stand.settle().await?);
        }
        let settled = stand.settle_part(&self.ports).await;
        settled.map_err(|error| CertificatesError::Part(Box::new(error)))?;
        Ok(())
    }

    /// Gives the certificates that wait in a holder's folder their places: of an ordering node the channel learns first.
    /// What uses them is started anew.
    pub(super) async fn put_in_place(&self, holder: &Holder) -> Result<(), CertificatesError> {
        let (work, ports) = (&self.work, &self.ports);
        if holder.kind == "orderers" {
            work.tell_channel(holder, ports).await?;
        }
        // What peers fill their packages with is read when they build one. Forgotten first, it is built anew, from whatever
        // is there then, after an interruption too.
        let builders = if holder.kind == "services" { work.at.forget_builds(holder)? } else { Vec::new() };
        let helds = holder.helds()?;
        // The others speak no more with a node whose key is not the one that the channel tells of: it cannot be level with
        // them before it has the new one.
        let cut_off = holder.kind == "orderers" && helds.iter().any(|held| held.key_draft().exists());
        for held in helds {
            held.take_up()?;
        }
        match holder.kind.as_str() {
            "orderers" if cut_off => work.start_again(&work.stand(), &holder.name, ports).await?,
            "orderers" | "peers" => work.restart(&work.stand(), &holder.name, ports).await?,
            _ => {}
        }
        for host in builders {
            self.restart(&host).await?;
        }
        Ok(())
    }

    /// Starts a node anew, whatever it knows, and waits until it is level with the others.
    pub(super) async fn restart(&self, host: &str) -> Result<(), CertificatesError> {
        self.work.await_level(self.work.at).await?;
        self.work.at.supervisor.stop(host).await.map_err(UpError::from)?;
        self.work.start_again(&self.work.stand(), host, &self.ports).await
    }
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
            let draft = Held::of(file)?.certificate_draft();
            let file = if draft.exists() { &draft } else { file };
            Ok(files::read(file)?.into_bytes())
        };
        let tls = newest(CertificateKind::NodeTls)?;
        let identity = newest(CertificateKind::NodeIdentity)?;
        let address = format!("{}:{}", found_at.host, found_at.port);
        let present = self.at.channel_config().await?;
        let known = present.consenters().map_err(ChangeError::from)?;
        let told = known.iter().any(|known| {
            let of_bft = known.bft.as_ref().is_none_or(|member| member.identity == identity);
            known.address() == address && known.certificates.server == tls && of_bft
        });
        if told {
            return Ok(());
        }
        self.await_level(self.at).await?;
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
        self.start_again(stand, host, ports).await
    }

    async fn start_again(
        &self,
        stand: &Stand<'_>,
        host: &str,
        ports: &Ports,
    ) -> Result<(), CertificatesError> {
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
