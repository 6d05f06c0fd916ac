//! What the blocks hold in the end, decoded without the code that sent it.

use std::collections::BTreeMap;

use caretrail_tests::both::Sent;
use caretrail_tests::chain::{Chain, Transaction, exactly};
use hlf_protos::kvrwset::KvrwSet;
use hlf_protos::protos::TxValidationCode;
use hlf_protos::rwset::TxReadWriteSet;

use crate::world::{ELSEWHERE, NOTARY, RELAY, Siege};

/// How many transactions of each chaincode have which verdict.
const COUNTS: [(&str, &str, TxValidationCode, usize); 7] = [
    (ELSEWHERE, "caretrail", TxValidationCode::Valid, 5),
    ("records", "caretrail", TxValidationCode::Valid, 132),
    ("records", "caretrail", TxValidationCode::DuplicateTxid, 1),
    ("records", "caretrail", TxValidationCode::EndorsementPolicyFailure, 20),
    ("records", "caretrail", TxValidationCode::MvccReadConflict, 3),
    ("records", NOTARY, TxValidationCode::Valid, 5),
    ("records", RELAY, TxValidationCode::Valid, 2),
];

pub(crate) async fn the_blocks_hold_what_was_tried_and_nothing_else(siege: &mut Siege) {
    let admin = siege.hospitals.gateway("south/admin").await;
    let mut held = Vec::new();
    let mut counts: BTreeMap<(&str, String, TxValidationCode), usize> = BTreeMap::new();
    for channel in ["records", ELSEWHERE] {
        for tx in Chain::read(&admin, channel).await.transactions() {
            if !["caretrail", NOTARY, RELAY].contains(&tx.chaincode.as_str()) {
                continue;
            }
            demand_no_policy_of_a_key(&tx);
            *counts.entry((channel, tx.chaincode.clone(), tx.code)).or_default() += 1;
            let tx_id = tx.channel_header.tx_id.clone();
            held.push(Sent { channel: channel.to_owned(), tx_id, code: tx.code });
        }
    }
    // Each that was sent, with the verdict that it was told, in the order in which they were sent.
    let sent: Vec<&Sent> = ["records", ELSEWHERE]
        .into_iter()
        .flat_map(|channel| siege.sent.iter().filter(move |sent| sent.channel == channel))
        .collect();
    assert_eq!(held.iter().collect::<Vec<_>>(), sent);
    let counts: Vec<_> = counts
        .iter()
        .map(|((channel, chaincode, code), count)| (*channel, chaincode.as_str(), *code, *count))
        .collect();
    assert_eq!(counts, COUNTS);
}

/// A policy of one key would take the place of the chaincode's: the contract writes none.
fn demand_no_policy_of_a_key(tx: &Transaction) {
    if tx.code != TxValidationCode::Valid {
        return;
    }
    let written: TxReadWriteSet = exactly(&tx.result.results);
    for namespace in &written.ns_rwset {
        let sets: KvrwSet = exactly(&namespace.rwset);
        assert_eq!(sets.metadata_writes, [], "{}", tx.channel_header.tx_id);
    }
}
