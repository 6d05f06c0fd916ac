//! What calls ask of the peer, on the way of the tables and on others.

use std::collections::BTreeSet;

use caretrail_model::calls::*;
use caretrail_model::limits::RECORDS_PER_BATCH_MAX;
use caretrail_model::role::Role;
use caretrail_model::statement::{Operation, Stop};
use caretrail_model::time::DurationMs;
use hlf_testpeer::Outcome;

use super::Stage;
use crate::world::{Staff, admin, commitments, demand_plain, registering, requesting, staff};

/// What an accepted call asks of the peer.
#[derive(Debug, PartialEq)]
pub(super) struct Footprint {
    pub(super) requests: usize,
    /// Kinds of keys.
    pub(super) reads: BTreeSet<String>,
    pub(super) writes: BTreeSet<String>,
}

impl Footprint {
    pub(super) fn of(outcome: &Outcome) -> Self {
        let kind = |key: &String| key.trim_start_matches('\0').split('\0').next().unwrap().to_owned();
        Self {
            requests: outcome.round_trips(),
            reads: outcome.rwset.reads.keys().map(kind).collect(),
            writes: outcome.rwset.writes.keys().map(kind).collect(),
        }
    }
}

impl Stage {
    /// What a call asks for on its other ways, each of which reads or writes something else than the way of the table's
    /// first part. Commits what leads there.
    pub(super) async fn other_ways(&self) -> Vec<(&'static str, &'static str, Footprint)> {
        let (ward, world) = (&self.ward, &self.ward.world);
        let (patient, record) = (ward.patient.id, ward.record);
        let auditor = staff("NorthMSP", Role::Auditor);
        let mut ways = Vec::new();

        let approve = ApprovePolicy { digest: self.next_digest };
        world.done(&admin("SouthMSP"), &approve).await;
        ways.push(self.way("the one that puts it in force", &admin("NorthMSP"), &approve).await);
        ways.push(
            self.way("by another hospital", &ward.reader, &registering(&ward.reader, &ward.patient)).await,
        );
        let mut records: Vec<NewRecord> = (0..RECORDS_PER_BATCH_MAX)
            .map(|_| {
                let RegisterRecord { record, nonce, commitments, .. } =
                    registering(&ward.reader, &ward.patient);
                NewRecord { record, nonce, commitments, tags: None }
            })
            .collect();
        records.sort_by_key(|new| new.record);
        let hundred = RegisterRecords { patient, records };
        ways.push(self.way("a hundred, by another hospital", &ward.reader, &hundred).await);
        let request = requesting(&ward.patient, &[record]);
        world.done(&ward.reader, &request).await;
        ways.push(self.way("again", &ward.reader, &request).await);

        let stop = StopAll { signed: self.signed(Operation::StopAll(Stop { stopped: true })) };
        world.done(&ward.south, &stop).await;
        let open = OpenRelationship {
            patient,
            subject: Some(ward.reader.actor.subject),
            until: world.now().plus(DurationMs::from_secs(3600)),
        };
        world.done(&ward.south, &open).await;
        let decision = world.done(&ward.reader, &requesting(&ward.patient, &[record])).await.decision;
        let amend = AmendRecord {
            patient,
            record,
            version: 2,
            commitments: commitments(),
            tags: None,
            derived_from: vec![],
        };
        world.done(&ward.author, &amend).await;
        let before = world.now();
        world.pass(1_000);
        let replay = ReplayDecision { patient, decision };
        ways.push(self.way("with everything that a decision can rest on", &auditor, &replay).await);
        let past = WhoCanSee { record, at: Some(before) };
        ways.push(self.way("at a past instant", &ward.north, &past).await);
        ways
    }

    async fn way<C: Call>(
        &self,
        way: &'static str,
        caller: &Staff,
        call: &C,
    ) -> (&'static str, &'static str, Footprint) {
        let outcome = self.ward.world.peer.invoke(&self.ward.world.proposal(caller, call)).await.unwrap();
        assert!(outcome.is_ok(), "{}, {way}: {outcome}", C::NAME);
        if C::WRITES {
            demand_plain(&outcome);
        }
        (C::NAME, way, Footprint::of(&outcome))
    }
}

/// A row of the table of keys: the same keys whether or not the peer takes many at once.
pub(super) fn told(call: &str, footprint: &Footprint, one_by_one: &Footprint) -> String {
    let Footprint { requests, reads, writes } = footprint;
    assert_eq!((reads, writes), (&one_by_one.reads, &one_by_one.writes), "{call}");
    let listed =
        |kinds: &BTreeSet<String>| kinds.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(" ");
    format!("| {call} | {requests} | {} | {} | {} |\n", one_by_one.requests, listed(reads), listed(writes))
}
