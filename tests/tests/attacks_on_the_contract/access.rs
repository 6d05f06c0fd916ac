//! What is asked for, when, and what answers give away.

use std::time::{Duration, SystemTime};

use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::consent::{Effect, Grantee, Scope};
use caretrail_model::decision::Rule;
use caretrail_model::ids::{RecordId, Tag};
use caretrail_model::purpose::Purpose;
use caretrail_model::statement::{Ending, Operation};
use caretrail_model::tag::{RecordTags, TagSet};
use caretrail_model::time::{DurationMs, UnixMs};
use caretrail_tests::both::action;
use hlf_gateway::Proposal;
use hlf_protos::prost::Message as _;
use hlf_protos::protos::{ChaincodeEvent, TxValidationCode};

use crate::world::{Siege, requesting};

pub(crate) async fn a_purpose_is_claimed_that_is_not_the_actors(siege: &mut Siege) {
    let patient = siege.person("claimed").await;
    let record = siege.add(&patient, None).await;
    let mut everything = siege.provision("south/ben");
    everything.grantee = Grantee::Hospital { msp_id: "SouthMSP".parse().unwrap() };
    everything.purposes = vec![Purpose::Treat, Purpose::Btg, Purpose::Hresch, Purpose::Hlegal];
    siege.grant(&patient, everything).await;
    // The patient permits it all; what a purpose takes besides is the role's rule and the actor's own standing.
    for (identity, purpose, rule) in [
        ("south/ben", Purpose::Treat, Rule::ConsentPermits),
        ("south/ben", Purpose::Hresch, Rule::ConsentPermits),
        ("south/ben", Purpose::Hlegal, Rule::RoleNotAllowed),
        ("south/ben", Purpose::Btg, Rule::PurposeNotHeld),
        ("south/cleo", Purpose::Hresch, Rule::PurposeNotHeld),
        ("south/service", Purpose::Treat, Rule::RoleNotAllowed),
        ("south/admin", Purpose::Treat, Rule::RoleNotAllowed),
    ] {
        let request = RequestAccess { purpose, ..requesting(&patient, record) };
        let decided = siege.done(identity, &request).await;
        assert_eq!(decided.decisions[0].rule, rule, "{identity} for {purpose:?}");
    }
}

pub(crate) async fn an_untagged_record_meets_a_denial_of_tags(siege: &mut Siege) {
    let patient = siege.person("tagged").await;
    let tags = |first: u8, epoch| RecordTags {
        custodian: "NorthMSP".parse().unwrap(),
        epoch,
        tags: (first..first + 8).map(|tag| Tag::from_bytes([tag; 16])).collect(),
    };
    let plain = siege.add(&patient, None).await;
    let old = siege.add(&patient, Some(tags(100, 1))).await;
    let other = siege.add(&patient, Some(tags(100, 2))).await;
    let sensitive = siege.add(&patient, Some(tags(1, 2))).await;
    siege.permit(&patient, "south/ben").await;
    let mut denial = siege.provision("south/ben");
    denial.effect = Effect::Deny;
    denial.scope = Scope::Tags {
        sets: vec![TagSet {
            custodian: "NorthMSP".parse().unwrap(),
            epoch: 2,
            tags: vec![Tag::from_bytes([1; 16])],
        }],
    };
    siege.grant(&patient, denial).await;
    let mut records = vec![plain, old, other, sensitive];
    records.sort();
    let request = RequestAccess { records, ..requesting(&patient, plain) };
    let decided = siege.done("south/ben", &request).await;
    // Leaving the labels out, or labelling under another epoch, opens nothing.
    for (record, rule) in [
        (plain, Rule::NothingPermits),
        (old, Rule::NothingPermits),
        (sensitive, Rule::NothingPermits),
        (other, Rule::ConsentPermits),
    ] {
        let decision = decided.decisions.iter().find(|decision| decision.record == record).unwrap();
        assert_eq!(decision.rule, rule);
    }
}

pub(crate) async fn a_permit_is_endorsed_before_a_revocation_and_submitted_after_it(siege: &mut Siege) {
    let patient = siege.person("revoked").await;
    let record = siege.add(&patient, None).await;
    let consent = siege.permit(&patient, "south/ben").await;
    let request = requesting(&patient, record);
    let (answer, permit) = siege.endorsed(&siege.propose("south/ben", &request)).await;
    let decided: AccessDecision = serde_json::from_slice(&answer.response.unwrap().payload).unwrap();
    assert_eq!(decided.decisions[0].rule, Rule::ConsentPermits);
    let ending = siege.signed(&patient, Operation::EndConsent(Ending { consent }));
    siege.done("north/service", &EndConsent { signed: ending }).await;
    siege.order_in_vain(&permit, TxValidationCode::MvccReadConflict).await;
    let get = GetDecision { patient: patient.id, decision: decided.decision };
    assert_eq!(siege.refused("south/ben", &get).await, Code::DecisionUnknown);
    // The same request id, asked again: nothing was decided under it, and now it is a denial.
    assert_eq!(siege.done("south/ben", &request).await.decisions[0].rule, Rule::NothingPermits);
}

