//! Staff of both hospitals and a patient, who make the contract's calls without the program.

use std::collections::BTreeMap;

use caretrail_model::calls::{ApprovePolicy, Call, GrantConsent, ProposePolicy, RegisterPatient};
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, Effect, Grantee, Provision, Scope};
use caretrail_model::ids::{Actor, PatientId, StatementId};
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::purpose::Purpose;
use caretrail_model::statement::{Grant, Operation, SignedStatement};
use caretrail_model::time::{DurationMs, Period, UnixMs};
use caretrail_records::patient_key::PatientKey;
use caretrail_records::{LedgerName, Records};
use hlf_gateway::{Endorsed, Gateway, Proposal};
use hlf_protos::protos::{ProposalResponse, TxValidationCode};
use memchr::memmem;

use crate::both::{Both, Sent, propose};
use crate::hospitals::Hospitals;
use crate::until::now_unix_ms;

/// An hour.
pub const HOUR: DurationMs = DurationMs::from_secs(3600);

/// Both hospitals, whose every transaction both endorse alike, and whose blocks are known beforehand.
#[derive(Debug)]
pub struct Actors {
    /// The hospitals.
    pub hospitals: Hospitals,
    /// Their peers.
    pub both: Both,
    /// Every transaction that was handed to the orderer, in its order.
    pub sent: Vec<Sent>,
    callers: BTreeMap<&'static str, Records>,
}

/// A patient with a key of their own, at home in the north.
#[derive(Debug)]
pub struct Person {
    /// The key.
    pub key: PatientKey,
    /// Who it is on the channel.
    pub id: PatientId,
}

