//! Who may endorse: peers of both hospitals, and nobody else.

use caretrail_model::calls::{AuthorizePractitioner, GetStanding};
use caretrail_model::code::Code;
use caretrail_model::ids::{Actor, Subject};
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::time::DurationMs;
use caretrail_tests::actors::now;
use hlf_chaincode::SignaturePolicy;
use hlf_protos::kvrwset::{KvMetadataEntry, KvMetadataWrite};
use hlf_protos::protos::TxValidationCode;

use crate::forged::{Keys, assembled, client, rewritten, transaction};
use crate::world::{Siege, random};

const POLICY_UNMET: TxValidationCode = TxValidationCode::EndorsementPolicyFailure;

/// What North's admin may well ask for: a clinician of the own hospital, whom nobody knows before.
fn authorising(siege: &Siege) -> (AuthorizePractitioner, GetStanding) {
    let subject = Subject::from_bytes(random());
    let call = AuthorizePractitioner {
        subject,
        role: Role::Clinician,
        purposes: vec![Purpose::Treat],
        until: now().plus(DurationMs::from_days(1)),
    };
    (call, GetStanding { actor: Actor { subject, ..siege.actor("north/admin") } })
}

async fn demand_unknown(siege: &Siege, standing: &GetStanding) {
    assert_eq!(siege.refused("south/auditor", standing).await, Code::StandingUnknown);
}

pub(crate) async fn a_client_identity_endorses(siege: &mut Siege) {
    let peer = Keys::of_north(siege).peer;
    let named = |names: &[&str]| names.iter().map(|name| client(siege, name)).collect::<Vec<_>>();
    let [south, admins, services] = [
        named(&["south/service"]),
        named(&["north/admin", "south/admin"]),
        named(&["north/service", "south/service"]),
    ];
    // One of South's clients in the place of South's peer, with the genuine endorsement of North's; then clients alone.
    for (endorser, clients) in [(Some(&peer), south), (None, admins), (None, services)] {
        let (call, standing) = authorising(siege);
        let proposal = siege.propose("north/admin", &call);
        // The result is the one that both peers would endorse; only who signs it is wrong.
        let result = siege.both.alike(&proposal).await.payload;
        let endorsers: Vec<_> = endorser.into_iter().chain(&clients).collect();
        let gateway = siege.gateway("north/admin").clone();
        let forged = transaction(&gateway, &proposal, &result, &endorsers).await;
        siege.order_in_vain(&forged, POLICY_UNMET).await;
        demand_unknown(siege, &standing).await;
    }
    // With the signatures of both peers, the same is VALID: it is these that were missing.
    let (call, standing) = authorising(siege);
    let proposal = siege.propose("north/admin", &call);
    let result = siege.both.alike(&proposal).await.payload;
    let answers = siege.both.answers(&proposal).await;
    let endorsements = answers.into_iter().map(|answer| answer.endorsement.unwrap()).collect();
    let gateway = siege.gateway("north/admin").clone();
    let genuine = assembled(&gateway, &proposal, &result, endorsements);
    assert_eq!(siege.order(&genuine).await, TxValidationCode::Valid);
    siege.seen("south/auditor", &standing).await;
}

pub(crate) async fn one_hospital_writes_alone(siege: &mut Siege) {
    let keys = Keys::of_north(siege);
    let admin = client(siege, "north/admin");
    for endorsers in [
        vec![&keys.peer],
        vec![&keys.peer, &keys.peer],
        vec![&keys.peer, &admin],
        vec![&keys.peer, &keys.orderer],
        vec![],
    ] {
        let (call, standing) = authorising(siege);
        let proposal = siege.propose("north/admin", &call);
        let result = siege.both.alike(&proposal).await.payload;
        let gateway = siege.gateway("north/admin").clone();
        let alone = transaction(&gateway, &proposal, &result, &endorsers).await;
        siege.order_in_vain(&alone, POLICY_UNMET).await;
        demand_unknown(siege, &standing).await;
    }
    // Both peers did sign, but something else: North takes its own result afterwards.
    let (call, standing) = authorising(siege);
    let proposal = siege.propose("north/admin", &call);
    let [north, south] = siege.both.answers(&proposal).await;
    let result = rewritten(&north.payload, |sets| sets.writes.truncate(1));
    let gateway = siege.gateway("north/admin").clone();
    let endorsements = [north, south].map(|answer| answer.endorsement.unwrap()).to_vec();
    let changed = assembled(&gateway, &proposal, &result, endorsements);
    siege.order_in_vain(&changed, POLICY_UNMET).await;
    demand_unknown(siege, &standing).await;
}

/// A policy of one key takes the place of the chaincode's: whoever gets one on a key writes it alone.
pub(crate) async fn a_hospital_puts_a_key_under_a_policy_of_its_own(siege: &mut Siege) {
    let peer = Keys::of_north(siege).peer;
    let (call, standing) = authorising(siege);
    let proposal = siege.propose("north/admin", &call);
    let result = siege.both.alike(&proposal).await.payload;
    let result = rewritten(&result, |sets| {
        let key = sets.writes[0].key.clone();
        let value = SignaturePolicy::peer("NorthMSP").to_bytes().unwrap();
        let entries = vec![KvMetadataEntry { name: "VALIDATION_PARAMETER".to_owned(), value }];
        sets.metadata_writes.push(KvMetadataWrite { key, entries });
    });
    let gateway = siege.gateway("north/admin").clone();
    let forged = transaction(&gateway, &proposal, &result, &[&peer]).await;
    siege.order_in_vain(&forged, POLICY_UNMET).await;
    demand_unknown(siege, &standing).await;
}

pub(crate) async fn an_envelope_is_sent_twice(siege: &mut Siege) {
    let (call, standing) = authorising(siege);
    let (_, endorsed) = siege.endorsed(&siege.propose("north/admin", &call)).await;
    assert_eq!(siege.order(&endorsed).await, TxValidationCode::Valid);
    let first = siege.seen("south/auditor", &standing).await;
    // The copy is in a block as well, and counts for nothing.
    endorsed.submit().await.unwrap();
    let mut copy = siege.sent.last().unwrap().clone();
    copy.code = TxValidationCode::DuplicateTxid;
    siege.sent.push(copy);
    let (call, _) = authorising(siege);
    siege.done("north/admin", &call).await;
    assert_eq!(siege.seen("south/auditor", &standing).await, first);
}
