//! What answers say: to the one who asks no more than may be known, to the home hospital every reason.

use caretrail_model::audit::Act;
use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, Effect};
use caretrail_model::decision::Rule;
use caretrail_model::ids::{RecordId, TxId};
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::time::DurationMs;
use hlf_testpeer::Validity;

use crate::world::{Ward, admin, commitments, requesting, staff};

/// Every kind of record that a denial could be about, each by its name.
async fn denied_records(ward: &Ward) -> Vec<(&'static str, RecordId)> {
    let stranger = ward.world.patient("NorthMSP").await;
    let foreign = ward.world.record(&ward.author, &stranger).await;
    let withdrawn = ward.world.record(&ward.author, &ward.patient).await;
    let withdraw = WithdrawRecord { patient: ward.patient.id, record: withdrawn };
    ward.world.done(&ward.author, &withdraw).await;
    ward.grant(|p| p.effect = Effect::Deny).await;
    vec![
        ("denied", ward.record),
        ("absent", RecordId::from_bytes([0xff; 16])),
        ("foreign", foreign),
        ("withdrawn", withdrawn),
    ]
}

#[tokio::test]
async fn replies_of_a_denied_and_of_an_absent_record_are_the_same_byte_for_byte() {
    let ward = Ward::open().await;
    let mut answers = Vec::new();
    for (kind, record) in denied_records(&ward).await {
        let asked = ward.world.submitted(&ward.reader, &requesting(&ward.patient, &[record])).await;
        let reply: AccessDecision = asked.outcome.json().unwrap();
        let told = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let text = text.replace(&record.to_string(), "<record>");
            let text = text.replace(&reply.decision.to_string(), "<transaction>");
            let Some((before, rest)) = text.split_once("\"request\":\"") else { return text };
            format!("{before}<request>{}", rest.get(32..).unwrap())
        };
        let event = asked.outcome.event.as_ref().unwrap();
        let entry = GetDecision { patient: ward.patient.id, decision: reply.decision };
        let entry = serde_json::to_vec(&ward.world.seen(&ward.reader, &entry).await).unwrap();
        answers.push((kind, told(&asked.outcome.payload), told(&event.payload), told(&entry)));
    }
    let (_, payload, event, entry) = &answers[0];
    assert!(payload.contains("nothing_permits") && !payload.contains("consent"), "{payload}");
    for (kind, other_payload, other_event, other_entry) in &answers {
        assert_eq!((other_payload, other_event, other_entry), (payload, event, entry), "{kind}");
    }
}

#[tokio::test]
async fn the_home_hospital_learns_every_reason_by_replay_and_preview() {
    let ward = Ward::open().await;
    let kinds = denied_records(&ward).await;
    let mut records: Vec<RecordId> = kinds.iter().map(|(_, record)| *record).collect();
    let reply = ward.world.done(&ward.reader, &requesting(&ward.patient, &records)).await;
    // Afterwards everything changes; what was decided stays.
    ward.world.done(&admin("SouthMSP"), &SuspendPractitioner { subject: ward.reader.actor.subject }).await;
    let auditor = staff("NorthMSP", Role::Auditor);
    let replay = ReplayDecision { patient: ward.patient.id, decision: reply.decision };
    let replayed = ward.world.seen(&auditor, &replay).await;
    assert!(replayed.matches);
    let rule_of = |decisions: &[caretrail_model::decision::Decision], name: &str| {
        let record = kinds.iter().find(|(kind, _)| *kind == name).unwrap().1;
        decisions.iter().find(|decision| decision.record == record).unwrap().rule
    };
    for (name, rule) in [
        ("denied", Rule::ConsentDenies),
        ("absent", Rule::NothingPermits),
        ("foreign", Rule::NothingPermits),
        ("withdrawn", Rule::RecordWithdrawn),
    ] {
        assert_eq!(rule_of(&replayed.decisions, name), rule, "{name}");
    }
    assert_eq!(
        ward.world.refused(&staff("SouthMSP", Role::Auditor), &replay).await,
        Code::HospitalNotAllowed
    );
    let unknown = ReplayDecision { decision: TxId::from_bytes([1; 32]), ..replay };
    assert_eq!(ward.world.refused(&auditor, &unknown).await, Code::DecisionUnknown);

    records.sort();
    let preview = PreviewAccess {
        actor: ward.reader.actor.clone(),
        patient: ward.patient.id,
        records,
        action: Action::Read,
        purpose: Purpose::Treat,
        at: None,
    };
    let previewed = ward.world.seen(&ward.north, &preview).await;
    assert!(previewed.decisions.iter().all(|decision| decision.rule == Rule::NoStanding));
    assert_eq!(ward.world.refused(&ward.south, &preview).await, Code::HospitalNotAllowed);
}

