//! No attack: every call that the contract has, made as it is meant. What two builds endorse of it, or answer to it, is
//! the same to the byte.

use std::time::Duration;

use caretrail_model::calls::*;
use caretrail_model::consent::{Action, Provision};
use caretrail_model::decision::Rule;
use caretrail_model::ids::{Digest, Nonce, PatientId, RecordId, StatementId};
use caretrail_model::paper::PaperAct;
use caretrail_model::patient::RecoveryEnd;
use caretrail_model::policy::{ConsortiumPolicy, EPOCH};
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::statement::{
    Cancellation, CorrectionRequest, EmergencyChoice, Ending, Grant, GuardianEnd, GuardianTerm, Operation,
    OwnRecord, SignedStatement, Stop,
};
use caretrail_model::time::{DurationMs, Period};
use caretrail_records::patient_key::PatientKey;
use caretrail_tests::actors::{HOUR, Person, granting, now, soon};
use caretrail_tests::made::Made;
use caretrail_tests::until::{now_unix_ms, until};

use crate::home::{new_key, next_quarter};
use crate::world::{Siege, random, requesting};

pub(crate) async fn every_call_is_made_as_it_is_meant(siege: &mut Siege) {
    let mut made = Made::none(siege);
    the_consortium(&mut made).await;
    let person = made.person("every-call").await;
    let record = records(&mut made, &person).await;
    consents(&mut made, &person, record).await;
    care(&mut made, &person).await;
    guardians(&mut made, &person).await;
    keys(&mut made, person).await;
    paper(&mut made).await;
    made.demand_every_call_until_epoch(EPOCH);
}

async fn the_consortium(made: &mut Made<'_, Siege>) {
    let policy = ConsortiumPolicy { sequence: made.world.policy.sequence + 1, ..made.world.policy.clone() };
    let propose = ProposePolicy { policy: serde_json::to_string(&policy).unwrap() };
    let digest = made.done("north/admin", &propose).await.digest;
    made.done("north/admin", &ApprovePolicy { digest }).await;
    assert!(made.done("south/admin", &ApprovePolicy { digest }).await.in_force);
    assert_eq!(made.seen("south/auditor", &GetPolicy {}).await, policy);
    made.world.policy = policy;

    let actor = made.world.actor("south/ben");
    let subject = actor.subject;
    made.done("south/admin", &SuspendPractitioner { subject }).await;
    let authorize = AuthorizePractitioner {
        subject,
        role: Role::Clinician,
        purposes: vec![Purpose::Treat, Purpose::Btg],
        until: now().plus(DurationMs::from_days(1)),
    };
    made.done("south/admin", &authorize).await;
    assert!(!made.seen("north/auditor", &GetStanding { actor }).await.suspended);
}

/// Gives a record that has two versions.
async fn records(made: &mut Made<'_, Siege>, person: &Person) -> RecordId {
    let patient = person.id;
    let register = made.world.registering(person, None);
    let record = made.done("north/ada", &register).await.record;
    let commitments = made.world.registering(person, None).commitments;
    let amend = AmendRecord {
        patient,
        record,
        version: 2,
        commitments: commitments.clone(),
        tags: None,
        derived_from: vec![],
    };
    made.done("north/ada", &amend).await;
    assert_eq!(made.seen("north/ada", &GetRecord { record }).await.newest.version, 2);
    let (page_entries, bookmark) = (1, String::new());
    made.seen("north/ada", &RecordHistory { record, page_entries, bookmark }).await;
    made.seen("south/ben", &VerifyRecord { record, version: 2, commitments }).await;

    let mut batch = [(); 2].map(|()| {
        let RegisterRecord { record, nonce, commitments, .. } = made.world.registering(person, None);
        NewRecord { record, nonce, commitments, tags: None }
    });
    batch.sort_by_key(|new| new.record);
    let register = RegisterRecords { patient, records: batch.to_vec() };
    let added = made.done("north/ada", &register).await.records;
    let [withdrawn, moving] = [added[0], added[1]];
    made.done("north/ada", &WithdrawRecord { patient, record: withdrawn }).await;
    let to = Some("SouthMSP".parse().unwrap());
    made.done("north/service", &TransferCustody { patient, record: moving, to }).await;
    made.done("south/service", &AcceptCustody { patient, record: moving, tags: None }).await;

    let record_nonce = Nonce::from_bytes(random());
    let own = OwnRecord {
        record: RecordId::derive_own(&person.key.public_key().id(), &patient, &record_nonce),
        record_nonce,
        custodian: "NorthMSP".parse().unwrap(),
        commitments: made.world.registering(person, None).commitments,
    };
    let signed = made.world.signed(person, Operation::RegisterRecord(own));
    made.done("north/service", &RegisterOwnRecord { signed }).await;
    let list = ListRecords { patient, page_entries: 10, bookmark: String::new() };
    assert_eq!(made.seen("north/ada", &list).await.records.len(), 4);

    let request = CorrectionRequest { record, version: 2, request_digest: Digest::from_bytes(random()) };
    let signed = made.world.signed(person, Operation::RequestCorrection(request));
    made.done("south/service", &RequestCorrection { signed, number: 1 }).await;
    let reason_digest = Digest::from_bytes(random());
    let answer = AnswerCorrection { patient, record, number: 1, accepted: true, reason_digest };
    let answered = made.done("north/ada", &answer).await;
    assert_eq!(made.seen("north/auditor", &GetCorrection { record, number: 1 }).await, answered);
    record
}

