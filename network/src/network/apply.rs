//! A running network made into another one, change by change.

mod instead;
mod members;
mod ordering;
mod plan;

use std::time::Duration;

use hlf_gateway::Credentials;

use super::claim::{self, StateError};
use super::up::{Options, Stand, UpError};
use super::{ChangeError, JoinError, Network};
use crate::change::{ChannelConfig, Edit, MetaRule, PolicyRule, Proposal, ProposalError, SubmitError};
use crate::commands::typed;
use crate::fabric::Binaries;
use crate::files::{self, FileError};
use crate::genesis;
use crate::layout::Layout;
use crate::lock::{FolderLock, LockError};
use crate::process::Supervisor;
use crate::progress::{self, Progress, Quiet, Step};
use crate::spec::{Consortium, Endorsement};
use crate::wait::{self, Look, WaitError};

pub use plan::{Change, Plan, PlanError, Planned};

/// How long the ordering service may be unable to take a change, for want of a leader or of nodes that are alive.
const CHANGE_LIMIT: Duration = Duration::from_secs(120);

/// After how long a change that was taken, and that no peer has, is taken for lost.
const LOST_AFTER: Duration = Duration::from_secs(20);

/// Why a network is not yet what it shall be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// Somebody else is at work in the folder.
    #[error("the network is in use")]
    Lock(#[from] LockError),
    /// The folder is no network's, or its note cannot be written.
    #[error("the state folder does not serve")]
    State(#[from] StateError),
    /// The new spec cannot be had from this network; nothing was changed.
    #[error("the new spec is refused, and nothing was changed")]
    Plan(#[from] PlanError),
    /// What runs could not be made whole before the first change.
    #[error("the network is not well enough to be changed")]
    Base(#[source] Box<StepError>),
    /// A change failed; those before it are true and noted.
    #[error("`{change}` is not done; run {again} again, and it goes on from there", again = typed("apply"))]
    Step {
        /// The change in words.
        change: String,
        /// What failed.
        source: Box<StepError>,
    },
}

/// Why one change failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// Nodes or chaincode are not as they shall be.
    #[error(transparent)]
    Up(#[from] UpError),
    /// The channel's configuration was not changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Signatures are missing that no key in this state folder gives.
    #[error(
        "the channel's policies want signatures that no admin in this state folder can give: {0}; \
         let the change travel as a proposal"
    )]
    Signatures(String),
    /// A condition did not come to hold.
    #[error("a node does not take part yet")]
    Wait(#[from] WaitError),
    /// A file cannot be read, written or moved.
    #[error("the state folder cannot be used")]
    File(#[from] FileError),
}

impl Network {
    /// The steps that an apply of a spec would take; of none, those that an interrupted one has left.
    ///
    /// # Errors
    /// [`ApplyError::Plan`] names the field that cannot change.
    pub fn plan(&self, target: Option<&Consortium>) -> Result<Plan, ApplyError> {
        let target = self.target(target)?;
        Ok(Plan::between(&self.spec, &target)?)
    }

    /// The steps that [`Network::apply_instead`] would take.
    ///
    /// # Errors
    /// [`ApplyError::Plan`] names the field that cannot change, or the upgrade that is half done.
    pub fn plan_instead(&self, target: &Consortium) -> Result<Plan, ApplyError> {
        let given_up = self.given_up(target)?;
        Ok(instead::plan(&self.spec, given_up.as_ref(), target)?)
    }

    /// Makes a running network into that of another spec, step by step, and returns it.
    ///
    /// After every step the state folder notes how far it is. Interrupted at any point it goes on when it is called
    /// again, with the same spec or with none. Members' and the ordering organisation's admins in this folder sign
    /// what the channel's policies ask for.
    ///
    /// # Errors
    /// [`ApplyError`] names the step; [`ApplyError::Plan`] when nothing was begun.
    pub async fn apply(
        self,
        target: Option<&Consortium>,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<Self, ApplyError> {
        self.apply_to(target, false, options, progress).await
    }

    /// The same with a spec in place of the one that an interrupted apply was to lead to, which is given up.
    ///
    /// It goes on from the last step that was noted as done. What the step after it has changed of the channel's members
    /// and ordering nodes must be in this spec too; its other nodes are stopped.
    ///
    /// # Errors
    /// [`ApplyError`] as of [`Network::apply`]; an upgrade that is half done is not given up.
    pub async fn apply_instead(
        self,
        target: &Consortium,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<Self, ApplyError> {
        self.apply_to(Some(target), true, options, progress).await
    }

    async fn apply_to(
        self,
        target: Option<&Consortium>,
        instead: bool,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<Self, ApplyError> {
        claim::demand_whole(&self.layout)?;
        let _lock = FolderLock::try_take(&self.layout.lock())?;
        // Whoever had the lock before may have changed it.
        let made = Self::existing(self.layout.root())?;
        let (target, given_up) = match target.filter(|_| instead) {
            Some(target) => (target.clone(), made.given_up(target)?),
            None => (made.target(target)?, None),
        };
        let plan = instead::plan(&made.spec, given_up.as_ref(), &target)?;
        if plan.changes.is_empty() && given_up.is_none() {
            progress::skipped(progress, "apply", "the network is as the spec says");
            claim::finish(&made.layout, &target)?;
            return Ok(made.with_spec(target));
        }
        let binaries = options.binaries.find(progress).await.map_err(|error| base(error.into()))?;
        genesis::demand_consensus(&made.spec, &binaries).map_err(|error| base(error.into()))?;
        let service = &made.spec.orderer;
        let gone = service.consenters.iter().filter(|name| !target.orderer.consenters.contains(name));
        let leaving: Vec<String> = gone.map(|name| service.host(name)).collect();
        let mut at = made;
        let first = plan.changes.first();
        // What leaves need not be alive for it.
        let healthy = match first {
            Some(first) if first.change.removes() => at.with_spec(first.after.clone()),
            _ => at.with_spec(at.spec.clone()),
        };
        Stand { network: &healthy, options, progress, binaries: binaries.clone() }
            .revive(&at)
            .await
            .map_err(base)?;
        if let Some(given_up) = given_up {
            at.give_up(given_up, &target, progress).await?;
        }
        // Not before it is known that something can be done at all.
        claim::begin(&at.layout, &at.spec, &target)?;
        for Planned { change, after } in plan.changes {
            let after = at.with_spec(after);
            let binaries = binaries.clone();
            let work = Work { at: &at, after: &after, options, progress, binaries, leaving: leaving.clone() };
            let done = work.make(&change).await;
            done.map_err(|source| ApplyError::Step { change: change.to_string(), source: Box::new(source) })?;
            claim::record(&after.layout, &after.spec)?;
            at = after;
        }
        claim::finish(&at.layout, &target)?;
        Ok(at.with_spec(target))
    }

    /// The spec that an interrupted apply was to lead to.
    ///
    /// # Errors
    /// [`StateError`] when the folder's note cannot be read.
    pub fn unfinished(&self) -> Result<Option<Consortium>, StateError> {
        claim::unfinished(&self.layout)
    }

    fn target(&self, wanted: Option<&Consortium>) -> Result<Consortium, ApplyError> {
        match (wanted, self.unfinished()?) {
            (Some(wanted), Some(unfinished)) if *wanted != unfinished => Err(PlanError::Unfinished.into()),
            (Some(wanted), _) => Ok(wanted.clone()),
            (None, Some(unfinished)) => Ok(unfinished),
            (None, None) => Ok(self.spec.clone()),
        }
    }

    /// The spec of an interrupted apply that another one takes the place of.
    fn given_up(&self, target: &Consortium) -> Result<Option<Consortium>, ApplyError> {
        match self.unfinished()? {
            Some(unfinished) if unfinished.fabric != self.spec.fabric => {
                Err(PlanError::Upgrading(unfinished.fabric).into())
            }
            unfinished => Ok(unfinished.filter(|unfinished| unfinished != target)),
        }
    }

    pub(super) fn with_spec(&self, spec: Consortium) -> Self {
        let layout = self.layout.clone();
        Self { spec, part: self.part.clone(), supervisor: Supervisor::new(layout.clone()), layout }
    }
}

fn base(error: StepError) -> ApplyError {
    ApplyError::Base(Box::new(error))
}

impl From<crate::fabric::FabricError> for StepError {
    fn from(error: crate::fabric::FabricError) -> Self {
        Self::Up(error.into())
    }
}

impl From<genesis::GenesisError> for StepError {
    fn from(error: genesis::GenesisError) -> Self {
        Self::Up(error.into())
    }
}

impl Stand<'_> {
    /// Brings back what is down of the nodes.
    async fn revive(&self, all: &Network) -> Result<(), StepError> {
        let ports = self.network.keep_ports(self.wanted_ports()).map_err(UpError::from)?;
        self.issue(&ports).await?;
        self.start_nodes(&ports).await?;
        // One that is about to leave may be the leader.
        self.await_leader(&ports, all).await?;
        Ok(())
    }
}

/// One change at work.
pub(super) struct Work<'a> {
    /// The network before it.
    pub(super) at: &'a Network,
    /// The network after it.
    pub(super) after: &'a Network,
    pub(super) options: &'a Options,
    pub(super) progress: &'a dyn Progress,
    pub(super) binaries: Binaries,
    /// Ordering nodes that a later change lets go: one of them that has lost its ledger holds nothing up.
    pub(super) leaving: Vec<String>,
}

impl<'a> Work<'a> {
    /// Makes the change true; all or some of it may be true already.
    async fn make(&self, change: &Change) -> Result<(), StepError> {
        match change {
            Change::Blocks { batch_timeout_ms, max_message_count } => {
                self.blocks(*batch_timeout_ms, *max_message_count).await?;
            }
            Change::Endorsement { endorsement } => self.endorsement(*endorsement).await?,
            Change::AddOrganization { organization } => self.add_organization(organization).await?,
            Change::AddPeer { organization, .. } => self.anchors(self.at, organization).await?,
            Change::AddConsenter { consenter } => self.add_consenter(consenter).await?,
            Change::RemoveConsenter { consenter } => self.remove_consenter(consenter).await?,
            Change::Settings { .. } => {}
            Change::RemovePeer { organization, peer } => self.remove_peer(organization, peer).await?,
            Change::RemoveOrganization { organization } => self.remove_organization(organization).await?,
        }
        match self.stand().settle().await {
            Err(UpError::Join(JoinError::Lost { hosts }))
                if hosts.iter().all(|host| self.leaving.contains(host)) =>
            {
                Ok(())
            }
            settled => Ok(settled?),
        }
    }

    pub(super) fn stand(&self) -> Stand<'a> {
        Stand {
            network: self.after,
            options: self.options,
            progress: self.progress,
            binaries: self.binaries.clone(),
        }
    }

    async fn blocks(&self, batch_timeout_ms: u32, max_message_count: u32) -> Result<(), StepError> {
        let title = "blocks are closed anew";
        let size = Edit::BatchSize {
            max_message_count: Some(max_message_count),
            absolute_max_bytes: None,
            preferred_max_bytes: None,
        };
        let timeout = Edit::BatchTimeout { timeout_ms: batch_timeout_ms };
        self.change(self.at, title, |_| Ok(vec![size.clone(), timeout.clone()])).await
    }

    async fn endorsement(&self, endorsement: Endorsement) -> Result<(), StepError> {
        let rule = match endorsement {
            Endorsement::Any => MetaRule::Any,
            Endorsement::Majority => MetaRule::Majority,
            Endorsement::All => MetaRule::All,
        };
        let edits = ["Endorsement", "LifecycleEndorsement"].map(|name| Edit::Policy {
            path: vec!["Application".to_owned(), name.to_owned()],
            rule: PolicyRule::Children { rule, policy: "Endorsement".to_owned() },
        });
        self.change(self.at, "who must endorse", |_| Ok(edits.to_vec())).await
    }

    /// Changes the channel's configuration, signed by whoever is needed and here, and waits until the peers of a
    /// network have it. No edits, or edits that change nothing, are fine.
    pub(super) async fn change(
        &self,
        seen_by: &Network,
        title: &str,
        edits: impl Fn(&ChannelConfig) -> Result<Vec<Edit>, StepError>,
    ) -> Result<(), StepError> {
        let step = Step::begin(self.progress, format!("the channel's configuration: {title}"));
        let signers = self.signers()?;
        let submitter = signers.first().map(|(_, credentials)| credentials.clone());
        let what = "the ordering service to take the change";
        let changed = wait::until(&step, what, CHANGE_LIMIT, || async {
            let present = match seen_by.channel_config().await {
                Ok(present) => present,
                Err(error @ ChangeError::NoPeer(_)) => return Ok(Look::NotYet(wait::chain(&error))),
                Err(error) => return Err(error.into()),
            };
            let Some(proposal) = propose(&present, title, &edits(&present)?, &signers).await? else {
                return Ok(Look::Holds(false));
            };
            let Some(submitter) = &submitter else { return Err(StepError::Signatures(String::new())) };
            match seen_by.submit_change_within(&proposal, submitter, LOST_AFTER, &Quiet).await {
                Ok(()) => Ok(Look::Holds(true)),
                Err(ChangeError::Submit(error)) if may_pass(&error) => Ok(Look::NotYet(wait::chain(&error))),
                // A Raft leader whose own certificates change steps down, and says that it took what its successor
                // may never hear of. What is in force by now is seen at the next look.
                Err(error @ ChangeError::NotEverywhere(_)) => Ok(Look::NotYet(wait::chain(&error))),
                // Somebody else's change came first: this one is made again from what is there now.
                Err(ChangeError::Proposal(error @ ProposalError::Stale { .. })) => {
                    Ok(Look::NotYet(wait::chain(&error)))
                }
                Err(error) => Err(StepError::from(error)),
            }
        })
        .await?;
        step.done(if changed { "in force on every peer that runs" } else { "it was like that" });
        Ok(())
    }

    /// The admins whose keys are here, remaining members first.
    fn signers(&self) -> Result<Vec<(String, Credentials)>, StepError> {
        let mut signers = Vec::new();
        for network in [self.after, self.at] {
            for organization in network.own_organizations() {
                if signers.iter().all(|(known, _)| *known != organization.msp_id)
                    // One that is about to come has no keys yet and no say.
                    && self.at.spec.organization(&organization.name).is_some()
                {
                    signers.push((organization.msp_id.clone(), self.at.admin_credentials(organization)?));
                }
            }
        }
        if self.at.holds_ordering() {
            signers.push((self.at.spec.orderer.msp_id.clone(), self.at.orderer_credentials()?));
        }
        Ok(signers)
    }
}

/// A proposal with all signatures that it needs; `None` when nothing would change.
async fn propose(
    present: &ChannelConfig,
    title: &str,
    edits: &[Edit],
    signers: &[(String, Credentials)],
) -> Result<Option<Proposal>, StepError> {
    if edits.is_empty() {
        return Ok(None);
    }
    let made = Proposal::new(present, title, edits);
    let mut proposal = match made {
        Ok(proposal) => proposal,
        Err(ProposalError::Rejected(crate::change::Rejection::NothingChanges)) => return Ok(None),
        Err(error) => return Err(ChangeError::from(error).into()),
    };
    for (_, credentials) in signers {
        if proposal.standing(present).map_err(ChangeError::from)?.is_complete() {
            return Ok(Some(proposal));
        }
        match proposal.sign(present, credentials).await {
            Ok(()) | Err(ProposalError::Unwanted { .. }) => {}
            Err(error) => return Err(ChangeError::from(error).into()),
        }
    }
    let standing = proposal.standing(present).map_err(ChangeError::from)?;
    if standing.is_complete() {
        return Ok(Some(proposal));
    }
    let missing = standing.requirements.iter().filter(|one| !one.satisfied);
    Err(StepError::Signatures(missing.map(ToString::to_string).collect::<Vec<_>>().join("; ")))
}

/// Whether the same change may be taken a little later. What was sent and not answered is: a second time it would no
/// longer fit, so it cannot come into force twice.
fn may_pass(error: &SubmitError) -> bool {
    match error {
        SubmitError::Connect(_) | SubmitError::Unknown(_) => true,
        // An orderer that is behind compares with an older configuration.
        SubmitError::Refused { info, .. } => error.is_for_now() || info.contains("but key is at version"),
        _ => false,
    }
}

/// Moves an orderer's configuration and ledger out of the way, so that a later one of that name starts empty.
pub(in crate::network) fn set_aside(layout: &Layout, host: &str) -> Result<(), FileError> {
    let from = layout.node(host);
    if !from.exists() {
        return Ok(());
    }
    files::make_folder(&layout.left())?;
    let free = (0_u32..).map(|number| layout.left().join(format!("{host}.{number}"))).find(|to| !to.exists());
    if let Some(to) = free {
        std::fs::rename(&from, &to).map_err(|e| FileError::new(&from, "moved", e))?;
    }
    Ok(())
}