#[tokio::test]
async fn a_permit_replays_to_itself_whatever_happened_since() {
    let ward = Ward::open().await;
    let consent = ward.grant(|_| {}).await;
    let reply = ward.world.done(&ward.reader, &requesting(&ward.patient, &[ward.record])).await;
    ward.world.done(&ward.south, &ward.world.ending(&ward.patient, consent)).await;
    ward.world.authorize(&ward.reader).await;
    ward.world.done(&ward.author, &WithdrawRecord { patient: ward.patient.id, record: ward.record }).await;
    ward.world.pass(1_000_000);
    let auditor = staff("NorthMSP", Role::Auditor);
    let replay = ReplayDecision { patient: ward.patient.id, decision: reply.decision };
    let replayed = ward.world.seen(&auditor, &replay).await;
    assert!(replayed.matches);
    assert_eq!(replayed.decisions, reply.decisions);

    let entry = GetDecision { patient: ward.patient.id, decision: reply.decision };
    let Act::AccessDecided(decided) = ward.world.seen(&ward.reader, &entry).await.act else { panic!() };
    assert_eq!(
        (decided.facts.consents, decided.facts.records.len()),
        (1, 0),
        "which records there are is not told"
    );
}

/// A record is copied when it is changed: the newest state is the record itself, the ones before are copies.
#[tokio::test]
async fn a_decision_replays_from_the_state_that_the_record_was_in() {
    let ward = Ward::open().await;
    ward.grant(|_| {}).await;
    let auditor = staff("NorthMSP", Role::Auditor);
    let mut decided = Vec::new();
    for version in 1..=4 {
        decided.push(ward.world.done(&ward.reader, &requesting(&ward.patient, &[ward.record])).await);
        for (decided_on, reply) in (1..).zip(&decided) {
            let replay = ReplayDecision { patient: ward.patient.id, decision: reply.decision };
            let replayed = ward.world.seen(&auditor, &replay).await;
            assert!(replayed.matches);
            assert_eq!(replayed.decisions[0].version, Some(decided_on), "at version {version}");
        }
        let amend = AmendRecord {
            patient: ward.patient.id,
            record: ward.record,
            version: version + 1,
            commitments: commitments(),
            tags: None,
            derived_from: vec![],
        };
        ward.world.done(&ward.author, &amend).await;
    }
}

#[tokio::test]
async fn who_could_see_a_record_is_known_for_every_instant() {
    let ward = Ward::open().await;
    let before = ward.world.now();
    ward.world.pass(1_000);
    let consent = ward.grant(|_| {}).await;
    let granted = ward.world.now();
    ward.world.pass(1_000);
    ward.world.done(&ward.south, &ward.world.ending(&ward.patient, consent)).await;
    let ended = ward.world.now();
    ward.world.pass(1_000);
    ward.world.done(&admin("SouthMSP"), &SuspendPractitioner { subject: ward.reader.actor.subject }).await;
    let who = async |at| {
        let page = ward.world.seen(&ward.north, &WhoCanSee { record: ward.record, at }).await;
        page.holders.into_iter().map(|holder| (holder.actor, holder.consents)).collect::<Vec<_>>()
    };
    assert_eq!(who(Some(before)).await, []);
    assert_eq!(who(Some(granted)).await, [(ward.reader.actor.clone(), vec![consent])]);
    assert_eq!(who(Some(ended)).await, []);
    assert_eq!(who(None).await, []);
}

