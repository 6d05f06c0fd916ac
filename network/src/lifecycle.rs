//! A chaincode's way onto a channel: install, approve, readiness, commit.

mod terms;

use std::collections::BTreeMap;
use std::time::Duration;

use hlf_gateway::{
    ChaincodeDefinition, EndorseError, Endorser, EndorserError, Gateway, ProposalBuilder, ProposalError,
    SystemChaincodeError, TransactionError,
};
use hlf_protos::lifecycle::{QueryChaincodeDefinitionResult, chaincode_source};
use hlf_protos::prost::DecodeError;

use crate::package::Package;
use crate::progress::Step;
use crate::spec::Chaincode;
use crate::wait::{self, Look, WaitError};

pub(crate) use terms::Terms;

/// How long peers may take to find each other and take part in a transaction.
const LIMIT: Duration = Duration::from_secs(90);

/// The call that every chaincode of the contract API answers, and every other refuses by itself.
pub(crate) const METADATA: &str = "org.hyperledger.fabric:GetMetadata";

/// What a gateway says of endorsers that answered differently.
const DISAGREEMENT: &str = "ProposalResponsePayloads do not match";

/// Why a chaincode did not get onto the channel.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// A peer refused.
    #[error("{what} failed on `{host}`")]
    Peer {
        /// What was asked of it.
        what: &'static str,
        /// The peer, or the organisation.
        host: String,
        /// What it said.
        source: EndorserError,
    },
    /// A peer's answer is not the message it should be.
    #[error("`{host}` answered something else than Fabric does")]
    Answer {
        /// The peer.
        host: String,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The peer computed another package id.
    #[error("`{host}` gave the package the id `{found}`, and its bytes say `{wanted}`")]
    PackageId {
        /// The peer.
        host: String,
        /// The peer's id.
        found: String,
        /// The id of the bytes that were sent.
        wanted: String,
    },
    /// Another definition is in force under this sequence.
    #[error(
        "chaincode `{name}` has sequence {committed} on the channel and {wanted} in the spec; write {next} there to change it"
    )]
    Sequence {
        /// The chaincode.
        name: String,
        /// The sequence in force.
        committed: i64,
        /// The sequence in the spec.
        wanted: i64,
        /// The only sequence that Fabric would accept for a change.
        next: i64,
    },
    /// The definition in force under the spec's sequence says something else.
    #[error(
        "chaincode `{name}` has another {what} on the channel under sequence {sequence}; write {next} in the spec to change it"
    )]
    Redefined {
        /// The chaincode.
        name: String,
        /// What differs.
        what: &'static str,
        /// The sequence in force.
        sequence: i64,
        /// The only sequence that Fabric would accept for a change.
        next: i64,
    },
    /// Fabric never drops a collection, nor changes when its data is forgotten.
    #[error(
        "collection `{collection}` of chaincode `{name}` is in force; keep it in the spec, with its `block_to_live`"
    )]
    Collection {
        /// The chaincode.
        name: String,
        /// The collection.
        collection: String,
    },
    /// A transaction could not be proposed.
    #[error("{what} could not be proposed")]
    Proposal {
        /// What was to be done.
        what: &'static str,
        /// What is wrong.
        source: ProposalError,
    },
    /// A transaction was refused.
    #[error("{what} by `{msp_id}` was refused")]
    Transaction {
        /// What was to be done.
        what: &'static str,
        /// Who did it.
        msp_id: String,
        /// What was said.
        source: Box<TransactionError>,
    },
    /// A condition did not come to hold.
    #[error("the chaincode is not usable yet")]
    Wait(#[from] WaitError),
}

/// An organisation that takes part, as its admin.
pub(crate) struct Member {
    pub(crate) msp_id: String,
    pub(crate) gateway: Gateway,
    /// Its peers, by host name.
    pub(crate) peers: Vec<(String, Endorser)>,
}

/// A chaincode definition on its way onto a channel.
pub(crate) struct Definition<'a> {
    pub(crate) channel: &'a str,
    pub(crate) chaincode: &'a Chaincode,
    pub(crate) terms: Terms,
}

