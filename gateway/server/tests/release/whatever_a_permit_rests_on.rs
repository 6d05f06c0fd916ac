//! A release follows from a permit of any kind: of a key that was replaced since, of a guardian, passed on, on paper,
//! and of broken glass.

use std::io::Read as _;

use caretrail_model::calls::{
    AuthorizePractitioner, BreakGlass, CompleteRecovery, ConfirmPaper, GetPatient, RequestAccess,
    ReviewBreakGlass,
};
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, Effect, Grantee, Provision, Scope};
use caretrail_model::hash::sha256;
use caretrail_model::ids::{PatientId, RecordId, StatementId, TxId};
use caretrail_model::paper::PaperAct;
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::statement::{Grant, GuardianTerm, NewKey, Operation, Stop};
use caretrail_model::time::{DurationMs, Period, UnixMs};
use caretrail_records::patient_key::PatientKey;
use caretrail_records::release::{KemKey, ReleaseAsk};
use caretrail_records::{Records, statements};

use crate::consortium::{Consortium, Running, authorize, document, ledger, msp, now, soon};

const CONTENT: &[u8] = br#"{"diagnosis":"Flu"}"#;

struct Ward {
    consortium: Consortium,
    daemon: Running,
    record: RecordId,
}

async fn ward() -> Ward {
    let consortium = Consortium::new().await;
    consortium
        .change(|policy| {
            policy.rules[0].purposes = vec![Purpose::Treat, Purpose::Btg];
        })
        .await;
    let record = consortium.record(CONTENT).await;
    let daemon = consortium.daemon().await;
    Ward { consortium, daemon, record }
}

impl Ward {
    fn provision(&self, to: &Records) -> Provision {
        Provision {
            effect: Effect::Permit,
            grantee: Grantee::Person { msp_id: to.actor().msp_id.clone(), subject: to.actor().subject },
            actions: vec![Action::Read],
            purposes: vec![Purpose::Treat],
            scope: Scope::All {},
            period: Period { from: now(), until: soon() },
            exceptions: vec![],
        }
    }

    async fn carry(&self, key: &PatientKey, operation: Operation) -> StatementId {
        let signed = key.sign(&ledger(), self.consortium.patient, soon(), operation).unwrap();
        let id = signed.parse().unwrap().id;
        self.consortium.south_service.carry(signed, None).await.unwrap();
        id
    }

    async fn decide(
        &self,
        who: &Records,
        patient: PatientId,
        record: RecordId,
        purpose: Purpose,
    ) -> (TxId, Effect) {
        let request = Records::fresh_request_id().unwrap();
        let call = RequestAccess { request, patient, records: vec![record], action: Action::Read, purpose };
        let reply = who.submit(&call).await.unwrap().reply;
        (reply.decision, reply.decisions[0].effect)
    }

    /// Asks, is permitted, and reads the document.
    async fn reads(&self, who: &Records, patient: PatientId, record: RecordId, purpose: Purpose) {
        let (decision, effect) = self.decide(who, patient, record, purpose).await;
        assert_eq!(effect, Effect::Permit);
        let ask = ReleaseAsk { decision, patient, record };
        let custodian = who.releasing_hospital(&ask).await.unwrap();
        assert_eq!(custodian, msp("NorthMSP"));
        let client = self.consortium.client(&self.daemon);
        let folder = self.consortium.downloads("south");
        let key = KemKey::generate().unwrap();
        let released = who.release(&client, &custodian, &ask, &key, &folder).await.unwrap();
        let mut content = Vec::new();
        released.opened.reader().unwrap().read_to_end(&mut content).unwrap();
        assert_eq!(content, CONTENT);
    }

    async fn reader_reads(&self) {
        self.reads(&self.consortium.reader, self.consortium.patient, self.record, Purpose::Treat).await;
    }

    fn key(&self, name: &str) -> PatientKey {
        PatientKey::generate(&self.consortium.folder.path().join(name)).unwrap()
    }
}

#[tokio::test]
async fn a_consent_of_a_key_that_was_replaced_since() {
    let ward = ward().await;
    ward.consortium.consent(soon()).await;
    let next = ward.key("next.key");
    let rotation = Operation::RotateKey(NewKey { public_key: next.public_key().clone() });
    ward.carry(&ward.consortium.patient_key, rotation).await;
    ward.reader_reads().await;
}

#[tokio::test]
async fn a_consent_of_a_guardian() {
    let ward = ward().await;
    let guardian = ward.key("guardian.key");
    let day = DurationMs::from_days(1);
    let mut until = UnixMs::new(now().get() / day.get() * day.get()).unwrap().plus(day);
    while !until.is_quarter_start() {
        until = until.plus(day);
    }
    let term = GuardianTerm {
        public_key: guardian.public_key().clone(),
        term: Period { from: now(), until },
        protected: vec![],
    };
    ward.carry(&ward.consortium.patient_key, Operation::AddGuardian(term)).await;
    let provision = ward.provision(&ward.consortium.reader);
    ward.carry(&guardian, Operation::GrantConsent(Grant { provision, supersedes: None })).await;
    ward.reader_reads().await;
}

