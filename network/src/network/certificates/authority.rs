//! New authorities of an organisation, beside the old ones until these can go.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use x509_parser::pem::parse_x509_pem;

use super::CertificatesError;
use super::inventory::CertificateKind;
use super::renew::{Bench, Holder, draft_renewal};
use crate::ca::{self, DevelopmentCa, Home, Signs, first_of};
use crate::change::{Edit, key_id};
use crate::fabric_ca::Server;
use crate::files::{self, FileError};
use crate::lock::FolderLock;
use crate::network::issue::ca_server;
use crate::network::up::{Options, UpError};
use crate::network::{ChangeError, Network};
use crate::progress::Progress;
use crate::spec::CertificateSource;

/// What came of a renewal of an organisation's authorities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuthorityRenewal {
    /// MSP id of the organisation.
    pub msp_id: String,
    /// Nodes, users and services that have certificates of the new authorities now, and had not before.
    pub reissued: Vec<String>,
    /// Whether the old authorities are gone from the channel.
    pub finished: bool,
}

/// A part of a renewal of an organisation's authorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorityPart {
    /// The new ones come beside the old: the channel, the organisation's nodes and every peer here trust both. Peers of
    /// organisations elsewhere must be started anew after it, by their operators: a peer's gateway calls the nodes that it
    /// knows with the authorities that it knew when it first called them.
    Announce,
    /// Everything of the organisation is issued anew, with new keys, one holder after the other. What calls with an old
    /// certificate still may.
    Reissue,
    /// The old authorities leave the channel and the folders: whoever uses the organisation's certificates must have taken
    /// up the new ones.
    Finish,
}

/// How far a renewal is, kept in the organisation's folder until it is finished.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// The authorities that go, PEM: of identities, and of TLS.
    old: [String; 2],
    /// Nodes that were started anew since they trust the new ones.
    trusting: Vec<String>,
    /// Nodes that were started anew since the old ones are gone.
    forgetting: Vec<String>,
}

/// The organisation.
struct Seat {
    home: Home,
    msp_id: String,
    source: CertificateSource,
}

