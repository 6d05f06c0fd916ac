//! What a statement decides, in words that a patient reads before signing.

use caretrail_model::consent::{Action, Effect, Exception, Grantee, Provision, Scope};
use caretrail_model::ids::Tag;
use caretrail_model::purpose::Purpose;
use caretrail_model::statement::{Operation, Statement};
use caretrail_model::tag::TagSet;
use caretrail_model::time::{Period, UnixMs};

/// How that is said for which a statement has only numbers.
#[derive(Clone, Copy)]
pub struct Naming<'a> {
    /// Says an instant.
    pub instant: &'a dyn Fn(UnixMs) -> String,
    /// Names the label that a tag of a set stands for, where it is known; elsewhere the blinded tag is shown.
    pub label: &'a dyn Fn(&TagSet, &Tag) -> Option<String>,
}

impl std::fmt::Debug for Naming<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Naming").finish_non_exhaustive()
    }
}

/// What a statement decides, in words, one sentence a line. `instant` says an instant in words.
pub fn plain_words(statement: &Statement, instant: impl Fn(UnixMs) -> String) -> Vec<String> {
    plain_words_naming(statement, &Naming { instant: &instant, label: &|_, _| None })
}

/// [`plain_words`], with the labels named that this hospital knows.
pub fn plain_words_naming(statement: &Statement, naming: &Naming<'_>) -> Vec<String> {
    let instant = naming.instant;
    let mut words = vec![format!(
        "Patient {} decides, with key {}, on {} of channel {}:",
        statement.patient, statement.key, statement.chaincode, statement.channel
    )];
    match &statement.operation {
        Operation::RegisterPatient(body) => {
            words.push(format!("{} is my hospital, and this key speaks for me.", body.home));
        }
        Operation::GrantConsent(grant) => {
            words.extend(provision(&grant.provision, naming));
            if let Some(superseded) = &grant.supersedes {
                words.push(format!("This replaces what I decided in {superseded}."));
            }
        }
        Operation::EndConsent(ending) => words.push(format!("What I decided in {} ends.", ending.consent)),
        Operation::StopAll(stop) => words.push(if stop.stopped {
            "Nobody may use any of my permits from now on, until I lift this stop.".to_owned()
        } else {
            "My permits count again: the stop is lifted.".to_owned()
        }),
        Operation::RefuseEmergency(choice) => words.push(if choice.refused {
            "Nobody may open my records in an emergency without my consent.".to_owned()
        } else {
            "In an emergency, clinicians may break the glass and open my records.".to_owned()
        }),
        Operation::BindKey(new) => {
            words.push(format!(
                "Key {} speaks for me; nothing is done on paper any more.",
                new.public_key.id()
            ));
        }
        Operation::RotateKey(new) => {
            words.push(format!("Key {} speaks for me, in place of this one.", new.public_key.id()));
        }
        Operation::RecoverKey(new) => words.push(format!(
            "I lost my key: key {} shall speak for me once two hospitals have vouched for it.",
            new.public_key.id()
        )),
        Operation::CancelRecovery(cancelled) => {
            words.push(format!("I have not lost my key: recovery {} is refused.", cancelled.recovery));
        }
        Operation::AddGuardian(guardian) => {
            words.push(format!(
                "The holder of key {} may decide for me {}.",
                guardian.public_key.id(),
                period(&guardian.term, naming)
            ));
            if !guardian.protected.is_empty() {
                words.push(format!(
                    "Records with {} stay closed to their permits.",
                    labels(&guardian.protected, naming)
                ));
                words.push(UNLABELLED.to_owned());
            }
        }
        Operation::EndGuardian(ending) => {
            words.push(format!("The holder of key {} decides for me no longer.", ending.guardian));
        }
        Operation::RegisterRecord(own) => {
            words.push(format!("I add record {} of my own, which {} keeps.", own.record, own.custodian))
        }
        Operation::RequestCorrection(asked) => words
            .push(format!("I ask for a correction of record {}, version {}.", asked.record, asked.version)),
    }
    words.push(format!("This can be carried until {}.", instant(statement.submit_by)));
    words
}

