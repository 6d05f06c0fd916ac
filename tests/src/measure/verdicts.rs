//! What became of transactions, as the blocks of a peer say: counted without those who made them.

use std::collections::BTreeMap;
use std::ops::Range;

use hlf_gateway::{BlockRange, Gateway, Start, Stop};
use hlf_protos::protos::TxValidationCode;

use crate::chain::Transaction;

/// The verdicts on the transactions of some blocks, by the number of the call that made each.
#[derive(Debug, Default)]
pub struct Verdicts {
    by_number: BTreeMap<u64, Vec<TxValidationCode>>,
}

/// The number of the block that comes next.
///
/// # Panics
/// When the peer does not say.
pub async fn next_block(admin: &Gateway, channel: &str) -> u64 {
    admin.endorser().ledger(channel).info().await.expect("the channel's height").height
}

impl Verdicts {
    /// Reads whole blocks as a peer gives them to an admin. `number` tells from a transaction's function and
    /// arguments which call made it, if one did that counts.
    ///
    /// # Panics
    /// When the stream ends early.
    pub async fn read(
        admin: &Gateway,
        channel: &str,
        blocks: Range<u64>,
        number: impl Fn(&[Vec<u8>]) -> Option<u64>,
    ) -> Self {
        let mut read = Self::default();
        let Some(last) = blocks.end.checked_sub(1).filter(|last| *last >= blocks.start) else { return read };
        let range = BlockRange { start: Start::Number(blocks.start), stop: Stop::Number(last) };
        let mut stream = admin.blocks(channel, range).await.expect("a stream of blocks");
        while let Some(block) = stream.next().await.expect("a block") {
            for transaction in Transaction::in_block(&block) {
                let input = transaction.spec.chaincode_spec.and_then(|spec| spec.input).unwrap_or_default();
                if let Some(number) = number(&input.args) {
                    read.add(number, transaction.code);
                }
            }
        }
        read
    }

    fn add(&mut self, number: u64, code: TxValidationCode) {
        self.by_number.entry(number).or_default().push(code);
    }

    /// How many of these calls have at least one VALID transaction.
    pub fn valid(&self, calls: Range<u64>) -> u64 {
        self.by_number.range(calls).filter(|(_, codes)| valid_of(codes) > 0).count() as u64
    }

    /// How many VALID transactions there are beyond one for each of these calls.
    pub fn duplicates(&self, calls: Range<u64>) -> u64 {
        self.by_number.range(calls).map(|(_, codes)| valid_of(codes).saturating_sub(1)).sum()
    }

    /// How many transactions these calls have in blocks, VALID or not.
    pub fn transactions(&self, calls: Range<u64>) -> u64 {
        self.by_number.range(calls).map(|(_, codes)| codes.len() as u64).sum()
    }

    /// Whether a call has a VALID transaction.
    pub fn is_valid(&self, call: u64) -> bool {
        self.by_number.get(&call).is_some_and(|codes| valid_of(codes) > 0)
    }
}

fn valid_of(codes: &[TxValidationCode]) -> u64 {
    codes.iter().filter(|code| **code == TxValidationCode::Valid).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_counts_once_and_what_is_more_is_a_duplicate() {
        use TxValidationCode::{DuplicateTxid, MvccReadConflict, Valid};
        let mut verdicts = Verdicts::default();
        for (number, code) in [
            (1, Valid),
            (1, DuplicateTxid),
            (2, MvccReadConflict),
            (2, Valid),
            (2, Valid),
            (3, MvccReadConflict),
        ] {
            verdicts.add(number, code);
        }
        let counted = |calls: Range<u64>| {
            (verdicts.valid(calls.clone()), verdicts.duplicates(calls.clone()), verdicts.transactions(calls))
        };
        assert_eq!(counted(0..10), (2, 1, 6));
        assert_eq!(counted(3..10), (0, 0, 1));
        assert!(verdicts.is_valid(2) && !verdicts.is_valid(3) && !verdicts.is_valid(4));
    }
}