impl Network {
    /// Gives an organisation new authorities of identities and of TLS, with new keys, in the parts of [`AuthorityPart`].
    ///
    /// `who` is the name or MSP id of an organisation, or the ordering one's. Each part goes on when it is called again, and
    /// reissuing announces first. Identities that were enrolled at a Fabric CA into folders elsewhere enrol again by their
    /// owners before the last part.
    ///
    /// # Errors
    /// [`CertificatesError::NotReissued`] when it shall finish too early.
    pub async fn renew_authority(
        &self,
        who: &str,
        part: AuthorityPart,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<AuthorityRenewal, CertificatesError> {
        let _lock = FolderLock::try_take(&self.layout.lock())?;
        let seat = self.seat(who)?;
        let bench = self.bench(options, progress).await?;
        if part == AuthorityPart::Finish {
            return self.let_old_go(&seat, &bench).await;
        }
        let mut note = match seat.note()? {
            Some(note) => note,
            None => {
                let note = seat.begin()?;
                seat.keep(&note)?;
                note
            }
        };
        let new = self.new_authorities(&seat, &note, &bench).await?;
        let title = format!("`{}` has new authorities beside the old", seat.msp_id);
        let edits: Vec<Edit> = new
            .iter()
            .zip([false, true])
            .map(|(pem, tls)| {
                let (msp_id, certificate_pem) = (seat.msp_id.clone(), pem.clone());
                Edit::AddAuthority { msp_id, certificate_pem, tls }
            })
            .collect();
        bench.work.change(self, &title, |_| Ok(edits.clone())).await?;
        self.trust_as_the_channel(&seat).await?;
        if note.trusting.is_empty() {
            // What peers fill their packages with names the authorities of the chaincode service.
            for member in self.own_organizations().filter(|member| member.msp_id == seat.msp_id) {
                crate::peer::forget_builds(&self.layout, member)?;
            }
        }
        let nodes = self.nodes_that_call(&seat)?;
        self.restart_all(&seat, &bench, nodes, |note| &mut note.trusting, &mut note).await?;
        bench.settle().await?;
        if part == AuthorityPart::Announce {
            return Ok(AuthorityRenewal { msp_id: seat.msp_id, reissued: Vec::new(), finished: false });
        }
        seat.take_up(&new)?;
        self.trust_as_the_channel(&seat).await?;
        let reissued = self.reissue(&seat, &bench).await?;
        bench.settle().await?;
        Ok(AuthorityRenewal { msp_id: seat.msp_id, reissued, finished: false })
    }

    /// The new authorities' certificates, of identities and of TLS; made when they are not there.
    async fn new_authorities(
        &self,
        seat: &Seat,
        note: &Note,
        bench: &Bench<'_>,
    ) -> Result<[String; 2], CertificatesError> {
        let home = &seat.home;
        match seat.source {
            CertificateSource::Development => {
                let read = |signs| files::read(&home.authority(signs)).map(|text| first_of(&text));
                let now = [read(Signs::Identities)?, read(Signs::Tls)?];
                let taken_up = [0, 1].map(|part| {
                    now.get(part).map(|pem| pem.trim()) != note.old.get(part).map(|pem| pem.trim())
                });
                let next = seat.next();
                let domain = home.domain();
                if taken_up == [false, false] {
                    files::make_whole(&next, |draft| ca::make_organization(draft, domain))?;
                }
                let next = Home::new(&next, domain);
                let [identities, tls] = now;
                Ok([
                    if taken_up[0] { identities } else { files::read(&next.authority(Signs::Identities))? },
                    if taken_up[1] { tls } else { files::read(&next.authority(Signs::Tls))? },
                ])
            }
            CertificateSource::FabricCa => {
                let server = ca_server(home, &bench.ports)?;
                let certificates = [server.certificate(Signs::Identities), server.certificate(Signs::Tls)];
                let is_old = certificates
                    .iter()
                    .zip(&note.old)
                    .any(|(file, old)| files::read(file).map_or(true, |text| text.trim() == old.trim()));
                if is_old {
                    // The server makes itself a key and a certificate when it finds none, and keeps its registry.
                    self.supervisor.stop(&Server::name(home.domain())).await.map_err(UpError::from)?;
                    let own = home.folder().join("fabric-ca");
                    let gone = certificates
                        .iter()
                        .zip(&note.old)
                        .filter(|(file, old)| files::read(file).is_ok_and(|text| text.trim() == old.trim()));
                    for file in gone.map(|(file, _)| file.clone()).chain([own.join("tls-cert.pem")]) {
                        remove_if_there(&file)?;
                    }
                    for registrar in ["registrar", "tlsca/registrar"] {
                        remove_if_there(&own.join(registrar).join("cert.pem"))?;
                    }
                }
                bench.work.stand().start_cas(&bench.ports).await?;
                let [identities, tls] = certificates;
                Ok([files::read(&identities)?, files::read(&tls)?])
            }
        }
    }

    /// Makes the organisation's folders trust what the channel's rules say of it.
    async fn trust_as_the_channel(&self, seat: &Seat) -> Result<(), CertificatesError> {
        let msp = self.channel_config().await?.msp(&seat.msp_id).map_err(ChangeError::from)?;
        Ok(seat.home.set_trust(&msp)?)
    }

    /// Starts nodes anew, one after the other, but for those that a list names.
    async fn restart_all(
        &self,
        seat: &Seat,
        bench: &Bench<'_>,
        nodes: Vec<String>,
        list: impl Fn(&mut Note) -> &mut Vec<String>,
        note: &mut Note,
    ) -> Result<(), CertificatesError> {
        for host in nodes {
            if !list(note).contains(&host) {
                bench.restart(&host).await?;
                list(note).push(host);
                seat.keep(note)?;
            }
        }
        Ok(())
    }

    /// The nodes of an organisation.
    fn nodes_of(&self, seat: &Seat) -> Result<Vec<String>, CertificatesError> {
        let mut nodes = self.members(seat)?;
        nodes.retain(|holder| matches!(holder.kind.as_str(), "peers" | "orderers"));
        Ok(nodes.into_iter().map(|holder| holder.name).collect())
    }

    /// Those, and every peer here: a peer's gateway calls the nodes that it knows with the authorities that it knew when it
    /// first called them, until its next start.
    fn nodes_that_call(&self, seat: &Seat) -> Result<Vec<String>, CertificatesError> {
        let mut nodes = self.nodes_of(seat)?;
        for member in self.own_organizations() {
            for host in member.peers.iter().map(|peer| member.host(peer)) {
                if !nodes.contains(&host) {
                    nodes.push(host);
                }
            }
        }
        Ok(nodes)
    }

    /// Has a new key and certificate made for everybody who has none of the authorities that issue now.
    async fn reissue(&self, seat: &Seat, bench: &Bench<'_>) -> Result<Vec<String>, CertificatesError> {
        let issuer = self.issuer_of(seat.home.clone(), seat.source).await?;
        let mut reissued = Vec::new();
        for holder in self.members(seat)? {
            let mut stale = false;
            for (held, (certificate, kind)) in holder.helds()?.iter().zip(&holder.certificates) {
                let waits = held.certificate_draft().exists();
                if waits || !seat.issued(&files::read(certificate)?, *kind)? {
                    draft_renewal(&issuer, held, false).await?;
                    stale = true;
                }
            }
            if stale {
                bench.put_in_place(&holder).await?;
                reissued.push(holder.name);
            }
        }
        Ok(reissued)
    }

    /// The old authorities leave the channel, the folders, and the nodes' memories.
    async fn let_old_go(
        &self,
        seat: &Seat,
        bench: &Bench<'_>,
    ) -> Result<AuthorityRenewal, CertificatesError> {
        let not_yet = || CertificatesError::NotReissued(seat.msp_id.clone());
        let mut note = seat.note()?.ok_or_else(not_yet)?;
        if seat.next().exists() {
            return Err(not_yet());
        }
        for holder in self.members(seat)? {
            for (certificate, kind) in &holder.certificates {
                if !seat.issued(&files::read(certificate)?, *kind)? {
                    return Err(not_yet());
                }
            }
        }
        let title = format!("`{}`'s old authorities go", seat.msp_id);
        let edits: Vec<Edit> = note
            .old
            .iter()
            .zip([false, true])
            .map(|(pem, tls)| {
                let (msp_id, certificate_pem) = (seat.msp_id.clone(), pem.clone());
                Edit::RemoveAuthority { msp_id, certificate_pem, tls }
            })
            .collect();
        bench.work.change(self, &title, |_| Ok(edits.clone())).await?;
        self.trust_as_the_channel(seat).await?;
        if note.forgetting.is_empty() {
            for member in self.own_organizations().filter(|member| member.msp_id == seat.msp_id) {
                crate::peer::forget_builds(&self.layout, member)?;
            }
        }
        let nodes = self.nodes_of(seat)?;
        self.restart_all(seat, bench, nodes, |note| &mut note.forgetting, &mut note).await?;
        bench.settle().await?;
        remove_if_there(&seat.note_file())?;
        Ok(AuthorityRenewal { msp_id: seat.msp_id.clone(), reissued: Vec::new(), finished: true })
    }

    fn members(&self, seat: &Seat) -> Result<Vec<Holder>, CertificatesError> {
        let mut all = self.holders(&super::renew::Renewal::Within(i64::MAX))?;
        all.retain(|holder| holder.home == seat.home.folder());
        // Nodes first: they must take others' new certificates before those come.
        all.sort_by_key(|holder| match holder.kind.as_str() {
            "orderers" | "peers" => 0,
            "services" => 1,
            _ => 2,
        });
        Ok(all)
    }

    fn seat(&self, who: &str) -> Result<Seat, CertificatesError> {
        let orderer = &self.spec.orderer;
        if who == orderer.msp_id || who == orderer.domain || who == "orderer" {
            let (msp_id, source) = (orderer.msp_id.clone(), orderer.ca);
            return Ok(Seat { home: self.ordering_home(), msp_id, source });
        }
        match self.spec.organization(who) {
            Some(member) => {
                Ok(Seat { home: self.home(member), msp_id: member.msp_id.clone(), source: member.ca })
            }
            None => {
                let names = self.spec.organizations.iter().map(|member| member.name.as_str());
                let known = names.chain([orderer.msp_id.as_str()]).collect::<Vec<_>>().join(", ");
                Err(CertificatesError::Unknown { name: who.to_owned(), known })
            }
        }
    }
}

impl Seat {
    /// Where new authorities of a development CA lie until they issue.
    fn next(&self) -> PathBuf {
        self.home.folder().join("next")
    }