async fn consents(made: &mut Made<'_, Siege>, person: &Person, record: RecordId) {
    let patient = person.id;
    let (ben, cleo) = (made.world.actor("south/ben"), made.world.actor("south/cleo"));
    let mut provision = made.world.provision("south/ben");
    provision.actions.push(Action::Delegate);
    let preview = PreviewConsent {
        patient,
        draft: Some(Grant { provision: provision.clone(), supersedes: None }),
        ends: None,
        signer: None,
        at: None,
        actors: vec![ben.clone()],
        records: vec![record],
    };
    assert!(!made.seen("north/service", &preview).await.changes.is_empty());
    let signed = made.world.signed(person, granting(provision.clone()));
    let consent = made.done("south/service", &GrantConsent { signed }).await.consent;
    made.seen("south/auditor", &GetStatement { patient, statement: consent }).await;
    assert_eq!(made.seen("north/service", &ListConsents { patient }).await.consents.len(), 1);

    let nonce = Nonce::from_bytes(random());
    let narrower = Provision { period: provision.period, ..made.world.provision("south/cleo") };
    let id = StatementId::derive_for(&ben, &patient, &nonce);
    let delegate = DelegateConsent { patient, parent: consent, id, nonce, provision: narrower };
    let passed_on = made.done("south/ben", &delegate).await.consent;
    let preview = PreviewAccess {
        actor: cleo,
        patient,
        records: vec![record],
        action: Action::Read,
        purpose: Purpose::Treat,
        at: None,
    };
    let previewed = made.seen("north/service", &preview).await;
    assert_eq!(previewed.decisions[0].parent, Some(consent));
    assert_eq!(made.seen("north/service", &WhoCanSee { record, at: None }).await.holders.len(), 2);
    let list = ListHolders { record, at: None, page_entries: 10, bookmark: String::new() };
    assert_eq!(made.seen("north/service", &list).await.holders.len(), 2);
    made.done("south/ben", &EndDelegation { patient, consent: passed_on }).await;

    let permit = made.done("south/ben", &requesting(person, record)).await;
    assert_eq!(permit.decisions[0].rule, Rule::ConsentPermits);
    let decision = permit.decision;
    made.seen("north/service", &GetDecision { patient, decision }).await;
    let disclose = RecordDisclosure {
        patient,
        decision,
        record,
        version: 2,
        recipient: ben,
        kem_key_digest: Digest::from_bytes(random()),
    };
    let disclosed = made.done("north/service", &disclose).await;
    assert_eq!(made.seen("south/ben", &GetDisclosure { patient, decision, record }).await, disclosed);
    assert!(made.seen("north/auditor", &ReplayDecision { patient, decision }).await.matches);

    for stopped in [true, false] {
        let signed = made.world.signed(person, Operation::StopAll(Stop { stopped }));
        made.done("south/service", &StopAll { signed }).await;
    }
    let signed = made.world.signed(person, Operation::EndConsent(Ending { consent }));
    made.done("south/service", &EndConsent { signed }).await;
    let log = AccessLog { patient, page_entries: 100, bookmark: String::new() };
    assert!(made.seen("north/auditor", &log).await.entries.len() > 15);
}

async fn care(made: &mut Made<'_, Siege>, person: &Person) {
    let patient = person.id;
    let ben = made.world.actor("south/ben");
    let (subject, msp_id) = (Some(ben.subject), ben.msp_id.clone());
    let open = OpenRelationship { patient, subject, until: now().plus(HOUR) };
    let opened = made.done("south/service", &open).await;
    let get = GetRelationship { patient, msp_id, subject };
    assert_eq!(made.seen("north/auditor", &get).await, opened);
    made.done("south/service", &CloseRelationship { patient, subject }).await;

    let reason_digest = Digest::from_bytes(random());
    made.done("south/ben", &BreakGlass { patient, reason_digest }).await;
    let review = ReviewBreakGlass {
        patient,
        clinician: ben.clone(),
        justified: true,
        finding_digest: Digest::from_bytes(random()),
    };
    let reviewed = made.done("north/auditor", &review).await;
    assert_eq!(made.seen("south/auditor", &GetBreakGlass { patient, clinician: ben }).await, reviewed);
    let refuse = Operation::RefuseEmergency(EmergencyChoice { refused: true });
    let signed = made.world.signed(person, refuse);
    assert!(made.done("south/service", &RefuseEmergency { signed }).await.refuses_emergency);
}

