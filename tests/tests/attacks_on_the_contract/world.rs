//! Two hospitals at work, a patient with a record, and further chaincode and channels that an attacker may use.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use caretrail_model::calls::{AccessDecision, AuthorizePractitioner, RegisterRecord, RequestAccess};
use caretrail_model::consent::Action;
use caretrail_model::ids::{Digest, Nonce, RecordId, RequestId};
use caretrail_model::policy::{ConsortiumPolicy, RoleRule, Terms};
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Commitments;
use caretrail_model::role::Role;
use caretrail_model::tag::RecordTags;
use caretrail_model::time::DurationMs;
use caretrail_records::LedgerName;
use caretrail_tests::actors::{Actors, Person, now};
use caretrail_tests::further;
use caretrail_tests::hospitals::{Hospitals, text};
use caretrail_tests::stage::Stage;
use caretrail_tests::telling::World;
use hlf_network::Quiet;
use hlf_protos::protos::TxValidationCode;

use crate::chaincodes;

/// The other channel, with the contract under its own name.
pub(crate) const ELSEWHERE: &str = "elsewhere";
/// The contract once more on the same channel, under this name.
pub(crate) const NOTARY: &str = "notary";
/// A chaincode that passes calls on to the contract.
pub(crate) const RELAY: &str = "relay";

/// What everything is tried on.
pub(crate) struct Siege {
    actors: Actors,
    /// A patient of North.
    pub(crate) patient: Person,
    /// A record of the patient, whose document is in North's vault.
    pub(crate) record: RecordId,
    /// The policy in force.
    pub(crate) policy: ConsortiumPolicy,
}

impl World for Siege {
    async fn stand_up(stage: &Stage) -> Self {
        let programs = BTreeMap::from([
            ("north".to_owned(), chaincodes::talkative_contract()),
            ("south".to_owned(), chaincodes::other_build()),
        ]);
        let hospitals = Hospitals::stand_up_with(stage.folder(), programs.clone()).await;
        let network = hospitals.network();
        network.open_channel(ELSEWHERE, &hospitals.options(programs), &Quiet).await.unwrap();
        let contract = further::installed(&hospitals, "caretrail").await;
        further::define(network, ELSEWHERE, "caretrail", &contract).await;
        further::define(network, "records", NOTARY, &contract).await;
        let relay = further::install(network, RELAY, |_| chaincodes::relay()).await;
        further::define(network, "records", RELAY, &relay).await;

        for name in ["north/ada", "south/ben", "south/cleo"] {
            hospitals.clinician(name).await;
        }
        let policy = policy(&hospitals).await;
        let identities = [
            "north/admin",
            "north/service",
            "north/auditor",
            "north/ada",
            "south/admin",
            "south/service",
            "south/auditor",
            "south/ben",
            "south/cleo",
        ];
        let mut actors = Actors::of(hospitals, &identities).await;
        actors.put_in_force(&policy).await;
        for (name, purposes) in [
            ("north/ada", vec![Purpose::Treat]),
            ("south/ben", vec![Purpose::Treat, Purpose::Hresch]),
            ("south/cleo", vec![Purpose::Treat]),
        ] {
            authorize(&mut actors, name, purposes).await;
        }
        let patient = actors.person("patient").await;
        actors.hospitals.caretrail.write("note.txt", b"a note");
        let add = format!("record add note.txt --patient {}", patient.id);
        let added = actors.hospitals.caretrail.run_as("north/ada", &add).await.done();
        actors.note(&text(&added["tx_id"])).await;
        let record = text(&added["record"]).parse().unwrap();
        Self { actors, patient, record, policy }
    }
}

