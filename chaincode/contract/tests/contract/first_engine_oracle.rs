//! The first engine's decision, compared case by case with a second one: the documented table, read again and written
//! as sets and rows instead of a function that returns early.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use caretrail_contract::policy::{LedgerFacts, Request, decide};
use caretrail_model::consent::{Action, Effect, Grantee, LiveConsent, LiveConsents, Provision, Scope};
use caretrail_model::decision::{Decision, Rule};
use caretrail_model::guardian::Guardians;
use caretrail_model::ids::{Actor, Digest, MspId, PatientId, RecordId, StatementId, Subject};
use caretrail_model::patient::Patient;
use caretrail_model::policy::{ConsortiumPolicy, Daemon, Durations, Member, RoleRule};
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Record;
use caretrail_model::role::Role;
use caretrail_model::standing::Standing;
use caretrail_model::time::{DurationMs, Period, UnixMs};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRng, TestRunner};

const CASES: u32 = 20_000;
/// When every request is decided; all other times lie around it.
const NOW: u64 = 1_000;
const HOSPITALS: [&str; 2] = ["NorthMSP", "SouthMSP"];
/// Everyone and everything else is one of two, so that what is generated often meets.
const TWO: [u8; 2] = [1, 2];

#[derive(Clone, Debug)]
struct Case {
    actor: Actor,
    role: Role,
    patient: PatientId,
    record_id: RecordId,
    action: Action,
    purpose: Purpose,
    policy: ConsortiumPolicy,
    standing: Option<Standing>,
    record: Option<Record>,
    consents: LiveConsents,
}

impl Case {
    fn decided(&self) -> Decision {
        let request = Request {
            actor: &self.actor,
            role: self.role,
            patient: &self.patient,
            record: &self.record_id,
            action: self.action,
            purpose: self.purpose,
        };
        let patient = Patient {
            sequence: 1,
            home: msp(HOSPITALS[0]),
            key: None,
            public_key: None,
            refuses_emergency: false,
            at: at(1),
        };
        let facts = LedgerFacts {
            policy: &self.policy,
            standing: self.standing.as_ref(),
            patient: &patient,
            consents: &self.consents,
            guardians: &Guardians::NONE,
            stop: None,
            relationship: None,
            hospital_relationship: None,
            break_glass: None,
            record: self.record.as_ref(),
        };
        decide(&request, &facts, at(NOW))
    }

    /// All eight rows of the table, whether each applies; the first that does decides.
    fn expected(&self) -> Decision {
        let denying = self.matching(Effect::Deny);
        let permitting = self.matching(Effect::Permit);
        let rows = [
            (!self.hospital_is_a_member(), Rule::NotAMember),
            (!self.role_may_ask(), Rule::RoleNotAllowed),
            (!self.has_standing(), Rule::NoStanding),
            (!self.purpose_is_held(), Rule::PurposeNotHeld),
            (!self.record_is_the_patients(), Rule::NothingPermits),
            (!denying.is_empty(), Rule::ConsentDenies),
            (!permitting.is_empty(), Rule::ConsentPermits),
            (true, Rule::NothingPermits),
        ];
        let rule = rows.iter().find_map(|(applies, rule)| applies.then_some(*rule)).unwrap();
        let expected = Decision::deny(self.record_id, rule);
        match rule {
            Rule::ConsentDenies => Decision { consent: Some(denying[0].id), ..expected },
            Rule::ConsentPermits => {
                // Whose period ends last; the list is in the order of granting.
                let last = permitting.iter().map(|consent| consent.provision.period.until).max();
                let decides = permitting.iter().find(|c| Some(c.provision.period.until) == last).unwrap();
                let ends = BTreeSet::from([
                    NOW + self.policy.durations.permit_ms.get(),
                    decides.provision.period.until.get(),
                    self.standing.as_ref().unwrap().until.get(),
                ]);
                Decision {
                    effect: Effect::Permit,
                    consent: Some(decides.id),
                    version: Some(self.record.as_ref().unwrap().version),
                    valid_until: Some(at(*ends.first().unwrap())),
                    ..expected
                }
            }
            _ => expected,
        }
    }