/// Installs a package on a peer; false when it was there.
pub(crate) async fn install(
    endorser: &Endorser,
    host: &str,
    package: &Package,
) -> Result<bool, LifecycleError> {
    let id = package.id();
    let lifecycle = endorser.lifecycle();
    let failed = |what| move |error| LifecycleError::of(what, host, error);
    let installed = lifecycle.installed().await.map_err(failed("looking for the installed package"))?;
    if installed.iter().any(|package| package.id == id) {
        return Ok(false);
    }
    let installed = lifecycle.install(package.bytes()).await.map_err(failed("installing the package"))?;
    if installed.id == id {
        Ok(true)
    } else {
        Err(LifecycleError::PackageId { host: host.to_owned(), found: installed.id, wanted: id })
    }
}

impl Definition<'_> {
    /// The sequence in force, 0 when the chaincode is not defined on the channel.
    pub(crate) async fn committed_sequence(&self, member: &Member) -> Result<i64, LifecycleError> {
        match member.peers.first() {
            Some((host, endorser)) => {
                committed_sequence(self.channel, &self.chaincode.name, host, endorser).await
            }
            None => Ok(0),
        }
    }

    /// Demands that the spec's definition is the one in force or one that Fabric would let follow it, and returns
    /// the sequence in force, 0 for none.
    pub(crate) async fn demand_next(&self, member: &Member) -> Result<i64, LifecycleError> {
        let in_force = match member.peers.first() {
            Some((host, endorser)) => in_force(self.channel, &self.chaincode.name, host, endorser).await?,
            None => None,
        };
        let committed = in_force.as_ref().map_or(0, |definition| definition.sequence);
        let name = || self.chaincode.name.clone();
        let wanted = i64::from(self.chaincode.sequence);
        let next = committed.saturating_add(1);
        let Some(in_force) = in_force else {
            return if wanted == next {
                Ok(committed)
            } else {
                Err(LifecycleError::Sequence { name: name(), committed, wanted, next })
            };
        };
        let collections = in_force.collections.as_ref();
        if wanted == committed {
            let what = if in_force.version == self.chaincode.version {
                self.terms.difference(&in_force.validation_parameter, collections)
            } else {
                Some("version")
            };
            match what {
                None => Ok(committed),
                Some(what) => {
                    Err(LifecycleError::Redefined { name: name(), what, sequence: committed, next })
                }
            }
        } else if wanted == next {
            match self.terms.broken_collection(collections) {
                None => Ok(committed),
                Some(collection) => {
                    Err(LifecycleError::Collection { name: name(), collection: collection.to_owned() })
                }
            }
        } else {
            Err(LifecycleError::Sequence { name: name(), committed, wanted, next })
        }
    }

    /// Approves the definition with a package for one organisation; false when it had.
    pub(crate) async fn approve(
        &self,
        step: &Step<'_>,
        member: &Member,
        package_id: &str,
    ) -> Result<bool, LifecycleError> {
        if self.is_approved(member, package_id).await? {
            return Ok(false);
        }
        let definition = self.to_agree_on();
        self.transact(
            step,
            member,
            "approval",
            std::slice::from_ref(&member.msp_id),
            || member.gateway.lifecycle(self.channel).approve(&definition, Some(package_id)),
            || self.is_approved(member, package_id),
        )
        .await?;
        Ok(true)
    }

    /// Which organisations have approved the definition, as a member's first peer knows it.
    pub(crate) async fn readiness(&self, member: &Member) -> Result<BTreeMap<String, bool>, LifecycleError> {
        let Some((host, endorser)) = member.peers.first() else { return Ok(BTreeMap::new()) };
        let ready = endorser.lifecycle().readiness(self.channel, &self.to_agree_on()).await;
        Ok(ready
            .map_err(|error| LifecycleError::of("looking for approvals", host, error))?
            .into_iter()
            .collect())
    }

    /// Waits until every organisation's approval is known to the first one's peer.
    pub(crate) async fn await_readiness(
        &self,
        step: &Step<'_>,
        members: &[Member],
    ) -> Result<(), LifecycleError> {
        let Some((member, (host, endorser))) =
            members.first().and_then(|member| member.peers.first().map(|peer| (member, peer)))
        else {
            return Ok(());
        };
        let (lifecycle, definition) = (endorser.lifecycle(), self.to_agree_on());
        let what = format!("every organisation's approval to reach `{}`", member.msp_id);
        wait::until(step, &what, LIMIT, || async {
            let ready = lifecycle.readiness(self.channel, &definition).await;
            let ready = ready.map_err(|error| LifecycleError::of("looking for approvals", host, error))?;
            let missing: Vec<&str> = members
                .iter()
                .map(|member| member.msp_id.as_str())
                .filter(|msp_id| ready.get(*msp_id) != Some(&true))
                .collect();
            Ok::<_, LifecycleError>(if missing.is_empty() {
                Look::Holds(())
            } else {
                Look::NotYet(format!("missing: {}", missing.join(", ")))
            })
        })
        .await
    }

    /// Which organisations of the channel have approved the definition, by MSP id, as a member's first peer knows.
    pub(crate) async fn approvals(&self, member: &Member) -> Result<BTreeMap<String, bool>, LifecycleError> {
        let Some((host, endorser)) = member.peers.first() else { return Ok(BTreeMap::new()) };
        let ready = endorser.lifecycle().readiness(self.channel, &self.to_agree_on()).await;
        let ready = ready.map_err(|error| LifecycleError::of("looking for approvals", host, error))?;
        Ok(ready.into_iter().collect())
    }

    /// Commits the definition, endorsed by every organisation.
    pub(crate) async fn commit(&self, step: &Step<'_>, members: &[Member]) -> Result<(), LifecycleError> {
        let Some(first) = members.first() else {
            return Ok(());
        };
        let all: Vec<String> = members.iter().map(|member| member.msp_id.clone()).collect();
        self.commit_as(step, first, &all).await
    }

    /// Commits the definition as one organisation, endorsed by these.
    pub(crate) async fn commit_as(
        &self,
        step: &Step<'_>,
        member: &Member,
        endorsers: &[String],
    ) -> Result<(), LifecycleError> {
        let definition = self.to_agree_on();
        let wanted = i64::from(self.chaincode.sequence);
        self.transact(
            step,
            member,
            "commit of the definition",
            endorsers,
            || member.gateway.lifecycle(self.channel).commit(&definition),
            || async { Ok(self.committed_sequence(member).await? == wanted) },
        )
        .await
    }

    /// Waits until a peer has the definition in force.
    pub(crate) async fn await_in_force(
        &self,
        step: &Step<'_>,
        host: &str,
        endorser: &Endorser,
    ) -> Result<(), LifecycleError> {
        let wanted = i64::from(self.chaincode.sequence);
        wait::until(step, &format!("`{host}` to have the definition"), LIMIT, || async {
            let found = committed_sequence(self.channel, &self.chaincode.name, host, endorser).await?;
            Ok::<_, LifecycleError>(match found {
                found if found >= wanted => Look::Holds(()),
                found => Look::NotYet(format!("it has sequence {found}")),
            })
        })
        .await
    }

    /// Waits until a call through each organisation's gateway reaches the chaincode on enough organisations' peers.
    ///
    /// The call is endorsed and never submitted, so the ledger does not change.
    pub(crate) async fn await_answer(
        &self,
        step: &Step<'_>,
        members: &[Member],
    ) -> Result<(), LifecycleError> {
        for member in members {
            let contract = member.gateway.contract(self.channel, &self.chaincode.name);
            let what = format!(
                "the chaincode to answer through the gateway of `{}`; its peers are finding each other",
                member.msp_id
            );
            wait::until(step, &what, LIMIT, || async {
                let proposal = contract
                    .proposal(METADATA)
                    .build()
                    .map_err(|source| LifecycleError::Proposal { what: "a test call", source })?;
                Ok::<_, LifecycleError>(match proposal.endorse().await {
                    Ok(_) => Look::Holds(()),
                    // A refusal by the chaincode itself is an answer, and so are answers that do not agree: each
                    // organisation may run a program of its own, and describe it in its own words.
                    Err(error) if error.chaincode_response().is_some() => Look::Holds(()),
                    Err(error) if disagreed(&error) => Look::Holds(()),
                    Err(error) => Look::NotYet(wait::chain(&error)),
                })
            })
            .await?;
        }
        Ok(())
    }

    async fn is_approved(&self, member: &Member, package_id: &str) -> Result<bool, LifecycleError> {
        let Some((host, endorser)) = member.peers.first() else {
            return Ok(false);
        };
        let lifecycle = endorser.lifecycle();
        let sequence = i64::from(self.chaincode.sequence);
        let approved = lifecycle
            .approved(self.channel, &self.chaincode.name, sequence)
            .await
            .map_err(|error| LifecycleError::of("looking for the organisation's approval", host, error))?;
        let Some(approved) = approved else {
            return Ok(false);
        };
        let package = approved.source.and_then(|source| source.r#type);
        let same_terms = approved.version == self.chaincode.version
            && self.terms.difference(&approved.validation_parameter, approved.collections.as_ref()).is_none();
        Ok(same_terms
            && matches!(
                package,
                Some(chaincode_source::Type::LocalPackage(local)) if local.package_id == package_id
            ))
    }

    /// The definition as Fabric takes it.
    fn to_agree_on(&self) -> ChaincodeDefinition {
        ChaincodeDefinition {
            name: self.chaincode.name.clone(),
            sequence: i64::from(self.chaincode.sequence),
            version: self.chaincode.version.clone(),
            validation_parameter: self.terms.validation_parameter(),
            collections: self.terms.collections.clone(),
            ..ChaincodeDefinition::default()
        }
    }

    /// Submits a lifecycle transaction until it is in force: before its outcome is known it is asked for, never
    /// guessed, and it is sent again only when it is not there.
    async fn transact<F>(
        &self,
        step: &Step<'_>,
        member: &Member,
        what: &'static str,
        endorsers: &[String],
        proposal: impl Fn() -> ProposalBuilder,
        holds: impl Fn() -> F,
    ) -> Result<(), LifecycleError>
    where
        F: Future<Output = Result<bool, LifecycleError>>,
    {
        let transactions = member.gateway.lifecycle(self.channel);
        let awaited = format!("{what} by `{}` to be endorsed and committed", member.msp_id);
        let refused = |source| LifecycleError::Transaction {
            what,
            msp_id: member.msp_id.clone(),
            source: Box::new(source),
        };
        wait::until(step, &awaited, LIMIT, || async {
            if holds().await? {
                return Ok(Look::Holds(()));
            }
            let proposal = proposal()
                .endorsing_organizations(endorsers.to_vec())
                .build()
                .map_err(|source| LifecycleError::Proposal { what, source })?;
            Ok(match transactions.contract().submit(proposal).await {
                Ok(_) => Look::NotYet("it is committed, and not yet in the peer's state".to_owned()),
                Err(TransactionError::Endorse(error)) if error.chaincode_response().is_some() => {
                    // What was sent before may have come into force since the look, which Fabric refuses to repeat.
                    if holds().await? {
                        return Ok(Look::Holds(()));
                    }
                    return Err(refused(TransactionError::Endorse(error)));
                }
                Err(error) => Look::NotYet(wait::chain(&error)),
            })
        })
        .await
    }
}

