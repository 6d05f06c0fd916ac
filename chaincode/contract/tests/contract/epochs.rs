//! Two engines side by side: the policy switches, and what the older one says stays what it was.

use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, Effect};
use caretrail_model::decision::Rule;
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::role::Role;
use caretrail_model::statement::{Operation, Stop};

use crate::world::{Ward, admin, policy, requesting, staff, wide_policy};

fn first_epoch() -> ConsortiumPolicy {
    ConsortiumPolicy { epoch: 1, terms: None, ..policy() }
}

/// Keys that a build reads and writes which knows the first engine only.
#[tokio::test]
async fn under_the_first_epoch_nothing_newer_is_read_written_or_said() {
    let mut narrow = first_epoch();
    narrow.rules[0].purposes = vec![caretrail_model::purpose::Purpose::Treat];
    let ward = Ward::under(&narrow).await;
    ward.grant(|p| p.effect = Effect::Deny).await;
    let asked = ward.world.submitted(&ward.reader, &requesting(&ward.patient, &[ward.record])).await;
    let reply: AccessDecision = asked.outcome.json().unwrap();
    assert_eq!((reply.epoch, reply.decisions[0].rule), (1, Rule::ConsentDenies), "not masked, as it was");
    assert!(reply.decisions[0].consent.is_some());
    let known = ["a", "c", "i", "o", "p", "q", "r", "s", "sn", "t", "v", "x", "y", "yn"];
    let kind = |key: &str| key.trim_start_matches('\0').split('\0').next().unwrap().to_owned();
    for read in asked.outcome.rwset.reads.keys() {
        assert!(known.contains(&kind(read).as_str()), "{read:?}");
    }
    for key in ward.world.peer.ledger().keys("records") {
        assert!(known.contains(&kind(&key).as_str()), "{key:?}");
    }
    let entry =
        ward.world.peer.ledger().value("records", &format!("\0a\0{}\0{}\0", ward.patient.id, reply.decision));
    let entry = String::from_utf8(entry.unwrap()).unwrap();
    assert!(
        entry.contains("\"facts\":{\"policy\":1,\"patient\":1,\"consents\":1,\"standing\":1}"),
        "{entry}"
    );
    let held = ward.world.peer.ledger().value("records", &format!("\0r\0{}\0", ward.record)).unwrap();
    let held = String::from_utf8(held).unwrap();
    assert_eq!(held.matches('"').count(), 12, "patient, custodian, version and time: {held}");

    let stop = StopAll { signed: ward.signed(Operation::StopAll(Stop { stopped: true })) };
    assert_eq!(ward.world.refused(&ward.south, &stop).await, Code::EpochTooOld);
    let provision = ward.provision(|p| p.actions = vec![Action::Read, Action::Delegate]);
    let grant = caretrail_model::statement::Grant { provision, supersedes: None };
    let signed = ward.signed(Operation::GrantConsent(grant));
    assert_eq!(ward.world.refused(&ward.south, &GrantConsent { signed }).await, Code::StatementMalformed);
}

#[tokio::test]
async fn a_policy_switches_to_the_next_epoch_and_never_back() {
    let ward = Ward::under(&first_epoch()).await;
    let consent = ward.grant(|_| {}).await;
    let old = ward.world.done(&ward.reader, &requesting(&ward.patient, &[ward.record])).await;
    ward.world.put_in_force(&ConsortiumPolicy { sequence: 2, ..wide_policy() }).await;

    // What was written before is read as before, and the same transaction asks once more only the first time.
    let custodian = staff("NorthMSP", Role::Service);
    ward.world.done(&custodian, &ward.disclosing(old.decision)).await;
    let asked = ward.world.submitted(&ward.reader, &requesting(&ward.patient, &[ward.record])).await;
    assert_eq!(asked.outcome.requests, ["GET_STATE_MULTIPLE", "WRITE_BATCH_STATE"]);
    let reply: AccessDecision = asked.outcome.json().unwrap();
    assert_eq!((reply.epoch, reply.decisions[0].rule), (2, Rule::ConsentPermits));
    let auditor = staff("NorthMSP", Role::Auditor);
    for decision in [old.decision, reply.decision] {
        let replay = ReplayDecision { patient: ward.patient.id, decision };
        assert_eq!(ward.world.refused(&auditor, &replay).await, Code::ReplayUnavailable);
    }
    let stop = StopAll { signed: ward.signed(Operation::StopAll(Stop { stopped: true })) };
    ward.world.done(&ward.south, &stop).await;
    assert_eq!(ward.rule().await, Rule::NothingPermits);
    ward.world.done(&ward.south, &ward.world.ending(&ward.patient, consent)).await;

    let back = serde_json::to_string(&ConsortiumPolicy { sequence: 3, ..first_epoch() }).unwrap();
    let refused = ward.world.refused(&admin("NorthMSP"), &ProposePolicy { policy: back }).await;
    assert_eq!(refused, Code::PolicySequence);
}

/// What a newer build proposes may be of a shape that this one cannot read; it says what is to be done about it.
#[tokio::test]
async fn a_policy_for_an_engine_that_this_build_lacks_is_not_endorsed() {
    let ward = Ward::under(&policy()).await;
    let next = serde_json::to_string(&ConsortiumPolicy { sequence: 2, ..policy() }).unwrap();
    for newer in ["\"epoch\":3", "\"epoch\":3,\"unheard_of\":{\"epoch\":1}", "\"epoch\":4294967295"] {
        let policy = next.replacen("\"epoch\":2", newer, 1);
        let refused = ward.world.refused(&admin("NorthMSP"), &ProposePolicy { policy }).await;
        assert_eq!(refused, Code::EngineUnknown, "{newer}");
    }
    for (from, to) in [("\"epoch\":2", "\"epoch\":0"), ("\"epoch\":2", "\"epoch\":3,\"epoch\":2"), ("}", "")]
    {
        let policy = next.replacen(from, to, 1);
        let refused = ward.world.refused(&admin("NorthMSP"), &ProposePolicy { policy }).await;
        assert_eq!(refused, Code::PolicyInvalid, "{to}");
    }
}
