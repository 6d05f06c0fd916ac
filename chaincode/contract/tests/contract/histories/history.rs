//! One history: what is endorsed now and committed later, and what has to be true of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use caretrail_model::audit::Act;
use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, Effect};
use caretrail_model::decision::Decision;
use caretrail_model::ids::{Actor, Digest, MspId, RecordId, RequestId, TxId};
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Record;
use caretrail_model::role::Role;
use caretrail_model::time::UnixMs;
use hlf_testpeer::{Outcome, Validity};
use p256::ecdsa::SigningKey;

use super::cast::{Asking, Cast};
use super::covered::Covered;
use super::facts::{self, Facts, Question};
use crate::oracle::cases::Generator;
use crate::world::{Person, Staff, World, at, fresh_key, random, refusal};

/// Steps of a history.
const STEPS: u64 = 70;
/// Steps that a transaction is on its way at most.
const STEPS_LATE_MAX: u64 = 5;
/// Records of which it is asked who can see them.
const RECORDS_SEEN: usize = 2;
/// How far a client's clock is off at most.
const SKEW_MS_MAX: u64 = 30_000;

pub(crate) struct History {
    pub(super) world: World,
    pub(super) cast: Arc<Cast>,
    pub(super) patients: Vec<Person>,
    pub(super) guardians: Vec<SigningKey>,
    /// Each with whose it is.
    pub(super) records: Vec<(RecordId, usize)>,
    pub(super) draw: Generator,
    pub(super) covered: Covered,
    told: Told,
    step: u64,
    /// Transactions that changed the state so far.
    changes: u64,
    /// Which of them wrote a key last.
    changed: BTreeMap<String, u64>,
    in_flight: Vec<InFlight>,
    decided: Vec<Asked>,
}

/// Endorsed, and not committed yet.
struct InFlight {
    outcome: Outcome,
    call: Sent,
    /// What it had to read.
    reads: BTreeSet<String>,
    /// Changes when it was endorsed.
    since: u64,
    due: u64,
}

#[derive(Clone, Debug)]
enum Sent {
    Change(&'static str),
    Request(Asked),
    Disclosure { call: RecordDisclosure, by: MspId },
}

/// A request, and what the second reading gave when it was endorsed.
#[derive(Clone, Debug)]
struct Asked {
    question: Question,
    request: RequestId,
    records: Vec<RecordId>,
    tx_id: TxId,
    at: UnixMs,
    decisions: Vec<Decision>,
}

impl History {
    /// Lives the history of a number.
    pub(crate) async fn live(cast: Arc<Cast>, seed: u64, number: u64) -> Covered {
        let mut history = Self {
            world: World::with(|builder| builder.runs(1)).await,
            cast,
            patients: Vec::new(),
            guardians: vec![fresh_key(), fresh_key()],
            records: Vec::new(),
            // What neighbouring numbers draw is the same otherwise, each one draw later.
            draw: Generator::of(Generator::of(seed, number).next(), 0),
            covered: Covered::default(),
            told: Told { seed, number, lines: Vec::new() },
            step: 0,
            changes: 0,
            changed: BTreeMap::new(),
            in_flight: Vec::new(),
            decided: Vec::new(),
        };
        history.begin().await;
        while history.step < STEPS {
            history.step += 1;
            history.commit_due(history.step);
            history.take_a_step().await;
        }
        history.commit_due(u64::MAX);
        history.see_who_can_see().await;
        history.replay().await;
        std::mem::take(&mut history.covered)
    }

    async fn take_a_step(&mut self) {
        match self.draw.below(100) {
            0..10 => {
                let ms = 1 + i64::try_from(self.draw.below(15_000)).unwrap();
                self.told.line(format!("{ms} ms pass"));
                self.world.pass(ms);
            }
            10..40 => self.request().await,
            40..55 => self.disclose().await,
            55..57 => self.ask_again().await,
            _ => self.change().await,
        }
    }

    /// Endorses what changes a fact, and commits it, now or later.
    pub(super) async fn act<C: Call + fmt::Debug>(&mut self, staff: &Staff, call: &C) {
        let outcome = self.endorse(staff, call).await;
        if outcome.is_ok() {
            let reads = outcome.rwset.reads.keys().cloned().collect();
            self.send(outcome, Sent::Change(C::NAME), reads, 25);
        } else {
            self.covered.count(format!("{} refused: {}", C::NAME, refusal(&outcome)));
        }
    }

