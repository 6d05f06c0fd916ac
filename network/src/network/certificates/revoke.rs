//! Revocation, carried through until every peer refuses the certificate.

use std::time::{Duration, Instant};

use hlf_gateway::{Credentials, Deadlines, Endorser, MspFolder};

use super::CertificatesError;
use crate::change::{Edit, Proposal};
use crate::lock::FolderLock;
use crate::network::up::UpError;
use crate::network::{ChangeError, Network};
use crate::progress::{Progress, Step};
use crate::spec::Organization;
use crate::wait::{self, Look};

/// How long the peers may take to refuse what their channel's configuration revokes.
const REFUSAL_LIMIT: Duration = Duration::from_secs(60);

/// What came of a revocation.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Refusals {
    /// Peers that refuse the certificate.
    pub refused_by: usize,
    /// Peers that run.
    pub peers: usize,
    /// Seconds from the beginning until the last of them refused it.
    pub seconds: u64,
}

impl Network {
    /// Revokes a user's signing certificate on the channel, and waits until every peer that runs refuses it.
    ///
    /// The organisation's CA signs a list of all that it has revoked; its admin alone signs the change of the channel.
    /// A Fabric CA revokes the user with all certificates, so that it can't enrol any more.
    ///
    /// # Errors
    /// [`CertificatesError`]; of [`CertificatesError::Wait`] the revocation is on the channel.
    pub async fn revoke_user(
        &self,
        organization: &str,
        user: &str,
        progress: &dyn Progress,
    ) -> Result<Refusals, CertificatesError> {
        let _lock = FolderLock::try_take(&self.layout.lock())?;
        let unknown = |name: &str, known: Vec<String>| CertificatesError::Unknown {
            name: name.to_owned(),
            known: known.join(", "),
        };
        let organization = self.spec.organization(organization).ok_or_else(|| {
            unknown(organization, self.spec.organizations.iter().map(|known| known.name.clone()).collect())
        })?;
        if organization.admin().is_some_and(|admin| admin.name == user) {
            return Err(CertificatesError::Acting(user.to_owned()));
        }
        let msp = self.layout.user(organization, user).join("msp");
        let certificate = msp.join("signcerts").join(format!("{user}@{}-cert.pem", organization.domain));
        if !certificate.exists() {
            let known = organization.users.iter().map(|known| known.name.clone()).collect();
            return Err(unknown(user, known));
        }
        let begun = Instant::now();
        let list_pem = self.issuer(organization).await?.revoke(&certificate).await?;
        self.tell_of_revoked(organization, user, list_pem, progress).await?;
        let revoked = MspFolder::open(msp, &organization.msp_id).map_err(UpError::from)?.into_credentials();
        let (refused_by, peers) = self.await_refusals(&revoked, progress).await?;
        Ok(Refusals { refused_by, peers, seconds: begun.elapsed().as_secs() })
    }

    /// Revokes an identity that an organisation's Fabric CA enrolled, in any folder, and brings the CA's list onto the
    /// channel: every peer that runs has it then.
    ///
    /// # Errors
    /// [`CertificatesError`], with [`super::IssueError::NoFabricCa`] when the organisation has none.
    pub async fn revoke_enrolled(
        &self,
        organization: &Organization,
        id: &str,
        reason: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<(), CertificatesError> {
        let _lock = FolderLock::try_take(&self.layout.lock())?;
        let list_pem = self.registrar(organization).await?.revoke(id, reason).await?;
        self.tell_of_revoked(organization, id, list_pem, progress).await
    }

    /// The channel learns of all that an organisation's CA has revoked.
    async fn tell_of_revoked(
        &self,
        organization: &Organization,
        who: &str,
        list_pem: String,
        progress: &dyn Progress,
    ) -> Result<(), CertificatesError> {
        let present = self.channel_config().await?;
        let edit = Edit::Revocations { msp_id: organization.msp_id.clone(), list_pem };
        let title = format!("`{who}` of `{}` is revoked", organization.name);
        let mut proposal = Proposal::new(&present, &title, &[edit]).map_err(ChangeError::from)?;
        let admin = self.admin_credentials(organization)?;
        proposal.sign(&present, &admin).await.map_err(ChangeError::from)?;
        Ok(self.submit_change(&proposal, &admin, progress).await?)
    }

    async fn await_refusals(
        &self,
        revoked: &Credentials,
        progress: &dyn Progress,
    ) -> Result<(usize, usize), CertificatesError> {
        let step = Step::begin(progress, "every peer to refuse the certificate");
        let ports = self.ports().map_err(UpError::from)?;
        let mut endorsers = Vec::new();
        for organization in &self.spec.organizations {
            for peer in &organization.peers {
                let host = organization.host(peer);
                if self.supervisor.running(&host).is_some() {
                    let endpoint = self.peer_endpoint(organization, &host, &ports).map_err(UpError::from)?;
                    let connected = Endorser::connect(&endpoint, revoked.clone(), Deadlines::default()).await;
                    endorsers.push(connected.map_err(UpError::from)?);
                }
            }
        }
        let channel = &self.spec.channel.name;
        let all = endorsers.len();
        wait::until(&step, "the peers to take up the list", REFUSAL_LIMIT, || async {
            let mut refused = 0_usize;
            for endorser in &endorsers {
                // Any member may ask for it, so it is the certificate that is refused.
                let asked =
                    endorser.call(channel, "cscc", "GetConfigBlock").arg(channel.as_str()).send().await;
                refused = refused.saturating_add(usize::from(asked.is_err_and(|error| {
                    let said = wait::chain(&error);
                    said.contains("access denied") || said.contains("revoked")
                })));
            }
            Ok::<_, CertificatesError>(if refused == all {
                Look::Holds(())
            } else {
                Look::NotYet(format!("{refused} of {all} refuse it"))
            })
        })
        .await?;
        step.done(&format!("refused by {all}/{all} peers"));
        Ok((all, all))
    }
}
