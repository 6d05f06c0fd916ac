//! `qscc`: blocks and transactions as one peer holds them.

use hlf_protos::common::{Block, BlockchainInfo};
use hlf_protos::protos::ProcessedTransaction;

use super::{SystemChaincodeError, ask};
use crate::Endorser;

const QSCC: &str = "qscc";

/// A channel's ledger on one peer, read through `qscc`.
///
/// Fabric lets every member read; a channel whose ACLs restrict `qscc/*` answers "access denied" to others, see
/// [`SystemChaincodeError::is_denied`].
///
/// ```no_run
/// # async fn read(endorser: &hlf_gateway::Endorser) -> Result<(), hlf_gateway::SystemChaincodeError> {
/// let ledger = endorser.ledger("main");
/// let height = ledger.info().await?.height;
/// let newest = ledger.block(height - 1).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Ledger {
    endorser: Endorser,
    channel: String,
}

impl Endorser {
    /// A channel's ledger on this peer.
    pub fn ledger(&self, channel: impl Into<String>) -> Ledger {
        Ledger { endorser: self.clone(), channel: channel.into() }
    }
}

impl Ledger {
    /// The number of blocks, and the newest two blocks' hashes.
    pub async fn info(&self) -> Result<BlockchainInfo, SystemChaincodeError> {
        let args = [self.channel.clone().into_bytes()];
        ask(&self.endorser, (&self.channel, QSCC), "GetChainInfo", args).await
    }

    /// The block of this number.
    pub async fn block(&self, number: u64) -> Result<Block, SystemChaincodeError> {
        self.find("GetBlockByNumber", number.to_string().into_bytes()).await
    }

    /// The block whose header has this hash: 32 bytes, SHA-256 of the header in ASN.1.
    pub async fn block_by_hash(&self, hash: &[u8]) -> Result<Block, SystemChaincodeError> {
        self.find("GetBlockByHash", hash.to_vec()).await
    }

    /// The block that holds a transaction; of several copies, the first.
    pub async fn block_of(&self, tx_id: &str) -> Result<Block, SystemChaincodeError> {
        self.find("GetBlockByTxID", tx_id.as_bytes().to_vec()).await
    }

    /// A transaction with the peer's verdict; of several copies, the first.
    pub async fn transaction(&self, tx_id: &str) -> Result<ProcessedTransaction, SystemChaincodeError> {
        self.find("GetTransactionByID", tx_id.as_bytes().to_vec()).await
    }

    async fn find<R: hlf_protos::prost::Message + Default>(
        &self,
        function: &'static str,
        by: Vec<u8>,
    ) -> Result<R, SystemChaincodeError> {
        let args = [self.channel.clone().into_bytes(), by];
        ask(&self.endorser, (&self.channel, QSCC), function, args).await
    }
}
