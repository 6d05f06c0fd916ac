//! Every call by every role of the patient's home, of another member and of a hospital that is none: three tables, made
//! by making the calls, committed, and compared. One says who may make which call, one which keys each reads and writes,
//! one what is endorsed of each.
//!
//! Each call's argument is right for whoever may make it, so what is refused is refused for who makes it.
//! `CARETRAIL_WRITE_TABLES=1` writes the tables anew.

mod footprints;

use caretrail_model::calls::*;
use caretrail_model::consent::Action;
use caretrail_model::for_each_call;
use caretrail_model::ids::{Digest, Nonce, PatientId, RecordId, StatementId, Subject, TxId};
use caretrail_model::paper::PaperAct;
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::statement::{
    Cancellation, CorrectionRequest, EmergencyChoice, Grant, GuardianEnd, GuardianTerm, NewKey, Operation,
    OwnRecord, PublicKey, SignedStatement, Stop,
};
use caretrail_model::time::{DurationMs, Period};
use footprints::{Footprint, told};
use p256::ecdsa::SigningKey;

use crate::endorsed;
use crate::tables::compare;
use crate::world::{
    Person, Staff, Ward, World, admin, at, commitments, demand_plain, fresh_key, person, random, registering,
    requesting, staff, wide_policy,
};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/calls-by-role.md");
const ENDORSED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/endorsed-under-epoch-2.md");
const FOOTPRINTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/calls-by-keys.md");
const HOSPITALS: [(&str, &str); 3] = [("NorthMSP", "home"), ("SouthMSP", "member"), ("EastMSP", "no member")];

/// What comes of one call.
struct Row {
    call: &'static str,
    /// One a caller: `yes`, or the code of the refusal.
    outcomes: Vec<String>,
    /// Of a call that was accepted.
    footprint: Option<Footprint>,
    /// Of the same: what is endorsed.
    endorsed: Option<String>,
}

/// A ward where every call has something to be about.
struct Stage {
    ward: Ward,
    callers: Vec<Staff>,
    guardian: SigningKey,
    consent: StatementId,
    passed_on: StatementId,
    permit: TxId,
    disclosed: TxId,
    another_policy: String,
    next_digest: Digest,
    offered: RecordId,
    losing: Person,
    recovery: StatementId,
    due: Person,
    due_recovery: StatementId,
    paper: PatientId,
    waiting: StatementId,
}

async fn stage(world: World) -> Stage {
    world.put_in_force(&wide_policy()).await;
    let ward = Ward::on(world).await;
    let world = &ward.world;
    let mut callers = Vec::new();
    for (hospital, _) in HOSPITALS {
        for role in Role::ALL {
            let caller = staff(hospital, role);
            if hospital != "EastMSP" {
                let purposes = [Purpose::Treat, Purpose::Btg];
                world.authorize_for(&caller, role, &purposes, DurationMs::from_days(1)).await;
            }
            callers.push(caller);
        }
    }
    let consent = ward.grant(|p| p.actions = vec![Action::Read, Action::Delegate]).await;
    let nonce = Nonce::from_bytes(random());
    let delegate = DelegateConsent {
        patient: ward.patient.id,
        parent: consent,
        id: StatementId::derive_for(&ward.reader.actor, &ward.patient.id, &nonce),
        nonce,
        provision: ward.provision(|_| {}),
    };
    let passed_on = world.done(&ward.reader, &delegate).await.consent;
    let permit = world.done(&ward.reader, &requesting(&ward.patient, &[ward.record])).await.decision;
    let disclosed = world.done(&ward.reader, &requesting(&ward.patient, &[ward.record])).await.decision;
    world.done(&ward.north, &ward.disclosing(disclosed)).await;
    let next = ConsortiumPolicy { sequence: 2, ..wide_policy() };
    let mut another = next.clone();
    another.durations.permit_ms = DurationMs::from_secs(200);
    let propose = ProposePolicy { policy: serde_json::to_string(&next).unwrap() };
    let next_digest = world.done(&admin("NorthMSP"), &propose).await.digest;
    let offered = world.record(&ward.author, &ward.patient).await;
    let offer =
        TransferCustody { patient: ward.patient.id, record: offered, to: Some("SouthMSP".parse().unwrap()) };
    world.done(&ward.north, &offer).await;

    let guardian = fresh_key();
    let add = AddGuardian { signed: ward.signed(Operation::AddGuardian(term(&guardian, world.now()))) };
    world.done(&ward.south, &add).await;
    let correction = RequestCorrection { signed: ward.signed(correcting(ward.record)), number: 1 };
    world.done(&ward.south, &correction).await;
    let open = OpenRelationship {
        patient: ward.patient.id,
        subject: None,
        until: world.now().plus(DurationMs::from_days(2)),
    };
    for service in [&ward.north, &ward.south] {
        world.done(service, &open).await;
    }
    let breaking = BreakGlass { patient: ward.patient.id, reason_digest: Digest::from_bytes([1; 32]) };
    world.done(&ward.reader, &breaking).await;

    let (losing, due) = (world.patient("NorthMSP").await, world.patient("NorthMSP").await);
    let recovering = async |lost: &Person| {
        let key = fresh_key();
        let signed = world.signed_by(&key, lost.id, Operation::RecoverKey(new_key(&key)));
        let recovery = signed.parse().unwrap().id;
        world.done(&ward.north, &RecoverKey { signed }).await;
        recovery
    };
    let recovery = recovering(&losing).await;
    let due_recovery = recovering(&due).await;
    let confirm = ConfirmRecovery { patient: due.id, recovery: due_recovery };
    world.done(&ward.south, &confirm).await;
    world.pass(80_000);

    let nonce = Nonce::from_bytes(random());
    let paper = PatientId::derive_on_paper(&"NorthMSP".parse().unwrap(), &nonce);
    world.done(&ward.north, &RegisterPaperPatient { patient: paper, nonce }).await;
    let acting = acting(&ward, &ward.north, paper);
    let waiting = acting.id;
    world.done(&ward.north, &acting).await;
    Stage {
        callers,
        guardian,
        consent,
        passed_on,
        permit,
        disclosed,
        another_policy: serde_json::to_string(&another).unwrap(),
        next_digest,
        offered,
        losing,
        recovery,
        due,
        due_recovery,
        paper,
        waiting,
        ward,
    }
}