    fn hospital_is_a_member(&self) -> bool {
        self.policy.members.iter().any(|member| member.msp_id == self.actor.msp_id)
    }

    fn role_may_ask(&self) -> bool {
        let mut allowed = BTreeSet::new();
        for rule in &self.policy.rules {
            for action in &rule.actions {
                for purpose in expanded(&rule.purposes) {
                    allowed.insert((rule.role, *action, purpose));
                }
            }
        }
        allowed.contains(&(self.role, self.action, self.purpose))
    }

    fn has_standing(&self) -> bool {
        self.standing.iter().any(|s| s.role == self.role && !s.suspended && s.until.get() > NOW)
    }

    fn purpose_is_held(&self) -> bool {
        self.standing.iter().any(|standing| expanded(&standing.purposes).contains(&self.purpose))
    }

    fn record_is_the_patients(&self) -> bool {
        self.record.iter().any(|record| record.patient == self.patient)
    }

    fn matching(&self, effect: Effect) -> Vec<&LiveConsent> {
        let Some(record) = &self.record else { return Vec::new() };
        let everybody = || {
            HOSPITALS.into_iter().flat_map(|msp_id| {
                TWO.into_iter().flat_map(move |subject| {
                    Role::ALL.into_iter().map(move |role| (person(msp_id, subject), role))
                })
            })
        };
        self.consents
            .consents
            .iter()
            .filter(|consent| {
                let provision = &consent.provision;
                let grantees: BTreeSet<(Actor, Role)> = everybody()
                    .filter(|(actor, role)| match &provision.grantee {
                        Grantee::Hospital { msp_id } => actor.msp_id == *msp_id,
                        Grantee::Role { msp_id, role: named } => actor.msp_id == *msp_id && role == named,
                        Grantee::Person { msp_id, subject } => {
                            actor.msp_id == *msp_id && actor.subject == *subject
                        }
                    })
                    .collect();
                let records: BTreeSet<(RecordId, MspId)> = TWO
                    .into_iter()
                    .flat_map(|id| HOSPITALS.into_iter().map(move |msp_id| (record_id(id), msp(msp_id))))
                    .filter(|(id, custodian)| match &provision.scope {
                        Scope::All {} => true,
                        Scope::Custodian { msp_id } => custodian == msp_id,
                        Scope::Records { records } => records.iter().any(|named| named == id),
                        Scope::Tags { .. } => false,
                    })
                    .collect();
                provision.effect == effect
                    && grantees.contains(&(self.actor.clone(), self.role))
                    && provision.actions.contains(&self.action)
                    && expanded(&provision.purposes).contains(&self.purpose)
                    && records.contains(&(self.record_id, record.custodian.clone()))
                    && (provision.period.from.get()..provision.period.until.get()).contains(&NOW)
            })
            .collect()
    }
}

/// The purposes with every kind of each.
fn expanded(purposes: &[Purpose]) -> BTreeSet<Purpose> {
    let kinds: BTreeMap<Purpose, &[Purpose]> = BTreeMap::from([
        (Purpose::Hresch, &[Purpose::Clintrch][..]),
        (Purpose::Hpaymt, &[Purpose::Coverage]),
        (Purpose::Patrqt, &[Purpose::Famrqt, Purpose::Pwatrny]),
    ]);
    let below = |purpose: &Purpose| kinds.get(purpose).copied().unwrap_or_default().iter().copied();
    purposes.iter().flat_map(|purpose| below(purpose).chain([*purpose])).collect()
}

fn at(unix_ms: u64) -> UnixMs {
    UnixMs::new(unix_ms).unwrap()
}

fn msp(msp_id: &str) -> MspId {
    msp_id.parse().unwrap()
}

fn person(msp_id: &str, subject: u8) -> Actor {
    Actor { msp_id: msp(msp_id), subject: Subject::from_bytes([subject; 16]) }
}

