//! Reading what a transaction wrote: at a peer that has committed it.

use std::sync::Arc;

use hlf_protos::protos::{ProposalResponse, SignedProposal};
use tonic::Status;
use tracing::Instrument as _;

use crate::deadlines::{left, until};
use crate::route::Route;
use crate::{
    CallFailure, CommitStatusError, Committed, DeliverError, EvaluateError, Gateway, Proposal, SignError,
    Submitted,
};

/// What a peer must have committed before it is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// The transaction of this id, in whatever block.
    Transaction(String),
    /// The block of this number.
    Block(u64),
}

/// Why one peer gave no result.
enum Missed {
    Sign(SignError),
    Failed(CallFailure),
}

impl Proposal {
    /// Runs the call on a peer that has committed a block or a transaction, and returns its result; nothing is
    /// written.
    ///
    /// Peers may be a block apart: what one of them says is committed, another may not have yet. Here the peer that is
    /// waited for is the one that answers, by its own endorser; it must run the chaincode, and endorsing organisations
    /// are not considered. Waiting and running take [`crate::Deadlines::evaluate`] together.
    ///
    /// ```no_run
    /// # async fn transfer(assets: &hlf_gateway::Contract) -> Result<(), Box<dyn std::error::Error>> {
    /// let done = assets.submit(assets.proposal("Transfer").args(["asset1", "south"]).build()?).await?;
    /// let owner = assets.proposal("Owner").arg("asset1").build()?.evaluate_after(&(&done).into()).await?;
    /// assert_eq!(owner, b"south");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn evaluate_after(&self, after: &After) -> Result<Vec<u8>, EvaluateError> {
        let result = self.evaluated_after(after).instrument(self.span.span()).await;
        self.span.ends(if result.is_ok() { "evaluated" } else { "not evaluated" });
        result.map_err(|missed| match missed {
            Missed::Sign(source) => EvaluateError::Sign { tx_id: self.tx_id.clone(), source },
            Missed::Failed(source) => EvaluateError::Failed { tx_id: self.tx_id.clone(), source },
        })
    }

    async fn evaluated_after(&self, after: &After) -> Result<Vec<u8>, Missed> {
        let until = until(self.session.deadlines.evaluate);
        let signed = self.signed_by(until).await.map_err(Missed::Sign)?;
        let mut missed = Missed::Failed(Status::unavailable("no peer to ask").into());
        let peers = self.session.route.by_health();
        for (turn, peer) in peers.iter().enumerate() {
            let gateway = Gateway::of(self.session.on(Route::to(Arc::clone(peer))));
            let left = left(until);
            let limit = if turn + 1 == peers.len() { left } else { left / 2 };
            missed = match tokio::time::timeout(limit, self.read(&gateway, after, signed.clone())).await {
                Ok(Err(Missed::Failed(failure))) if failure.is_retryable() => Missed::Failed(failure),
                Ok(result) => return result,
                Err(_) => {
                    let late =
                        format!("`{}` did not get there within {} ms", peer.address, limit.as_millis());
                    Missed::Failed(Status::deadline_exceeded(late).into())
                }
            };
        }
        Err(missed)
    }

    /// Waits for one peer, and has its endorser run the call.
    async fn read(
        &self,
        gateway: &Gateway,
        after: &After,
        signed: SignedProposal,
    ) -> Result<Vec<u8>, Missed> {
        match after {
            After::Block(number) => has_block(gateway, &self.channel, *number).await?,
            After::Transaction(tx_id) => has_transaction(gateway, &self.channel, tx_id).await?,
        }
        let answer = gateway.session.process_proposal(signed).await.map_err(Missed::Failed)?;
        result(answer).map_err(|status| Missed::Failed(status.into()))
    }
}

impl From<&Committed> for After {
    fn from(committed: &Committed) -> Self {
        Self::Block(committed.block_number)
    }
}

/// Waits until a peer's ledger has a block; a peer streams a block only when its state has it too.
async fn has_block(gateway: &Gateway, channel: &str, number: u64) -> Result<(), Missed> {
    let seen = async { gateway.filtered_blocks(channel, number..=number).await?.next().await };
    match seen.await {
        Ok(_) => Ok(()),
        Err(DeliverError::Sign { source, .. }) => Err(Missed::Sign(source)),
        Err(DeliverError::Failed { source, .. }) => Err(Missed::Failed(source)),
        Err(error) => Err(Missed::Failed(Status::failed_precondition(error.to_string()).into())),
    }
}

/// Waits until a peer's ledger has a transaction.
async fn has_transaction(gateway: &Gateway, channel: &str, tx_id: &str) -> Result<(), Missed> {
    match Submitted::of(gateway, channel, tx_id).commit_status().await {
        Ok(_) | Err(CommitStatusError::Duplicate { .. } | CommitStatusError::Contested { .. }) => Ok(()),
        Err(CommitStatusError::Sign { source, .. }) => Err(Missed::Sign(source)),
        Err(CommitStatusError::Unknown { source, .. }) => Err(Missed::Failed(source)),
    }
}

/// The result of an endorser's answer; a chaincode's error reads as a gateway would have put it.
fn result(answer: ProposalResponse) -> Result<Vec<u8>, Status> {
    let response = answer.response.unwrap_or_default();
    if (200..400).contains(&response.status) {
        return Ok(response.payload);
    }
    Err(Status::unknown(format!("chaincode response {}, {}", response.status, response.message)))
}
