//! The decision: a pure, total function of a request, the ledger's facts and an instant.
//!
//! The first row that applies decides.
//!
//! | # | applies when | rule | effect |
//! |---|---|---|---|
//! | 1 | the actor's hospital is no member of the consortium | `not_a_member` | deny |
//! | 2 | the consortium's policy lets no actor of this role ask for this action and purpose | `role_not_allowed` | deny |
//! | 3 | the actor has no standing in this role, or it ended or is suspended | `no_standing` | deny |
//! | 4 | no purpose of the standing covers the one asked | `purpose_not_held` | deny |
//! | 5 | the record is not there, or is another patient's | `nothing_permits` | deny |
//! | 6 | a live denying provision matches | `consent_denies` | deny |
//! | 7 | a live permitting provision matches | `consent_permits` | permit |
//! | 8 | always | `nothing_permits` | deny |
//!
//! A provision matches when it names the actor, the action, a purpose that covers the one asked and
//! the record, and its period holds the instant. Of several denying ones that match, the first granted
//! decides; of several permitting ones, the one whose period ends last, and of equal ones the first granted.

use caretrail_model::consent::{Action, Effect, LiveConsent, LiveConsents, Provision};
use caretrail_model::decision::{Decision, Rule};
use caretrail_model::ids::{Actor, PatientId, RecordId};
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Record;
use caretrail_model::role::Role;
use caretrail_model::standing::Standing;
use caretrail_model::time::UnixMs;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub actor: &'a Actor,
    /// In which role.
    pub role: Role,
    /// The patient.
    pub patient: &'a PatientId,
    /// The record.
    pub record: &'a RecordId,
    /// What is to be done.
    pub action: Action,
    /// What for.
    pub purpose: Purpose,
}

/// What the ledger holds.
#[derive(Clone, Copy, Debug)]
pub struct LedgerFacts<'a> {
    /// The policy in force.
    pub policy: &'a ConsortiumPolicy,
    /// The actor's standing.
    pub standing: Option<&'a Standing>,
    /// The patient's live consents.
    pub consents: &'a LiveConsents,
    /// The record.
    pub record: Option<&'a Record>,
}

/// Decides, by the table of this module.
pub fn decide(request: &Request<'_>, facts: &LedgerFacts<'_>, effective: UnixMs) -> Decision {
    let deny = |rule| Decision {
        record: *request.record,
        effect: Effect::Deny,
        rule,
        consent: None,
        version: None,
        valid_until: None,
    };
    if !facts.policy.is_member(&request.actor.msp_id) {
        return deny(Rule::NotAMember);
    }
    if !facts.policy.allows(request.role, request.action, request.purpose) {
        return deny(Rule::RoleNotAllowed);
    }
    let Some(standing) =
        facts.standing.filter(|standing| standing.role == request.role && standing.holds_at(effective))
    else {
        return deny(Rule::NoStanding);
    };
    if !standing.purposes.iter().any(|held| held.covers(request.purpose)) {
        return deny(Rule::PurposeNotHeld);
    }
    let Some(record) = facts.record.filter(|record| &record.patient == request.patient) else {
        return deny(Rule::NothingPermits);
    };

    let matching = |effect| {
        facts.consents.consents.iter().filter(move |consent| {
            consent.provision.effect == effect && matches(&consent.provision, request, record, effective)
        })
    };
    if let Some(denying) = matching(Effect::Deny).next() {
        return Decision { consent: Some(denying.id), ..deny(Rule::ConsentDenies) };
    }
    let Some(permitting) = longest(matching(Effect::Permit)) else {
        return deny(Rule::NothingPermits);
    };
    let valid_until = effective
        .plus(facts.policy.durations.permit_ms)
        .min(permitting.provision.period.until)
        .min(standing.until);
    Decision {
        record: *request.record,
        effect: Effect::Permit,
        rule: Rule::ConsentPermits,
        consent: Some(permitting.id),
        version: Some(record.version),
        valid_until: Some(valid_until),
    }
}

fn matches(provision: &Provision, request: &Request<'_>, record: &Record, effective: UnixMs) -> bool {
    provision.grantee.names(request.actor, request.role)
        && provision.actions.contains(&request.action)
        && provision.purposes.iter().any(|named| named.covers(request.purpose))
        && provision.scope.holds(request.record, &record.custodian)
        && provision.period.contains(effective)
}

fn longest<'a>(consents: impl Iterator<Item = &'a LiveConsent>) -> Option<&'a LiveConsent> {
    consents.reduce(
        |best, next| {
            if next.provision.period.until > best.provision.period.until { next } else { best }
        },
    )
}

