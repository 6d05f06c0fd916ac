//! Two hospitals with a policy in force, a patient, and a consent that permits one clinician to read.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use caretrail_model::calls::{
    ApprovePolicy, AuthorizePractitioner, Call as _, GrantConsent, PreviewAccess, ProposePolicy,
    RegisterPatient, RegisterRecord,
};
use caretrail_model::consent::{Action, Effect, Grantee, Provision, Scope};
use caretrail_model::hash::sha256;
use caretrail_model::ids::{Actor, Nonce, PatientId, RecordId, Subject};
use caretrail_model::policy::{ConsortiumPolicy, Daemon, Durations, EPOCH, Member, RoleRule, Terms};
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Commitments;
use caretrail_model::role::Role;
use caretrail_model::statement::Grant;
use caretrail_model::time::{DurationMs, Period, UnixMs};
use caretrail_records::patient_key::PatientKey;
use caretrail_records::{LedgerName, Records};
use caretrail_tests::both::action;
use caretrail_tests::channel::Channel;
use hlf_gateway::{Contract, Deadlines, Endorser, Following, Gateway};
use hlf_network::spec::{Consortium, DEFAULT};
use hlf_protos::kvrwset::KvrwSet;
use hlf_protos::prost::Message as _;
use hlf_protos::protos::{ChaincodeEvent, ProposalResponse};
use hlf_protos::rwset::TxReadWriteSet;

use crate::chaincode::{NO_OP, SHAPE, Shape};
use crate::report::Ordering;

const CHAINCODE: &str = "caretrail";

pub(crate) struct World {
    pub(crate) channel: Channel,
    /// The peer that is called, and that the blocks are read from.
    pub(crate) admin: Gateway,
    /// Both peers' own endorsers.
    endorsers: [Endorser; 2],
    /// The contract as the service of the patient's home hospital calls it: over one connection, with one stream for
    /// all commits.
    pub(crate) contract: Contract,
    service: Actor,
    patient: PatientId,
    clinician: Actor,
    record: RecordId,
}

/// The network: the default one, with the hospitals' identities and these orderers.
fn consortium(ordering: Ordering, block: u32, timer_ms: u32) -> Consortium {
    let user = |name: &str, role: &str, admin: &str| {
        format!(
            "[[organizations.users]]\nname = \"{name}\"\n{admin}common_name = \"random\"\nattributes = {{ \
             \"caretrail.role\" = \"{role}\", \"caretrail.subject\" = \"{{common_name}}\" }}\n"
        )
    };
    let admin = "[[organizations.users]]\nname = \"Admin\"\nnode_ou = \"admin\"\n";
    let service = "[[organizations.users]]\nname = \"User1\"\n";
    let document = DEFAULT
        .replace(admin, &user("admin", "admin", "node_ou = \"admin\"\n"))
        .replace(service, &user("service", "service", ""));
    let document = match ordering {
        Ordering::Raft => document,
        Ordering::Bft => document
            .replace("\"raft\"", "\"bft\"")
            .replace("[\"orderer0\"]", "[\"orderer0\", \"orderer1\", \"orderer2\", \"orderer3\"]"),
    };
    // As `caretrail network` stands networks up.
    let definition = format!(
        "[peer]\nkey_history = false\n[chaincode]\nname = \"{CHAINCODE}\"\nlabel = \"{CHAINCODE}\"\n"
    );
    let mut spec = Consortium::parse(&format!("{document}\n{definition}")).expect("the consortium");
    spec.channel.max_message_count = block;
    spec.channel.batch_timeout_ms = timer_ms;
    spec
}

