//! One caller: the one place where the load meets the gateway client.

use std::sync::Arc;
use std::time::Duration;

use caretrail_records::failure::chain;
use hlf_gateway::{
    CommitStatus, CommitStatusError, Contract, Deadlines, Endorsed, Gateway, Proposal, SubmitError,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Call, Journal, Outcome, Report};
use crate::channel::{CHAINCODE, Channel};
use crate::tally::{COUNT, PUT};

/// How many unknown outcomes are asked for at once: each waits in a peer that allows 500 such calls.
const RESOLVED_AT_ONCE: usize = 64;
/// What a machine that does much else may add to the sum of all deadlines.
const SLACK: Duration = Duration::from_secs(10);

/// A user of a peer's gateway, who waits for every outcome.
#[derive(Debug)]
pub struct Caller {
    peer: String,
    gateway: Gateway,
    contract: Contract,
    journal: Arc<Journal>,
}

/// Deadlines that are short enough for a test to wait for.
pub fn deadlines() -> Deadlines {
    Deadlines {
        connect: Duration::from_secs(5),
        evaluate: Duration::from_secs(10),
        endorse: Duration::from_secs(10),
        submit: Duration::from_secs(10),
        commit_status: Duration::from_secs(15),
        ..Deadlines::default()
    }
}

/// By when every caller must have been told something.
fn all_deadlines() -> Duration {
    let Deadlines { connect, endorse, submit, commit_status, lost_submit, .. } = deadlines();
    connect + endorse + submit + commit_status + lost_submit + SLACK
}

impl Caller {
    /// A caller at the gateway of a peer, an ordinary user of the peer's organisation.
    pub fn new(channel: &Channel, peer: &str, journal: &Arc<Journal>) -> Arc<Self> {
        let gateway = channel.gateway(peer, "User1", deadlines());
        let contract = gateway.contract(channel.name(), CHAINCODE);
        Arc::new(Self { peer: peer.to_owned(), gateway, contract, journal: Arc::clone(journal) })
    }

    /// The peer whose gateway it calls.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Makes a transaction and reports what it was told; the journal has it before anything is sent.
    pub(super) async fn make(&self, call: Call, window: usize) -> Report {
        let proposal = self.propose(&call);
        let tx_id = proposal.tx_id().to_owned();
        self.journal.begun(&tx_id, &self.peer, window, &call);
        let mut kept = None;
        let told = tokio::time::timeout(all_deadlines(), self.outcome(proposal, &mut kept)).await;
        let told = told.unwrap_or(Outcome::Hung);
        self.journal.told(&tx_id, &told);
        let contended = matches!(call, Call::Count(_));
        Report { tx_id, peer: self.peer.clone(), window, contended, told, resolved: None, kept }
    }

    fn propose(&self, call: &Call) -> Proposal {
        let (function, arg) = match call {
            Call::Put(entry) => (PUT, serde_json::to_vec(entry)),
            Call::Count(counter) => (COUNT, serde_json::to_vec(counter)),
        };
        self.contract.proposal(function).arg(arg.expect("JSON")).build().expect("a proposal")
    }

    async fn outcome(&self, proposal: Proposal, kept: &mut Option<Endorsed>) -> Outcome {
        let endorsed = match proposal.endorse().await {
            Ok(endorsed) => endorsed,
            Err(error) => return Outcome::NotSubmitted { why: chain(&error) },
        };
        let status = match endorsed.submit().await {
            Ok(submitted) => submitted.commit_status().await,
            Err(error @ SubmitError::Sign { .. }) => return Outcome::NotSubmitted { why: chain(&error) },
            // Whatever was said of the submission: the ledger knows better.
            Err(_) => self.gateway.commit_status(endorsed.channel(), endorsed.tx_id()).await,
        };
        let outcome = verdict(status);
        if let Outcome::Unknown { .. } = outcome {
            *kept = Some(endorsed);
        }
        outcome
    }

    /// Finds out what became of a transaction whose outcome is unknown: by asking, and by sending the very same
    /// envelope again when nobody knows it.
    async fn resolve(&self, report: &mut Report) {
        let Some(kept) = &report.kept else { return };
        let mut outcome = verdict(self.gateway.commit_status(kept.channel(), kept.tx_id()).await);
        if let Outcome::Unknown { .. } = outcome {
            self.journal.sent_again(&report.tx_id);
            outcome = match kept.submit().await {
                Ok(submitted) => verdict(submitted.commit_status().await),
                Err(_) => verdict(self.gateway.commit_status(kept.channel(), kept.tx_id()).await),
            };
        }
        self.journal.told(&report.tx_id, &outcome);
        report.resolved = Some(outcome);
    }
}

/// Finds out what became of every transaction whose outcome is unknown, and gives all reports again.
///
/// # Panics
/// When a report is of none of the callers.
pub async fn resolve(callers: &[Arc<Caller>], reports: Vec<Report>) -> Vec<Report> {
    let (unknown, mut resolved): (Vec<_>, Vec<_>) =
        reports.into_iter().partition(|report| report.kept.is_some());
    let room = Arc::new(Semaphore::new(RESOLVED_AT_ONCE));
    let mut resolving = JoinSet::new();
    for mut report in unknown {
        let caller = callers.iter().find(|caller| caller.peer == report.peer).expect("its caller");
        let (caller, room) = (Arc::clone(caller), Arc::clone(&room));
        resolving.spawn(async move {
            let _turn = room.acquire().await;
            caller.resolve(&mut report).await;
            report
        });
    }
    while let Some(report) = resolving.join_next().await {
        resolved.push(report.expect("a report"));
    }
    resolved
}

fn verdict(status: Result<CommitStatus, CommitStatusError>) -> Outcome {
    match status {
        Ok(status) if status.is_valid() => Outcome::Valid { block: status.block_number },
        Ok(status) => Outcome::Invalid { block: status.block_number, code: status.code },
        Err(error) => Outcome::Unknown { why: chain(&error) },
    }
}