/// The sequence in force as one peer knows it, 0 when the chaincode is not defined on the channel.
pub(crate) async fn committed_sequence(
    channel: &str,
    chaincode: &str,
    host: &str,
    endorser: &Endorser,
) -> Result<i64, LifecycleError> {
    let in_force = in_force(channel, chaincode, host, endorser).await?;
    Ok(in_force.map_or(0, |definition| definition.sequence))
}

/// The definition in force as one peer knows it.
pub(crate) async fn in_force(
    channel: &str,
    chaincode: &str,
    host: &str,
    endorser: &Endorser,
) -> Result<Option<QueryChaincodeDefinitionResult>, LifecycleError> {
    let committed = endorser.lifecycle().committed(channel, chaincode).await;
    committed.map_err(|error| LifecycleError::of("looking for the chaincode's definition", host, error))
}

/// Whether endorsers answered, and not all the same.
fn disagreed(error: &EndorseError) -> bool {
    error.peers().iter().any(|peer| peer.message.contains(DISAGREEMENT))
}

impl LifecycleError {
    fn of(what: &'static str, host: &str, error: SystemChaincodeError) -> Self {
        let host = host.to_owned();
        match error {
            SystemChaincodeError::Call { source, .. } => Self::Peer { what, host, source },
            SystemChaincodeError::Answer { source, .. } => Self::Answer { host, source },
        }
    }
}