fn record_id(id: u8) -> RecordId {
    RecordId::from_bytes([id; 16])
}

/// One of those that are likely to decide something, seldom another.
fn a_purpose() -> impl Strategy<Value = Purpose> {
    prop_oneof![
        4 => select(vec![Purpose::Treat, Purpose::Hresch, Purpose::Clintrch]),
        2 => select(vec![Purpose::Etreat, Purpose::Btg, Purpose::Patrqt, Purpose::Famrqt]),
        1 => select(Purpose::ALL.to_vec()),
    ]
}

fn purposes() -> impl Strategy<Value = Vec<Purpose>> {
    let any_few =
        proptest::collection::btree_set(a_purpose(), 1..4).prop_map(|set| set.into_iter().collect());
    prop_oneof![
        2 => any_few,
        3 => Just(vec![Purpose::Treat, Purpose::Etreat, Purpose::Btg, Purpose::Hresch, Purpose::Patrqt]),
        1 => Just(Purpose::ALL.to_vec()),
    ]
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let both = vec![Action::Read, Action::Write];
    prop_oneof![1 => subsequence(both.clone(), 1), 4 => Just(both)]
}

fn a_role() -> impl Strategy<Value = Role> {
    prop_oneof![4 => Just(Role::Clinician), 1 => select(Role::ALL.to_vec())]
}

fn an_msp() -> impl Strategy<Value = MspId> {
    select(HOSPITALS.to_vec()).prop_map(msp)
}

/// The instant of the decision, its neighbours, and some that lie further off.
fn an_end() -> impl Strategy<Value = UnixMs> {
    prop_oneof![3 => NOW - 1..=NOW + 3, 4 => NOW + 4..=NOW + 12, 1 => Just((1 << 53) - 1)].prop_map(at)
}

fn a_start() -> impl Strategy<Value = UnixMs> {
    prop_oneof![2 => NOW - 2..=NOW + 1, 2 => Just(0)].prop_map(at)
}

fn grantee() -> impl Strategy<Value = Grantee> {
    let role = (an_msp(), a_role()).prop_map(|(msp_id, role)| Grantee::Role { msp_id, role });
    let person = (an_msp(), select(TWO.to_vec())).prop_map(|(msp_id, subject)| Grantee::Person {
        msp_id,
        subject: Subject::from_bytes([subject; 16]),
    });
    prop_oneof![an_msp().prop_map(|msp_id| Grantee::Hospital { msp_id }), role, person]
}

fn scope() -> impl Strategy<Value = Scope> {
    let records = subsequence(TWO.to_vec(), 1..=2)
        .prop_map(|ids| Scope::Records { records: ids.into_iter().map(record_id).collect() });
    prop_oneof![Just(Scope::All {}), an_msp().prop_map(|msp_id| Scope::Custodian { msp_id }), records]
}

fn provision() -> impl Strategy<Value = Provision> {
    let effect = prop_oneof![3 => Just(Effect::Permit), 1 => Just(Effect::Deny)];
    let period = (a_start(), an_end()).prop_map(|(from, until)| Period { from, until });
    (effect, grantee(), actions(), purposes(), scope(), period).prop_map(
        |(effect, grantee, actions, purposes, scope, period)| Provision {
            effect,
            grantee,
            actions,
            purposes,
            scope,
            period,
            exceptions: vec![],
        },
    )
}

fn consents() -> impl Strategy<Value = LiveConsents> {
    proptest::collection::vec(provision(), 0..7).prop_map(|provisions| LiveConsents {
        sequence: 1,
        consents: (1..)
            .zip(provisions)
            .map(|(id, provision)| LiveConsent::signed(StatementId::from_bytes([id; 16]), provision))
            .collect(),
        at: at(1),
    })
}

