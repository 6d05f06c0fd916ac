//! Two hospitals on a peer in memory, with the contract behind the real stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use caretrail_contract::{Admission, contract};
use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, Effect, Grantee, Provision, Scope};
use caretrail_model::decision::Rule;
use caretrail_model::ids::{
    Actor, Digest, Nonce, PatientId, RecordId, RequestId, StatementId, Subject, TxId,
};
use caretrail_model::policy::{ConsortiumPolicy, Daemon, Durations, EPOCH, Member, RoleRule, Terms};
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Commitments;
use caretrail_model::role::Role;
use caretrail_model::statement::{
    Ending, Grant, Operation, PublicKey, Registration, SignedStatement, Statement,
};
use caretrail_model::time::{DurationMs, Period, UnixMs};
use hlf_chaincode::{Config, Service};
use hlf_testpeer::{Creator, Outcome, Proposal, Submitted, TestPeer, TestPeerBuilder};
use p256::ecdsa::SigningKey;

/// When the tests begin, Unix milliseconds.
pub(crate) const START: i64 = 1_767_225_600_000;

pub(crate) struct World {
    pub(crate) peer: TestPeer,
    endorser_clock: Arc<AtomicI64>,
}

/// A member of staff with a certificate.
#[derive(Clone)]
pub(crate) struct Staff {
    pub(crate) creator: Creator,
    pub(crate) actor: Actor,
}

/// A patient with a key of their own.
pub(crate) struct Person {
    pub(crate) key: SigningKey,
    pub(crate) id: PatientId,
    pub(crate) nonce: Nonce,
    pub(crate) home: &'static str,
}

impl World {
    /// An empty channel.
    pub(crate) async fn empty() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(adjust: impl FnOnce(TestPeerBuilder) -> TestPeerBuilder) -> Self {
        let endorser_clock = Arc::new(AtomicI64::new(START));
        let clock = Arc::clone(&endorser_clock);
        let admission = Admission::with_clock(
            DurationMs::from_secs(120),
            Arc::new(move || u64::try_from(clock.load(Ordering::SeqCst)).ok().and_then(UnixMs::new)),
        );
        let service = Service::new(Config::for_tests("caretrail:1"), contract(admission).unwrap());
        let listening = service.bind().await.unwrap();
        let address = listening.local_address();
        tokio::spawn(listening.serve(std::future::pending()));
        let builder =
            TestPeer::builder().channel("records").chaincode("caretrail").clock_unix_ms(START).run_twice();
        let peer = adjust(builder).connect(address).await.unwrap();
        Self { peer, endorser_clock }
    }

    /// A channel with its first policy in force.
    pub(crate) async fn constituted() -> Self {
        let world = Self::empty().await;
        world.constitute().await;
        world
    }

    /// A channel with this policy in force.
    pub(crate) async fn under(policy: &ConsortiumPolicy) -> Self {
        let world = Self::empty().await;
        world.put_in_force(policy).await;
        world
    }

    pub(crate) async fn constitute(&self) {
        self.put_in_force(&policy()).await;
    }

    pub(crate) async fn put_in_force(&self, policy: &ConsortiumPolicy) {
        let text = serde_json::to_string(policy).unwrap();
        let proposed = self.done(&admin("NorthMSP"), &ProposePolicy { policy: text }).await;
        for msp in ["NorthMSP", "SouthMSP"] {
            self.done(&admin(msp), &ApprovePolicy { digest: proposed.digest }).await;
        }
    }

