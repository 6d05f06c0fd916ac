//! One caller: the one place where the load meets the gateway client.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use caretrail_records::failure::chain;
use hlf_gateway::{
    Committed, Contract, Deadlines, Following, KeptInFolder, ProposalBuilder, Retry, RetryError,
    SignedTransaction, TransactionError,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Call, Journal, Kept, Outcome, Report};
use crate::channel::{CHAINCODE, Channel};
use crate::tally::{COUNT, PUT};

/// How many unknown outcomes are asked for at once: each waits in a peer that allows 500 such calls.
const RESOLVED_AT_ONCE: usize = 64;
/// How long a call that is tried again, or settled, goes on.
const TRIES: Duration = Duration::from_secs(40);
/// What a machine that does much else may add to the sum of all deadlines.
const SLACK: Duration = Duration::from_secs(15);

/// How a caller uses the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One transaction for a call, whose commit status is asked for.
    Asking,
    /// One transaction for a call, whose verdict comes over the one stream of all commits.
    Following,
    /// Transactions until one is VALID, under an idempotency key that is kept in a folder.
    Retrying,
    /// As asking, by whichever peer of the organisation serves.
    AnyPeer,
}

/// A user of a peer's gateway, who waits for every outcome.
#[derive(Debug)]
pub struct Caller {
    name: String,
    peer: String,
    way: Way,
    contract: Contract,
    /// How its calls are tried again, when they are.
    store: Option<Arc<KeptInFolder>>,
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
        lost_submit: Duration::from_secs(10),
        ..Deadlines::default()
    }
}

impl Way {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::Asking, Self::Following, Self::Retrying, Self::AnyPeer];
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Asking => "asking",
            Self::Following => "following",
            Self::Retrying => "retrying",
            Self::AnyPeer => "any-peer",
        })
    }
}

impl Caller {
    /// A caller at the gateway of a peer, an ordinary user of the peer's organisation; what it keeps is in a folder.
    ///
    /// # Panics
    /// When the folder cannot be used, or no peer is reached.
    pub async fn new(
        channel: &Channel,
        peer: &str,
        way: Way,
        folder: &Path,
        journal: &Arc<Journal>,
    ) -> Arc<Self> {
        let own = || channel.gateway(peer, "User1", deadlines());
        let gateway = match way {
            Way::Asking | Way::Retrying => own(),
            Way::Following => own().following_commits(Following::default()),
            Way::AnyPeer => channel.gateways(peer, "User1", deadlines()).await,
        };
        let name = format!("{peer}-{way}");
        let open = || Arc::new(KeptInFolder::open(folder.join(&name)).expect("a folder for transactions"));
        Arc::new(Self {
            peer: peer.to_owned(),
            way,
            contract: gateway.contract(channel.name(), CHAINCODE),
            store: (way == Way::Retrying).then(open),
            name,
            journal: Arc::clone(journal),
        })
    }

    /// Its name: of the peer and of its way.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The peer whose gateway it calls, or prefers.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Makes a call and reports what it was told; the journal has it before anything is sent.
    pub(super) async fn make(&self, call: Call, window: usize) -> Report {
        self.journal.begun(call.id(), &self.name, window);
        let proposal = self.propose(&call);
        let told = match &self.store {
            None => self.bounded(Box::pin(self.submit(call.id(), proposal))).await,
            Some(store) => self.bounded(Box::pin(self.submit_retrying(call.id(), proposal, store))).await,
        };
        let (told, kept) = told;
        self.journal.told(call.id(), &told);
        Report {
            call: call.id().to_owned(),
            caller: self.name.clone(),
            peer: self.peer.clone(),
            way: self.way,
            window,
            contended: matches!(call, Call::Count(_)),
            once: self.store.is_none(),
            told,
            resolved: None,
            kept,
        }
    }

    fn propose(&self, call: &Call) -> ProposalBuilder {
        let (function, arg) = match call {
            Call::Put(entry) => (PUT, serde_json::to_vec(entry)),
            Call::Count(counting) => (COUNT, serde_json::to_vec(counting)),
        };
        self.contract.proposal(function).arg(arg.expect("JSON"))
    }

