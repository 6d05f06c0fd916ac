//! From one engine to the next, while builds are exchanged.

use std::collections::BTreeMap;

use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::consent::Action;
use caretrail_model::decision::Rule;
use caretrail_model::ids::{Digest, RequestId};
use caretrail_model::purpose::Purpose;
use caretrail_model::statement::{Ending, Operation, Stop};
use caretrail_tests::both::propose;
use caretrail_tests::chain::Chain;
use hlf_protos::protos::{ProposalResponse, TxValidationCode};

use crate::world::{Age, Told};

/// Of two answers, North's is an endorsement and South's a refusal with one of these messages.
fn demand_split(answers: [ProposalResponse; 2], messages: &[&str], what: &str) {
    let [north, south] = answers;
    assert!(north.endorsement.is_some(), "{what}: {north:?}");
    demand_refusal(&south, messages, what);
}

fn demand_refusal(answer: &ProposalResponse, messages: &[&str], what: &str) {
    let said = answer.response.clone().unwrap();
    assert!(
        said.status >= 400 && said.payload.is_empty() && answer.endorsement.is_none(),
        "{what}: {said:?}"
    );
    assert!(messages.contains(&said.message.as_str()), "{what}: {said:?}");
}

/// What a build says that lacks an engine. One of the first age cannot read the policy that names it, and says that.
fn lacking() -> &'static [&'static str] {
    match std::env::var_os("OLDER_CONTRACT") {
        None => &["ENGINE_UNKNOWN"],
        Some(_) => &["ENGINE_UNKNOWN", "POLICY_INVALID", "STATE_UNREADABLE"],
    }
}

/// What ben is told when he asks for the record.
async fn asked(age: &mut Age, request: u8) -> AccessDecision {
    let request = requesting(age.told.as_ref().unwrap(), request);
    age.done("south/ben", &request).await
}

fn requesting(told: &Told, request: u8) -> RequestAccess {
    RequestAccess {
        request: RequestId::from_bytes([request; 16]),
        patient: told.patient.id,
        records: vec![told.record],
        action: Action::Read,
        purpose: Purpose::Treat,
    }
}

pub(crate) async fn the_older_build_endorses_no_switch_to_an_engine_that_it_lacks(age: &mut Age) {
    let before = age.hospitals.transactions().await;
    let propose_it = ProposePolicy { policy: serde_json::to_string(&age.second()).unwrap() };
    let proposal = age.propose("north/admin", &propose_it);
    demand_split(age.both.answers(&proposal).await, lacking(), "proposed");
    let error = proposal.endorse().await.unwrap_err();
    let said =
        error.peers().iter().find(|peer| peer.msp_id == "SouthMSP").unwrap_or_else(|| panic!("{error:?}"));
    assert!(lacking().iter().any(|code| said.message.contains(code)), "{said:?}");
    assert_eq!(age.hospitals.transactions().await, before, "nothing was submitted");
    // Everything goes on under the engine that both have.
    assert_eq!(asked(age, 10).await.decisions[0].rule, Rule::ConsentPermits);
}

pub(crate) async fn the_policy_switches_once_a_majority_has_the_newer_build(age: &mut Age) {
    age.upgrade_south().await;
    // The newer build under the older engine, where the older one was: nothing is different.
    let under_the_first = asked(age, 11).await;
    assert_eq!((under_the_first.epoch, under_the_first.decisions[0].rule), (1, Rule::ConsentPermits));

    let second = age.second();
    age.put_in_force(&second).await;
    let decided = asked(age, 12).await;
    assert_eq!((decided.epoch, decided.decisions[0].rule), (2, Rule::ConsentPermits));
    // What the first engine wrote is read: its permits, its consents.
    let told = age.told.take().unwrap();
    let again = age.done("south/ben", &requesting(&told, 2)).await;
    assert_eq!(again, told.permit);
    let replay = ReplayDecision { patient: told.patient.id, decision: told.permit.decision };
    assert_eq!(age.refused("north/auditor", &replay).await, Code::ReplayUnavailable);
    let stop = |stopped| Operation::StopAll(Stop { stopped });
    for (stopped, rule) in [(true, Rule::NothingPermits), (false, Rule::ConsentPermits)] {
        let signed = age.signed(&told.patient, stop(stopped));
        age.done("south/service", &StopAll { signed }).await;
        let request = requesting(&told, 20 + u8::from(stopped));
        assert_eq!(age.done("south/ben", &request).await.decisions[0].rule, rule);
    }
    age.told = Some(told);
    // The epoch never goes back.
    let back = caretrail_model::policy::ConsortiumPolicy { sequence: 3, ..age.first.clone() };
    let back = ProposePolicy { policy: serde_json::to_string(&back).unwrap() };
    assert_eq!(age.refused("north/admin", &back).await, Code::PolicySequence);
}

