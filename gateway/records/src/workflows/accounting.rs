//! Who can see a record, who did, and why somebody was refused: what a compliance officer asks.

use std::collections::BTreeMap;

use caretrail_model::audit::{Act, AuditEntry};
use caretrail_model::calls::{Holder, ListHolders, ReplayDecision, ReplayedDecision};
use caretrail_model::consent::Effect;
use caretrail_model::decision::Decision;
use caretrail_model::ids::{PatientId, RecordId, TxId};
use caretrail_model::limits::HOLDERS_PER_PAGE_MAX;
use caretrail_model::time::UnixMs;

use super::access_log::LoggedEntry;
use crate::call_error::CallError;
use crate::records::Records;

/// Who can see a record at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeHolders {
    /// The instant that was decided for; that of the first page, when it is now.
    pub at: UnixMs,
    /// Ascending by actor.
    pub holders: Vec<Holder>,
}

/// One access to one record that was permitted, and what was released on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permitted<'a> {
    /// The entry that decided.
    pub decided: &'a LoggedEntry,
    /// The decision about this record.
    pub decision: &'a Decision,
    /// The entry of the release; nothing when nothing was released on this decision.
    pub released: Option<&'a LoggedEntry>,
}

impl Records {
    /// Everybody who could read a record at an instant, now when none is named: decided for each practitioner and
    /// purpose, page after page, all of them for the instant of the first.
    ///
    /// # Errors
    /// When the contract refuses.
    pub async fn holders(&self, record: RecordId, mut at: Option<UnixMs>) -> Result<WholeHolders, CallError> {
        let mut whole: Option<WholeHolders> = None;
        let mut bookmark = String::new();
        loop {
            let call = ListHolders { record, at, page_entries: HOLDERS_PER_PAGE_MAX, bookmark };
            let page = self.evaluate(&call).await?;
            at = Some(page.at);
            let whole = whole.get_or_insert(WholeHolders { at: page.at, holders: Vec::new() });
            whole.holders.extend(page.holders);
            bookmark = page.bookmark;
            if bookmark.is_empty() {
                return Ok(whole.clone());
            }
        }
    }

    /// The real reasons of a committed decision, which whoever asked is not told: decided again on the very facts that
    /// were read.
    ///
    /// # Errors
    /// When the contract refuses: it is for the auditor of the patient's home hospital.
    pub async fn reasons(&self, patient: PatientId, decision: TxId) -> Result<ReplayedDecision, CallError> {
        self.evaluate(&ReplayDecision { patient, decision }).await
    }
}

/// Every access that was permitted, in the order of the chain, with its release.
pub fn permitted(log: &[LoggedEntry]) -> Vec<Permitted<'_>> {
    let mut releases = BTreeMap::new();
    for logged in log {
        if let Act::Disclosed(disclosed) = &logged.entry.act {
            releases.insert((disclosed.decision, disclosed.record), logged);
        }
    }
    log.iter()
        .flat_map(|decided| decisions(&decided.entry).iter().map(move |decision| (decided, decision)))
        .filter(|(_, decision)| decision.effect == Effect::Permit)
        .map(|(decided, decision)| Permitted {
            decided,
            decision,
            released: releases.get(&(decided.entry.tx_id, decision.record)).copied(),
        })
        .collect()
}

/// The decisions of an entry; none when it is of another act.
pub fn decisions(entry: &AuditEntry) -> &[Decision] {
    match &entry.act {
        Act::AccessDecided(decided) => &decided.decisions,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use caretrail_model::audit::{AccessDecided, Disclosed};
    use caretrail_model::consent::Action;
    use caretrail_model::decision::{Facts, Rule};
    use caretrail_model::ids::{Actor, Digest, RequestId, Subject};
    use caretrail_model::purpose::Purpose;
    use caretrail_model::role::Role;

    use super::*;
    use crate::index::Position;

    fn logged(block: u64, act: Act) -> LoggedEntry {
        let actor = Actor { msp_id: "SouthMSP".parse().unwrap(), subject: Subject::from_bytes([2; 16]) };
        LoggedEntry {
            position: Some(Position { block, position: 0 }),
            entry: AuditEntry {
                epoch: 2,
                tx_id: tx_id(block),
                patient: PatientId::from_bytes([1; 16]),
                actor,
                role: Role::Clinician,
                certificate_digest: Digest::from_bytes([3; 32]),
                at: UnixMs::new(block).unwrap(),
                act,
            },
        }
    }

    fn tx_id(block: u64) -> TxId {
        TxId::from_bytes(*caretrail_model::hash::sha256(&block.to_be_bytes()).as_bytes())
    }

    fn record(byte: u8) -> RecordId {
        RecordId::from_bytes([byte; 16])
    }

    fn decided(block: u64, decisions: Vec<Decision>) -> LoggedEntry {
        let decided = AccessDecided {
            request: RequestId::from_bytes([4; 16]),
            action: Action::Read,
            purpose: Purpose::Treat,
            decisions,
            facts: Facts::default(),
        };
        logged(block, Act::AccessDecided(decided))
    }

    #[test]
    fn each_permitted_record_is_told_with_its_own_release() {
        let permit = |byte| Decision {
            effect: Effect::Permit,
            rule: Rule::ConsentPermits,
            ..Decision::deny(record(byte), Rule::NothingPermits)
        };
        let released = Disclosed {
            decision: tx_id(1),
            record: record(2),
            version: 1,
            recipient: logged(1, Act::PaperPatientRegistered {}).entry.actor,
            purpose: Purpose::Treat,
            kem_key_digest: Digest::from_bytes([5; 32]),
            facts: Facts::default(),
        };
        let log = [
            decided(1, vec![permit(1), permit(2), Decision::deny(record(3), Rule::NothingPermits)]),
            decided(2, vec![permit(2)]),
            logged(3, Act::Disclosed(released)),
        ];
        let told: Vec<_> = permitted(&log)
            .iter()
            .map(|seen| {
                let block = |logged: &LoggedEntry| logged.position.unwrap().block;
                (block(seen.decided), seen.decision.record, seen.released.map(block))
            })
            .collect();
        assert_eq!(told, [(1, record(1), None), (1, record(2), Some(3)), (2, record(2), None)]);
    }
}