fn provision(provision: &Provision, naming: &Naming<'_>) -> Vec<String> {
    let may = match provision.effect {
        Effect::Permit => "may",
        Effect::Deny => "may not",
    };
    let mut words = vec![format!(
        "{} {may} {} {} for {}, {}.",
        grantee(&provision.grantee),
        actions(&provision.actions),
        scope(&provision.scope, naming),
        purposes(&provision.purposes),
        period(&provision.period, naming)
    )];
    if provision.effect == Effect::Permit && provision.actions.contains(&Action::Delegate) {
        words.push("They may pass this on to others, narrower, once.".to_owned());
    }
    words.extend(provision.exceptions.iter().map(|except| exception(except, naming)));
    let by_label = |scope: &Scope| matches!(scope, Scope::Tags { .. });
    let exceptions = provision.exceptions.iter().filter_map(|exception| exception.scope.as_ref());
    if exceptions.chain([&provision.scope]).any(by_label) {
        words.push(UNLABELLED.to_owned());
    }
    words
}

fn exception(exception: &Exception, naming: &Naming<'_>) -> String {
    let mut parts = Vec::new();
    parts.extend(exception.grantee.as_ref().map(grantee));
    if !exception.actions.is_empty() {
        parts.push(format!("to {}", actions(&exception.actions)));
    }
    parts.extend(exception.scope.as_ref().map(|only| format!("for {}", scope(only, naming))));
    if !exception.purposes.is_empty() {
        parts.push(format!("for {}", purposes(&exception.purposes)));
    }
    parts.extend(exception.period.as_ref().map(|when| period(when, naming)));
    format!("This does not apply: {}.", parts.join(", "))
}

fn grantee(grantee: &Grantee) -> String {
    match grantee {
        Grantee::Hospital { msp_id } => format!("Everybody at {msp_id}"),
        Grantee::Role { msp_id, role } => format!("Every {role} at {msp_id}"),
        Grantee::Person { msp_id, subject } => format!("{subject} at {msp_id}"),
    }
}

fn actions(actions: &[Action]) -> String {
    let named = actions.iter().map(|action| match action {
        Action::Read => "read",
        Action::Write => "add to",
        Action::Delegate => "pass on",
    });
    named.collect::<Vec<_>>().join(" and ")
}

fn scope(scope: &Scope, naming: &Naming<'_>) -> String {
    match scope {
        Scope::All {} => "all my records".to_owned(),
        Scope::Custodian { msp_id } => format!("my records that {msp_id} keeps"),
        Scope::Records { records } => {
            let ids: Vec<_> = records.iter().map(ToString::to_string).collect();
            format!("my records {}", ids.join(", "))
        }
        Scope::Tags { sets } => format!("my records with {}", labels(sets, naming)),
    }
}

/// Said wherever labels count: no other reading is possible for whoever decides.
const UNLABELLED: &str =
    "A record whose labels cannot be compared with these is treated as the more private case.";

fn labels(sets: &[TagSet], naming: &Naming<'_>) -> String {
    let sets: Vec<_> = sets
        .iter()
        .map(|set| {
            let named: Vec<_> = set
                .tags
                .iter()
                .map(|tag| match (naming.label)(set, tag) {
                    Some(label) => format!("the label {label}"),
                    None => format!("the blinded label {tag}"),
                })
                .collect();
            format!("{} of {}", named.join(" or "), set.custodian)
        })
        .collect();
    sets.join(", or ")
}

fn purposes(purposes: &[Purpose]) -> String {
    let words = purposes.iter().map(|purpose| match purpose {
        Purpose::Treat => "treatment",
        Purpose::Etreat => "emergency treatment",
        Purpose::Btg => "emergency access",
        Purpose::Caremgt => "care management",
        Purpose::Hpaymt => "payment",
        Purpose::Hoperat => "operations",
        Purpose::Hresch => "research",
        Purpose::Clintrch => "clinical trials",
        Purpose::Pubhlth => "public health",
        Purpose::Patrqt => "requests of mine",
        Purpose::Famrqt => "requests of my family",
        Purpose::Pwatrny => "power of attorney",
        Purpose::Hlegal => "legal matters",
        Purpose::Coverage => "coverage",
        Purpose::Htest => "tests of systems",
    });
    words.collect::<Vec<_>>().join(", ")
}