#[cfg(test)]
mod tests {
    use caretrail_model::consent::{Grantee, Scope};
    use caretrail_model::ids::{Digest, StatementId, Subject};
    use caretrail_model::policy::{Daemon, Durations, EPOCH, Member, RoleRule};
    use caretrail_model::time::{DurationMs, Period};

    use super::*;

    const NOW: u64 = 1_000_000;

    fn at(unix_ms: u64) -> UnixMs {
        UnixMs::new(unix_ms).unwrap()
    }

    /// Everything that makes the request of [`World::decide`] a permit; each case spoils one thing.
    struct World {
        actor: Actor,
        role: Role,
        purpose: Purpose,
        action: Action,
        policy: ConsortiumPolicy,
        standing: Option<Standing>,
        record: Option<Record>,
        consents: LiveConsents,
        now: u64,
    }

    impl World {
        fn permitting() -> Self {
            let south = "SouthMSP".parse().unwrap();
            let actor = Actor { msp_id: south, subject: Subject::from_bytes([2; 16]) };
            let member = |msp_id: &str| Member {
                msp_id: msp_id.parse().unwrap(),
                daemon: Daemon {
                    url: "https://localhost:1".into(),
                    tls_ca_digest: Digest::from_bytes([0; 32]),
                },
            };
            Self {
                role: Role::Clinician,
                purpose: Purpose::Treat,
                action: Action::Read,
                policy: ConsortiumPolicy {
                    sequence: 1,
                    channel: "records".parse().unwrap(),
                    chaincode: "caretrail".parse().unwrap(),
                    epoch: EPOCH,
                    members: vec![member("NorthMSP"), member("SouthMSP")],
                    rules: vec![RoleRule {
                        role: Role::Clinician,
                        actions: vec![Action::Read],
                        purposes: vec![Purpose::Treat, Purpose::Etreat, Purpose::Btg, Purpose::Hresch],
                    }],
                    durations: Durations {
                        permit_ms: DurationMs::from_secs(300),
                        statement_ms_max: DurationMs::from_days(1),
                        consent_ms_max: DurationMs::from_days(366),
                        standing_ms_max: DurationMs::from_days(366),
                    },
                },
                standing: Some(Standing {
                    sequence: 1,
                    role: Role::Clinician,
                    purposes: vec![Purpose::Treat, Purpose::Etreat, Purpose::Hresch],
                    until: at(NOW + 10_000_000),
                    suspended: false,
                    by: actor.clone(),
                    at: at(1),
                }),
                record: Some(Record {
                    patient: PatientId::from_bytes([1; 16]),
                    custodian: "NorthMSP".parse().unwrap(),
                    version: 3,
                    at: at(1),
                }),
                consents: LiveConsents {
                    sequence: 1,
                    consents: vec![consent(1, Effect::Permit, &actor)],
                    at: at(1),
                },
                actor,
                now: NOW,
            }
        }

        fn decide(&self) -> Decision {
            decide(
                &Request {
                    actor: &self.actor,
                    role: self.role,
                    patient: &PatientId::from_bytes([1; 16]),
                    record: &RecordId::from_bytes([4; 16]),
                    action: self.action,
                    purpose: self.purpose,
                },
                &LedgerFacts {
                    policy: &self.policy,
                    standing: self.standing.as_ref(),
                    consents: &self.consents,
                    record: self.record.as_ref(),
                },
                at(self.now),
            )
        }

        fn standing(&mut self) -> &mut Standing {
            self.standing.as_mut().unwrap()
        }

        fn provision(&mut self) -> &mut Provision {
            &mut self.consents.consents[0].provision
        }

        fn add(&mut self, id: u8, effect: Effect) -> &mut Provision {
            let consent = consent(id, effect, &self.actor);
            self.consents.consents.push(consent);
            &mut self.consents.consents.last_mut().unwrap().provision
        }
    }

    fn consent(id: u8, effect: Effect, actor: &Actor) -> LiveConsent {
        LiveConsent {
            id: StatementId::from_bytes([id; 16]),
            provision: Provision {
                effect,
                grantee: Grantee::Person { msp_id: actor.msp_id.clone(), subject: actor.subject },
                actions: vec![Action::Read],
                purposes: vec![Purpose::Treat],
                scope: Scope::All {},
                period: Period { from: at(NOW), until: at(NOW + 1_000) },
            },
        }
    }

