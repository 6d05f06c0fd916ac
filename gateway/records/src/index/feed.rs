//! Feeding the index from a peer.

use caretrail_model::ids::TxId;
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
        let channel = self.name.channel.as_str();
        let Some(newest) = gateway.filtered_blocks(channel, BlockRange::newest()).await?.next().await? else {
            return self.blocking(BlockIndex::checkpoint).await;
        };
        let newest = newest.number;
        let start = self.blocking(move |index| index.resumes_at(newest)).await?;
        let mut stream = gateway.filtered_blocks(channel, BlockRange::from(start..=newest)).await?;
        let mut blocks = Vec::new();
        while let Some(block) = stream.next().await? {
            blocks.push(self.read(&block));
            if blocks.len() == BLOCKS_AT_ONCE {
                let full = std::mem::take(&mut blocks);
                self.blocking(move |index| index.take_in(&full)).await?;
            }
        }
        self.blocking(move |index| index.take_in(&blocks)).await?;
        self.blocking(BlockIndex::checkpoint).await
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
