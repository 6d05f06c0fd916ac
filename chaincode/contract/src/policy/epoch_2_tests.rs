//! The documented table, read from this module's own documentation: every row alone, and before every later one.

use caretrail_model::care::BrokenGlass;
use caretrail_model::consent::Grantee;
use caretrail_model::ids::{Actor, Digest, PatientId, RecordId, StatementId, Subject, Tag, TxId};
use caretrail_model::patient::StopSwitch;
use caretrail_model::tag::TagSet;
use caretrail_model::time::Period;

use super::super::tests_world::{NOW, World, at, msp, relationship};
use super::*;

impl World {
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
            &self.facts(),
            at(NOW),
        )
    }
}

fn tags(tag: u8) -> Scope {
    Scope::Tags { sets: sets(tag) }
}

fn sets(tag: u8) -> Vec<TagSet> {
    vec![TagSet { custodian: msp("NorthMSP"), epoch: 1, tags: vec![Tag::from_bytes([tag; 16])] }]
}

/// Makes each row apply, in the table's order.
const APPLIES: [fn(&mut World); 13] = [
    |w| w.policy.members.truncate(1),
    |w| w.policy.rules[0].actions = vec![Action::Write],
    |w| w.standing = None,
    |w| {
        if let Some(standing) = &mut w.standing {
            standing.purposes = vec![Purpose::Hresch];
        }
    },
    |w| {
        w.purpose = Purpose::Treat;
        w.policy.rules[0].needs_relationship = true;
    },
    |w| w.patient.refuses_emergency = true,
    |w| w.record = None,
    |w| {
        if let Some(record) = &mut w.record {
            record.withdrawn = true;
        }
    },
    |w| {
        w.break_glass = Some(BrokenGlass {
            sequence: 1,
            broken_in: TxId::from_bytes([1; 32]),
            opened: at(1),
            until: at(NOW + 1),
            reason_digest: Digest::from_bytes([1; 32]),
            review: None,
            at: at(1),
        });
    },
    |w| w.stop = Some(StopSwitch { sequence: 1, stopped: true, by: None, at: at(1) }),
    |w| {
        w.add(1, Effect::Deny);
    },
    |w| {
        w.add(2, Effect::Permit);
    },
    |_| {},
];

/// Rows for another purpose than row 5's.
const EMERGENCY_ROWS: [usize; 2] = [6, 9];

/// Number, rule and effect of every row of the documentation.
fn documented() -> Vec<(usize, String, String)> {
    let cell = |text: &str| text.trim().trim_matches('`').to_owned();
    include_str!("epoch_2.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "))
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim_end_matches('|').split(" | ").collect();
            let number = cells.first()?.trim().parse().ok()?;
            Some((number, cell(cells.get(2)?), cell(cells.get(3)?)))
        })
        .collect()
}

#[test]
fn each_documented_row_decides_alone_and_before_every_later_one() {
    let rows = documented();
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), (1..=13).collect::<Vec<_>>());
    for (first, rule, effect) in &rows {
        for (second, ..) in rows.iter().filter(|row| row.0 >= *first) {
            if (*first, EMERGENCY_ROWS.contains(second)) == (5, true) {
                continue;
            }
            let mut world = World::new();
            // Later rows first, so that what the earlier one needs stands.
            APPLIES[second - 1](&mut world);
            APPLIES[first - 1](&mut world);
            if *first != 5 && *second == 5 {
                // Row 5 left the purpose that other rows are about.
                world.purpose = if EMERGENCY_ROWS.contains(first) { Purpose::Btg } else { Purpose::Treat };
            }
            let decision = world.decide();
            assert_eq!(decision.rule.as_str(), rule, "row {first} with row {second}");
            assert_eq!(format!("{:?}", decision.effect).to_lowercase(), *effect, "row {first}");
            assert_eq!(decision.rule.effect(), decision.effect);
            let permits = decision.effect == Effect::Permit;
            assert_eq!(decision.version.is_some(), permits);
            assert_eq!(decision.valid_until.is_some(), permits);
        }
    }
}