    /// A client's clock is right or a little off.
    async fn endorse<C: Call + fmt::Debug>(&mut self, staff: &Staff, call: &C) -> Outcome {
        let skew = i64::try_from(self.draw.below(SKEW_MS_MAX)).unwrap();
        let skew = match self.draw.below(4) {
            0 => -skew,
            1 => skew,
            _ => 0,
        };
        let timestamp = self.world.peer.clock_unix_ms() + skew;
        let proposal = self.world.proposal(staff, call).timestamp_unix_ms(timestamp);
        let outcome = self.world.peer.invoke(&proposal).await.unwrap();
        let end = if outcome.is_ok() { "endorsed" } else { outcome.message.as_str() };
        let Staff { actor, .. } = staff;
        self.told.line(format!("at {timestamp}, {actor:?} calls {call:?}: {end}, {}", outcome.tx_id));
        outcome
    }

    fn send(&mut self, outcome: Outcome, call: Sent, reads: BTreeSet<String>, late: u64) {
        let steps = if self.draw.chance(late) { 1 + self.draw.below(STEPS_LATE_MAX) } else { 0 };
        let due = self.step + steps;
        let in_flight = InFlight { outcome, call, reads, since: self.changes, due };
        if steps == 0 { self.commit(in_flight) } else { self.in_flight.push(in_flight) }
    }

    fn commit_due(&mut self, step: u64) {
        let (due, rest) =
            std::mem::take(&mut self.in_flight).into_iter().partition(|in_flight| in_flight.due <= step);
        self.in_flight = rest;
        let due: Vec<InFlight> = due;
        for in_flight in due {
            self.commit(in_flight);
        }
    }

    /// Commits: VALID if nothing that it had to read has changed, and then on facts that still decide the same.
    fn commit(&mut self, in_flight: InFlight) {
        let InFlight { outcome, call, reads, since, .. } = in_flight;
        let overtaken: BTreeSet<&str> = reads
            .iter()
            .filter(|key| self.changed.get(*key).is_some_and(|change| *change > since))
            .map(|key| facts::kind(key))
            .collect();
        let decides_the_same = self.decides_the_same(&outcome, &call);
        let (_, validity) = self.world.peer.commit(std::slice::from_ref(&outcome));
        self.told.line(format!("{} commits: {validity:?}, overtaken by {overtaken:?}", outcome.tx_id));
        if !overtaken.is_empty() {
            assert_eq!(
                validity,
                [Validity::MvccReadConflict],
                "it read {overtaken:?} before a change\n{outcome}"
            );
            for kind in overtaken {
                self.covered.count(format!("{call} overtaken by {kind}"));
            }
            if !decides_the_same {
                self.covered.count(format!("{call} overtaken by what decides otherwise"));
            }
            return;
        }
        assert_eq!(validity, [Validity::Valid], "nothing that it read has changed\n{outcome}");
        assert!(decides_the_same, "VALID on facts that decide otherwise\n{outcome}");
        self.changes += 1;
        for key in outcome.rwset.writes.keys() {
            self.changed.insert(key.clone(), self.changes);
        }
        match call {
            Sent::Change(name) => self.covered.count(format!("{name} done")),
            Sent::Request(asked) => self.keep_decided(asked),
            Sent::Disclosure { call, .. } => self.keep_disclosed(&call),
        }
    }

    /// Whether the second reading gives of the facts of now what it gave of those at the endorsement.
    fn decides_the_same(&self, outcome: &Outcome, call: &Sent) -> bool {
        let timestamp = at(outcome.timestamp_unix_ms);
        match call {
            Sent::Change(_) => true,
            Sent::Request(asked) => {
                let again = asked.question.decide_all(&self.world.peer, &asked.records, timestamp);
                again == (asked.at, asked.decisions.clone())
            }
            Sent::Disclosure { call, by } => self.judge(call, by, timestamp).is_ok(),
        }
    }

    fn keep_decided(&mut self, asked: Asked) {
        let entry = facts::entry(&self.world.peer, &asked.question.patient, &asked.tx_id).unwrap();
        let Act::AccessDecided(decided) = &entry.act else { panic!("{entry:?}") };
        let told: Vec<Decision> = asked.decisions.iter().map(Decision::told).collect();
        assert_eq!(decided.decisions, told, "committed, and the second reading's");
        assert_eq!(
            (entry.at, &entry.actor, entry.role),
            (asked.at, &asked.question.actor, asked.question.role)
        );
        for decision in &asked.decisions {
            self.covered.count(format!("decided by {}", decision.rule));
        }
        self.decided.push(asked);
    }

