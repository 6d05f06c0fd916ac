//! Feeding the index from a peer.

use caretrail_model::ids::TxId;
use hlf_gateway::protos::common::Status;
use hlf_gateway::protos::protos::FilteredBlock;
use hlf_gateway::protos::protos::filtered_transaction::Data;
use hlf_gateway::{BlockRange, DeliverError, Gateway};

use super::{BlockIndex, IndexError, IndexedBlock, IndexedTransaction};

/// Blocks of one SQLite transaction: it syncs once for all of them.
const BLOCKS_AT_ONCE: usize = 200;

/// An index that could not be brought up to the newest block.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The index refuses, or its database fails.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The peer gives no blocks.
    #[error("the index could not be brought up to the newest block")]
    Deliver(#[from] DeliverError),
    /// The peer has the state and no block that the index goes on from, because it joined by a snapshot.
    #[error(
        "the peer has no block before {first_block}, because it joined by a snapshot, and the index is to be read from block \
         {needed} on: ask a peer that has all blocks, or have an index begin at block {first_block}, which knows no place of \
         anything before"
    )]
    Missing {
        /// The first block that the peer has.
        first_block: u64,
        /// The block that the index is to be read from.
        needed: u64,
    },
    /// The peer has no block at all.
    #[error(
        "the peer gives no block of channel `{channel}`: it is not on it, or joined by a snapshot after which no block came: ask \
         another peer, or again once there is a block"
    )]
    NoBlock {
        /// The channel.
        channel: String,
        /// What the peer said.
        source: DeliverError,
    },
    /// The peer has less than what the index begins with.
    #[error(
        "the index begins at block {first_block} and the peer's newest block is {newest}: ask again once the peer has more, or \
         have an index begin earlier"
    )]
    Behind {
        /// Where the index begins.
        first_block: u64,
        /// The peer's newest block.
        newest: u64,
    },
    /// The thread that writes was stopped.
    #[error("the index was stopped while it took in blocks: run again")]
    Stopped,
}

impl BlockIndex {
    /// Takes in every block from the checkpoint to the newest, and says which one that is.
    ///
    /// Blocks before are read again and compared, from [`Self::resumes_at`] on, so that an index of another ledger of the
    /// same name is found out.
    ///
    /// # Errors
    /// When the peer gives no blocks, or a block does not follow; what was taken in before stays.
    pub async fn sync(self: &std::sync::Arc<Self>, gateway: &Gateway) -> Result<Option<u64>, SyncError> {
        let newest = self.newest(gateway).await?;
        let start = self.blocking(move |index| index.resumes_at(newest)).await?;
        if start > newest {
            return Err(SyncError::Behind { first_block: start, newest });
        }
        let range = BlockRange::from(start..=newest);
        let mut stream = gateway.filtered_blocks(self.name.channel.as_str(), range).await?;
        let mut blocks = Vec::new();
        loop {
            match stream.next().await {
                Ok(Some(block)) => blocks.push(self.read(&block)),
                Ok(None) => break,
                Err(error) if is_not_found(&error) && start < newest => {
                    let first_block = self.first_held(gateway, start, newest).await?;
                    return Err(SyncError::Missing { first_block, needed: start });
                }
                Err(error) => return Err(error.into()),
            }
            if blocks.len() == BLOCKS_AT_ONCE {
                let full = std::mem::take(&mut blocks);
                self.blocking(move |index| index.take_in(&full)).await?;
            }
        }
        self.blocking(move |index| index.take_in(&blocks)).await?;
        self.blocking(BlockIndex::checkpoint).await
    }

    /// The number of the peer's newest block.
    async fn newest(&self, gateway: &Gateway) -> Result<u64, SyncError> {
        let channel = self.name.channel.as_str();
        let mut stream = gateway.filtered_blocks(channel, BlockRange::newest()).await?;
        match stream.next().await {
            Ok(Some(block)) => Ok(block.number),
            Ok(None) => Err(DeliverError::Closed { channel: channel.to_owned() }.into()),
            Err(source) if is_not_found(&source) => {
                Err(SyncError::NoBlock { channel: channel.to_owned(), source })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The first block that a peer has, which lacks one and has a later one: a snapshot is all that there is before it.
    ///
    /// Fabric answers NOT_FOUND for a block that it lacks and does not say which one is its first.
    async fn first_held(&self, gateway: &Gateway, mut lacks: u64, mut has: u64) -> Result<u64, DeliverError> {
        while has - lacks > 1 {
            let between = lacks + (has - lacks) / 2;
            let range = BlockRange::from(between..=between);
            let mut stream = gateway.filtered_blocks(self.name.channel.as_str(), range).await?;
            match stream.next().await {
                Ok(_) => has = between,
                Err(error) if is_not_found(&error) => lacks = between,
                Err(error) => return Err(error),
            }
        }
        Ok(has)
    }

    fn read(&self, block: &FilteredBlock) -> IndexedBlock {
        let transactions = block.filtered_transactions.iter().map(|transaction| {
            let actions = match &transaction.data {
                Some(Data::TransactionActions(actions)) => actions.chaincode_actions.as_slice(),
                None => &[],
            };
            let event = actions
                .iter()
                .filter_map(|action| action.chaincode_event.as_ref())
                .find(|event| event.chaincode_id == self.name.chaincode.as_str())
                .map(|event| event.event_name.clone());
            IndexedTransaction {
                tx_id: transaction.txid.parse::<TxId>().ok(),
                code: transaction.tx_validation_code,
                event,
            }
        });
        IndexedBlock { number: block.number, transactions: transactions.collect() }
    }

    /// Runs a database call where it may block.
    async fn blocking<T: Send + 'static>(
        self: &std::sync::Arc<Self>,
        call: impl FnOnce(&Self) -> Result<T, IndexError> + Send + 'static,
    ) -> Result<T, SyncError> {
        let index = std::sync::Arc::clone(self);
        match tokio::task::spawn_blocking(move || call(&index)).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(SyncError::Stopped),
        }
    }
}

fn is_not_found(error: &DeliverError) -> bool {
    matches!(error, DeliverError::Refused { status: Status::NotFound, .. })
}