fn new_key(key: &SigningKey) -> NewKey {
    NewKey { public_key: PublicKey::from(*key.verifying_key()) }
}

fn term(key: &SigningKey, from: caretrail_model::time::UnixMs) -> GuardianTerm {
    GuardianTerm {
        public_key: PublicKey::from(*key.verifying_key()),
        term: Period { from, until: at(1_775_001_600_000) },
        protected: vec![],
    }
}

fn correcting(record: RecordId) -> Operation {
    Operation::RequestCorrection(CorrectionRequest {
        record,
        version: 1,
        request_digest: Digest::from_bytes([1; 32]),
    })
}

/// A permit on paper, which waits.
fn acting(ward: &Ward, by: &Staff, patient: PatientId) -> ActOnPaper {
    let nonce = Nonce::from_bytes(random());
    let id = StatementId::derive_for(&by.actor, &patient, &nonce);
    ActOnPaper { patient, id, nonce, act: PaperAct::Grant { provision: ward.provision(|_| {}) } }
}

impl Stage {
    fn signed(&self, operation: Operation) -> SignedStatement {
        self.ward.signed(operation)
    }

    /// What comes of a call by each caller, and last by the person whom the consent names.
    async fn row<C: Call>(&self, argument: impl Fn(&Staff) -> C) -> Row {
        let mut row = Row { call: C::NAME, outcomes: Vec::new(), footprint: None, endorsed: None };
        for caller in self.callers.iter().chain([&self.ward.reader]) {
            let proposal = self.ward.world.proposal(caller, &argument(caller));
            let outcome = self.ward.world.peer.invoke(&proposal).await.unwrap();
            if outcome.is_ok() {
                if C::WRITES {
                    demand_plain(&outcome);
                }
                row.footprint.get_or_insert_with(|| Footprint::of(&outcome));
                row.endorsed.get_or_insert_with(|| endorsed::section(&format!("`{}`", C::NAME), &outcome));
            }
            row.outcomes.push(if outcome.is_ok() { "yes".to_owned() } else { outcome.message });
        }
        row.outcomes.truncate(self.callers.len());
        row
    }