    fn keep_disclosed(&mut self, call: &RecordDisclosure) {
        let RecordDisclosure { patient, decision, record, .. } = call;
        let kept = facts::disclosure(&self.world.peer, patient, decision, record).unwrap().disclosed;
        assert_eq!((kept.version, &kept.recipient), (call.version, &call.recipient));
        self.covered.count("disclosed");
    }

    async fn request(&mut self) {
        let again = self.draw.chance(10).then(|| self.any_in_flight()).flatten();
        let (question, request, records) = match again {
            // The same request, sent once more before it is committed.
            Some(Asked { question, request, records, .. }) => (question, request, records),
            None => {
                let (question, records) = self.question();
                (question, RequestId::from_bytes(random()), records)
            }
        };
        let staff = self.cast.staff(&question.actor, question.role);
        let call = RequestAccess {
            request,
            patient: question.patient,
            records: records.clone(),
            action: question.action,
            purpose: question.purpose,
        };
        let outcome = self.endorse(&staff, &call).await;
        assert!(outcome.is_ok(), "a request is decided, whatever comes of it\n{outcome}");
        let (now, decisions) = question.decide_all(&self.world.peer, &records, at(outcome.timestamp_unix_ms));
        let reply: AccessDecision = outcome.json().unwrap();
        let told: Vec<Decision> = decisions.iter().map(Decision::told).collect();
        assert_eq!((reply.at, reply.decisions), (now, told), "the second reading gives {decisions:?}");
        let reads = facts::keys_of_request(&question, &request, &records);
        demand_reads(&outcome, &reads);
        let tx_id = reply.decision;
        let asked = Asked { question, request, records, tx_id, at: now, decisions };
        self.send(outcome, Sent::Request(asked), reads, 50);
    }

    fn any_in_flight(&mut self) -> Option<Asked> {
        let asked = self.in_flight.iter().filter_map(|in_flight| match &in_flight.call {
            Sent::Request(asked) => Some(asked.clone()),
            _ => None,
        });
        // Of those that were sent twice, the first has been decided already.
        let is_decided = |asked: &Asked| self.decided.iter().any(|decided| decided.request == asked.request);
        let asked: Vec<Asked> = asked.filter(|asked| !is_decided(asked)).collect();
        (!asked.is_empty()).then(|| self.draw.one_of(&asked))
    }

    /// Whose request is on its way.
    pub(super) fn who_waits(&mut self) -> Option<Actor> {
        self.any_in_flight().map(|asked| asked.question.actor)
    }

    fn question(&mut self) -> (Question, Vec<RecordId>) {
        let (actor, role) = if self.draw.chance(92) {
            (self.practitioner(), Role::Clinician)
        } else {
            let Asking { actor, role, .. } = self.draw.one_of(&self.cast.clone().asking);
            (actor, role)
        };
        let patient = self.patient();
        let mut records: Vec<RecordId> = Vec::new();
        for _ in 0..=self.draw.below(3) {
            let own: Vec<RecordId> =
                self.records.iter().filter(|(_, of)| *of == patient).map(|(id, _)| *id).collect();
            records.push(match self.draw.below(20) {
                0 => RecordId::from_bytes(random()),
                1 => self.draw.one_of(&self.records.clone()).0,
                _ => self.draw.one_of(&own),
            });
        }
        records.sort_unstable();
        records.dedup();
        let action = match self.draw.below(12) {
            0 => Action::Write,
            1 => Action::Delegate,
            _ => Action::Read,
        };
        let purpose = match self.draw.below(20) {
            0..13 => Purpose::Treat,
            13..17 => Purpose::Btg,
            17 => Purpose::Hresch,
            18 => Purpose::Clintrch,
            _ => Purpose::Patrqt,
        };
        let question = Question { actor, role, patient: self.patients[patient].id, action, purpose };
        (question, records)
    }

    /// The first decision is given again, whatever has changed since.
    async fn ask_again(&mut self) {
        if self.decided.is_empty() {
            return;
        }
        let asked = self.draw.one_of(&self.decided.clone());
        let Asked { question, request, records, .. } = asked;
        let call = RequestAccess {
            request,
            patient: question.patient,
            records,
            action: question.action,
            purpose: question.purpose,
        };
        let staff = self.cast.staff(&question.actor, question.role);
        let outcome = self.endorse(&staff, &call).await;
        assert!(outcome.is_ok() && outcome.rwset.writes.is_empty(), "{outcome}");
        let reply: AccessDecision = outcome.json().unwrap();
        let told: Vec<Decision> = asked.decisions.iter().map(Decision::told).collect();
        assert_eq!((reply.decision, reply.at, reply.decisions), (asked.tx_id, asked.at, told));
        self.covered.count("asked again");
    }