async fn guardians(made: &mut Made<'_, Siege>, person: &Person) {
    let patient = person.id;
    let guardian = made.world.key("every-call-guardian").public_key().clone();
    let key = guardian.id();
    let term = GuardianTerm {
        public_key: guardian,
        term: Period { from: now(), until: next_quarter() },
        protected: vec![],
    };
    let signed = made.world.signed(person, Operation::AddGuardian(term));
    let appointed = made.done("south/service", &AddGuardian { signed }).await;
    assert_eq!(made.seen("south/auditor", &ListGuardians { patient }).await, appointed);
    assert!(made.seen("south/service", &GetSigner { patient, key }).await.guardian);
    let end = Operation::EndGuardian(GuardianEnd { guardian: key });
    let signed = made.world.signed(person, end);
    assert_eq!(made.done("south/service", &EndGuardian { signed }).await.guardians, []);
}

/// The key is replaced, lost and recovered, and another recovery is cancelled.
async fn keys(made: &mut Made<'_, Siege>, person: Person) {
    let patient = person.id;
    let second = made.world.key("every-call-second");
    let signed = made.world.signed(&person, Operation::RotateKey(new_key(&second)));
    made.done("south/service", &RotateKey { signed }).await;

    let third = made.world.key("every-call-third");
    let recovery = lost(made, patient, &third).await;
    let confirmed = made.done("south/service", &ConfirmRecovery { patient, recovery }).await;
    assert_eq!(made.seen("south/ben", &GetRecovery { patient }).await, confirmed);
    let due = confirmed.due.unwrap().get();
    let is_due = async || (now_unix_ms() >= due).then_some(());
    until("the recovery to be due", Duration::from_secs(120), is_due).await;
    let completed = made.done("south/ben", &CompleteRecovery { patient, recovery }).await;
    assert_eq!(completed.key, Some(third.public_key().id()));

    let fourth = made.world.key("every-call-fourth");
    let recovery = lost(made, patient, &fourth).await;
    let cancel = Operation::CancelRecovery(Cancellation { recovery });
    let signed = signed_by(made.world, &third, patient, cancel);
    let cancelled = made.done("south/service", &CancelRecovery { signed }).await;
    assert_eq!(cancelled.ended, Some(RecoveryEnd::Cancelled));
    assert_eq!(made.seen("south/ben", &GetPatient { patient }).await, completed);
}

/// Asks for a patient's lost key to be replaced by this one.
async fn lost(made: &mut Made<'_, Siege>, patient: PatientId, by: &PatientKey) -> StatementId {
    let signed = signed_by(made.world, by, patient, Operation::RecoverKey(new_key(by)));
    made.done("north/service", &RecoverKey { signed }).await.statement
}

fn signed_by(siege: &Siege, key: &PatientKey, patient: PatientId, operation: Operation) -> SignedStatement {
    key.sign(&siege.hospitals.ledger(), patient, soon(), operation).unwrap()
}

async fn paper(made: &mut Made<'_, Siege>) {
    let service = made.world.actor("north/service");
    let nonce = Nonce::from_bytes(random());
    let patient = PatientId::derive_on_paper(&service.msp_id, &nonce);
    made.done("north/service", &RegisterPaperPatient { patient, nonce }).await;
    let nonce = Nonce::from_bytes(random());
    let id = StatementId::derive_for(&service, &patient, &nonce);
    let act = PaperAct::Grant { provision: made.world.provision("south/ben") };
    assert!(!made.done("north/service", &ActOnPaper { patient, id, nonce, act }).await.done);
    let confirmed = made.done("south/service", &ConfirmPaper { patient, id }).await;
    assert!(confirmed.done);
    assert_eq!(made.seen("south/auditor", &GetPaper { patient, id }).await, confirmed);
    let first = made.world.key("every-call-first");
    let signed = signed_by(made.world, &first, patient, Operation::BindKey(new_key(&first)));
    let bound = made.done("north/service", &BindKey { signed }).await;
    assert_eq!(bound.key, Some(first.public_key().id()));
}