    #[allow(clippy::too_many_lines, reason = "one entry a call")]
    async fn rows(&self) -> Vec<Row> {
        let (ward, world) = (&self.ward, &self.ward.world);
        let (patient, record) = (ward.patient.id, ward.record);
        let digest = Digest::from_bytes([1; 32]);
        let later = world.now().plus(DurationMs::from_secs(3600));
        let new_record = |caller: &Staff| registering(caller, &ward.patient);
        vec![
            self.row(|_| ProposePolicy { policy: self.another_policy.clone() }).await,
            self.row(|_| ApprovePolicy { digest: self.next_digest }).await,
            self.row(|_| GetPolicy {}).await,
            self.row(|_| AuthorizePractitioner {
                subject: Subject::from_bytes(random()),
                role: Role::Clinician,
                purposes: vec![Purpose::Treat],
                until: later,
            })
            .await,
            self.row(|caller| SuspendPractitioner { subject: caller.actor.subject }).await,
            self.row(|_| GetStanding { actor: ward.reader.actor.clone() }).await,
            self.row(|caller| {
                let home = HOSPITALS.iter().find(|(msp_id, _)| caller.actor.msp_id.as_str() == *msp_id);
                RegisterPatient { signed: world.registration(&person(home.unwrap().0)) }
            })
            .await,
            self.row(|_| GetPatient { patient }).await,
            self.row(new_record).await,
            self.row(|_| AmendRecord {
                patient,
                record,
                version: 2,
                commitments: commitments(),
                tags: None,
                derived_from: vec![],
            })
            .await,
            self.row(|_| GetRecord { record }).await,
            self.row(|_| RecordHistory { record, page_entries: 0, bookmark: String::new() }).await,
            self.row(|_| ListRecords { patient, page_entries: 0, bookmark: String::new() }).await,
            self.row(|_| VerifyRecord { record, version: 1, commitments: commitments() }).await,
            self.row(|_| GrantConsent {
                signed: self.signed(Operation::GrantConsent(Grant {
                    provision: ward.provision(|_| {}),
                    supersedes: None,
                })),
            })
            .await,
            self.row(|_| world.ending(&ward.patient, self.consent)).await,
            self.row(|_| ListConsents { patient }).await,
            self.row(|_| GetStatement { patient, statement: self.consent }).await,
            self.row(|_| WhoCanSee { record, at: None }).await,
            self.row(|_| ListHolders { record, at: None, page_entries: 0, bookmark: String::new() }).await,
            self.row(|_| requesting(&ward.patient, &[record])).await,
            self.row(|_| GetDecision { patient, decision: self.permit }).await,
            self.row(|_| ward.disclosing(self.permit)).await,
            self.row(|_| GetDisclosure { patient, decision: self.disclosed, record }).await,
            self.row(|_| AccessLog { patient, page_entries: 0, bookmark: String::new() }).await,
            self.row(|_| StopAll { signed: self.signed(Operation::StopAll(Stop { stopped: true })) }).await,
            self.row(|_| RefuseEmergency {
                signed: self.signed(Operation::RefuseEmergency(EmergencyChoice { refused: true })),
            })
            .await,
            self.row(|caller| {
                let nonce = Nonce::from_bytes(random());
                let patient = PatientId::derive_on_paper(&caller.actor.msp_id, &nonce);
                RegisterPaperPatient { patient, nonce }
            })
            .await,
            self.row(|caller| acting(ward, caller, self.paper)).await,
            self.row(|_| ConfirmPaper { patient: self.paper, id: self.waiting }).await,
            self.row(|_| GetPaper { patient: self.paper, id: self.waiting }).await,
            self.row(|_| {
                let key = fresh_key();
                BindKey { signed: world.signed_by(&key, self.paper, Operation::BindKey(new_key(&key))) }
            })
            .await,
            self.row(|_| RotateKey { signed: self.signed(Operation::RotateKey(new_key(&fresh_key()))) })
                .await,
            self.row(|_| {
                let key = fresh_key();
                RecoverKey { signed: world.signed_by(&key, patient, Operation::RecoverKey(new_key(&key))) }
            })
            .await,
            self.row(|_| ConfirmRecovery { patient: self.losing.id, recovery: self.recovery }).await,
            self.row(|_| CompleteRecovery { patient: self.due.id, recovery: self.due_recovery }).await,
            self.row(|_| {
                let cancellation = Cancellation { recovery: self.recovery };
                CancelRecovery { signed: world.signed(&self.losing, Operation::CancelRecovery(cancellation)) }
            })
            .await,
            self.row(|_| GetRecovery { patient: self.losing.id }).await,
            self.row(|_| GetSigner { patient, key: ward.patient.public_key().id() }).await,
            self.row(|_| AddGuardian {
                signed: self.signed(Operation::AddGuardian(term(&fresh_key(), world.now()))),
            })
            .await,
            self.row(|_| EndGuardian {
                signed: self.signed(Operation::EndGuardian(GuardianEnd {
                    guardian: PublicKey::from(*self.guardian.verifying_key()).id(),
                })),
            })
            .await,
            self.row(|_| ListGuardians { patient }).await,
            self.row(|_| OpenRelationship {
                patient,
                subject: Some(Subject::from_bytes([1; 16])),
                until: later,
            })
            .await,
            self.row(|_| CloseRelationship { patient, subject: None }).await,
            self.row(|_| GetRelationship { patient, msp_id: "NorthMSP".parse().unwrap(), subject: None })
                .await,
            self.row(|_| BreakGlass { patient, reason_digest: digest }).await,
            self.row(|_| ReviewBreakGlass {
                patient,
                clinician: ward.reader.actor.clone(),
                justified: true,
                finding_digest: digest,
            })
            .await,
            self.row(|_| GetBreakGlass { patient, clinician: ward.reader.actor.clone() }).await,
            self.row(|caller| {
                let RegisterRecord { record, nonce, commitments, .. } = new_record(caller);
                RegisterRecords {
                    patient,
                    records: vec![NewRecord { record, nonce, commitments, tags: None }],
                }
            })
            .await,
            self.row(|caller| {
                let record_nonce = Nonce::from_bytes(random());
                let key = ward.patient.public_key().id();
                let own = OwnRecord {
                    record: RecordId::derive_own(&key, &patient, &record_nonce),
                    record_nonce,
                    custodian: caller.actor.msp_id.clone(),
                    commitments: commitments(),
                };
                RegisterOwnRecord { signed: self.signed(Operation::RegisterRecord(own)) }
            })
            .await,
            self.row(|_| WithdrawRecord { patient, record }).await,
            self.row(|_| TransferCustody { patient, record, to: None }).await,
            self.row(|_| AcceptCustody { patient, record: self.offered, tags: None }).await,
            self.row(|_| RequestCorrection { signed: self.signed(correcting(record)), number: 2 }).await,
            self.row(|_| AnswerCorrection {
                patient,
                record,
                number: 1,
                accepted: true,
                reason_digest: digest,
            })
            .await,
            self.row(|_| GetCorrection { record, number: 1 }).await,
            self.row(|caller| {
                let nonce = Nonce::from_bytes(random());
                DelegateConsent {
                    patient,
                    parent: self.consent,
                    id: StatementId::derive_for(&caller.actor, &patient, &nonce),
                    nonce,
                    provision: ward
                        .provision(|p| p.period.until = p.period.from.plus(DurationMs::from_secs(600))),
                }
            })
            .await,
            self.row(|_| EndDelegation { patient, consent: self.passed_on }).await,
            self.row(|_| PreviewConsent {
                patient,
                draft: Some(Grant { provision: ward.provision(|_| {}), supersedes: None }),
                ends: None,
                signer: None,
                at: None,
                actors: vec![ward.reader.actor.clone()],
                records: vec![record],
            })
            .await,
            self.row(|_| PreviewAccess {
                actor: ward.reader.actor.clone(),
                patient,
                records: vec![record],
                action: Action::Read,
                purpose: Purpose::Treat,
                at: None,
            })
            .await,
            self.row(|_| ReplayDecision { patient, decision: self.permit }).await,
        ]
    }
}