    async fn disclose(&mut self) {
        let Some((call, by)) = self.disclosing() else { return };
        let staff = self.cast.service(by.as_str()).clone();
        let outcome = self.endorse(&staff, &call).await;
        let judged = self.judge(&call, &by, at(outcome.timestamp_unix_ms));
        match judged {
            Ok(now) => {
                assert!(outcome.is_ok(), "the second reading permits it\n{outcome}");
                let reply: Disclosure = outcome.json().unwrap();
                assert_eq!(reply.at, now);
                let RecordDisclosure { recipient, patient, decision, record, .. } = &call;
                let reads = facts::keys_of_disclosure(recipient, patient, decision, record);
                demand_reads(&outcome, &reads);
                self.send(outcome, Sent::Disclosure { call, by }, reads, 50);
            }
            Err(code) => {
                assert_eq!(refusal(&outcome), code, "{outcome}");
                self.covered.count(format!("disclosure refused: {code}"));
            }
        }
    }

    /// A disclosure under a decision, most often as it was decided.
    fn disclosing(&mut self) -> Option<(RecordDisclosure, MspId)> {
        let permitted = |asked: &&Asked| {
            asked.question.action == Action::Read
                && asked.decisions.iter().any(|decision| decision.effect == Effect::Permit)
        };
        let permits: Vec<Asked> = self.decided.iter().rev().filter(permitted).take(6).cloned().collect();
        let asked = match self.draw.below(12) {
            0 => self.any_in_flight()?,
            1 if !self.decided.is_empty() => self.draw.one_of(&self.decided.clone()),
            _ if !permits.is_empty() => self.draw.one_of(&permits),
            _ => return None,
        };
        // Ids are another time's others: in their order, a seed would not draw the same again.
        let mut decisions = asked.decisions;
        decisions.sort_by_key(|decision| self.records.iter().position(|(id, _)| *id == decision.record));
        let permit = decisions.iter().filter(|decision| decision.effect == Effect::Permit);
        let permit: Vec<Decision> = permit.cloned().collect();
        let decision = if permit.is_empty() || self.draw.chance(5) {
            self.draw.one_of(&decisions)
        } else {
            self.draw.one_of(&permit)
        };
        let version = decision.version.unwrap_or(1) + u64::from(self.draw.chance(5));
        let recipient = if self.draw.chance(5) {
            self.draw.one_of(&self.cast.clone().asking).actor
        } else {
            asked.question.actor
        };
        let custodian = facts::record(&self.world.peer, &decision.record).map(|record| record.custodian);
        let by = custodian
            .filter(|_| self.draw.chance(95))
            .unwrap_or_else(|| self.draw.one_of(&self.cast.hospitals()));
        let call = RecordDisclosure {
            patient: asked.question.patient,
            decision: asked.tx_id,
            record: decision.record,
            version,
            recipient,
            kem_key_digest: Digest::from_bytes([u8::from(self.draw.chance(50)); 32]),
        };
        Some((call, by))
    }

    /// What becomes of a disclosure, by the ledger's entry of its decision and the second reading; if it is accepted,
    /// its effective time.
    fn judge(&self, call: &RecordDisclosure, by: &MspId, timestamp: UnixMs) -> Result<UnixMs, Code> {
        let peer = &self.world.peer;
        let entry = facts::entry(peer, &call.patient, &call.decision).ok_or(Code::DecisionUnknown)?;
        let Act::AccessDecided(decided) = &entry.act else { return Err(Code::DecisionUnknown) };
        let permit = decided.decisions.iter().find(|decision| decision.record == call.record);
        let permit = permit.filter(|decision| {
            decision.effect == Effect::Permit
                && decision.version == Some(call.version)
                && decided.action == Action::Read
                && entry.actor == call.recipient
        });
        let valid_until = permit.ok_or(Code::DisclosureMismatch)?.valid_until.unwrap();
        let record = facts::record(peer, &call.record);
        if record.as_ref().is_none_or(|record| record.custodian != *by) {
            return Err(Code::HospitalNotAllowed);
        }
        if let Some(before) = facts::disclosure(peer, &call.patient, &call.decision, &call.record) {
            let same = before.disclosed.kem_key_digest == call.kem_key_digest;
            return Err(if same { Code::AlreadyDisclosed } else { Code::DisclosedToOtherKey });
        }
        let question = Question {
            actor: entry.actor,
            role: entry.role,
            patient: call.patient,
            action: Action::Read,
            purpose: decided.purpose,
        };
        let (now, decisions) = question.decide_all(peer, &[call.record], timestamp.max(entry.at));
        if now >= valid_until {
            return Err(Code::PermitExpired);
        }
        if decisions[0].effect == Effect::Deny {
            return Err(Code::PermitEnded);
        }
        Ok(now)
    }