impl World {
    pub(crate) async fn stand_up(folder: &Path, ordering: Ordering, block: u32, timer_ms: u32) -> Self {
        let name = format!("{ordering:?}").to_lowercase();
        let channel = Channel::stand_up(folder, &name, consortium(ordering, block, timer_ms), &[]).await;
        let [north, south] = [0, 1].map(|index| channel.peers()[index].clone());
        let ledger = LedgerName {
            channel: channel.name().parse().expect("a name"),
            chaincode: CHAINCODE.parse().expect("a name"),
        };
        let gateway = |peer: &str, user: &str| channel.gateway(peer, user, Deadlines::default());
        let records = |gateway: &Gateway| Records::new(gateway, ledger.clone()).expect("an actor");
        let admin = gateway(&north, "admin");
        let admins = [records(&admin), records(&gateway(&south, "admin"))];
        let policy = serde_json::to_string(&policy(&ledger, &admins)).expect("a policy");
        let proposed = admins[0].submit(&ProposePolicy { policy }).await.expect("a proposed policy");
        for own in &admins {
            let approved = own.submit(&ApprovePolicy { digest: proposed.reply.digest }).await;
            let tx_id = approved.expect("an approval").tx_id;
            // Each hospital's peer may be a block behind the other's.
            for each in &admins {
                each.outcome(&tx_id).await.expect("its block");
            }
        }

        let until = now().plus(DurationMs::from_days(30));
        let purposes = vec![Purpose::Treat];
        let following = gateway(&north, "service").following_commits(Following::default());
        let service = records(&following);
        let clinician = Actor {
            msp_id: admins[1].actor().msp_id.clone(),
            subject: Subject::from_bytes(*b"a clinician of S"),
        };
        for (own, actor, role) in
            [(&admins[0], service.actor(), Role::Service), (&admins[1], &clinician, Role::Clinician)]
        {
            let (subject, purposes) = (actor.subject, purposes.clone());
            let call = AuthorizePractitioner { subject, role, purposes, until };
            let authorized = own.submit(&call).await.expect("an authorised actor");
            for each in &admins {
                each.outcome(&authorized.tx_id).await.expect("its block");
            }
        }

        let key = PatientKey::generate(&folder.join(format!("{name}-patient.pem"))).expect("a key");
        let submit_by = now().plus(DurationMs::from_secs(3600));
        let home = &service.actor().msp_id;
        let registration = key.register(&ledger, home, submit_by).expect("a registration");
        let patient = registration.patient;
        service.submit(&RegisterPatient { signed: registration.signed }).await.expect("a patient");
        let provision = Provision {
            effect: Effect::Permit,
            grantee: Grantee::Person { msp_id: clinician.msp_id.clone(), subject: clinician.subject },
            actions: vec![Action::Read],
            purposes,
            scope: Scope::All {},
            period: Period { from: now(), until },
            exceptions: Vec::new(),
        };
        let grant = Grant { provision, supersedes: None };
        let signed = key.grant(&ledger, patient, grant, submit_by).expect("a grant");
        service.submit(&GrantConsent { signed }).await.expect("a consent");

        let contract = following.contract(channel.name(), CHAINCODE);
        let endorsers = [admin.endorser(), gateway(&south, "admin").endorser()];
        let actor = service.actor().clone();
        let record = RecordId::derive(&actor, &patient, &nonce(0));
        let world = Self { channel, admin, endorsers, contract, service: actor, patient, clinician, record };
        service.submit(&world.registration(0)).await.expect("a record");
        let preview = service.evaluate(&world.preview()).await.expect("a preview");
        assert_eq!(preview.decisions[0].effect, Effect::Permit, "{preview:?}");
        world
    }

    /// A record's registration, as the hospital's workflow makes it: of a commitment, a digest and a padded size.
    fn registration(&self, number: u64) -> RegisterRecord {
        let nonce = nonce(number);
        RegisterRecord {
            patient: self.patient,
            record: RecordId::derive(&self.service, &self.patient, &nonce),
            nonce,
            commitments: Commitments {
                content_commitment: sha256(&number.to_be_bytes()),
                blob_digest: sha256(&number.to_le_bytes()),
                sealed_bytes: 65_536,
            },
            tags: None,
            derived_from: Vec::new(),
        }
    }

    fn preview(&self) -> PreviewAccess {
        PreviewAccess {
            actor: self.clinician.clone(),
            patient: self.patient,
            records: vec![self.record],
            action: Action::Read,
            purpose: Purpose::Treat,
            at: None,
        }
    }

