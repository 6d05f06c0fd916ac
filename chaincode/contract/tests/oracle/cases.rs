//! Generated cases: everyone and everything is one of a few, and most instants lie at the decision's or beside it.

use caretrail_contract::policy::{LedgerFacts, Request};
use caretrail_model::care::{BrokenGlass, Relationship, Review};
use caretrail_model::consent::{
    Action, Delegated, Effect, Exception, Grantee, LiveConsent, LiveConsents, Provision, Scope,
};
use caretrail_model::decision::Decision;
use caretrail_model::guardian::{ByGuardian, Guardian, Guardians};
use caretrail_model::ids::{
    Actor, Digest, KeyId, MspId, PatientId, RecordId, StatementId, Subject, Tag, TxId,
};
use caretrail_model::patient::{Patient, StopSwitch};
use caretrail_model::policy::{ConsortiumPolicy, Daemon, Durations, Member, RoleRule, Terms};
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Record;
use caretrail_model::role::Role;
use caretrail_model::standing::Standing;
use caretrail_model::statement::PublicKey;
use caretrail_model::tag::{RecordTags, TagSet};
use caretrail_model::time::{DurationMs, Period, UnixMs};

use super::Engine;

/// When every generated request is decided.
pub(crate) const NOW: u64 = 1_000;
/// Both hospitals.
pub(crate) const HOSPITALS: [&str; 2] = ["NorthMSP", "SouthMSP"];
/// Subjects, records, patients: one of two.
pub(crate) const TWO: [u8; 2] = [1, 2];

/// One case.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// When it is decided, Unix milliseconds.
    pub(crate) now: u64,
    pub(crate) actor: Actor,
    pub(crate) role: Role,
    pub(crate) patient_id: PatientId,
    pub(crate) record_id: RecordId,
    pub(crate) action: Action,
    pub(crate) purpose: Purpose,
    pub(crate) policy: ConsortiumPolicy,
    pub(crate) standing: Option<Standing>,
    pub(crate) patient: Patient,
    pub(crate) consents: LiveConsents,
    pub(crate) guardians: Guardians,
    pub(crate) stop: Option<StopSwitch>,
    pub(crate) relationship: Option<Relationship>,
    pub(crate) hospital_relationship: Option<Relationship>,
    pub(crate) break_glass: Option<BrokenGlass>,
    pub(crate) record: Option<Record>,
}

impl Case {
    /// The case of a number: the same each time.
    pub(crate) fn generate(seed: u64, number: u64) -> Self {
        Generator::of(seed, number).case()
    }

    /// What the ledger holds.
    pub(crate) fn facts(&self) -> LedgerFacts<'_> {
        LedgerFacts {
            policy: &self.policy,
            standing: self.standing.as_ref(),
            patient: &self.patient,
            consents: &self.consents,
            guardians: &self.guardians,
            stop: self.stop.as_ref(),
            relationship: self.relationship.as_ref(),
            hospital_relationship: self.hospital_relationship.as_ref(),
            break_glass: self.break_glass.as_ref(),
            record: self.record.as_ref(),
        }
    }

    /// What an engine decides.
    pub(crate) fn decided_by(&self, engine: Engine) -> Decision {
        let request = Request {
            actor: &self.actor,
            role: self.role,
            patient: &self.patient_id,
            record: &self.record_id,
            action: self.action,
            purpose: self.purpose,
        };
        engine(&request, &self.facts(), at(self.now))
    }
}

pub(crate) fn at(unix_ms: u64) -> UnixMs {
    UnixMs::new(unix_ms).unwrap()
}

fn msp(name: &str) -> MspId {
    name.parse().unwrap()
}

fn person(hospital: &str, subject: u8) -> Actor {
    Actor { msp_id: msp(hospital), subject: Subject::from_bytes([subject; 16]) }
}

/// The generator of P-256: a guardian's key has to be a point, and which does not matter.
fn some_key() -> PublicKey {
    const POINT: &str =
        "\"BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU\"";
    serde_json::from_str(POINT).unwrap()
}

/// SplitMix64.
pub(crate) struct Generator {
    state: u64,
}

impl Generator {
    /// The one of a number: it draws the same each time.
    pub(crate) fn of(seed: u64, number: u64) -> Self {
        Self { state: seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15) }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True in `of` of a hundred.
    pub(crate) fn chance(&mut self, of: u64) -> bool {
        self.below(100) < of
    }

