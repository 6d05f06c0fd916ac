//! A patient's home hospital that is hostile itself: with its admin, its services and clinicians, the key of its peer, a
//! chaincode that says what it wants, and its way to the orderer. What it lacks is the patient's key and another
//! hospital's peer.

use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::consent::{LiveConsent, LiveConsents};
use caretrail_model::guardian::Guardians;
use caretrail_model::ids::{Digest, Nonce, StatementId};
use caretrail_model::paper::PaperAct;
use caretrail_model::patient::RecoveryEnd;
use caretrail_model::statement::{Cancellation, GuardianTerm, NewKey, Operation, SignedStatement, Stop};
use caretrail_model::time::{Period, UnixMs};
use caretrail_records::patient_key::PatientKey;
use caretrail_tests::actors::{granting, now, soon};
use hlf_protos::kvrwset::KvWrite;
use hlf_protos::protos::TxValidationCode;
use serde::Serialize;

use crate::forged::{Keys, client, rewritten, transaction};
use crate::world::{Siege, random};

/// What North would sign in the patient's name, had it any key that counts.
fn forged(siege: &Siege, thief: &PatientKey, operation: Operation) -> SignedStatement {
    thief.sign(&siege.hospitals.ledger(), siege.patient.id, soon(), operation).unwrap()
}

pub(crate) fn new_key(key: &PatientKey) -> NewKey {
    NewKey { public_key: key.public_key().clone() }
}

/// Has a chaincode of North's own say that a call writes this, and endorses it with every key that North holds.
async fn write_in_vain<C: Call>(siege: &mut Siege, basis: &C, key: String, value: &impl Serialize) {
    let keys = Keys::of_north(siege);
    let (admin, service) = (client(siege, "north/admin"), client(siege, "north/service"));
    for endorsers in [vec![&keys.peer], vec![&keys.peer, &keys.orderer, &admin, &service]] {
        let proposal = siege.propose("north/service", basis);
        let honest = siege.both.alike(&proposal).await.payload;
        let result = rewritten(&honest, |sets| {
            let value = [&[1][..], &serde_json::to_vec(value).unwrap()].concat();
            sets.writes = vec![KvWrite { key: key.clone(), is_delete: false, value }];
        });
        let gateway = siege.gateway("north/service").clone();
        let forged = transaction(&gateway, &proposal, &result, &endorsers).await;
        siege.order_in_vain(&forged, TxValidationCode::EndorsementPolicyFailure).await;
    }
}

/// A call that North may make, whose write set it then replaces.
fn any_act(siege: &Siege) -> OpenRelationship {
    OpenRelationship { patient: siege.patient.id, subject: None, until: soon() }
}

pub(crate) async fn the_home_hospital_forges_a_consent(siege: &mut Siege) {
    let thief = siege.key("thief");
    let provision = siege.provision("south/ben");
    // By statement: it has no key that counts.
    let signed = forged(siege, &thief, granting(provision.clone()));
    for identity in ["north/service", "north/admin", "north/ada"] {
        let grant = GrantConsent { signed: signed.clone() };
        assert_eq!(siege.refused(identity, &grant).await, Code::StatementSignature, "{identity}");
    }
    let stop = StopAll { signed: forged(siege, &thief, Operation::StopAll(Stop { stopped: true })) };
    assert_eq!(siege.refused("north/admin", &stop).await, Code::StatementSignature);
    // On paper: the patient has a key.
    let nonce = Nonce::from_bytes(random());
    let paper = ActOnPaper {
        patient: siege.patient.id,
        id: StatementId::derive_for(&siege.actor("north/service"), &siege.patient.id, &nonce),
        nonce,
        act: PaperAct::Grant { provision: provision.clone() },
    };
    assert_eq!(siege.refused("north/service", &paper).await, Code::KeyBound);
    // By its own peer: it says that the consent is there, and South's never said so.
    let consents = LiveConsents {
        sequence: 1,
        consents: vec![LiveConsent::signed(StatementId::from_bytes(random()), provision)],
        at: now(),
    };
    let basis = any_act(siege);
    let key = format!("\0y\0{}\0", siege.patient.id);
    write_in_vain(siege, &basis, key, &consents).await;
    siege.demand_no_consent().await;
}