    fn note_file(&self) -> PathBuf {
        self.home.folder().join("renewal.json")
    }

    fn note(&self) -> Result<Option<Note>, CertificatesError> {
        let file = self.note_file();
        if !file.exists() {
            return Ok(None);
        }
        let note = serde_json::from_str(&files::read(&file)?)
            .map_err(|error| ca::CaError::Damaged { folder: file.clone(), what: error.to_string() })?;
        Ok(Some(note))
    }

    fn begin(&self) -> Result<Note, CertificatesError> {
        let read = |signs| files::read(&self.home.authority(signs)).map(|text| first_of(&text));
        let old = [read(Signs::Identities)?, read(Signs::Tls)?];
        Ok(Note { old, trusting: Vec::new(), forgetting: Vec::new() })
    }

    fn keep(&self, note: &Note) -> Result<(), FileError> {
        files::replace_json(&self.note_file(), note)
    }

    /// Puts new authorities in the places of the old. Keys of a development CA's old ones are kept under `former`; a Fabric
    /// CA has its own to itself.
    fn take_up(&self, new: &[String; 2]) -> Result<(), CertificatesError> {
        if self.source == CertificateSource::FabricCa {
            for (signs, pem) in [Signs::Identities, Signs::Tls].into_iter().zip(new) {
                files::replace(&self.home.authority(signs), files::PUBLIC, pem.as_bytes())?;
            }
            return Ok(());
        }
        let next = self.next();
        if !next.exists() {
            return Ok(());
        }
        let folder = self.home.folder();
        let former = folder.join("former");
        files::make_private_folder(&former)?;
        for part in ["ca", "tlsca"] {
            let (new, at) = (next.join(part), folder.join(part));
            if !new.exists() {
                continue;
            }
            if at.exists() {
                let free =
                    (0_u32..).map(|number| former.join(format!("{part}.{number}"))).find(|to| !to.exists());
                if let Some(to) = free {
                    std::fs::rename(&at, &to).map_err(|e| FileError::new(&at, "moved", e))?;
                }
            }
            std::fs::rename(&new, &at).map_err(|e| FileError::new(&new, "moved", e))?;
        }
        std::fs::remove_dir_all(&next).map_err(|e| FileError::new(&next, "removed", e))?;
        DevelopmentCa::open(folder, self.home.domain())?;
        Ok(())
    }

    /// Whether a certificate is of the authority that issues now.
    fn issued(&self, pem: &str, kind: CertificateKind) -> Result<bool, CertificatesError> {
        let signs = match kind {
            CertificateKind::NodeIdentity | CertificateKind::UserIdentity => Signs::Identities,
            _ => Signs::Tls,
        };
        let authority = files::read(&self.home.authority(signs))?;
        let own = key_id(authority.as_bytes());
        Ok(own.is_some() && own == authority_key_id(pem))
    }
}

/// The key identifier of the authority that made a certificate.
fn authority_key_id(pem: &str) -> Option<Vec<u8>> {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        x509_parser::extensions::ParsedExtension::AuthorityKeyIdentifier(id) => {
            id.key_identifier.as_ref().map(|id| id.0.to_vec())
        }
        _ => None,
    })
}

fn remove_if_there(file: &std::path::Path) -> Result<(), FileError> {
    match std::fs::remove_file(file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(FileError::new(file, "removed", e)),
        _ => Ok(()),
    }
}