#[tokio::test]
async fn who_may_call_what_is_the_committed_table() {
    let mut calls: Vec<(&str, bool, u32, &[Role])> = Vec::new();
    macro_rules! list {
        ($call:ident) => {
            calls.push((
                <$call as Call>::NAME,
                <$call as Call>::WRITES,
                <$call as Call>::SINCE_EPOCH,
                <$call as Call>::ROLES,
            ));
        };
    }
    for_each_call!(list);
    let batching = stage(World::empty().await).await;
    let rows = Box::pin(batching.rows()).await;
    assert_eq!(
        rows.iter().map(|row| row.call).collect::<Vec<_>>(),
        calls.iter().map(|call| call.0).collect::<Vec<_>>(),
        "every call has a row"
    );

    let mut table = String::from(
        "# Who may make which call\n\n\
         Generated by `chaincode/contract/tests/contract/who_may_call.rs`, which makes every call by every role of a patient's \
         home hospital, of another member and of a hospital that is none, each with an argument that is right for whoever may \
         make it. `yes` is what a peer endorses; anything else is the code of the refusal. Every caller has standing. `RequestAccess` \
         is answered for everybody: its denials are transactions. `DelegateConsent` and `EndDelegation` are for the one person \
         whom the grant names, who is none of these callers. The glass of `ReviewBreakGlass` was broken at the other member.\n\n\
         To write it anew: `CARETRAIL_WRITE_TABLES=1 cargo test -p caretrail-contract who_may_call`.\n\n",
    );
    table.push_str("| call | kind | epoch |");
    for (_, hospital) in HOSPITALS {
        for role in Role::ALL {
            table.push_str(&format!(" {role}, {hospital} |"));
        }
    }
    table.push_str(&format!("\n|{}\n", "---|".repeat(3 + HOSPITALS.len() * Role::ALL.len())));
    for ((name, writes, since, roles), Row { outcomes, .. }) in calls.iter().zip(&rows) {
        let kind = if *writes { "submit" } else { "evaluate" };
        table.push_str(&format!("| `{name}` | {kind} | {since} | {} |\n", outcomes.join(" | ")));
        for (caller, outcome) in (0..).zip(outcomes) {
            let role = Role::ALL[caller % Role::ALL.len()];
            assert!(
                roles.contains(&role) || outcome == "ROLE_NOT_ALLOWED",
                "{name} is not for {role}, and answers {outcome}"
            );
            let member = caller < 2 * Role::ALL.len();
            assert!(member || outcome != "yes", "{name} by a hospital that is no member");
        }
    }
    compare(TABLE, &table);

    let mut sections = String::from(
        "# What is endorsed under epoch 2\n\n\
         Generated by `chaincode/contract/tests/contract/who_may_call.rs` from an accepted call each: the answer, the event, and each \
         value that is written, byte for byte but for ids, digests, times, and texts that are longer than 64 characters (`…`). This is \
         what members of the channel can read of a call, and what builds of different ages have to endorse alike: once an epoch is \
         released, its sections never change.\n\n",
    );
    let submitted = calls.iter().zip(&rows).filter(|((_, writes, ..), _)| *writes);
    sections.extend(submitted.filter_map(|(_, row)| row.endorsed.as_deref()));
    compare(ENDORSED, &sections);

    let one_by_one = stage(World::with(|peer| peer.write_batch(None).multi_get(None)).await).await;
    let plain = Box::pin(one_by_one.rows()).await;
    let mut table = String::from(
        "# What each call reads and writes\n\n\
         Generated by `chaincode/contract/tests/contract/who_may_call.rs` from an accepted call each: how often the chaincode asks a \
         peer that offers multi-get and batches, and one that does not (as Fabric 2.5); and the kinds of keys that it reads and writes \
         (`chaincode/model/FORMATS.md` says what each holds). What a range query reads is not listed. A call that reads twice learns \
         the second keys from the first read. No call that is submitted asks more than three times, and none of them makes a range \
         query.\n\n\
         | call | requests | one by one | reads | writes |\n|---|---|---|---|---|\n",
    );
    for ((name, writes, ..), (row, plain)) in calls.iter().zip(rows.iter().zip(&plain)) {
        let [footprint, plain] =
            [row, plain].map(|row| row.footprint.as_ref().unwrap_or_else(|| panic!("nobody may {name}")));
        table.push_str(&told(&format!("`{name}`"), footprint, plain));
        assert!(!writes || footprint.requests <= 3, "{name} asks {} times", footprint.requests);
        assert_eq!(*writes, !footprint.writes.is_empty(), "{name}");
    }
    table.push_str(
        "\n## On other ways\n\n\
         `WhoCanSee` and `ListHolders` range over the practitioners of each hospital that may see anything, and ask once more for each \
         halving of a fact's changes when the instant is past: they are evaluated only.\n\n\
         | call | requests | one by one | reads | writes |\n|---|---|---|---|---|\n",
    );
    let (ways, plain) = (batching.other_ways().await, one_by_one.other_ways().await);
    for ((name, way, footprint), (.., plain)) in ways.iter().zip(&plain) {
        table.push_str(&told(&format!("`{name}`, {way}"), footprint, plain));
        let evaluated = calls.iter().any(|(call, writes, ..)| call == name && !writes);
        assert!(evaluated || footprint.requests <= 3, "{name}, {way}, asks {} times", footprint.requests);
    }
    compare(FOOTPRINTS, &table);
}
