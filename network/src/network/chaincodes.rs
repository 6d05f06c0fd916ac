//! A chaincode's way onto the channel in single steps, and what peers and services have of it, side by side.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hlf_gateway::{ConnectError, Deadlines, Endorser, Gateway, MspFolderError, SystemChaincodeError};
use hlf_protos::lifecycle::chaincode_source;
use serde::Serialize;

use super::Network;
use super::places::{self, BUILDS, CONNECTION};
use crate::commands::typed;
use crate::files::{self, FileError};
use crate::lifecycle::{self, Definition, LifecycleError, Member, Terms};
use crate::node::{self, LISTEN, NodeError};
use crate::package::Package;
use crate::ports::PortError;
use crate::progress::{Progress, Step};
use crate::spec::{Chaincode, Organization};

/// What one peer has of the chaincode, and what its organisation's service serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChaincodeIds {
    /// The peer.
    pub peer: String,
    /// Its organisation's MSP id.
    pub msp_id: String,
    /// The sequence of the definition in force; 0 for none.
    pub committed_sequence: Option<i64>,
    /// Ids of the packages that are installed.
    pub installed: Vec<String>,
    /// The package that the organisation approved for the definition in force.
    pub approved: Option<String>,
    /// The package that the organisation's service serves, by its process; absent when it does not run.
    pub served: Option<String>,
    /// What the peer has built of packages.
    pub builds: Vec<Build>,
    /// What does not fit together, in words; none when all does.
    pub problems: Vec<String>,
}

/// A package that a peer has built: it dials what the build says, whatever changes elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Build {
    /// The name of its folder, `LABEL-HASH`.
    pub name: String,
    /// The address that the peer dials.
    pub address: Option<String>,
    /// Why it is stale; absent when it is not.
    pub stale: Option<String>,
    /// The folder.
    pub folder: PathBuf,
}