    /// Moves the clients' and the endorser's clocks on.
    pub(crate) fn pass(&self, ms: i64) {
        self.peer.advance_clock_ms(ms);
        self.endorser_clock.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> UnixMs {
        at(self.peer.clock_unix_ms())
    }

    pub(crate) fn proposal<C: Call>(&self, staff: &Staff, call: &C) -> Proposal {
        Proposal::new(staff.creator.serialized(), C::NAME).json(call).unwrap()
    }

    /// Submits, and demands that it commits VALID.
    pub(crate) async fn submitted<C: Call>(&self, staff: &Staff, call: &C) -> Submitted {
        assert!(C::WRITES, "{} is evaluated only", C::NAME);
        let submitted = self.peer.submit(&self.proposal(staff, call)).await.unwrap();
        assert!(submitted.is_valid(), "{} gave {:?}\n{}", C::NAME, submitted.validity, submitted.outcome);
        demand_plain(&submitted.outcome);
        submitted
    }

    /// Submits, demands that it commits VALID, and gives the reply.
    pub(crate) async fn done<C: Call>(&self, staff: &Staff, call: &C) -> C::Reply {
        self.submitted(staff, call).await.outcome.json().unwrap()
    }

    /// Evaluates, and gives the reply.
    pub(crate) async fn seen<C: Call>(&self, staff: &Staff, call: &C) -> C::Reply {
        assert!(!C::WRITES, "{} is submitted", C::NAME);
        let outcome = self.peer.invoke(&self.proposal(staff, call)).await.unwrap();
        assert!(outcome.is_ok(), "{} gave\n{outcome}", C::NAME);
        assert!(outcome.rwset.writes.is_empty(), "{} wrote\n{outcome}", C::NAME);
        assert!(!outcome.requests.contains(&KEY_HISTORY), "{} asked for a key's history", C::NAME);
        outcome.json().unwrap()
    }

    /// Demands that no peer endorses the call, and gives the code.
    pub(crate) async fn refused<C: Call>(&self, staff: &Staff, call: &C) -> Code {
        refusal(&self.peer.invoke(&self.proposal(staff, call)).await.unwrap())
    }

    /// Authorises a clinician of a hospital for treatment, for a day.
    pub(crate) async fn clinician(&self, msp: &str) -> Staff {
        let clinician = staff(msp, Role::Clinician);
        self.authorize(&clinician).await;
        clinician
    }

    pub(crate) async fn authorize(&self, clinician: &Staff) {
        self.authorize_for(clinician, Role::Clinician, &[Purpose::Treat], DurationMs::from_days(1)).await;
    }

    pub(crate) async fn authorize_for(
        &self,
        staff: &Staff,
        role: Role,
        purposes: &[Purpose],
        lasting: DurationMs,
    ) {
        let call = AuthorizePractitioner {
            subject: staff.actor.subject,
            role,
            purposes: purposes.to_vec(),
            until: self.now().plus(lasting),
        };
        self.done(&admin(staff.actor.msp_id.as_str()), &call).await;
    }

    /// A statement of this operation, signed by the patient.
    pub(crate) fn signed(&self, person: &Person, operation: Operation) -> SignedStatement {
        person.sign(self.statement(person, operation))
    }

    /// A statement for this patient, signed by another key.
    pub(crate) fn signed_by(
        &self,
        key: &SigningKey,
        patient: PatientId,
        operation: Operation,
    ) -> SignedStatement {
        let signer =
            Person { key: key.clone(), id: patient, nonce: Nonce::from_bytes([0; 16]), home: "NorthMSP" };
        self.signed(&signer, operation)
    }

    /// What deciding a request about one record gives.
    pub(crate) async fn decided(
        &self,
        staff: &Staff,
        request: &RequestAccess,
    ) -> (Rule, Option<StatementId>) {
        let reply = self.done(staff, request).await;
        (reply.decisions[0].rule, reply.decisions[0].consent)
    }

    /// Registers a patient at a hospital.
    pub(crate) async fn patient(&self, home: &'static str) -> Person {
        let person = person(home);
        self.done(&staff(home, Role::Service), &RegisterPatient { signed: self.registration(&person) }).await;
        person
    }

    pub(crate) fn registration(&self, person: &Person) -> SignedStatement {
        let registration = Registration {
            home: person.home.parse().unwrap(),
            public_key: person.public_key(),
            patient_nonce: person.nonce,
        };
        person.sign(self.statement(person, Operation::RegisterPatient(registration)))
    }

    pub(crate) fn statement(&self, person: &Person, operation: Operation) -> Statement {
        let nonce = Nonce::from_bytes(random());
        let key = person.public_key().id();
        Statement {
            channel: "records".parse().unwrap(),
            chaincode: "caretrail".parse().unwrap(),
            patient: person.id,
            id: StatementId::derive(&person.id, &key, &nonce),
            nonce,
            key,
            submit_by: self.now().plus(DurationMs::from_secs(3600)),
            operation,
        }
    }

    /// A consent of `person` that lets `clinician` read everything for treatment, for an hour.
    pub(crate) fn provision(&self, clinician: &Staff) -> Provision {
        Provision {
            effect: Effect::Permit,
            grantee: Grantee::Person {
                msp_id: clinician.actor.msp_id.clone(),
                subject: clinician.actor.subject,
            },
            actions: vec![Action::Read],
            purposes: vec![Purpose::Treat],
            scope: Scope::All {},
            period: Period { from: self.now(), until: self.now().plus(DurationMs::from_secs(3600)) },
            exceptions: vec![],
        }
    }

    pub(crate) async fn grant(&self, person: &Person, provision: Provision, carrier: &Staff) -> StatementId {
        let grant = Grant { provision, supersedes: None };
        let signed = person.sign(self.statement(person, Operation::GrantConsent(grant)));
        self.done(carrier, &GrantConsent { signed }).await.consent
    }

    pub(crate) fn ending(&self, person: &Person, consent: StatementId) -> EndConsent {
        EndConsent { signed: person.sign(self.statement(person, Operation::EndConsent(Ending { consent }))) }
    }

    pub(crate) async fn record(&self, author: &Staff, person: &Person) -> RecordId {
        self.done(author, &registering(author, person)).await.record
    }
}

impl Person {
    pub(crate) fn public_key(&self) -> PublicKey {
        PublicKey::from(*self.key.verifying_key())
    }

