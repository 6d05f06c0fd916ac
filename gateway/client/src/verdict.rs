//! Which verdict is a transaction's own, of all that a block holds under its id.
//!
//! Any member may have an envelope ordered that carries another's transaction id. Peers tie an id to its creator only
//! after some other checks, and write what those found into the block under that id all the same. The transaction itself
//! may be VALID further on in the same block; in a later one it would be DUPLICATE_TXID, for the id is taken by then.

use hlf_protos::protos::{FilteredBlock, TxValidationCode};

/// Whether a verdict may be on an envelope that somebody else made under a transaction's id.
///
/// Those are what peers find before they have verified the creator's signature, and that the id is of this creator (Fabric
/// `core/common/validation/msgvalidation.go`). One comes right after: a signed proposal reads as a signed envelope too, of
/// the same creator and id, so whoever was asked to endorse can have it ordered, and gets INVALID_ENDORSER_TRANSACTION.
pub(crate) fn may_be_anothers(code: TxValidationCode) -> bool {
    use TxValidationCode as Code;
    matches!(
        code,
        Code::NilEnvelope
            | Code::BadPayload
            | Code::BadCommonHeader
            | Code::BadCreatorSignature
            | Code::InvalidEndorserTransaction
            | Code::InvalidConfigTransaction
            | Code::UnsupportedTxPayload
            | Code::BadProposalTxid
    )
}

/// Whether a verdict says nothing as long as no more is known: it may be on a copy, or on another's envelope.
pub(crate) fn is_doubtful(code: TxValidationCode) -> bool {
    code == TxValidationCode::DuplicateTxid || may_be_anothers(code)
}

/// How much more a verdict says of a transaction than another one under its id.
pub(crate) fn weight(code: TxValidationCode) -> u8 {
    match code {
        TxValidationCode::Valid => 3,
        TxValidationCode::DuplicateTxid => 0,
        code if may_be_anothers(code) => 1,
        _ => 2,
    }
}

/// A peer's number for a verdict; numbers that this crate doesn't know read as INVALID_OTHER_REASON.
pub(crate) fn verdict(number: i32) -> TxValidationCode {
    TxValidationCode::try_from(number).unwrap_or(TxValidationCode::InvalidOtherReason)
}

/// A transaction's verdict in a block, if the block holds it.
pub(crate) fn in_block(block: &FilteredBlock, tx_id: &str) -> Option<TxValidationCode> {
    let entries = block.filtered_transactions.iter().filter(|transaction| transaction.txid == tx_id);
    entries
        .map(|transaction| verdict(transaction.tx_validation_code))
        .reduce(|best, code| if weight(code) > weight(best) { code } else { best })
}

#[cfg(test)]
mod tests {
    use hlf_protos::protos::FilteredTransaction;

    use super::*;

    #[test]
    fn of_all_under_one_id_a_verdict_that_only_the_transaction_itself_can_get_wins() {
        use TxValidationCode::{
            BadProposalTxid, DuplicateTxid, InvalidEndorserTransaction, MvccReadConflict,
            UnsupportedTxPayload, Valid,
        };
        let of = |codes: &[TxValidationCode]| {
            let entry = |(txid, code): (&str, TxValidationCode)| FilteredTransaction {
                txid: txid.to_owned(),
                tx_validation_code: code.into(),
                ..FilteredTransaction::default()
            };
            let others = [("other", Valid)];
            let entries = codes.iter().map(|code| ("mine", *code)).chain(others);
            let block = FilteredBlock {
                filtered_transactions: entries.map(entry).collect(),
                ..FilteredBlock::default()
            };
            in_block(&block, "mine")
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[BadProposalTxid]), Some(BadProposalTxid));
        assert_eq!(of(&[BadProposalTxid, Valid, DuplicateTxid]), Some(Valid));
        assert_eq!(of(&[DuplicateTxid, UnsupportedTxPayload]), Some(UnsupportedTxPayload));
        assert_eq!(of(&[UnsupportedTxPayload, MvccReadConflict, BadProposalTxid]), Some(MvccReadConflict));
        assert_eq!(of(&[InvalidEndorserTransaction, Valid]), Some(Valid));
        assert!([DuplicateTxid, BadProposalTxid, InvalidEndorserTransaction].into_iter().all(is_doubtful));
        assert!(!is_doubtful(Valid) && !is_doubtful(MvccReadConflict));
    }
}