    pub(crate) fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()].clone()
    }

    /// Each with the same chance, at least one, in order.
    pub(crate) fn some_of<T: Clone>(&mut self, of: &[T], chance: u64) -> Vec<T> {
        let some: Vec<T> = of.iter().filter(|_| self.chance(chance)).cloned().collect();
        if some.is_empty() { vec![self.one_of(of)] } else { some }
    }

    fn purpose(&mut self) -> Purpose {
        match self.below(10) {
            0..4 => Purpose::Treat,
            4..6 => Purpose::Btg,
            6 => self.one_of(&[Purpose::Hresch, Purpose::Clintrch]),
            7 => self.one_of(&[Purpose::Patrqt, Purpose::Famrqt, Purpose::Etreat]),
            _ => self.one_of(&Purpose::ALL),
        }
    }

    fn purposes(&mut self) -> Vec<Purpose> {
        match self.below(6) {
            0 => Purpose::ALL.to_vec(),
            1..4 => vec![Purpose::Treat, Purpose::Btg, Purpose::Hresch, Purpose::Patrqt],
            _ => {
                let mut some: Vec<Purpose> = (0..=self.below(3)).map(|_| self.purpose()).collect();
                some.sort_unstable();
                some.dedup();
                some
            }
        }
    }

    fn action(&mut self) -> Action {
        match self.below(8) {
            0 => Action::Write,
            1 => Action::Delegate,
            _ => Action::Read,
        }
    }

    fn actions(&mut self) -> Vec<Action> {
        self.some_of(&[Action::Read, Action::Write, Action::Delegate], 75)
    }

    fn role(&mut self) -> Role {
        if self.chance(80) { Role::Clinician } else { self.one_of(&Role::ALL) }
    }

    fn hospital(&mut self) -> &'static str {
        if self.chance(75) { HOSPITALS[1] } else { HOSPITALS[0] }
    }

    fn subject(&mut self) -> Subject {
        Subject::from_bytes([if self.chance(75) { 1 } else { 2 }; 16])
    }

    /// An end: at the instant, a step beside it, some steps later, or never.
    fn end(&mut self) -> UnixMs {
        at(match self.below(12) {
            0 => NOW - 1,
            1 => NOW,
            2 => NOW + 1,
            3 => (1 << 53) - 1,
            _ => NOW + 2 + self.below(10),
        })
    }

    fn period(&mut self) -> Period {
        let from = match self.below(8) {
            0 => NOW - 1,
            1 => NOW,
            2 => NOW + 1,
            _ => 0,
        };
        Period { from: at(from), until: self.end() }
    }

    fn tag_sets(&mut self) -> Vec<TagSet> {
        let hospitals = self.some_of(&HOSPITALS, 70);
        hospitals
            .into_iter()
            .map(|hospital| TagSet {
                custodian: msp(hospital),
                epoch: if self.chance(85) { 1 } else { 2 },
                tags: self.some_of(&[1, 2, 3], 40).into_iter().map(tag).collect(),
            })
            .collect()
    }

    fn record_tags(&mut self) -> Option<RecordTags> {
        self.chance(75).then(|| RecordTags {
            custodian: msp(self.hospital()),
            epoch: if self.chance(85) { 1 } else { 2 },
            tags: self.some_of(&[1, 2, 3], 40).into_iter().map(tag).collect(),
        })
    }

    fn grantee(&mut self) -> Grantee {
        let msp_id = msp(self.hospital());
        match self.below(3) {
            0 => Grantee::Hospital { msp_id },
            1 => Grantee::Role { msp_id, role: self.role() },
            _ => Grantee::Person { msp_id, subject: self.subject() },
        }
    }

    fn scope(&mut self) -> Scope {
        match self.below(8) {
            0..3 => Scope::All {},
            3 => Scope::Custodian { msp_id: msp(self.hospital()) },
            4 => Scope::Records {
                records: self
                    .some_of(&TWO, 60)
                    .into_iter()
                    .map(|id| RecordId::from_bytes([id; 16]))
                    .collect(),
            },
            _ => Scope::Tags { sets: self.tag_sets() },
        }
    }

    fn exception(&mut self) -> Exception {
        Exception {
            grantee: self.chance(50).then(|| self.grantee()),
            actions: if self.chance(40) { self.actions() } else { vec![] },
            purposes: if self.chance(40) { self.purposes() } else { vec![] },
            scope: self.chance(50).then(|| self.scope()),
            period: self.chance(40).then(|| self.period()),
        }
    }

    fn provision(&mut self, effect: Effect) -> Provision {
        let exceptions = match self.below(10) {
            0..3 => 1,
            3 => 2,
            _ => 0,
        };
        Provision {
            effect,
            grantee: self.grantee(),
            actions: self.actions(),
            purposes: self.purposes(),
            scope: self.scope(),
            period: self.period(),
            exceptions: (0..exceptions).map(|_| self.exception()).collect(),
        }
    }

    fn consents(&mut self) -> LiveConsents {
        let count = u8::try_from(self.below(7)).unwrap();
        if self.chance(15) {
            return self.passed_on(count);
        }
        let consents: Vec<LiveConsent> = (1..=count)
            .map(|id| {
                let effect = if self.chance(82) { Effect::Permit } else { Effect::Deny };
                let mut consent =
                    LiveConsent::signed(StatementId::from_bytes([id; 16]), self.provision(effect));
                consent.paper = self.chance(12);
                if self.chance(25) {
                    consent.guardian = Some(ByGuardian {
                        key: KeyId::from_bytes([self.one_of(&TWO); 16]),
                        appointment: StatementId::from_bytes([if self.chance(85) { 100 } else { 101 }; 16]),
                    });
                }
                if effect == Effect::Permit && self.chance(30) {
                    let parent = u8::try_from(1 + self.below(u64::from(count) + 1)).unwrap();
                    consent.delegated = Some(self.delegated(parent));
                }
                consent
            })
            .collect();
        LiveConsents { sequence: 1, consents: self.of_whom_they_came_from(consents), at: at(1) }
    }

    /// Of which parent, by whom, and in which role, where that was kept.
    fn delegated(&mut self, parent: u8) -> Delegated {
        let parent = StatementId::from_bytes([parent; 16]);
        let role = if self.chance(80) { Some(self.role()) } else { None };
        Delegated { parent, by: person(self.hospital(), 2), role }
    }

    /// Most grants name whoever passed them on.
    fn of_whom_they_came_from(&mut self, mut consents: Vec<LiveConsent>) -> Vec<LiveConsent> {
        let all: Vec<Delegated> = consents.iter().filter_map(|consent| consent.delegated.clone()).collect();
        for delegated in all {
            let parent = consents.iter_mut().find(|consent| consent.id == delegated.parent);
            if let Some(parent) = parent
                && self.chance(85)
            {
                let Actor { msp_id, subject } = delegated.by;
                parent.provision.grantee = Grantee::Person { msp_id, subject };
            }
        }
        consents
    }

    /// Permits that differ little, each likely to be passed on from the one before; and a denial, perhaps.
    fn passed_on(&mut self, count: u8) -> LiveConsents {
        let model = self.provision(Effect::Permit);
        let consents: Vec<LiveConsent> = (1..=count)
            .map(|id| {
                let mut provision = model.clone();
                provision.grantee = self.grantee();
                if self.chance(30) {
                    provision.period = self.period();
                }
                if self.chance(30) {
                    provision.actions = self.actions();
                }
                let mut consent = LiveConsent::signed(StatementId::from_bytes([id; 16]), provision);
                consent.paper = self.chance(10);
                if id > 1 && self.chance(70) {
                    consent.delegated = Some(self.delegated(id - 1));
                }
                consent
            })
            .collect();
        let mut consents = self.of_whom_they_came_from(consents);
        if self.chance(40) {
            let denial = self.provision(Effect::Deny);
            consents.push(LiveConsent::signed(StatementId::from_bytes([count + 1; 16]), denial));
        }
        LiveConsents { sequence: 1, consents, at: at(1) }
    }

    fn guardians(&mut self) -> Guardians {
        let mut guardians = Vec::new();
        for key in TWO {
            if self.chance(70) {
                guardians.push(Guardian {
                    key: KeyId::from_bytes([key; 16]),
                    public_key: some_key(),
                    term: self.period(),
                    protected: if self.chance(40) { self.tag_sets() } else { vec![] },
                    appointment: StatementId::from_bytes([100; 16]),
                });
            }
        }
        Guardians { sequence: 1, guardians, at: at(1) }
    }

    fn relationship(&mut self) -> Option<Relationship> {
        self.chance(60).then(|| Relationship {
            sequence: 1,
            until: self.end(),
            by: person(HOSPITALS[0], 1),
            at: at(1),
        })
    }

    fn break_glass(&mut self) -> Option<BrokenGlass> {
        self.chance(50).then(|| BrokenGlass {
            sequence: 1,
            broken_in: TxId::from_bytes([1; 32]),
            opened: at(1),
            until: self.end(),
            reason_digest: Digest::from_bytes([1; 32]),
            review: self.chance(30).then(|| Review {
                by: person(HOSPITALS[0], 1),
                justified: self.chance(50),
                finding_digest: Digest::from_bytes([1; 32]),
                at: at(1),
            }),
            at: at(1),
        })
    }

    fn policy(&mut self) -> ConsortiumPolicy {
        let member = |hospital| Member {
            msp_id: msp(hospital),
            daemon: Daemon { url: "https://localhost:1".into(), tls_ca_digest: Digest::from_bytes([0; 32]) },
        };
        let members = if self.chance(95) { HOSPITALS.to_vec() } else { vec![self.one_of(&HOSPITALS)] };
        let mut rules = Vec::new();
        for role in Role::ALL {
            if self.chance(93) {
                let all = vec![Action::Read, Action::Write, Action::Delegate];
                rules.push(RoleRule {
                    role,
                    actions: if self.chance(85) { all } else { self.actions() },
                    purposes: if self.chance(70) { Purpose::ALL.to_vec() } else { self.purposes() },
                    needs_relationship: self.chance(30),
                });
            }
        }
        ConsortiumPolicy {
            sequence: 1,
            channel: "records".parse().unwrap(),
            chaincode: "caretrail".parse().unwrap(),
            epoch: 2,
            members: members.into_iter().map(member).collect(),
            rules,
            durations: Durations {
                permit_ms: DurationMs::new(1 + self.below(12)).unwrap(),
                statement_ms_max: DurationMs::from_days(1),
                consent_ms_max: DurationMs::from_days(366),
                standing_ms_max: DurationMs::from_days(366),
            },
            terms: Some(Terms::WIDEST),
        }
    }

    fn standing(&mut self, role: Role) -> Option<Standing> {
        self.chance(96).then(|| Standing {
            sequence: 1,
            role: if self.chance(95) { role } else { self.role() },
            purposes: if self.chance(70) { Purpose::ALL.to_vec() } else { self.purposes() },
            until: if self.chance(60) { at(NOW + 2 + self.below(12)) } else { self.end() },
            suspended: self.chance(3),
            by: person(HOSPITALS[0], 1),
            at: at(1),
        })
    }

    fn record(&mut self) -> Option<Record> {
        self.chance(96).then(|| Record {
            patient: PatientId::from_bytes([if self.chance(96) { 1 } else { 2 }; 16]),
            custodian: msp(self.one_of(&HOSPITALS)),
            version: 1 + self.below(3),
            sequence: Some(1),
            tags: self.record_tags(),
            withdrawn: self.chance(4),
            offered_to: None,
            own: None,
            at: at(1),
        })
    }

    fn case(mut self) -> Case {
        let role = self.role();
        Case {
            now: NOW,
            actor: Actor { msp_id: msp(self.hospital()), subject: self.subject() },
            role,
            patient_id: PatientId::from_bytes([1; 16]),
            record_id: RecordId::from_bytes([if self.chance(70) { 1 } else { 2 }; 16]),
            action: self.action(),
            purpose: self.purpose(),
            policy: self.policy(),
            standing: self.standing(role),
            patient: Patient {
                sequence: 1,
                home: msp(HOSPITALS[0]),
                key: self.chance(60).then_some(KeyId::from_bytes([9; 16])),
                public_key: None,
                refuses_emergency: self.chance(15),
                at: at(1),
            },
            consents: self.consents(),
            guardians: self.guardians(),
            stop: self.chance(30).then(|| StopSwitch {
                sequence: 1,
                stopped: self.chance(30),
                by: None,
                at: at(1),
            }),
            relationship: self.relationship(),
            hospital_relationship: self.relationship(),
            break_glass: self.break_glass(),
            record: self.record(),
        }
    }
}

fn tag(byte: u8) -> Tag {
    Tag::from_bytes([byte; 16])
}