#[tokio::test]
async fn holders_come_in_pages_and_include_who_broke_the_glass() {
    let ward = Ward::open().await;
    ward.grant(|p| {
        p.grantee = caretrail_model::consent::Grantee::Hospital { msp_id: "SouthMSP".parse().unwrap() }
    })
    .await;
    let mut expected = vec![ward.reader.actor.clone()];
    for _ in 0..4 {
        expected.push(ward.world.clinician("SouthMSP").await.actor);
    }
    let breaking = BreakGlass {
        patient: ward.patient.id,
        reason_digest: caretrail_model::ids::Digest::from_bytes([1; 32]),
    };
    ward.world.done(&ward.author, &breaking).await;
    expected.push(ward.author.actor.clone());
    expected.sort();
    let page = |bookmark: String| ListHolders { record: ward.record, at: None, page_entries: 2, bookmark };
    let (mut found, mut pages, mut bookmark) = (Vec::new(), 0, String::new());
    loop {
        let reply = ward.world.seen(&ward.north, &page(bookmark)).await;
        assert!(reply.holders.len() <= 2);
        found.extend(reply.holders.into_iter().map(|holder| holder.actor));
        (pages, bookmark) = (pages + 1, reply.bookmark);
        if bookmark.is_empty() {
            break;
        }
    }
    assert_eq!(found, expected);
    assert!(pages >= 4, "{pages}");
    for foreign in ["x", "EastMSP\n", "SouthMSP\nx"] {
        assert_eq!(ward.world.refused(&ward.north, &page(foreign.into())).await, Code::BookmarkInvalid);
    }
    let later = ward.world.now().plus(DurationMs::from_secs(60));
    let call = WhoCanSee { record: ward.record, at: Some(later) };
    let holders = ward.world.seen(&ward.north, &call).await.holders;
    assert!(
        holders.iter().all(|holder| holder.actor.msp_id.as_str() == "SouthMSP"),
        "the glass is whole again"
    );
}

/// Of all who broke a patient's glass, one of each hospital is read before anything is decided.
#[tokio::test]
async fn who_broke_the_glass_is_looked_for_hospital_by_hospital() {
    let ward = Ward::open().await;
    let breaking = BreakGlass {
        patient: ward.patient.id,
        reason_digest: caretrail_model::ids::Digest::from_bytes([1; 32]),
    };
    for _ in 0..5 {
        let clinician = staff("NorthMSP", Role::Clinician);
        ward.world
            .authorize_for(&clinician, Role::Clinician, &[Purpose::Btg], DurationMs::from_days(1))
            .await;
        ward.world.done(&clinician, &breaking).await;
    }
    let page = ListHolders { record: ward.record, at: None, page_entries: 2, bookmark: String::new() };
    let outcome = ward.world.peer.invoke(&ward.world.proposal(&ward.north, &page)).await.unwrap();
    assert!(outcome.is_ok(), "{outcome}");
    let scanned = outcome.rwset.ranges.iter().filter(|range| range.start.starts_with("\0b\0"));
    let found: Vec<usize> = scanned.map(|range| range.found.len()).collect();
    assert!(found.iter().all(|found| *found <= 1), "{found:?}");
    let whole = WhoCanSee { record: ward.record, at: None };
    assert_eq!(ward.world.seen(&ward.north, &whole).await.holders.len(), 5);
}