    async fn submit(&self, call: &str, proposal: ProposalBuilder) -> (Outcome, Option<Kept>) {
        let proposal = proposal.build().expect("a proposal");
        self.journal.proposed(call, proposal.tx_id());
        told(self.contract.submit(proposal).await)
    }

    async fn submit_retrying(
        &self,
        call: &str,
        proposal: ProposalBuilder,
        store: &Arc<KeptInFolder>,
    ) -> (Outcome, Option<Kept>) {
        let retry = Retry { deadline: TRIES, ..Retry::default() }.idempotent(call, Arc::clone(store) as _);
        match self.contract.submit_retrying(proposal, &retry).await {
            Ok(retried) => told(Ok(retried.committed)),
            Err(RetryError::Failed { source, .. }) => {
                let (outcome, kept) = told(Err(source));
                (outcome, kept.map(|_| Kept::Stored))
            }
            Err(error) => panic!("{}: {}", self.name, chain(&error)),
        }
    }

    /// By when every caller must have been told something.
    async fn bounded(&self, call: impl Future<Output = (Outcome, Option<Kept>)>) -> (Outcome, Option<Kept>) {
        let Deadlines { connect, endorse, submit, commit_status, lost_submit, .. } = deadlines();
        let once = connect + endorse + submit + commit_status + lost_submit + SLACK;
        let limit = if self.store.is_some() { once + TRIES } else { once };
        tokio::time::timeout(limit, call).await.unwrap_or((Outcome::Hung, None))
    }

    /// Finds out what became of a call whose outcome is unknown: by asking, and by sending the very same transaction
    /// again when nobody knows it.
    async fn resolve(&self, report: &mut Report) {
        let Some(kept) = &report.kept else { return };
        let retry = Retry { deadline: TRIES, ..Retry::default() };
        let transaction = match kept {
            Kept::Bytes(bytes) => SignedTransaction::from_bytes(bytes).expect("what was kept"),
            Kept::Stored => self.stored(&report.call),
        };
        let (outcome, _) = told(self.contract.gateway().settle(&transaction, &retry).await);
        self.journal.told(&report.call, &outcome);
        report.resolved = Some(outcome);
    }

    /// What another process would find in the store.
    fn stored(&self, call: &str) -> SignedTransaction {
        let pending = self.store.as_ref().expect("a store").pending().expect("what it keeps");
        let found = pending.into_iter().find(|(key, _)| key == call);
        found.unwrap_or_else(|| panic!("{call} is unknown, and its transaction is not kept")).1
    }
}

/// Finds out what became of every call whose outcome is unknown, and gives all reports again.
///
/// # Panics
/// When a report is of none of the callers.
pub async fn resolve(callers: &[Arc<Caller>], reports: Vec<Report>) -> Vec<Report> {
    let (unknown, mut resolved): (Vec<_>, Vec<_>) =
        reports.into_iter().partition(|report| report.kept.is_some());
    let room = Arc::new(Semaphore::new(RESOLVED_AT_ONCE));
    let mut resolving = JoinSet::new();
    for mut report in unknown {
        let caller = callers.iter().find(|caller| caller.name == report.caller).expect("its caller");
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

/// What a caller makes of the client's answer.
fn told(result: Result<Committed, TransactionError>) -> (Outcome, Option<Kept>) {
    match result {
        Ok(Committed { tx_id, block_number, .. }) => (Outcome::Valid { tx_id, block: block_number }, None),
        Err(TransactionError::Invalid { tx_id, code, block_number }) => {
            (Outcome::Invalid { tx_id, block: block_number, code }, None)
        }
        Err(error) => {
            let why = chain(&error);
            match error {
                TransactionError::Endorse(_) | TransactionError::NotSubmitted { .. } => {
                    (Outcome::NotSubmitted { why }, None)
                }
                TransactionError::Unknown { transaction, .. } => {
                    (Outcome::Unknown { why }, Some(Kept::Bytes(transaction.to_bytes())))
                }
                _ => (Outcome::Unknown { why }, None),
            }
        }
    }
}