impl Actors {
    /// Connects these identities, each `ORGANISATION/NAME`.
    ///
    /// # Panics
    /// When one is not there.
    pub async fn of(hospitals: Hospitals, identities: &[&'static str]) -> Self {
        let mut callers = BTreeMap::new();
        for identity in identities {
            callers.insert(*identity, hospitals.records(identity).await);
        }
        let both = Both::of(&hospitals).await;
        Self { hospitals, both, sent: Vec::new(), callers }
    }

    /// The gateway of an identity.
    pub fn gateway(&self, identity: &str) -> &Gateway {
        self.callers[identity].gateway()
    }

    /// Who an identity is.
    pub fn actor(&self, identity: &str) -> Actor {
        self.callers[identity].actor().clone()
    }

    /// A call, proposed to both hospitals' peers.
    pub fn propose<C: Call>(&self, identity: &str, call: &C) -> Proposal {
        self.propose_on(&self.hospitals.ledger(), identity, call)
    }

    /// A call of the contract of another ledger.
    pub fn propose_on<C: Call>(&self, ledger: &LedgerName, identity: &str, call: &C) -> Proposal {
        propose(self.gateway(identity), ledger.channel.as_str(), ledger.chaincode.as_str(), call)
    }

    /// Has both endorse a call alike, and it commits VALID.
    ///
    /// # Panics
    /// When it ends otherwise.
    pub async fn done<C: Call>(&mut self, identity: &str, call: &C) -> C::Reply {
        self.done_on(&self.hospitals.ledger(), identity, call).await
    }

    /// Has both endorse a call of another ledger's contract alike, and it commits VALID.
    ///
    /// # Panics
    /// When it ends otherwise.
    pub async fn done_on<C: Call>(&mut self, ledger: &LedgerName, identity: &str, call: &C) -> C::Reply {
        assert!(C::WRITES, "{} is evaluated only", C::NAME);
        let proposal = self.propose_on(ledger, identity, call);
        let (answer, endorsed) = self.endorsed(&proposal).await;
        assert_eq!(self.order(&endorsed).await, TxValidationCode::Valid, "{}", C::NAME);
        serde_json::from_slice(&answer.response.unwrap_or_default().payload).expect("a reply")
    }

    /// A proposal that both endorse alike, endorsed by both through the gateway as well, with what they endorsed.
    ///
    /// # Panics
    /// When one refuses it, or they differ.
    pub async fn endorsed(&self, proposal: &Proposal) -> (ProposalResponse, Endorsed) {
        let answer = self.both.alike(proposal).await;
        let endorsed = proposal.endorse().await.unwrap_or_else(|error| panic!("{error:?}"));
        let agreed = memmem::find(endorsed.message(), &answer.payload);
        assert!(agreed.is_some(), "the transaction holds what both endorsed");
        (answer, endorsed)
    }

    /// Hands a transaction to the orderer, and notes how it ended.
    ///
    /// # Panics
    /// When it is not ordered.
    pub async fn order(&mut self, endorsed: &Endorsed) -> TxValidationCode {
        let sent = self.both.order(endorsed).await;
        let code = sent.code;
        self.sent.push(sent);
        code
    }

    /// Evaluates a call alike at both.
    ///
    /// # Panics
    /// When one refuses it, or they differ.
    pub async fn seen<C: Call>(&self, identity: &str, call: &C) -> C::Reply {
        assert!(!C::WRITES, "{} is submitted", C::NAME);
        let answer = self.both.alike(&self.propose(identity, call)).await;
        serde_json::from_slice(&answer.response.unwrap_or_default().payload).expect("a reply")
    }

    /// The code with which both refuse a call.
    ///
    /// # Panics
    /// When one does not, or they differ.
    pub async fn refused<C: Call>(&self, identity: &str, call: &C) -> Code {
        self.refused_on(&self.hospitals.ledger(), identity, call).await
    }

    /// The code with which both refuse a call of another ledger's contract.
    ///
    /// # Panics
    /// When one does not, or they differ.
    pub async fn refused_on<C: Call>(&self, ledger: &LedgerName, identity: &str, call: &C) -> Code {
        let (status, message) = self.both.refused(&self.propose_on(ledger, identity, call)).await;
        let code: Code = message.parse().unwrap_or_else(|_| panic!("{}: `{message}` is no code", C::NAME));
        assert_eq!(status, code.status(), "{}", C::NAME);
        code
    }

    /// Notes a VALID transaction that `caretrail` committed.
    ///
    /// # Panics
    /// When it is not VALID.
    pub async fn note(&mut self, tx_id: &str) {
        let sent = self.both.verdict("records", tx_id).await;
        assert_eq!(sent.code, TxValidationCode::Valid, "{tx_id}");
        self.sent.push(sent);
    }

    /// Puts a policy in force, by the admins of both hospitals.
    ///
    /// # Panics
    /// When it does not come into force.
    pub async fn put_in_force(&mut self, policy: &ConsortiumPolicy) {
        let ledger = LedgerName { channel: policy.channel.clone(), chaincode: policy.chaincode.clone() };
        let text = serde_json::to_string(policy).expect("a policy's text");
        let proposed = self.done_on(&ledger, "north/admin", &ProposePolicy { policy: text }).await;
        let approve = ApprovePolicy { digest: proposed.digest };
        self.done_on(&ledger, "north/admin", &approve).await;
        assert!(self.done_on(&ledger, "south/admin", &approve).await.in_force);
    }

    /// Makes a patient's key, without registering the patient.
    ///
    /// # Panics
    /// When its file exists.
    pub fn key(&self, name: &str) -> PatientKey {
        PatientKey::generate(&self.hospitals.caretrail.file(&format!("{name}.pem"))).expect("a key")
    }

    /// Registers a patient in the north.
    ///
    /// # Panics
    /// When the registration does not commit.
    pub async fn person(&mut self, name: &str) -> Person {
        let key = self.key(name);
        let home = "NorthMSP".parse().expect("a name");
        let registration = key.register(&self.hospitals.ledger(), &home, soon()).expect("a registration");
        let id = self.done("north/service", &RegisterPatient { signed: registration.signed }).await.patient;
        assert_eq!(id, registration.patient);
        Person { key, id }
    }

    /// A statement of a patient.
    pub fn signed(&self, person: &Person, operation: Operation) -> SignedStatement {
        person.sign(&self.hospitals.ledger(), operation)
    }

    /// A consent that lets an identity read everything for treatment, for an hour.
    pub fn provision(&self, identity: &str) -> Provision {
        let Actor { msp_id, subject } = self.actor(identity);
        Provision {
            effect: Effect::Permit,
            grantee: Grantee::Person { msp_id, subject },
            actions: vec![Action::Read],
            purposes: vec![Purpose::Treat],
            scope: Scope::All {},
            period: Period { from: now(), until: now().plus(HOUR) },
            exceptions: vec![],
        }
    }

    /// Lets an identity read everything for treatment, for an hour.
    ///
    /// # Panics
    /// When it does not commit.
    pub async fn permit(&mut self, person: &Person, identity: &str) -> StatementId {
        self.grant(person, self.provision(identity)).await
    }

    /// Grants a consent, carried by the south.
    ///
    /// # Panics
    /// When it does not commit.
    pub async fn grant(&mut self, person: &Person, provision: Provision) -> StatementId {
        let signed = self.signed(person, granting(provision));
        self.done("south/service", &GrantConsent { signed }).await.consent
    }
}

impl Person {
    /// Signs for a ledger.
    ///
    /// # Panics
    /// When there is no randomness.
    pub fn sign(&self, ledger: &LedgerName, operation: Operation) -> SignedStatement {
        self.key.sign(ledger, self.id, soon(), operation).expect("a signed statement")
    }
}

/// What grants a consent.
pub fn granting(provision: Provision) -> Operation {
    Operation::GrantConsent(Grant { provision, supersedes: None })
}

/// The time.
///
/// # Panics
/// When the clock is wrong.
pub fn now() -> UnixMs {
    UnixMs::new(now_unix_ms()).expect("a clock before the year 287,396")
}

/// A quarter of an hour from now: when statements have to be carried by.
pub fn soon() -> UnixMs {
    now().plus(DurationMs::from_secs(900))
}