#[tokio::test]
async fn a_consent_that_was_passed_on() {
    let ward = ward().await;
    let reader = &ward.consortium.reader;
    let colleague = ward.consortium.actor("SouthMSP", Role::Clinician).await;
    authorize(&ward.consortium.actor("SouthMSP", Role::Admin).await, &colleague).await;
    let provision = Provision { actions: vec![Action::Read, Action::Delegate], ..ward.provision(reader) };
    let narrower = Provision { period: provision.period, ..ward.provision(&colleague) };
    let key = &ward.consortium.patient_key;
    let parent = ward.carry(key, Operation::GrantConsent(Grant { provision, supersedes: None })).await;
    reader.delegate(ward.consortium.patient, parent, narrower).await.unwrap();
    ward.reads(&colleague, ward.consortium.patient, ward.record, Purpose::Treat).await;
}

#[tokio::test]
async fn a_permit_on_paper() {
    let ward = ward().await;
    let consortium = &ward.consortium;
    let north = consortium.actor("NorthMSP", Role::Service).await;
    let patient = north.register_paper_patient(&consortium.custody, "P-1").await.unwrap().reply.patient;
    let found = consortium.custody.store.patient("P-1").unwrap();
    assert_eq!(found, Some(patient));
    let added =
        consortium.clinician.add_record(&consortium.custody, patient, document(CONTENT)).await.unwrap();
    let act = PaperAct::Grant { provision: ward.provision(&consortium.reader) };
    let paper = north.act_on_paper(patient, act).await.unwrap();
    assert!(!paper.reply.paper.done);
    let waiting = consortium.reader.evaluate(&GetPatient { patient }).await.unwrap();
    assert_eq!(waiting.key, None);
    let (_, effect) = ward.decide(&consortium.reader, patient, added.reply.record, Purpose::Treat).await;
    assert_eq!(effect, Effect::Deny);

    let confirm = ConfirmPaper { patient, id: paper.reply.id };
    assert!(consortium.south_service.submit(&confirm).await.unwrap().reply.done);
    ward.reads(&consortium.reader, patient, added.reply.record, Purpose::Treat).await;
}

#[tokio::test]
async fn broken_glass() {
    let ward = ward().await;
    let consortium = &ward.consortium;
    let call = AuthorizePractitioner {
        subject: consortium.reader.actor().subject,
        role: Role::Clinician,
        purposes: vec![Purpose::Treat, Purpose::Btg],
        until: now().plus(DurationMs::from_days(1)),
    };
    consortium.actor("SouthMSP", Role::Admin).await.submit(&call).await.unwrap();
    let breaking = BreakGlass { patient: consortium.patient, reason_digest: sha256(b"unconscious") };
    consortium.reader.submit(&breaking).await.unwrap();
    ward.reads(&consortium.reader, consortium.patient, ward.record, Purpose::Btg).await;
    let review = ReviewBreakGlass {
        patient: consortium.patient,
        clinician: consortium.reader.actor().clone(),
        justified: true,
        finding_digest: sha256(b"it was so"),
    };
    consortium.actor("NorthMSP", Role::Auditor).await.submit(&review).await.unwrap();
}

#[tokio::test]
async fn statements_are_prepared_here_signed_elsewhere_and_carried_by_anybody() {
    let ward = ward().await;
    let consortium = &ward.consortium;
    consortium.consent(soon()).await;
    let key = &consortium.patient_key;
    let stop = Operation::StopAll(Stop { stopped: true });
    let text =
        statements::prepare(&ledger(), consortium.patient, key.public_key().id(), soon(), stop).unwrap();
    let said = statements::plain_words(&statements::read(&text).unwrap(), |at| at.to_string());
    assert!(said.iter().any(|words| words.starts_with("Nobody may use any of my permits")), "{said:?}");
    let signed = key.sign_text(&text).unwrap();
    assert_eq!(signed.statement, text);
    consortium.reader.carry(signed.clone(), None).await.unwrap();
    let (_, effect) = ward.decide(&consortium.reader, consortium.patient, ward.record, Purpose::Treat).await;
    assert_eq!(effect, Effect::Deny);
    let again = consortium.reader.carry(signed, None).await.unwrap_err();
    let caretrail_records::workflows::CarryError::Call(again) = again else { panic!("{again:?}") };
    assert_eq!(again.code(), Some(Code::StatementReplayed));

    let unopened =
        CompleteRecovery { patient: consortium.patient, recovery: StatementId::from_bytes([1; 16]) };
    let refused = consortium.reader.submit(&unopened).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::RecoveryUnknown));
}

#[tokio::test]
async fn records_in_a_batch_and_of_the_patients_own_are_kept_and_opened() {
    let ward = ward().await;
    let consortium = &ward.consortium;
    let documents = vec![document(CONTENT), document(b"{}"), document(b"[]")];
    let added =
        consortium.clinician.add_records(&consortium.custody, consortium.patient, documents).await.unwrap();
    assert_eq!(added.reply.records.len(), 3);
    let north = consortium.actor("NorthMSP", Role::Service).await;
    let own = north
        .add_own_record(
            &consortium.custody,
            &consortium.patient_key,
            consortium.patient,
            document(CONTENT),
            soon(),
        )
        .await
        .unwrap();
    let folder = consortium.downloads("north");
    for record in added.reply.records.into_iter().chain([own.reply.record]) {
        let opened = north.open_record(&consortium.custody, record, None, &folder).await.unwrap();
        assert_eq!(opened.on_channel.version, 1);
    }
    assert!(consortium.custody.store.pending().unwrap().is_empty(), "every outcome is settled");
}