fn period(period: &Period, naming: &Naming<'_>) -> String {
    format!("from {} until {}", (naming.instant)(period.from), (naming.instant)(period.until))
}

#[cfg(test)]
mod tests {
    use caretrail_model::ids::{KeyId, PatientId};
    use caretrail_model::statement::{Grant, Stop};

    use super::*;
    use crate::LedgerName;
    use crate::statements::{prepare, read};

    fn statement(operation: Operation) -> Statement {
        let ledger =
            LedgerName { channel: "records".parse().unwrap(), chaincode: "caretrail".parse().unwrap() };
        let (patient, key) = (PatientId::from_bytes([1; 16]), KeyId::from_bytes([2; 16]));
        read(&prepare(&ledger, patient, key, UnixMs::new(9).unwrap(), operation).unwrap()).unwrap()
    }

    fn words(operation: Operation) -> Vec<String> {
        plain_words(&statement(operation), |at| format!("t{at}"))
    }

    #[test]
    fn a_statement_says_in_words_what_it_decides() {
        let provision = Provision {
            effect: Effect::Deny,
            grantee: Grantee::Hospital { msp_id: "SouthMSP".parse().unwrap() },
            actions: vec![Action::Read, Action::Write],
            purposes: vec![Purpose::Treat, Purpose::Hresch],
            scope: Scope::All {},
            period: Period { from: UnixMs::new(1).unwrap(), until: UnixMs::new(2).unwrap() },
            exceptions: vec![Exception { purposes: vec![Purpose::Clintrch], ..Exception::default() }],
        };
        let passing_on = Provision {
            actions: vec![Action::Read, Action::Delegate],
            exceptions: vec![Exception {
                actions: vec![Action::Read, Action::Delegate],
                ..provision.exceptions[0].clone()
            }],
            ..provision.clone()
        };
        let said = words(Operation::GrantConsent(Grant { provision: passing_on, supersedes: None }));
        assert!(
            said[1].starts_with("Everybody at SouthMSP may not read and pass on all my records"),
            "{said:?}"
        );
        assert_eq!(said[2], "This does not apply: to read and pass on, for clinical trials.");
        let said = words(Operation::GrantConsent(Grant { provision, supersedes: None }));
        assert_eq!(
            said[1..],
            [
                "Everybody at SouthMSP may not read and add to all my records for treatment, research, from t1 until t2.",
                "This does not apply: for clinical trials.",
                "This can be carried until t9.",
            ]
        );
        assert!(words(Operation::StopAll(Stop { stopped: true }))[1].starts_with("Nobody may use"));
    }

    #[test]
    fn labels_are_named_where_they_are_known_and_blinded_elsewhere() {
        let set = |custodian: &str, tag| TagSet {
            custodian: custodian.parse().unwrap(),
            epoch: 1,
            tags: vec![Tag::from_bytes([tag; 16])],
        };
        let provision = Provision {
            effect: Effect::Permit,
            grantee: Grantee::Hospital { msp_id: "SouthMSP".parse().unwrap() },
            actions: vec![Action::Read],
            purposes: vec![Purpose::Treat],
            scope: Scope::All {},
            period: Period { from: UnixMs::new(1).unwrap(), until: UnixMs::new(2).unwrap() },
            exceptions: vec![Exception {
                scope: Some(Scope::Tags { sets: vec![set("NorthMSP", 7), set("SouthMSP", 8)] }),
                ..Exception::default()
            }],
        };
        let statement = statement(Operation::GrantConsent(Grant { provision, supersedes: None }));
        let label = |set: &TagSet, _: &Tag| (set.custodian.as_str() == "NorthMSP").then(|| "HIV".to_owned());
        let said = plain_words_naming(&statement, &Naming { instant: &|at| format!("t{at}"), label: &label });
        assert_eq!(
            said[2..4],
            [
                format!(
                    "This does not apply: for my records with the label HIV of NorthMSP, or the blinded label {} of SouthMSP.",
                    "08".repeat(16)
                ),
                UNLABELLED.to_owned(),
            ]
        );
        let elsewhere = plain_words(&statement, |at| format!("t{at}"));
        assert!(
            elsewhere[2].contains(&"07".repeat(16)) && !elsewhere.join("").contains("HIV"),
            "{elsewhere:?}"
        );
    }
}