pub(crate) async fn a_proposal_is_backdated_or_postdated(siege: &mut Siege) {
    let patient = siege.person("dated").await;
    let record = siege.add(&patient, None).await;
    siege.permit(&patient, "south/ben").await;
    let granted = siege.seen("north/service", &GetPatient { patient: patient.id }).await.at;
    let contract = siege.gateway("south/ben").contract("records", "caretrail");
    let dated = |at: SystemTime| -> Proposal {
        let call = serde_json::to_vec(&requesting(&patient, record)).unwrap();
        contract.proposal("RequestAccess").arg(call).timestamp(at).build().unwrap()
    };
    let (minute, three) = (Duration::from_secs(60), Duration::from_secs(180));
    for at in [SystemTime::now() - three, SystemTime::now() + three] {
        let (status, message) = siege.both.refused(&dated(at)).await;
        assert_eq!((status, message.as_str()), (412, "TIMESTAMP_OUTSIDE_WINDOW"));
    }
    // Within the window, a transaction takes effect no earlier than what it rests on.
    let (answer, endorsed) = siege.endorsed(&dated(SystemTime::now() - minute)).await;
    let decided: AccessDecision = serde_json::from_slice(&answer.response.unwrap().payload).unwrap();
    assert!(decided.at >= granted, "it rests on the patient's registration, which was later");
    assert_eq!(decided.decisions[0].rule, Rule::ConsentPermits);
    assert_eq!(siege.order(&endorsed).await, TxValidationCode::Valid);
    // And ahead, it gains what it is ahead, which is at most the window.
    let ahead = SystemTime::now() + minute;
    let (answer, endorsed) = siege.endorsed(&dated(ahead)).await;
    let decided: AccessDecision = serde_json::from_slice(&answer.response.unwrap().payload).unwrap();
    let ahead = ahead.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    assert_eq!(decided.at, UnixMs::new(u64::try_from(ahead).unwrap()).unwrap());
    let permitted = siege.policy.durations.permit_ms;
    assert_eq!(decided.decisions[0].valid_until, Some(decided.at.plus(permitted)));
    assert_eq!(siege.order(&endorsed).await, TxValidationCode::Valid);
    let latest = decided.at.plus(permitted).distance(caretrail_tests::actors::now());
    assert!(latest <= DurationMs::from_secs(120 + 300));
}

pub(crate) async fn a_bookmark_of_another_patient_is_passed(siege: &mut Siege) {
    let [mine, other] = [siege.person("bookmarked").await, siege.person("other-bookmark").await];
    for person in [&mine, &other] {
        siege.add(person, None).await;
        siege.add(person, None).await;
    }
    let page = |patient: &caretrail_tests::actors::Person, bookmark: String| ListRecords {
        patient: patient.id,
        page_entries: 1,
        bookmark,
    };
    let first = siege.seen("north/ada", &page(&other, String::new())).await;
    assert!(!first.bookmark.is_empty());
    let second = siege.seen("north/ada", &page(&other, first.bookmark.clone())).await;
    assert_ne!(second.records, first.records);
    assert_eq!(siege.refused("north/ada", &page(&mine, first.bookmark)).await, Code::BookmarkInvalid);
}

/// Each real endorsement is compared with each other one: reply, event, and what the audit entry says afterwards.
pub(crate) async fn what_exists_is_guessed_from_replies(siege: &mut Siege) {
    let [patient, stranger] = [siege.person("guessed").await, siege.person("stranger").await];
    let denied = siege.add(&patient, None).await;
    let withdrawn = siege.add(&patient, None).await;
    let foreign = siege.add(&stranger, None).await;
    let absent = RecordId::from_bytes(crate::world::random());
    siege.permit(&patient, "south/ben").await;
    siege.done("north/ada", &WithdrawRecord { patient: patient.id, record: withdrawn }).await;
    let mut denial = siege.provision("south/ben");
    denial.effect = Effect::Deny;
    denial.scope = Scope::Records { records: vec![denied] };
    siege.grant(&patient, denial).await;

    let mut told = Vec::new();
    for (kind, record) in
        [("denied", denied), ("absent", absent), ("withdrawn", withdrawn), ("foreign", foreign)]
    {
        let request = requesting(&patient, record);
        let (answer, endorsed) = siege.endorsed(&siege.propose("south/ben", &request)).await;
        assert_eq!(siege.order(&endorsed).await, TxValidationCode::Valid);
        let event = ChaincodeEvent::decode(action(&answer).events.as_slice()).unwrap();
        let reply = answer.response.unwrap().payload;
        let decided: AccessDecision = serde_json::from_slice(&reply).unwrap();
        let get = GetDecision { patient: patient.id, decision: decided.decision };
        let get = siege.both.alike(&siege.propose("south/ben", &get)).await;
        let entry = get.response.unwrap().payload;
        // Blanked are the ids that the asker chose or got for this very request, and its time.
        let blank = |bytes: &[u8]| {
            let mut text = String::from_utf8(bytes.to_vec()).unwrap();
            for id in [
                record.to_string(),
                request.request.to_string(),
                decided.decision.to_string(),
                decided.at.get().to_string(),
            ] {
                text = text.replace(&id, "…");
            }
            text
        };
        told.push((kind, event.event_name, [blank(&reply), blank(&event.payload), blank(&entry)]));
    }
    let (_, name, first) = &told[0];
    assert!(first[0].contains("nothing_permits"), "{}", first[0]);
    for (kind, other_name, other) in &told {
        assert_eq!((other_name, other), (name, first), "{kind}");
    }
    // What is not of access says no more: to another hospital each of them is not there.
    for record in [denied, absent, withdrawn, foreign] {
        assert_eq!(siege.refused("south/ben", &GetRecord { record }).await, Code::RecordUnknown);
        let history = RecordHistory { record, page_entries: 0, bookmark: String::new() };
        assert_eq!(siege.refused("south/ben", &history).await, Code::RecordUnknown);
    }
}