/// Why a step of a chaincode's way was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChaincodeError {
    /// There is no such organisation.
    #[error("there is no organisation `{name}`; there are {known}")]
    Unknown {
        /// The name as given.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The spec has no chaincode.
    #[error("the spec has no chaincode")]
    None,
    /// The file of ports is damaged.
    #[error("the network's ports cannot be read")]
    Port(#[from] PortError),
    /// A peer has no address.
    #[error("a peer cannot be reached")]
    Node(#[from] NodeError),
    /// An organisation's admin cannot be used.
    #[error("the admin of `{organization}` cannot be used")]
    Admin {
        /// The organisation.
        organization: String,
        /// What is wrong.
        source: MspFolderError,
    },
    /// A peer does not answer.
    #[error("a peer cannot be reached")]
    Connect(#[from] ConnectError),
    /// Fabric refused the step, or it did not come to hold.
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
    /// A peer does not say what it has.
    #[error("a peer does not say what it has")]
    Asked(#[from] SystemChaincodeError),
    /// The package could not be made.
    #[error("the chaincode's package cannot be made")]
    Package(#[source] std::io::Error),
    /// The peer runs: it would not build the package anew before its next start.
    #[error("`{peer}` runs, and dials what the build `{build}` says; stop the peer first")]
    InUse {
        /// The peer.
        peer: String,
        /// The build.
        build: String,
    },
    /// A file cannot be read or written.
    #[error("a file cannot be used")]
    File(#[from] FileError),
}

impl Network {
    /// Installs an organisation's package of a chaincode on all of its peers; returns its id and on how many it is new.
    ///
    /// # Errors
    /// [`ChaincodeError`] names the peer that refused.
    pub async fn install_chaincode(
        &self,
        organization: &str,
        chaincode: &Chaincode,
    ) -> Result<(String, usize), ChaincodeError> {
        let organization = self.member_of(organization)?;
        let package = package_of(chaincode, organization)?;
        let member = self.member(organization).await?;
        let mut new = 0_usize;
        for (host, endorser) in &member.peers {
            new = new.saturating_add(usize::from(lifecycle::install(endorser, host, &package).await?));
        }
        Ok((package.id(), new))
    }

    /// Approves a chaincode's definition for an organisation, with its own package; false when it had.
    ///
    /// # Errors
    /// [`ChaincodeError::Lifecycle`] when the definition is none that Fabric would let follow the one in force.
    pub async fn approve_chaincode(
        &self,
        organization: &str,
        chaincode: &Chaincode,
        progress: &dyn Progress,
    ) -> Result<bool, ChaincodeError> {
        let organization = self.member_of(organization)?;
        let package = package_of(chaincode, organization)?;
        let member = self.member(organization).await?;
        let definition = self.definition(chaincode);
        definition.demand_next(&member).await?;
        let step = Step::begin(progress, format!("approval by `{}`", organization.name));
        let new = definition.approve(&step, &member, &package.id()).await?;
        step.done(if new { "approved" } else { "it was approved" });
        Ok(new)
    }

    /// Whether each organisation has approved a definition, by MSP id, as an organisation's first peer knows it.
    ///
    /// # Errors
    /// [`ChaincodeError`] when the peer refuses, as it does once the definition is in force.
    pub async fn chaincode_readiness(
        &self,
        organization: &str,
        chaincode: &Chaincode,
    ) -> Result<BTreeMap<String, bool>, ChaincodeError> {
        let member = self.member(self.member_of(organization)?).await?;
        Ok(self.definition(chaincode).readiness(&member).await?)
    }

    /// Brings a definition into force that every organisation has approved; false when it was.
    ///
    /// # Errors
    /// [`ChaincodeError::Lifecycle`] when an approval is missing, or an organisation's peers do not endorse it.
    pub async fn commit_chaincode(
        &self,
        chaincode: &Chaincode,
        progress: &dyn Progress,
    ) -> Result<bool, ChaincodeError> {
        let mut members = Vec::new();
        for organization in &self.spec.organizations {
            members.push(self.member(organization).await?);
        }
        let definition = self.definition(chaincode);
        if let Some(first) = members.first()
            && definition.demand_next(first).await? == i64::from(chaincode.sequence)
        {
            return Ok(false);
        }
        let step = Step::begin(progress, format!("chaincode `{}` on the channel", chaincode.name));
        definition.await_readiness(&step, &members).await?;
        definition.commit(&step, &members).await?;
        step.done(&format!("sequence {} committed", chaincode.sequence));
        Ok(true)
    }

    /// What of the spec's chaincode is installed, approved, built and served, peer by peer.
    ///
    /// # Errors
    /// [`ChaincodeError::None`] when the spec has no chaincode; a peer that does not answer is told among the problems.
    pub async fn chaincode_ids(&self) -> Result<Vec<ChaincodeIds>, ChaincodeError> {
        let chaincode = self.spec.chaincode.as_ref().ok_or(ChaincodeError::None)?;
        let ports = self.ports()?;
        let mut found = Vec::new();
        for organization in self.own_organizations() {
            let service = places::in_use(&self.layout, organization);
            let served = self.served_at(&service);
            let address = node::loopback(&ports, &service, LISTEN)?;
            for peer in organization.peers.iter().map(|peer| organization.host(peer)) {
                let mut ids = ChaincodeIds {
                    builds: builds(&self.layout.node(&peer), &address)?,
                    msp_id: organization.msp_id.clone(),
                    committed_sequence: None,
                    installed: Vec::new(),
                    approved: None,
                    served: served.clone(),
                    problems: Vec::new(),
                    peer,
                };
                if let Err(error) = self.ask_ids(organization, chaincode, &mut ids).await {
                    ids.problems.push(crate::wait::chain(&error));
                }
                ids.judge();
                found.push(ids);
            }
        }
        Ok(found)
    }

    /// Removes what peers that do not run have built of packages and would dial in vain; returns the folders.
    ///
    /// They build such a package anew at their next start.
    ///
    /// # Errors
    /// [`ChaincodeError::InUse`] when a peer with a stale build runs: then nothing is removed.
    pub async fn remove_stale_builds(&self) -> Result<Vec<PathBuf>, ChaincodeError> {
        let mut stale = Vec::new();
        for ids in self.chaincode_ids().await? {
            for build in ids.builds.into_iter().filter(|build| build.stale.is_some()) {
                if self.supervisor.running(&ids.peer).is_some() {
                    return Err(ChaincodeError::InUse { peer: ids.peer, build: build.name });
                }
                stale.push(build.folder);
            }
        }
        for folder in &stale {
            super::remove(folder)?;
        }
        Ok(stale)
    }

    async fn ask_ids(
        &self,
        organization: &Organization,
        chaincode: &Chaincode,
        ids: &mut ChaincodeIds,
    ) -> Result<(), ChaincodeError> {
        let endorser = self.endorser(organization, &ids.peer).await?;
        let lifecycle = endorser.lifecycle();
        ids.installed = lifecycle.installed().await?.into_iter().map(|package| package.id).collect();
        let channel = &self.spec.channel.name;
        let committed = lifecycle::committed_sequence(channel, &chaincode.name, &ids.peer, &endorser).await?;
        ids.committed_sequence = Some(committed);
        if committed > 0 {
            let approved = lifecycle.approved(channel, &chaincode.name, committed).await?;
            let package = approved.and_then(|approved| approved.source).and_then(|source| source.r#type);
            if let Some(chaincode_source::Type::LocalPackage(local)) = package {
                ids.approved = Some(local.package_id);
            }
        }
        Ok(())
    }

    fn definition<'a>(&'a self, chaincode: &'a Chaincode) -> Definition<'a> {
        let terms = Terms::of(chaincode, &self.spec.organizations);
        Definition { channel: &self.spec.channel.name, chaincode, terms }
    }

    fn member_of(&self, name: &str) -> Result<&Organization, ChaincodeError> {
        self.spec.organization(name).ok_or_else(|| {
            let names: Vec<&str> = self.spec.organizations.iter().map(|o| o.name.as_str()).collect();
            ChaincodeError::Unknown { name: name.to_owned(), known: names.join(", ") }
        })
    }

    async fn endorser(&self, organization: &Organization, host: &str) -> Result<Endorser, ChaincodeError> {
        let endpoint = self.peer_endpoint(organization, host, &self.ports()?)?;
        let admin = self
            .admin(organization)
            .map_err(|source| ChaincodeError::Admin { organization: organization.name.clone(), source })?;
        Ok(Endorser::connect(&endpoint, admin.into_credentials(), Deadlines::default()).await?)
    }

    /// An organisation as its admin, all of its peers reached.
    async fn member(&self, organization: &Organization) -> Result<Member, ChaincodeError> {
        let mut peers = Vec::new();
        for host in organization.peers.iter().map(|peer| organization.host(peer)) {
            let endorser = self.endorser(organization, &host).await?;
            peers.push((host, endorser));
        }
        let first = organization.peers.first().map(|peer| organization.host(peer)).unwrap_or_default();
        let endpoint = self.peer_endpoint(organization, &first, &self.ports()?)?;
        let admin = self
            .admin(organization)
            .map_err(|source| ChaincodeError::Admin { organization: organization.name.clone(), source })?;
        let gateway = Gateway::connect(&endpoint, admin.into_credentials(), Deadlines::default()).await?;
        Ok(Member { msp_id: organization.msp_id.clone(), gateway, peers })
    }
}

impl ChaincodeIds {
    /// Says what does not fit together.
    fn judge(&mut self) {
        let mut problems = Vec::new();
        match (&self.approved, &self.served) {
            (Some(approved), _) if !self.installed.contains(approved) => {
                problems.push(format!("the approved package `{approved}` is not installed; install it"));
            }
            (Some(approved), Some(served)) if approved != served => problems.push(format!(
                "the service serves `{served}`, and `{approved}` is approved: calls wait for it in vain; run {}",
                typed("up")
            )),
            (Some(_), None) => problems.push(format!("the service does not run; {} starts it", typed("up"))),
            _ => {}
        }
        let of_approved = self.approved.as_ref().map(|id| id.replace(':', "-"));
        for build in &self.builds {
            if let Some(reason) = &build.stale
                && Some(&build.name) == of_approved.as_ref()
            {
                problems.push(format!("the build `{}` is stale: {reason}", build.name));
            }
        }
        self.problems.extend(problems);
    }
}

fn package_of(chaincode: &Chaincode, organization: &Organization) -> Result<Package, ChaincodeError> {
    Package::of_service(chaincode.label_of(&organization.name)).map_err(ChaincodeError::Package)
}

/// What a peer has built, and what of it leads elsewhere than to the organisation's service.
fn builds(node: &Path, address: &str) -> Result<Vec<Build>, FileError> {
    let folder = node.join(BUILDS);
    let mut found = Vec::new();
    if !folder.exists() {
        return Ok(found);
    }
    let unread = |e| FileError::new(&folder, "read", e);
    for entry in std::fs::read_dir(&folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        let connection = path.join(CONNECTION);
        let said: Option<serde_json::Value> =
            files::read(&connection).ok().and_then(|text| serde_json::from_str(&text).ok());
        let dialled = said
            .as_ref()
            .and_then(|said| said.get("address"))
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned);
        let stale = match &dialled {
            None => Some("it names no service".to_owned()),
            Some(dialled) if dialled != address => {
                Some(format!("it leads to {dialled}, and the service is at {address}"))
            }
            Some(_) => None,
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.push(Build { name, address: dialled, stale, folder: path });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_that_leads_elsewhere_is_found() {
        let home = tempfile::tempdir().unwrap();
        assert!(builds(home.path(), "127.0.0.1:1").unwrap().is_empty());
        for (name, text) in [("a-1", r#"{"address":"127.0.0.1:1"}"#), ("b-2", r#"{"address":"127.0.0.1:2"}"#)]
        {
            let path = home.path().join(BUILDS).join(name).join(CONNECTION);
            files::write_new(&path, files::SECRET, text.as_bytes()).unwrap();
        }
        std::fs::create_dir(home.path().join(BUILDS).join("c-3")).unwrap();
        let found = builds(home.path(), "127.0.0.1:1").unwrap();
        let stale: Vec<(&str, bool)> =
            found.iter().map(|build| (build.name.as_str(), build.stale.is_some())).collect();
        assert_eq!(stale, [("a-1", false), ("b-2", true), ("c-3", true)]);
    }

    #[test]
    fn what_does_not_fit_together_is_told() {
        let mut ids = ChaincodeIds {
            peer: "peer0".to_owned(),
            msp_id: "NorthMSP".to_owned(),
            committed_sequence: Some(1),
            installed: vec!["a:1".to_owned()],
            approved: Some("a:1".to_owned()),
            served: Some("a:1".to_owned()),
            builds: Vec::new(),
            problems: Vec::new(),
        };
        ids.judge();
        assert_eq!(ids.problems, Vec::<String>::new());
        ids.served = Some("b:2".to_owned());
        ids.judge();
        assert!(ids.problems[0].contains("`b:2`"), "{:?}", ids.problems);
        ids.installed.clear();
        ids.judge();
        assert!(ids.problems[1].contains("not installed"), "{:?}", ids.problems);
    }
}