#[tokio::test]
async fn a_request_id_gets_its_first_decision_also_after_a_conflict() {
    let ward = Ward::open().await;
    let request = requesting(&ward.patient, &[ward.record]);
    let world = &ward.world;
    let first = world.peer.invoke(&world.proposal(&ward.reader, &request)).await.unwrap();
    let second = world.peer.invoke(&world.proposal(&ward.reader, &request)).await.unwrap();
    let decided: AccessDecision = first.json().unwrap();
    let (_, validity) = world.peer.commit(&[first, second]);
    assert_eq!(validity, [Validity::Valid, Validity::MvccReadConflict]);
    ward.grant(|_| {}).await;
    let again = world.submitted(&ward.reader, &request).await;
    assert!(again.outcome.rwset.writes.is_empty());
    assert_eq!(again.outcome.json::<AccessDecision>().unwrap(), decided);
}

/// Whoever may not read a decision learns nothing of whether there is one.
#[tokio::test]
async fn a_decision_of_others_answers_like_one_that_is_not_there() {
    let ward = Ward::open().await;
    let decision = ward.world.done(&ward.reader, &requesting(&ward.patient, &[ward.record])).await.decision;
    let there = GetDecision { patient: ward.patient.id, decision };
    let absent = GetDecision { decision: TxId::from_bytes([9; 32]), ..there.clone() };
    // A clinician of another hospital than the one that asked, though it is the patient's home.
    for call in [&there, &absent] {
        assert_eq!(ward.world.refused(&ward.author, call).await, Code::DecisionUnknown);
    }
    for may in [&ward.reader, &ward.south, &ward.north] {
        assert_eq!(ward.world.seen(may, &there).await.tx_id, decision);
        assert_eq!(ward.world.refused(may, &absent).await, Code::DecisionUnknown);
    }
}

/// A part of them is never given as if it were all.
#[tokio::test]
async fn more_practitioners_than_one_answer_decides_for_are_asked_for_in_pages() {
    let ward = Ward::open().await;
    ward.grant(|p| {
        p.grantee = caretrail_model::consent::Grantee::Hospital { msp_id: "SouthMSP".parse().unwrap() }
    })
    .await;
    let whole = WhoCanSee { record: ward.record, at: None };
    // The reader is one of them.
    for _ in 1..caretrail_model::limits::HOLDERS_WHOLE_MAX {
        ward.world.clinician("SouthMSP").await;
    }
    assert_eq!(ward.world.seen(&ward.north, &whole).await.holders.len(), 1_000);
    ward.world.clinician("SouthMSP").await;
    assert_eq!(ward.world.refused(&ward.north, &whole).await, Code::HoldersTooMany);
    let (mut found, mut bookmark) = (0, String::new());
    loop {
        let page = ListHolders { record: ward.record, at: None, page_entries: 100, bookmark };
        let reply = ward.world.seen(&ward.north, &page).await;
        found += reply.holders.len();
        bookmark = reply.bookmark;
        if bookmark.is_empty() {
            break;
        }
    }
    assert_eq!(found, 1_001);
}

/// Pages that name the instant of the first one are of that instant, whatever happens between them.
#[tokio::test]
async fn holders_of_one_instant_are_whole_whatever_happens_between_pages() {
    let ward = Ward::open().await;
    let consent = ward
        .grant(|p| {
            p.grantee = caretrail_model::consent::Grantee::Hospital { msp_id: "SouthMSP".parse().unwrap() }
        })
        .await;
    for _ in 0..3 {
        ward.world.clinician("SouthMSP").await;
    }
    let page = |at, bookmark| ListHolders { record: ward.record, at, page_entries: 2, bookmark };
    let first = ward.world.seen(&ward.north, &page(None, String::new())).await;
    ward.world.pass(1_000);
    ward.world.done(&ward.south, &ward.world.ending(&ward.patient, consent)).await;
    let again = ward.world.seen(&ward.north, &page(Some(first.at), first.bookmark)).await;
    assert_eq!((first.holders.len(), again.holders.len(), again.at), (2, 2, first.at));
    assert_eq!(ward.world.seen(&ward.north, &page(None, String::new())).await.holders, []);
}