pub(crate) async fn the_home_hospital_forges_a_recovery(siege: &mut Siege) {
    let thief = siege.key("thief-of-the-key");
    let before = siege.seen("south/service", &GetPatient { patient: siege.patient.id }).await;
    let rotation = forged(siege, &thief, Operation::RotateKey(new_key(&thief)));
    let rotate = RotateKey { signed: rotation };
    assert_eq!(siege.refused("north/admin", &rotate).await, Code::StatementSignature);
    let binding = forged(siege, &thief, Operation::BindKey(new_key(&thief)));
    assert_eq!(siege.refused("north/service", &BindKey { signed: binding }).await, Code::KeyBound);

    // It may open a recovery, and that is on record. Confirming it takes another hospital, whoever of North tries.
    let signed = forged(siege, &thief, Operation::RecoverKey(new_key(&thief)));
    let recovery = signed.parse().unwrap().id;
    siege.done("north/service", &RecoverKey { signed }).await;
    let patient = siege.patient.id;
    let confirm = ConfirmRecovery { patient, recovery };
    for identity in ["north/admin", "north/service"] {
        assert_eq!(siege.refused(identity, &confirm).await, Code::SecondHospital, "{identity}");
    }
    let complete = CompleteRecovery { patient, recovery };
    assert_eq!(siege.refused("north/service", &complete).await, Code::RecoveryNotDue);
    // Its own peer says that South confirmed, long ago.
    let mut confirmed = siege.seen("north/service", &GetRecovery { patient }).await;
    confirmed.confirmed_by = Some(siege.actor("south/service"));
    confirmed.due = Some(UnixMs::new(1).unwrap());
    let (basis, key) = (any_act(siege), format!("\0k\0{patient}\0"));
    write_in_vain(siege, &basis, key, &confirmed).await;
    // Or at once that the patient has the thief's key.
    let mut stolen = before.clone();
    stolen.key = Some(thief.public_key().id());
    stolen.public_key = Some(thief.public_key().clone());
    let (basis, key) = (any_act(siege), format!("\0p\0{patient}\0"));
    write_in_vain(siege, &basis, key, &stolen).await;
    assert_eq!(siege.refused("north/service", &complete).await, Code::RecoveryNotDue);

    // The patient hears of it, and cancels it by any hospital.
    let cancel = siege.signed(&siege.patient, Operation::CancelRecovery(Cancellation { recovery }));
    let cancelled = siege.done("south/service", &CancelRecovery { signed: cancel }).await;
    assert_eq!(cancelled.ended, Some(RecoveryEnd::Cancelled));
    assert_eq!(siege.refused("north/service", &complete).await, Code::RecoveryUnknown);
    assert_eq!(siege.refused("south/service", &confirm).await, Code::RecoveryUnknown);
    assert_eq!(siege.seen("south/service", &GetPatient { patient }).await, before);
}

pub(crate) async fn the_home_hospital_forges_a_guardian(siege: &mut Siege) {
    let thief = siege.key("thief-of-guardianship");
    let patient = siege.patient.id;
    let term = GuardianTerm {
        public_key: thief.public_key().clone(),
        term: Period { from: now(), until: next_quarter() },
        protected: vec![],
    };
    let signed = forged(siege, &thief, Operation::AddGuardian(term.clone()));
    for identity in ["north/service", "north/admin"] {
        let add = AddGuardian { signed: signed.clone() };
        assert_eq!(siege.refused(identity, &add).await, Code::StatementSignature, "{identity}");
    }
    let nonce = Nonce::from_bytes(random());
    let id = StatementId::derive_for(&siege.actor("north/service"), &patient, &nonce);
    let paper = ActOnPaper { patient, id, nonce, act: PaperAct::AddGuardian { term: term.clone() } };
    assert_eq!(siege.refused("north/service", &paper).await, Code::KeyBound);
    // Its own peer takes over the genuine list of another patient's guardian, whom a key of North's had appointed.
    let other = siege.person("ward-of-north").await;
    let appointed = siege.signed(&other, Operation::AddGuardian(term));
    let guardians: Guardians = siege.done("north/service", &AddGuardian { signed: appointed }).await;
    let (basis, key) = (any_act(siege), format!("\0w\0{patient}\0"));
    write_in_vain(siege, &basis, key, &guardians).await;
    let listed = siege.seen("north/service", &ListGuardians { patient }).await;
    assert_eq!(listed, Guardians::NONE);
    // So the thief speaks for nobody but the one who appointed the key.
    let grant = granting(siege.provision("south/ben"));
    let signed = forged(siege, &thief, grant);
    assert_eq!(siege.refused("north/service", &GrantConsent { signed }).await, Code::StatementSignature);
    siege.demand_no_consent().await;
}

/// Its daemon holds the document. What it releases on no permit is on no record: neither by its call nor by its peer.
pub(crate) async fn the_home_hospital_discloses_on_a_denial(siege: &mut Siege) {
    let denied = siege.asked().await;
    let disclose = RecordDisclosure {
        patient: siege.patient.id,
        decision: denied.decision,
        record: siege.record,
        version: 1,
        recipient: siege.actor("south/ben"),
        kem_key_digest: Digest::from_bytes(random()),
    };
    assert_eq!(siege.refused("north/service", &disclose).await, Code::DisclosureMismatch);
    let get = GetDisclosure { patient: siege.patient.id, decision: denied.decision, record: siege.record };
    let disclosure = Disclosure {
        epoch: siege.policy.epoch,
        tx_id: denied.decision,
        at: now(),
        disclosed: caretrail_model::audit::Disclosed {
            decision: denied.decision,
            record: siege.record,
            version: 1,
            recipient: siege.actor("south/ben"),
            purpose: caretrail_model::purpose::Purpose::Treat,
            kem_key_digest: disclose.kem_key_digest,
            facts: caretrail_model::decision::Facts::default(),
        },
    };
    let (basis, key) =
        (any_act(siege), format!("\0o\0{}\0{}\0{}\0", siege.patient.id, denied.decision, siege.record));
    write_in_vain(siege, &basis, key, &disclosure).await;
    assert_eq!(siege.refused("south/service", &get).await, Code::DisclosureUnknown);
}

/// The start of the calendar quarter after next, which is when a guardian's term may end.
pub(crate) fn next_quarter() -> UnixMs {
    const DAY: u64 = 24 * 3600 * 1000;
    let today = now().get() / DAY;
    (today + 1..today + 200)
        .filter_map(|day| UnixMs::new(day * DAY))
        .find(|instant| instant.is_quarter_start())
        .unwrap()
}