pub(crate) async fn after_the_switch_an_older_build_refuses_and_never_diverges(age: &mut Age) {
    age.downgrade_south().await;
    let before = age.hospitals.transactions().await;
    let told = age.told.as_ref().unwrap();
    let (patient, record) = (told.patient.id, told.record);
    let ending = Operation::EndConsent(Ending { consent: told.consent });
    let end = EndConsent { signed: age.signed(&told.patient, ending) };
    let gateway = |identity: &str| age.gateway(identity).clone();
    let ask = requesting(told, 30);
    let disclose = RecordDisclosure {
        patient,
        decision: told.permit.decision,
        record,
        version: 2,
        recipient: age.actor("south/ben"),
        kem_key_digest: Digest::from_bytes([8; 32]),
    };
    let third = caretrail_model::policy::ConsortiumPolicy { sequence: 3, ..age.second() };
    let third = ProposePolicy { policy: serde_json::to_string(&third).unwrap() };
    let suspend = SuspendPractitioner { subject: age.actor("south/ben").subject };
    let ledger = ("records", "caretrail");
    // Calls that change something, and calls that only read.
    let proposals = BTreeMap::from([
        ("ask", propose(&gateway("south/ben"), ledger.0, ledger.1, &ask)),
        ("end", propose(&gateway("south/service"), ledger.0, ledger.1, &end)),
        ("suspend", propose(&gateway("south/admin"), ledger.0, ledger.1, &suspend)),
        ("propose", propose(&gateway("south/admin"), ledger.0, ledger.1, &third)),
        ("policy", propose(&gateway("south/auditor"), ledger.0, ledger.1, &GetPolicy {})),
        ("patient", propose(&gateway("south/auditor"), ledger.0, ledger.1, &GetPatient { patient })),
    ]);
    for (what, proposal) in &proposals {
        demand_split(age.both.answers(proposal).await, lacking(), what);
        assert!(proposal.endorse().await.is_err(), "{what}");
    }
    // What North refuses for a reason of its own, South refuses for this one.
    let [north, south] =
        age.both.answers(&propose(&gateway("north/service"), ledger.0, ledger.1, &disclose)).await;
    demand_refusal(
        &north,
        &[Code::AlreadyDisclosed.as_str(), Code::DisclosedToOtherKey.as_str()],
        "disclose",
    );
    demand_refusal(&south, lacking(), "disclose");
    assert_eq!(age.hospitals.transactions().await, before, "nothing was submitted");

    // North alone makes none of it count.
    let alone = age.gateway("south/ben").contract(ledger.0, ledger.1).proposal(RequestAccess::NAME);
    let alone = alone.arg(serde_json::to_vec(&ask).unwrap()).endorsing_organizations(["NorthMSP"]);
    let alone = alone.build().unwrap().endorse().await.unwrap();
    assert_eq!(age.order(&alone).await, TxValidationCode::EndorsementPolicyFailure);
}

pub(crate) async fn upgraded_it_goes_on_where_the_others_are(age: &mut Age) {
    age.upgrade_south().await;
    let decided = asked(age, 30).await;
    assert_eq!((decided.epoch, decided.decisions[0].rule), (2, Rule::ConsentPermits));
    let told = age.told.take().unwrap();
    let replay = ReplayDecision { patient: told.patient.id, decision: decided.decision };
    assert!(age.seen("north/auditor", &replay).await.matches, "also about a record of the first engine");
    let signed = age.signed(&told.patient, Operation::EndConsent(Ending { consent: told.consent }));
    age.done("south/service", &EndConsent { signed }).await;
    age.told = Some(told);
    assert_eq!(asked(age, 31).await.decisions[0].rule, Rule::NothingPermits);
}

pub(crate) async fn the_blocks_hold_what_both_endorsed_and_nothing_else(age: &mut Age) {
    let admin = age.hospitals.gateway("south/admin").await;
    let mut transactions = Chain::read(&admin, "records").await.transactions();
    transactions.retain(|tx| tx.chaincode == "caretrail");
    let held: Vec<_> = transactions.iter().map(|tx| (&tx.channel_header.tx_id, tx.code)).collect();
    let sent: Vec<_> = age.sent.iter().map(|sent| (&sent.tx_id, sent.code)).collect();
    assert_eq!(held, sent);
    for tx in &transactions {
        let endorsements = tx.action.action.as_ref().unwrap().endorsements.len();
        assert_eq!(endorsements, if tx.code == TxValidationCode::Valid { 2 } else { 1 });
    }
    let count = |code| held.iter().filter(|(_, held)| *held == code).count();
    assert_eq!(count(TxValidationCode::Valid), 34);
    assert_eq!(count(TxValidationCode::EndorsementPolicyFailure), 1);
}