#[test]
fn what_matches_and_counts() {
    type Adjust = fn(&mut World);
    let permits = Rule::ConsentPermits;
    let nothing = Rule::NothingPermits;
    let denies = Rule::ConsentDenies;
    let cases: [(&str, Rule, Adjust); 41] = [
        ("an exception of the purpose", nothing, |w| {
            w.add(2, Effect::Permit).provision.exceptions =
                vec![Exception { purposes: vec![Purpose::Btg], ..Exception::default() }];
        }),
        ("an exception of another purpose", permits, |w| {
            w.add(2, Effect::Permit).provision.exceptions =
                vec![Exception { purposes: vec![Purpose::Treat], ..Exception::default() }];
        }),
        ("an exception of the action", nothing, |w| {
            w.add(2, Effect::Permit).provision.exceptions =
                vec![Exception { actions: vec![Action::Read], ..Exception::default() }];
        }),
        ("an exception of another person", permits, |w| {
            let grantee = Grantee::Person { msp_id: msp("SouthMSP"), subject: Subject::from_bytes([3; 16]) };
            w.add(2, Effect::Permit).provision.exceptions =
                vec![Exception { grantee: Some(grantee), ..Exception::default() }];
        }),
        ("an exception until now", permits, |w| {
            let period = Period { from: at(1), until: at(NOW) };
            w.add(2, Effect::Permit).provision.exceptions =
                vec![Exception { period: Some(period), ..Exception::default() }];
        }),
        ("an exception from now on", nothing, |w| {
            let period = Period { from: at(NOW), until: at(NOW + 1) };
            w.add(2, Effect::Permit).provision.exceptions =
                vec![Exception { period: Some(period), ..Exception::default() }];
        }),
        ("an exception of a denial permits nothing by itself", nothing, |w| {
            w.add(1, Effect::Deny).provision.exceptions =
                vec![Exception { purposes: vec![Purpose::Btg], ..Exception::default() }];
        }),
        ("an exception of a denial leaves a permit", permits, |w| {
            w.add(1, Effect::Deny).provision.exceptions =
                vec![Exception { purposes: vec![Purpose::Btg], ..Exception::default() }];
            w.add(2, Effect::Permit);
        }),
        ("an exception of one permit leaves another", permits, |w| {
            w.add(2, Effect::Permit).provision.exceptions =
                vec![Exception { actions: vec![Action::Read], ..Exception::default() }];
            w.add(3, Effect::Permit);
        }),
        ("a permit of a tag that it carries", permits, |w| {
            w.tagged(&[1]);
            w.add(2, Effect::Permit).provision.scope = tags(1);
        }),
        ("a permit of another tag", nothing, |w| {
            w.tagged(&[1]);
            w.add(2, Effect::Permit).provision.scope = tags(2);
        }),
        ("a permit of a tag, without tags", nothing, |w| w.add(2, Effect::Permit).provision.scope = tags(1)),
        ("a denial of a tag, without tags", denies, |w| {
            w.add(1, Effect::Deny).provision.scope = tags(1);
            w.add(2, Effect::Permit);
        }),
        ("a denial of another tag", permits, |w| {
            w.tagged(&[1]);
            w.add(1, Effect::Deny).provision.scope = tags(2);
            w.add(2, Effect::Permit);
        }),
        ("a denial of a tag of an old epoch", denies, |w| {
            w.tagged(&[1]);
            w.record.as_mut().unwrap().tags.as_mut().unwrap().epoch = 0;
            w.add(1, Effect::Deny).provision.scope = tags(2);
            w.add(2, Effect::Permit);
        }),
        ("an exception of a tag from a permit, without tags", nothing, |w| {
            w.add(2, Effect::Permit).provision.exceptions =
                vec![Exception { scope: Some(tags(1)), ..Exception::default() }];
        }),
        ("an exception of a tag from a denial, without tags", denies, |w| {
            w.add(1, Effect::Deny).provision.exceptions =
                vec![Exception { scope: Some(tags(1)), ..Exception::default() }];
            w.add(2, Effect::Permit);
        }),
        ("paper, with a key", nothing, |w| w.add(2, Effect::Permit).paper = true),
        ("paper, without a key", permits, |w| {
            w.patient.key = None;
            w.add(2, Effect::Permit).paper = true;
        }),
        ("a denial on paper, with a key", denies, |w| w.add(1, Effect::Deny).paper = true),
        ("a guardian in term", permits, |w| {
            let by = w.guardian(NOW + 1);
            w.add(2, Effect::Permit).guardian = Some(by);
        }),
        ("a guardian whose term is over", nothing, |w| {
            let by = w.guardian(NOW);
            w.add(2, Effect::Permit).guardian = Some(by);
        }),
        ("a guardian who was appointed anew", nothing, |w| {
            let by = w.guardian(NOW + 1);
            w.guardians.guardians[0].appointment = StatementId::from_bytes([9; 16]);
            w.add(2, Effect::Permit).guardian = Some(by);
        }),
        ("a denial of a guardian whose term is over", denies, |w| {
            let by = w.guardian(NOW);
            w.add(1, Effect::Deny).guardian = Some(by);
            w.add(2, Effect::Permit);
        }),
        ("a record that is protected from the guardian", nothing, |w| {
            let by = w.guardian(NOW + 1);
            w.tagged(&[1]);
            w.guardians.guardians[0].protected = sets(1);
            w.add(2, Effect::Permit).guardian = Some(by);
        }),
        ("a record that may be protected from the guardian", nothing, |w| {
            let by = w.guardian(NOW + 1);
            w.guardians.guardians[0].protected = sets(1);
            w.add(2, Effect::Permit).guardian = Some(by);
        }),
        ("a record that is not protected from the guardian", permits, |w| {
            let by = w.guardian(NOW + 1);
            w.tagged(&[2]);
            w.guardians.guardians[0].protected = sets(1);
            w.add(2, Effect::Permit).guardian = Some(by);
        }),
        ("a grant that was passed on", permits, |w| delegated(w, |_| {})),
        ("passed on from a grant that may not be", nothing, |w| {
            delegated(w, |parent| parent.provision.actions = vec![Action::Read]);
        }),
        ("passed on from one that was passed on", nothing, |w| {
            delegated(w, |parent| {
                let by = Actor { msp_id: msp("NorthMSP"), subject: Subject::from_bytes([1; 16]) };
                parent.delegated =
                    Some(Delegated { parent: StatementId::from_bytes([2; 16]), by, role: None });
            });
        }),
        ("passed on from one that does not hold the record", nothing, |w| {
            delegated(w, |parent| {
                parent.provision.scope = Scope::Records { records: vec![RecordId::from_bytes([5; 16])] };
            });
        }),
        ("passed on from one that is over", nothing, |w| {
            delegated(w, |parent| parent.provision.period.until = at(NOW));
        }),
        ("passed on from one that is not live", nothing, |w| {
            delegated(w, |_| {});
            w.consents.consents.remove(0);
        }),
        ("passed on by another than it names", nothing, |w| {
            delegated(w, |parent| {
                parent.provision.grantee =
                    Grantee::Person { msp_id: msp("NorthMSP"), subject: Subject::from_bytes([3; 16]) };
            });
        }),
        ("passed on from one that excepts passing on", nothing, |w| {
            delegated(w, |parent| {
                parent.provision.exceptions =
                    vec![Exception { actions: vec![Action::Delegate], ..Exception::default() }];
            });
        }),
        ("passed on from one that excepts passing on for another purpose", permits, |w| {
            delegated(w, |parent| {
                parent.provision.exceptions = vec![Exception {
                    actions: vec![Action::Delegate],
                    purposes: vec![Purpose::Treat],
                    ..Exception::default()
                }];
            });
        }),
        ("passed on by one to whom passing on is denied", nothing, |w| {
            delegated(w, |_| {});
            no_passing_on(w, Grantee::Hospital { msp_id: msp("NorthMSP") });
        }),
        ("passed on in a role to which passing on is denied", nothing, |w| {
            delegated(w, |_| {});
            no_passing_on(w, Grantee::Role { msp_id: msp("NorthMSP"), role: Role::Service });
        }),
        ("passed on in another role than passing on is denied to", permits, |w| {
            delegated(w, |_| {});
            no_passing_on(w, Grantee::Role { msp_id: msp("NorthMSP"), role: Role::Clinician });
        }),
        ("passed on in a role that was not kept", nothing, |w| {
            delegated(w, |_| {});
            w.consents.consents[1].delegated.as_mut().unwrap().role = None;
            no_passing_on(w, Grantee::Role { msp_id: msp("NorthMSP"), role: Role::Auditor });
        }),
        ("passed on to one to whom passing on is denied", permits, |w| {
            delegated(w, |_| {});
            no_passing_on(w, Grantee::Hospital { msp_id: msp("SouthMSP") });
        }),
    ];
    for (case, rule, adjust) in cases {
        let mut world = World::new();
        adjust(&mut world);
        assert_eq!(world.decide().rule, rule, "{case}");
    }
}

