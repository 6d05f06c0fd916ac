//! What a statement decides, in words that a patient reads before signing.

use caretrail_model::consent::{Action, Effect, Exception, Grantee, Provision, Scope};
use caretrail_model::ids::{Digest, Tag};
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
            words.push(format!(
                "{} is my hospital, and key {} speaks for me; my id comes from {}.",
                body.home,
                body.public_key.id(),
                body.patient_nonce
            ));
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
            words.push(format!(
                "I add record {} of my own, which {} keeps; its id comes from {}.",
                own.record, own.custodian, own.record_nonce
            ));
            words.push(format!(
                "It is sealed in {} bytes whose digest begins with {}, and the commitment to what it says begins with {}.",
                own.commitments.sealed_bytes,
                beginning(&own.commitments.blob_digest),
                beginning(&own.commitments.content_commitment)
            ));
        }
        Operation::RequestCorrection(asked) => words.push(format!(
            "I ask for a correction of record {}, version {}; the digest of what I ask for begins with {}.",
            asked.record,
            asked.version,
            beginning(&asked.request_digest)
        )),
    }
    words.push(format!("This can be carried until {}.", instant(statement.submit_by)));
    words
}

/// As much of a digest as an id has: nobody makes another one that begins alike.
fn beginning(digest: &Digest) -> String {
    format!("{:.32}", digest.to_string())
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
            format!("{} of {} (tag key {})", named.join(" or "), set.custodian, set.epoch)
        })
        .collect();
    sets.join(", or ")
}

fn purposes(purposes: &[Purpose]) -> String {
    let words = purposes.iter().map(|purpose| {
        let covered: Vec<_> = Purpose::ALL
            .into_iter()
            .filter(|narrower| narrower != purpose && purpose.covers(*narrower))
            .map(in_words)
            .collect();
        match covered.as_slice() {
            [] => in_words(*purpose).to_owned(),
            covered => format!("{} (with {})", in_words(*purpose), covered.join(" and ")),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

const fn in_words(purpose: Purpose) -> &'static str {
    match purpose {
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
    }
}

fn period(period: &Period, naming: &Naming<'_>) -> String {
    format!("from {} until {}", (naming.instant)(period.from), (naming.instant)(period.until))
}

#[cfg(test)]
mod tests;