    /// Tells both chaincodes what the contract's call reads and writes: what a peer endorses of it.
    pub(crate) async fn tell_shape(&self, evaluated: bool, keys: usize) {
        let (function, arg) = if evaluated { self.access_check() } else { self.register(0xffff_ffff) };
        let [answer, _] = self.endorsed(function, arg).await;
        let action = action(&answer);
        let sets = TxReadWriteSet::decode(action.results.as_slice()).expect("read and write sets");
        let set = sets.ns_rwset.iter().find(|set| set.namespace == CHAINCODE).expect("the contract's");
        let set = KvrwSet::decode(set.rwset.as_slice()).expect("a read and write set");
        let event = ChaincodeEvent::decode(action.events.as_slice()).expect("an event");
        let shape = Shape {
            reads: set.reads.into_iter().take(keys).map(|read| read.key).collect(),
            writes: set.writes.iter().take(keys).map(|write| (write.key.len(), write.value.len())).collect(),
            event: (!event.event_name.is_empty()).then_some(event.payload.len()),
            reply: action.response.expect("a reply").payload.len(),
        };
        self.endorsed(SHAPE, serde_json::to_vec(&shape).expect("JSON")).await;
    }

    async fn endorsed(&self, function: &str, arg: Vec<u8>) -> [ProposalResponse; 2] {
        let proposal = self.contract.proposal(function).arg(arg).build().expect("a proposal");
        let signed = proposal.signed().await.expect("a signed proposal");
        let [north, south] = &self.endorsers;
        let (north, south) = tokio::join!(north.process(signed.clone()), south.process(signed.clone()));
        [north, south].map(|answer| {
            let answer = answer.expect("an answer");
            assert!(answer.endorsement.is_some(), "{answer:?}");
            answer
        })
    }

    /// The function and argument of a call that is submitted.
    pub(crate) fn register(&self, number: u64) -> (&'static str, Vec<u8>) {
        (RegisterRecord::NAME, serde_json::to_vec(&self.registration(number)).expect("JSON"))
    }

    /// The function and argument of a call that is evaluated.
    pub(crate) fn access_check(&self) -> (&'static str, Vec<u8>) {
        (PreviewAccess::NAME, serde_json::to_vec(&self.preview()).expect("JSON"))
    }
}

/// The number of the call that made a transaction, from its function and arguments.
pub(crate) fn number(args: &[Vec<u8>]) -> Option<u64> {
    let [function, arg] = args else { return None };
    if function == NO_OP.as_bytes() {
        return std::str::from_utf8(arg).ok()?.parse().ok();
    }
    let registration: RegisterRecord = serde_json::from_slice(arg).ok()?;
    u64::try_from(u128::from_be_bytes(*registration.nonce.as_bytes())).ok()
}

fn nonce(number: u64) -> Nonce {
    Nonce::from_bytes(u128::from(number).to_be_bytes())
}

fn policy(ledger: &LedgerName, admins: &[Records]) -> ConsortiumPolicy {
    let member = |admin: &Records| Member {
        msp_id: admin.actor().msp_id.clone(),
        // Nobody releases anything here.
        daemon: Daemon { url: "https://localhost:1".to_owned(), tls_ca_digest: sha256(b"") },
    };
    ConsortiumPolicy {
        sequence: 1,
        channel: ledger.channel.clone(),
        chaincode: ledger.chaincode.clone(),
        epoch: EPOCH,
        members: admins.iter().map(member).collect(),
        rules: vec![RoleRule {
            role: Role::Clinician,
            actions: vec![Action::Read, Action::Write],
            purposes: vec![Purpose::Treat],
            needs_relationship: false,
        }],
        durations: Durations {
            permit_ms: DurationMs::from_secs(300),
            statement_ms_max: DurationMs::from_days(7),
            consent_ms_max: DurationMs::from_days(3660),
            standing_ms_max: DurationMs::from_days(366),
        },
        terms: Some(Terms::WIDEST),
    }
}

fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    u64::try_from(since.as_millis()).ok().and_then(UnixMs::new).expect("a time")
}