/// The policy as it is drafted for users, with more that clinicians may ask for, and passkeys.
async fn policy(hospitals: &Hospitals) -> ConsortiumPolicy {
    let draft = hospitals.caretrail.run("policy draft").await;
    let drafted: ConsortiumPolicy = serde_json::from_str(draft.text()).unwrap();
    let terms = drafted.terms.clone().unwrap();
    ConsortiumPolicy {
        rules: vec![RoleRule {
            role: Role::Clinician,
            actions: vec![Action::Read, Action::Write, Action::Delegate],
            purposes: vec![Purpose::Treat, Purpose::Btg, Purpose::Hresch],
            needs_relationship: false,
        }],
        terms: Some(Terms {
            recovery_ms: DurationMs::from_secs(1),
            relying_parties: vec!["patients.example".parse().unwrap()],
            ..terms
        }),
        ..drafted
    }
}

/// Lets a clinician act for these purposes, for a day.
pub(crate) async fn authorize(actors: &mut Actors, name: &str, purposes: Vec<Purpose>) {
    let (hospital, _) = name.split_once('/').unwrap();
    let call = AuthorizePractitioner {
        subject: actors.actor(name).subject,
        role: Role::Clinician,
        purposes,
        until: now().plus(DurationMs::from_days(1)),
    };
    actors.done(&format!("{hospital}/admin"), &call).await;
}

impl Deref for Siege {
    type Target = Actors;

    fn deref(&self) -> &Actors {
        &self.actors
    }
}

impl DerefMut for Siege {
    fn deref_mut(&mut self) -> &mut Actors {
        &mut self.actors
    }
}

impl Siege {
    /// The contract on the other channel, and under its other name.
    pub(crate) fn other_ledgers() -> [LedgerName; 2] {
        let name = |channel: &str, chaincode: &str| LedgerName {
            channel: channel.parse().unwrap(),
            chaincode: chaincode.parse().unwrap(),
        };
        [name(ELSEWHERE, "caretrail"), name("records", NOTARY)]
    }

    /// A request about a record of the patient, to read it for treatment.
    pub(crate) fn requesting(&self) -> RequestAccess {
        requesting(&self.patient, self.record)
    }

    /// What ben is told when he asks for the patient's record.
    pub(crate) async fn asked(&mut self) -> AccessDecision {
        let request = self.requesting();
        self.done("south/ben", &request).await
    }

    /// Ben sees nothing, and there is no consent: at both hospitals.
    pub(crate) async fn demand_no_consent(&mut self) {
        let list = caretrail_model::calls::ListConsents { patient: self.patient.id };
        assert_eq!(self.seen("north/service", &list).await.consents, []);
        let asked = self.asked().await;
        assert_eq!(asked.decisions[0].rule, caretrail_model::decision::Rule::NothingPermits);
    }

    /// Adds a record without a document.
    pub(crate) async fn add(&mut self, person: &Person, tags: Option<RecordTags>) -> RecordId {
        let call = self.registering(person, tags);
        self.done("north/ada", &call).await.record
    }

    pub(crate) fn registering(&self, person: &Person, tags: Option<RecordTags>) -> RegisterRecord {
        let nonce = Nonce::from_bytes(random());
        RegisterRecord {
            patient: person.id,
            record: RecordId::derive(&self.actor("north/ada"), &person.id, &nonce),
            nonce,
            commitments: Commitments {
                content_commitment: Digest::from_bytes(random()),
                blob_digest: Digest::from_bytes(random()),
                sealed_bytes: 4096,
            },
            tags,
            derived_from: vec![],
        }
    }

    /// Hands a transaction to the orderer that must not count.
    pub(crate) async fn order_in_vain(&mut self, endorsed: &hlf_gateway::Endorsed, code: TxValidationCode) {
        assert_eq!(self.order(endorsed).await, code);
    }
}

/// A request to read a record for treatment, under a fresh id.
pub(crate) fn requesting(person: &Person, record: RecordId) -> RequestAccess {
    RequestAccess {
        request: RequestId::from_bytes(random()),
        patient: person.id,
        records: vec![record],
        action: Action::Read,
        purpose: Purpose::Treat,
    }
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}