/// A grant of somebody else's, adjusted, and one that was passed on from it to the actor.
fn delegated(world: &mut World, adjust: fn(&mut LiveConsent)) {
    let other = Actor { msp_id: msp("NorthMSP"), subject: Subject::from_bytes([1; 16]) };
    let parent = world.add(2, Effect::Permit);
    parent.provision.grantee = Grantee::Person { msp_id: other.msp_id.clone(), subject: other.subject };
    adjust(parent);
    let role = Some(Role::Service);
    let parent = Delegated { parent: StatementId::from_bytes([2; 16]), by: other, role };
    let child = world.add(3, Effect::Permit);
    child.delegated = Some(parent);
    child.provision.period.until = at(NOW + 5_000);
}

/// A denial of passing anything on.
fn no_passing_on(world: &mut World, grantee: Grantee) {
    let denial = &mut world.add(4, Effect::Deny).provision;
    (denial.grantee, denial.actions) = (grantee, vec![Action::Delegate]);
}

#[test]
fn a_permit_lasts_no_longer_than_anything_it_rests_on() {
    type Adjust = fn(&mut World);
    let cases: [(Adjust, u64); 8] = [
        (
            |w| {
                w.add(2, Effect::Permit);
            },
            NOW + 1_000,
        ),
        (|w| w.add(2, Effect::Permit).provision.period.until = at(NOW + 9_000_000), NOW + 300_000),
        (
            |w| {
                w.add(2, Effect::Permit);
                w.standing.as_mut().unwrap().until = at(NOW + 7);
            },
            NOW + 7,
        ),
        (
            |w| {
                let by = w.guardian(NOW + 8);
                w.add(2, Effect::Permit).guardian = Some(by);
            },
            NOW + 8,
        ),
        (|w| delegated(w, |parent| parent.provision.period.until = at(NOW + 9)), NOW + 9),
        (APPLIES[8], NOW + 1),
        (
            |w| {
                w.add(2, Effect::Permit);
                w.purpose = Purpose::Treat;
                w.policy.rules[0].needs_relationship = true;
                w.relationship = relationship(NOW + 2);
                w.hospital_relationship = relationship(NOW + 3);
            },
            NOW + 3,
        ),
        (
            |w| {
                w.add(2, Effect::Permit);
                w.policy.rules[0].needs_relationship = true;
                w.relationship = relationship(NOW + 2);
            },
            NOW + 1_000,
        ),
    ];
    for (number, (adjust, until)) in cases.into_iter().enumerate() {
        let mut world = World::new();
        adjust(&mut world);
        assert_eq!(world.decide().valid_until, Some(at(until)), "case {number}");
    }
}

#[test]
fn a_permit_names_its_custodian_only_where_that_is_not_the_home() {
    let mut world = World::new();
    world.add(2, Effect::Permit);
    assert_eq!(world.decide().custodian, None);
    world.record.as_mut().unwrap().custodian = msp("SouthMSP");
    assert_eq!(world.decide().custodian, Some(msp("SouthMSP")));
}