    #[test]
    fn each_row_of_the_table_decides_in_its_place() {
        type Spoil = fn(&mut World);
        let cases: [(&str, Rule, Spoil); 28] = [
            ("nothing spoiled", Rule::ConsentPermits, |_| {}),
            ("role without a rule", Rule::RoleNotAllowed, |w| w.role = Role::Auditor),
            ("action outside the rule", Rule::RoleNotAllowed, |w| w.action = Action::Write),
            ("purpose outside the rule", Rule::RoleNotAllowed, |w| w.purpose = Purpose::Hlegal),
            ("no standing", Rule::NoStanding, |w| w.standing = None),
            ("standing in another role", Rule::NoStanding, |w| w.standing().role = Role::Service),
            ("standing suspended", Rule::NoStanding, |w| w.standing().suspended = true),
            ("standing ends now", Rule::NoStanding, |w| w.standing().until = at(NOW)),
            ("standing ends next", Rule::ConsentPermits, |w| w.standing().until = at(NOW + 1)),
            ("purpose not held", Rule::PurposeNotHeld, |w| w.purpose = Purpose::Btg),
            ("emergency is not implied", Rule::NothingPermits, |w| w.purpose = Purpose::Etreat),
            ("child of a held purpose", Rule::NothingPermits, |w| w.purpose = Purpose::Clintrch),
            ("child of a permitted purpose", Rule::ConsentPermits, |w| {
                w.purpose = Purpose::Clintrch;
                w.provision().purposes = vec![Purpose::Hresch];
            }),
            ("record absent", Rule::NothingPermits, |w| w.record = None),
            ("record of another patient", Rule::NothingPermits, |w| {
                w.record.as_mut().unwrap().patient = PatientId::from_bytes([9; 16]);
            }),
            ("no consent", Rule::NothingPermits, |w| w.consents = LiveConsents::NONE),
            ("another person", Rule::NothingPermits, |w| w.actor.subject = Subject::from_bytes([3; 16])),
            ("same subject elsewhere", Rule::NothingPermits, |w| {
                w.actor.msp_id = "NorthMSP".parse().unwrap()
            }),
            ("hospital that left", Rule::NotAMember, |w| w.actor.msp_id = "EastMSP".parse().unwrap()),
            ("action outside the consent", Rule::NothingPermits, |w| {
                w.provision().actions = vec![Action::Write];
            }),
            ("record outside the scope", Rule::NothingPermits, |w| {
                w.provision().scope = Scope::Records { records: vec![RecordId::from_bytes([5; 16])] };
            }),
            ("named record", Rule::ConsentPermits, |w| {
                w.provision().scope = Scope::Records { records: vec![RecordId::from_bytes([4; 16])] };
            }),
            ("another custodian", Rule::NothingPermits, |w| {
                w.provision().scope = Scope::Custodian { msp_id: "SouthMSP".parse().unwrap() };
            }),
            ("before the period", Rule::NothingPermits, |w| w.now = NOW - 1),
            ("last instant of the period", Rule::ConsentPermits, |w| w.now = NOW + 999),
            ("end of the period", Rule::NothingPermits, |w| w.now = NOW + 1_000),
            ("a deny beats a permit", Rule::ConsentDenies, |w| {
                w.add(2, Effect::Deny).grantee = Grantee::Hospital { msp_id: "SouthMSP".parse().unwrap() };
            }),
            ("a deny of another role does not", Rule::ConsentPermits, |w| {
                w.add(2, Effect::Deny).grantee =
                    Grantee::Role { msp_id: "SouthMSP".parse().unwrap(), role: Role::Service };
            }),
        ];
        for (case, rule, spoil) in cases {
            let mut world = World::permitting();
            spoil(&mut world);
            let decision = world.decide();
            assert_eq!((decision.rule, decision.effect), (rule, rule.effect()), "{case}");
            let permits = rule.effect() == Effect::Permit;
            assert_eq!(
                (decision.version.is_some(), decision.valid_until.is_some()),
                (permits, permits),
                "{case}"
            );
        }
    }

    #[test]
    fn a_permit_lasts_no_longer_than_anything_it_rests_on() {
        type Change = fn(&mut World);
        let cases: [(Change, u64); 3] = [
            (|_| {}, NOW + 1_000),
            (|w| w.provision().period.until = at(NOW + 9_000_000), NOW + 300_000),
            (|w| w.standing().until = at(NOW + 7), NOW + 7),
        ];
        for (change, until) in cases {
            let mut world = World::permitting();
            change(&mut world);
            assert_eq!(world.decide().valid_until, Some(at(until)));
        }
    }

    #[test]
    fn of_several_permits_the_longest_decides_and_of_equal_ones_the_first() {
        let mut world = World::permitting();
        world.add(2, Effect::Permit);
        assert_eq!(world.decide().consent, Some(StatementId::from_bytes([1; 16])));
        world.add(3, Effect::Permit).period.until = at(NOW + 2_000);
        assert_eq!(world.decide().consent, Some(StatementId::from_bytes([3; 16])));
    }

    #[test]
    fn a_denial_names_the_provision_that_denies() {
        let mut world = World::permitting();
        world.add(2, Effect::Deny);
        assert_eq!(world.decide().consent, Some(StatementId::from_bytes([2; 16])));
    }
}