    /// Who can see each record: those for whom the second reading permits something at the instant that is told.
    ///
    /// That instant leaves out when the record, and what is a practitioner's own, was put in force. So where a client's
    /// clock was ahead, a request would be decided for a later one: once all clocks are past it, they are the same.
    async fn see_who_can_see(&mut self) {
        let skew = i64::try_from(SKEW_MS_MAX).unwrap();
        self.world.pass(skew);
        for behind in [skew * 2, 0] {
            let timestamp = self.world.peer.clock_unix_ms() - behind;
            for _ in 0..RECORDS_SEEN {
                let (id, of) = self.draw.one_of(&self.records.clone());
                let Some(record) = facts::record(&self.world.peer, &id) else { continue };
                let call = WhoCanSee { record: id, at: None };
                let proposal = self.world.proposal(self.cast.auditor(self.patients[of].home), &call);
                let outcome = self.world.peer.invoke(&proposal.timestamp_unix_ms(timestamp)).await.unwrap();
                let seen: Holders = outcome.json().unwrap();
                let deciding =
                    self.holders(id, of, &record, |facts| at(timestamp).max(facts.newest()).max(record.at));
                if seen.holders == deciding {
                    let by = if deciding.is_empty() { "nobody" } else { "somebody" };
                    self.covered.count(format!("seen by {by}"));
                } else {
                    assert!(behind > 0, "who can see {id:?} is {seen:?}, and should be {deciding:?}");
                    let told = self.holders(id, of, &record, |_| seen.at);
                    assert_eq!(seen.holders, told, "who can see {id:?} at {:?}", seen.at);
                    self.covered.count("seen before a fact that a request would take");
                }
            }
        }
    }

    /// For whom the second reading permits something at an instant that may depend on their facts.
    fn holders(
        &self,
        id: RecordId,
        of: usize,
        record: &Record,
        instant: impl Fn(&Facts) -> UnixMs,
    ) -> Vec<Holder> {
        let patient = self.patients[of].id;
        let mut holders = Vec::new();
        for actor in self.cast.practitioners() {
            let facts = Facts::of(&self.world.peer, &actor, &patient);
            let Some(role) = facts.standing.as_ref().map(|standing| standing.role) else { continue };
            let (mut purposes, mut consents) = (Vec::new(), Vec::new());
            for purpose in Purpose::ALL {
                let question =
                    Question { actor: actor.clone(), role, patient, action: Action::Read, purpose };
                let decision = facts.decide(&question, id, Some(record), instant(&facts));
                if decision.effect == Effect::Permit {
                    purposes.push(purpose);
                    consents.extend(decision.consent);
                }
            }
            if !purposes.is_empty() {
                holders.push(Holder { actor, role, purposes, consents });
            }
        }
        holders
    }

    /// Every decision, decided again on its own facts whatever has changed since.
    async fn replay(&mut self) {
        for asked in std::mem::take(&mut self.decided) {
            let patient = asked.question.patient;
            let home = self.patients.iter().find(|person| person.id == patient).unwrap().home;
            let auditor = self.cast.auditor(home).clone();
            let call = ReplayDecision { patient, decision: asked.tx_id };
            let replayed = self.world.seen(&auditor, &call).await;
            assert!(replayed.matches, "{asked:?} is replayed as {replayed:?}");
            assert_eq!(
                (replayed.at, replayed.decisions),
                (asked.at, asked.decisions),
                "of {:?}",
                asked.tx_id
            );
            self.covered.count("replayed");
        }
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Change(_) => "change",
            Self::Request(_) => "request",
            Self::Disclosure { .. } => "disclosure",
        })
    }
}

/// It read what it had to, and nothing that would make it fail for no reason.
fn demand_reads(outcome: &Outcome, expected: &BTreeSet<String>) {
    let reads: BTreeSet<String> = outcome.rwset.reads.keys().cloned().collect();
    assert_eq!(&reads, expected, "{outcome}");
    assert!(outcome.rwset.ranges.is_empty(), "{outcome}");
}

/// What has happened, told when it comes to a bad end.
struct Told {
    seed: u64,
    number: u64,
    lines: Vec<String>,
}

impl Told {
    fn line(&mut self, line: String) {
        self.lines.push(line);
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("history {} of seed {}:\n{}", self.number, self.seed, self.lines.join("\n"));
        }
    }
}
