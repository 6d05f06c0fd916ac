//! The documented table, read from this module's own documentation: every row alone, and before every later one.

use caretrail_model::consent::{Effect, Exception, LiveConsent, Scope};
use caretrail_model::ids::{PatientId, RecordId, Tag};
use caretrail_model::patient::StopSwitch;
use caretrail_model::tag::TagSet;

use super::super::tests_world::{NOW, World, at, msp, relationship};
use super::*;

impl World {
    fn adding(&self) -> MayAdd {
        let new = NewRecord {
            actor: &self.actor,
            role: self.role,
            patient: &PatientId::from_bytes([1; 16]),
            record: &RecordId::from_bytes([4; 16]),
            tags: self.record.as_ref().and_then(|record| record.tags.as_ref()),
        };
        decide(&new, &self.facts(), at(NOW))
    }

    /// Adds a provision about writing.
    fn add_of_writing(&mut self, id: u8, effect: Effect) -> &mut LiveConsent {
        let consent = self.add(id, effect);
        consent.provision.actions = vec![Action::Write];
        consent
    }
}

/// Makes each row apply, in the table's order.
const APPLIES: [fn(&mut World); 7] = [
    |w| w.standing = None,
    |w| w.patient.home = msp("SouthMSP"),
    |w| w.stop = Some(StopSwitch { sequence: 1, stopped: true, by: None, at: at(1) }),
    |w| {
        w.add_of_writing(1, Effect::Deny);
    },
    |w| w.relationship = relationship(NOW + 1),
    |w| {
        w.add_of_writing(2, Effect::Permit);
    },
    |_| {},
];

/// Number and outcome of every row of the documentation.
fn documented() -> Vec<(usize, String)> {
    include_str!("writing.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "))
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim_end_matches('|').split(" | ").collect();
            Some((cells.first()?.trim().parse().ok()?, cells.get(2)?.trim().to_owned()))
        })
        .collect()
}

/// An outcome in the table's words.
fn said(outcome: MayAdd) -> &'static str {
    match outcome {
        MayAdd::NoStanding => "no standing",
        MayAdd::ByCustody => "may, by custody",
        MayAdd::ByCare => "may, by care",
        MayAdd::ByConsent => "may, by consent",
        MayAdd::Not => "may not",
    }
}

#[test]
fn each_documented_row_decides_alone_and_before_every_later_one() {
    let rows = documented();
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), (1..=7).collect::<Vec<_>>());
    for (first, outcome) in &rows {
        for (second, _) in rows.iter().filter(|row| row.0 >= *first) {
            let mut world = World::new();
            APPLIES[second - 1](&mut world);
            if second != first {
                APPLIES[first - 1](&mut world);
            }
            let decided = world.adding();
            assert_eq!(said(decided), outcome, "row {first} with row {second}");
            assert_eq!(decided.allows(), outcome.starts_with("may, by"), "row {first}");
        }
    }
}

#[test]
fn what_rows_mean() {
    type Adjust = fn(&mut World);
    let cases: [(&str, MayAdd, Adjust); 14] = [
        ("a standing in another role", MayAdd::NoStanding, |w| w.role = Role::Service),
        ("a standing that ends now", MayAdd::NoStanding, |w| w.standing.as_mut().unwrap().until = at(NOW)),
        ("a suspended standing", MayAdd::NoStanding, |w| w.standing.as_mut().unwrap().suspended = true),
        ("a stop at home", MayAdd::ByCustody, |w| {
            APPLIES[1](w);
            APPLIES[2](w);
        }),
        ("a stop that was lifted", MayAdd::ByConsent, |w| {
            APPLIES[2](w);
            w.stop.as_mut().unwrap().stopped = false;
            APPLIES[5](w);
        }),
        ("a standing for another purpose", MayAdd::ByConsent, |w| {
            w.standing.as_mut().unwrap().purposes = vec![Purpose::Hresch];
            APPLIES[5](w);
        }),
        ("a policy that lets nobody write, or in care only", MayAdd::ByConsent, |w| {
            w.policy.rules[0].actions = vec![Action::Read];
            w.policy.rules[0].needs_relationship = true;
            APPLIES[5](w);
        }),
        ("a permit to read", MayAdd::Not, |w| {
            w.add(2, Effect::Permit);
        }),
        ("a permit for another purpose", MayAdd::Not, |w| {
            w.add_of_writing(2, Effect::Permit).provision.purposes = vec![Purpose::Btg];
        }),
        ("a denial of reading", MayAdd::ByCare, |w| {
            w.add(1, Effect::Deny);
            APPLIES[4](w);
        }),
        ("a denial of tags, without tags", MayAdd::Not, |w| {
            let sets =
                vec![TagSet { custodian: msp("NorthMSP"), epoch: 1, tags: vec![Tag::from_bytes([1; 16])] }];
            w.add_of_writing(1, Effect::Deny).provision.scope = Scope::Tags { sets };
            APPLIES[4](w);
        }),
        ("a denial that excepts writing", MayAdd::ByCare, |w| {
            w.add_of_writing(1, Effect::Deny).provision.exceptions =
                vec![Exception { actions: vec![Action::Write], ..Exception::default() }];
            APPLIES[4](w);
        }),
        ("what the actor's hospital keeps", MayAdd::ByConsent, |w| {
            w.add_of_writing(2, Effect::Permit).provision.scope =
                Scope::Custodian { msp_id: msp("SouthMSP") };
        }),
        ("what the home keeps", MayAdd::Not, |w| {
            w.add_of_writing(2, Effect::Permit).provision.scope =
                Scope::Custodian { msp_id: msp("NorthMSP") };
        }),
    ];
    for (case, outcome, adjust) in cases {
        let mut world = World::new();
        adjust(&mut world);
        assert_eq!(world.adding(), outcome, "{case}");
    }
}

#[test]
fn care_is_the_actors_own_or_for_a_clinician_the_hospitals() {
    let mut world = World::new();
    world.hospital_relationship = relationship(NOW + 1);
    assert_eq!(world.adding(), MayAdd::ByCare);
    world.role = Role::Service;
    world.standing.as_mut().unwrap().role = Role::Service;
    assert_eq!(world.adding(), MayAdd::Not);
    world.relationship = relationship(NOW + 1);
    assert_eq!(world.adding(), MayAdd::ByCare);
    world.relationship = relationship(NOW);
    assert_eq!(world.adding(), MayAdd::Not);
}

#[test]
fn paper_does_not_count_beside_a_key() {
    let mut world = World::new();
    world.add_of_writing(2, Effect::Permit).paper = true;
    assert_eq!(world.adding(), MayAdd::Not);
    world.patient.key = None;
    assert_eq!(world.adding(), MayAdd::ByConsent);
}