    pub(crate) fn sign(&self, statement: Statement) -> SignedStatement {
        SignedStatement::sign(&statement, &self.key).unwrap()
    }
}

pub(crate) fn registering(author: &Staff, person: &Person) -> RegisterRecord {
    let nonce = Nonce::from_bytes(random());
    RegisterRecord {
        patient: person.id,
        record: RecordId::derive(&author.actor, &person.id, &nonce),
        nonce,
        commitments: commitments(),
        tags: None,
        derived_from: vec![],
    }
}

pub(crate) fn commitments() -> Commitments {
    Commitments {
        content_commitment: Digest::from_bytes(random()),
        blob_digest: Digest::from_bytes(random()),
        sealed_bytes: 4096,
    }
}

pub(crate) fn requesting(person: &Person, records: &[RecordId]) -> RequestAccess {
    let mut records = records.to_vec();
    records.sort();
    RequestAccess {
        request: RequestId::from_bytes(random()),
        patient: person.id,
        records,
        action: Action::Read,
        purpose: Purpose::Treat,
    }
}

pub(crate) fn refusal(outcome: &Outcome) -> Code {
    assert!(!outcome.is_ok(), "endorsed\n{outcome}");
    assert!(outcome.rwset.writes.is_empty(), "wrote\n{outcome}");
    let code: Code = outcome.message.parse().unwrap();
    assert_eq!(outcome.status, code.status());
    code
}

/// What a peer that joined from a snapshot has none of, by its name in Fabric's `chaincode_shim.proto`.
const KEY_HISTORY: &str = "GET_HISTORY_FOR_KEY";

/// Of every transaction in these tests: it read points of the public state, and wrote values of it.
pub(crate) fn demand_plain(outcome: &Outcome) {
    let rwset = &outcome.rwset;
    assert!(rwset.ranges.is_empty(), "it scanned, and others can make it a phantom\n{outcome}");
    assert!(rwset.metadata_writes.is_empty(), "it put a key under a policy of its own\n{outcome}");
    assert!(rwset.collections.is_empty(), "it used private data\n{outcome}");
    assert!(rwset.writes.values().all(Option::is_some), "it deleted what audit and replay need\n{outcome}");
    assert!(outcome.calls.is_empty(), "it called other chaincode\n{outcome}");
    assert!(!outcome.requests.contains(&KEY_HISTORY), "it asked for a key's history\n{outcome}");
}

pub(crate) fn person(home: &'static str) -> Person {
    let key = fresh_key();
    let nonce = Nonce::from_bytes(random());
    let id = PatientId::derive(
        &home.parse().unwrap(),
        &PublicKey::from(*key.verifying_key()).to_sec1_bytes(),
        &nonce,
    );
    Person { key, id, nonce, home }
}

/// Staff with a fresh random subject.
pub(crate) fn staff(msp: &str, role: Role) -> Staff {
    staff_of(msp, role, Subject::from_bytes(random()))
}

/// Staff with this subject.
pub(crate) fn staff_of(msp: &str, role: Role, subject: Subject) -> Staff {
    let creator = Creator::builder(msp)
        .common_name(subject.to_string())
        .organizational_unit("client")
        .attribute("caretrail.role", role.as_str())
        .attribute("caretrail.subject", subject.to_string())
        .build()
        .unwrap();
    Staff { creator, actor: Actor { msp_id: msp.parse().unwrap(), subject } }
}

pub(crate) fn admin(msp: &str) -> Staff {
    staff(msp, Role::Admin)
}

pub(crate) fn policy() -> ConsortiumPolicy {
    let member = |msp: &str| Member {
        msp_id: msp.parse().unwrap(),
        daemon: Daemon { url: "https://localhost:7443".into(), tls_ca_digest: Digest::from_bytes([3; 32]) },
    };
    ConsortiumPolicy {
        sequence: 1,
        channel: "records".parse().unwrap(),
        chaincode: "caretrail".parse().unwrap(),
        epoch: EPOCH,
        members: vec![member("NorthMSP"), member("SouthMSP")],
        rules: vec![RoleRule {
            role: Role::Clinician,
            actions: vec![Action::Read],
            purposes: vec![Purpose::Treat],
            needs_relationship: false,
        }],
        durations: Durations {
            permit_ms: DurationMs::from_secs(300),
            statement_ms_max: DurationMs::from_days(1),
            consent_ms_max: DurationMs::from_days(366),
            standing_ms_max: DurationMs::from_days(366),
        },
        terms: Some(Terms::WIDEST),
    }
}

/// A policy under which clinicians may ask for much, and everything waits for seconds.
pub(crate) fn wide_policy() -> ConsortiumPolicy {
    ConsortiumPolicy {
        rules: vec![RoleRule {
            role: Role::Clinician,
            actions: vec![Action::Read, Action::Write, Action::Delegate],
            purposes: vec![Purpose::Treat, Purpose::Btg, Purpose::Hresch],
            needs_relationship: false,
        }],
        terms: Some(Terms {
            recovery_ms: DurationMs::from_secs(72),
            break_glass_ms: DurationMs::from_secs(60),
            relying_parties: vec!["patients.example".parse().unwrap()],
            ..Terms::WIDEST
        }),
        ..policy()
    }
}

/// Two hospitals under the wide policy, a patient at home in the north with one record there.
pub(crate) struct Ward {
    pub(crate) world: World,
    /// Service of the patient's home, which keeps the record.
    pub(crate) north: Staff,
    /// Service of the other hospital.
    pub(crate) south: Staff,
    pub(crate) author: Staff,
    pub(crate) reader: Staff,
    pub(crate) patient: Person,
    pub(crate) record: RecordId,
}

impl Ward {
    pub(crate) async fn open() -> Self {
        Self::under(&wide_policy()).await
    }