fn policy() -> impl Strategy<Value = ConsortiumPolicy> {
    let member = |msp_id| Member {
        msp_id: msp(msp_id),
        daemon: Daemon { url: "https://localhost:1".into(), tls_ca_digest: Digest::from_bytes([0; 32]) },
    };
    let roles = prop_oneof![6 => Just(Role::ALL.to_vec()), 1 => subsequence(Role::ALL.to_vec(), 0..=4)];
    let rules = roles.prop_flat_map(|roles| {
        let rule = |role| (Just(role), actions(), purposes());
        roles.into_iter().map(rule).collect::<Vec<_>>()
    });
    let members = prop_oneof![9 => Just(HOSPITALS.to_vec()), 1 => subsequence(HOSPITALS.to_vec(), 1)];
    (rules, members, 1_u64..10).prop_map(move |(rules, members, permit_ms)| ConsortiumPolicy {
        sequence: 1,
        channel: "records".parse().unwrap(),
        chaincode: "caretrail".parse().unwrap(),
        epoch: 1,
        members: members.into_iter().map(member).collect(),
        rules: rules
            .into_iter()
            .map(|(role, actions, purposes)| RoleRule { role, actions, purposes, needs_relationship: false })
            .collect(),
        durations: Durations {
            permit_ms: DurationMs::new(permit_ms).unwrap(),
            statement_ms_max: DurationMs::from_days(1),
            consent_ms_max: DurationMs::from_days(366),
            standing_ms_max: DurationMs::from_days(366),
        },
        terms: None,
    })
}

fn standing(actors_role: Role) -> impl Strategy<Value = Option<Standing>> {
    let role = prop_oneof![8 => Just(actors_role), 1 => a_role()];
    let until = prop_oneof![an_end(), (NOW + 1..=NOW + 9).prop_map(at)];
    let standing = (role, purposes(), until, prop::bool::weighted(0.1)).prop_map(
        |(role, purposes, until, suspended)| Standing {
            sequence: 1,
            role,
            purposes,
            until,
            suspended,
            by: person(HOSPITALS[0], TWO[0]),
            at: at(1),
        },
    );
    proptest::option::weighted(0.95, standing)
}

fn record() -> impl Strategy<Value = Option<Record>> {
    let patient = prop_oneof![8 => Just(1), 1 => Just(2_u8)];
    let record = (patient, an_msp(), 1_u64..4).prop_map(|(patient, custodian, version)| Record {
        patient: PatientId::from_bytes([patient; 16]),
        custodian,
        version,
        sequence: None,
        tags: None,
        withdrawn: false,
        offered_to: None,
        own: None,
        at: at(1),
    });
    proptest::option::weighted(0.95, record)
}

fn case() -> impl Strategy<Value = Case> {
    let asked = (an_msp(), select(TWO.to_vec()), select(TWO.to_vec()), actions(), a_purpose());
    (a_role(), asked, policy(), record(), consents()).prop_flat_map(
        |(role, asked, policy, record, consents)| {
            let (msp_id, subject, id, actions, purpose) = asked;
            standing(role).prop_map(move |standing| Case {
                actor: person(msp_id.as_str(), subject),
                role,
                patient: PatientId::from_bytes([1; 16]),
                record_id: record_id(id),
                action: actions[0],
                purpose,
                policy: policy.clone(),
                standing,
                record: record.clone(),
                consents: consents.clone(),
            })
        },
    )
}

#[test]
fn the_decision_is_the_one_that_the_documented_table_gives() {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let decided = RefCell::new(BTreeMap::<Rule, u32>::new());
    TestRunner::new_with_rng(config, rng)
        .run(&case(), |case| {
            let decision = case.decided();
            prop_assert_eq!(&decision, &case.expected());
            *decided.borrow_mut().entry(decision.rule).or_default() += 1;
            Ok(())
        })
        .unwrap();
    let rules = [
        Rule::NotAMember,
        Rule::RoleNotAllowed,
        Rule::NoStanding,
        Rule::PurposeNotHeld,
        Rule::ConsentDenies,
        Rule::ConsentPermits,
        Rule::NothingPermits,
    ];
    for rule in rules {
        let cases = decided.borrow().get(&rule).copied().unwrap_or_default();
        assert!(cases >= CASES / 40, "too few cases reach `{rule}`: {:?}", decided.borrow());
    }
}