    pub(crate) async fn under(policy: &ConsortiumPolicy) -> Self {
        Self::on(World::under(policy).await).await
    }

    /// On a channel that has its policy.
    pub(crate) async fn on(world: World) -> Self {
        let (author, reader) = (staff("NorthMSP", Role::Clinician), staff("SouthMSP", Role::Clinician));
        for clinician in [&author, &reader] {
            let purposes = [Purpose::Treat, Purpose::Btg, Purpose::Hresch];
            world.authorize_for(clinician, Role::Clinician, &purposes, DurationMs::from_days(300)).await;
        }
        let patient = world.patient("NorthMSP").await;
        let record = world.record(&author, &patient).await;
        let (north, south) = (staff("NorthMSP", Role::Service), staff("SouthMSP", Role::Service));
        Self { world, north, south, author, reader, patient, record }
    }

    /// A permit of everything for the reader, adjusted.
    pub(crate) fn provision(&self, adjust: impl FnOnce(&mut Provision)) -> Provision {
        let mut provision = self.world.provision(&self.reader);
        adjust(&mut provision);
        provision
    }

    pub(crate) async fn grant(&self, adjust: impl FnOnce(&mut Provision)) -> StatementId {
        self.world.grant(&self.patient, self.provision(adjust), &self.south).await
    }

    /// Which rule decides when the reader asks for the record.
    pub(crate) async fn rule(&self) -> Rule {
        self.rule_for(Purpose::Treat).await
    }

    pub(crate) async fn rule_for(&self, purpose: Purpose) -> Rule {
        let request = RequestAccess { purpose, ..requesting(&self.patient, &[self.record]) };
        self.world.decided(&self.reader, &request).await.0
    }

    pub(crate) fn signed(&self, operation: Operation) -> SignedStatement {
        self.world.signed(&self.patient, operation)
    }

    pub(crate) fn disclosing(&self, decision: TxId) -> RecordDisclosure {
        RecordDisclosure {
            patient: self.patient.id,
            decision,
            record: self.record,
            version: 1,
            recipient: self.reader.actor.clone(),
            kem_key_digest: Digest::from_bytes([1; 32]),
        }
    }
}

/// A fresh P-256 key.
pub(crate) fn fresh_key() -> SigningKey {
    loop {
        if let Ok(key) = SigningKey::from_slice(&random::<32>()) {
            return key;
        }
    }
}

pub(crate) fn at(unix_ms: i64) -> UnixMs {
    UnixMs::new(u64::try_from(unix_ms).unwrap()).unwrap()
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}
