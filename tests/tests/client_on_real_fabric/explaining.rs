//! Why a transaction is what it is, told from a peer's own blocks.

use std::time::Duration;

use caretrail_tests::until::until;
use hlf_gateway::protos::protos::TxValidationCode;
use hlf_gateway::{
    Cause, Change, Contract, Deadlines, Endorsed, ExplainError, Explanation, FailureCause, Gateway, Part,
    Proposal,
};

use crate::outcomes::send_copy;
use crate::world::{NOTES, Notes, told};

/// Only admins may read whole blocks of this channel.
async fn admin(world: &Notes) -> Gateway {
    world.gateway("north", "Admin").await
}

async fn explain(world: &Notes, tx_id: &str) -> Explanation {
    match admin(world).await.explain(world.channel(), tx_id).await {
        Ok(explanation) => explanation,
        Err(error) => panic!("{}", told(&error)),
    }
}

fn call(notes: &Contract, function: &str, args: &[&str]) -> Proposal {
    notes.proposal(function).args(args.iter().copied()).build().unwrap()
}

/// Commits a call, at South's peer as well: what it wrote is the same for both that endorse what follows.
async fn commit(world: &Notes, function: &str, args: &[&str]) -> hlf_gateway::Committed {
    let notes = world.notes().await;
    let done = match notes.submit(call(&notes, function, args)).await {
        Ok(done) => done,
        Err(error) => panic!("{function}: {}", told(&error)),
    };
    let south = world.gateway("south", "User1").await;
    assert!(south.commit_status(world.channel(), &done.tx_id).await.unwrap().is_valid());
    done
}

async fn endorse(proposal: &Proposal) -> Endorsed {
    match proposal.endorse().await {
        Ok(endorsed) => endorsed,
        Err(error) => panic!("{}", told(&error)),
    }
}

/// Submits what was endorsed before, and demands a verdict.
async fn lose(endorsed: &Endorsed, code: TxValidationCode) {
    let status = endorsed.submit().await.unwrap().commit_status().await.unwrap();
    assert_eq!(status.code, code);
}

pub(crate) async fn a_valid_transaction_is_described(world: &mut Notes) {
    let done = commit(world, "Put", &["explained", "secret value"]).await;
    let explanation = explain(world, &done.tx_id).await;
    assert_eq!(explanation.cause, Cause::Valid);
    let transaction = explanation.transaction.as_ref().unwrap();
    assert_eq!(transaction.position.block, done.block_number);
    assert_eq!((transaction.chaincode.as_str(), transaction.function.as_str()), (NOTES, "Put"));
    assert_eq!(transaction.creator.msp_id, "NorthMSP");
    assert_eq!(transaction.creator.units, ["client"]);
    let mut endorsers: Vec<_> = transaction.endorsers.iter().map(|party| party.msp_id.as_str()).collect();
    endorsers.sort_unstable();
    assert_eq!(endorsers, ["NorthMSP", "SouthMSP"]);
    assert!(transaction.timestamp.is_some());
    assert_eq!(explanation.copies, []);
    let json = serde_json::to_string(&explanation).unwrap();
    assert!(json.contains(r#""code":"VALID""#), "{json}");
    for text in [explanation.to_string(), json] {
        assert!(!text.contains("secret value"), "{text}");
    }
}

pub(crate) async fn a_conflict_names_the_key_and_the_winner(world: &mut Notes) {
    let notes = world.notes().await;
    let before = commit(world, "Put", &["contended", "a"]).await;
    let (one, other) =
        (call(&notes, "Append", &["contended", "b"]), call(&notes, "Append", &["contended", "c"]));
    let (winner, loser) = (endorse(&one).await, endorse(&other).await);
    lose(&winner, TxValidationCode::Valid).await;
    lose(&loser, TxValidationCode::MvccReadConflict).await;

    let explanation = explain(world, loser.tx_id()).await;
    let Cause::Conflict { conflicts } = &explanation.cause else { panic!("{explanation}") };
    let [conflict] = conflicts.as_slice() else { panic!("{explanation}") };
    assert_eq!((conflict.key.namespace.as_str(), conflict.key.key.as_str()), (NOTES, "contended"));
    assert_eq!(conflict.read.unwrap().block, before.block_number);
    assert_eq!(conflict.winner.tx_id, winner.tx_id());
    let text = explanation.to_string();
    assert!(text.contains("\"contended\"") && text.contains(winner.tx_id()), "{text}");
}

pub(crate) async fn a_private_conflict_shows_neither_key_nor_value(world: &mut Notes) {
    let notes = world.notes().await;
    let append = || {
        let proposal = notes.proposal("AppendPrivate").args(["of_north", "hush"]);
        proposal.transient("value", "hidden").endorsing_organizations(["NorthMSP"]).build().unwrap()
    };
    notes.submit(append()).await.unwrap();
    let (one, other) = (append(), append());
    let (winner, loser) = (endorse(&one).await, endorse(&other).await);
    lose(&winner, TxValidationCode::Valid).await;
    lose(&loser, TxValidationCode::MvccReadConflict).await;

    let explanation = explain(world, loser.tx_id()).await;
    let Cause::Conflict { conflicts } = &explanation.cause else { panic!("{explanation}") };
    assert_eq!(conflicts[0].key.collection.as_deref(), Some("of_north"));
    assert_eq!(conflicts[0].winner.tx_id, winner.tx_id());
    for text in [explanation.to_string(), serde_json::to_string(&explanation).unwrap()] {
        assert!(!text.contains("hush") && !text.contains("hidden"), "{text}");
    }
}

pub(crate) async fn a_phantom_names_the_range_and_what_appeared(world: &mut Notes) {
    let notes = world.notes().await;
    commit(world, "Put", &["range1", "x"]).await;
    let count = call(&notes, "Count", &["range", "rangf", "count"]);
    let loser = endorse(&count).await;
    let winner = commit(world, "Put", &["range2", "x"]).await;
    lose(&loser, TxValidationCode::PhantomReadConflict).await;

    let explanation = explain(world, loser.tx_id()).await;
    let Cause::Phantom { scan: Some(phantom) } = &explanation.cause else { panic!("{explanation}") };
    assert_eq!((phantom.start_key.as_str(), phantom.end_key.as_str()), ("range", "rangf"));
    assert_eq!((phantom.key.as_str(), phantom.change), ("range2", Change::Appeared));
    assert_eq!(phantom.winner.tx_id, winner.tx_id);
}

pub(crate) async fn a_policy_failure_names_who_is_missing(world: &mut Notes) {
    let notes = world.notes().await;
    let alone = notes.proposal("Put").args(["alone", "x"]).endorsing_organizations(["NorthMSP"]);
    let loser = endorse(&alone.build().unwrap()).await;
    lose(&loser, TxValidationCode::EndorsementPolicyFailure).await;

    let explanation = explain(world, loser.tx_id()).await;
    let Cause::Policy { unmet } = &explanation.cause else { panic!("{explanation}") };
    let [policy] = unmet.as_slice() else { panic!("{explanation}") };
    assert_eq!((policy.namespace.as_str(), policy.key.as_deref()), (NOTES, None));
    assert_eq!(policy.policy, "AND('NorthMSP.peer', 'SouthMSP.peer')");
    assert_eq!(policy.endorsed, ["NorthMSP"]);
    assert_eq!(policy.missing, [["SouthMSP.peer"]]);
}

pub(crate) async fn a_keys_own_policy_is_told_by_its_key(world: &mut Notes) {
    let notes = world.notes().await;
    commit(world, "Entrust", &["souths", "x", "SouthMSP"]).await;
    let alone = notes.proposal("Put").args(["souths", "x"]).endorsing_organizations(["NorthMSP"]);
    let loser = endorse(&alone.build().unwrap()).await;
    lose(&loser, TxValidationCode::EndorsementPolicyFailure).await;

    let explanation = explain(world, loser.tx_id()).await;
    let Cause::Policy { unmet } = &explanation.cause else { panic!("{explanation}") };
    let [policy] = unmet.as_slice() else { panic!("{explanation}") };
    assert_eq!(policy.key.as_deref(), Some("souths"));
    assert_eq!(policy.policy, "'SouthMSP.peer'");
    assert_eq!(policy.missing, [["SouthMSP.peer"]]);
}

pub(crate) async fn a_second_copy_is_told_with_the_first(world: &mut Notes) {
    let notes = world.notes().await;
    let endorsed = endorse(&call(&notes, "Put", &["twice", "x"])).await;
    lose(&endorsed, TxValidationCode::Valid).await;
    send_copy(world, &endorsed).await;
    if world.is_bft() {
        let explanation = explain(world, endorsed.tx_id()).await;
        assert_eq!((explanation.cause, explanation.copies.len()), (Cause::Valid, 0));
        return;
    }

    let explanation = until("the second copy's block", Duration::from_secs(30), async || {
        Some(explain(world, endorsed.tx_id()).await).filter(|told| !told.copies.is_empty())
    })
    .await;
    assert_eq!(explanation.cause, Cause::Valid);
    let first = explanation.transaction.as_ref().unwrap().position;
    assert!(explanation.copies.iter().all(|copy| *copy > first));
    assert_eq!(explanation.copies.len(), 1);
}

pub(crate) async fn an_unknown_id_is_in_no_block(world: &mut Notes) {
    let explanation = explain(world, &"0".repeat(64)).await;
    assert_eq!(explanation.cause, Cause::InNoBlock);
    assert!(explanation.transaction.is_none());
}

pub(crate) async fn who_may_not_read_blocks_is_told(world: &mut Notes) {
    let done = commit(world, "Put", &["seen", "x"]).await;
    let user = world.gateway("north", "User1").await;
    let error = user.explain(world.channel(), &done.tx_id).await.unwrap_err();
    assert!(matches!(error, ExplainError::Denied { .. }), "{}", told(&error));
}

pub(crate) async fn endorsers_that_differ_are_compared(world: &mut Notes) {
    let notes = world.notes().await;
    let proposal = call(&notes, "Origin", &["origin"]);
    let error = proposal.endorse().await.unwrap_err();
    assert_eq!(error.failure().unwrap().cause(), Some(FailureCause::ResultsDiffer), "{}", told(&error));

    let north = world.gateway("north", "User1").await.endorser();
    let south = world.gateway_as("south", world.credentials("north", "User1")).await.endorser();
    let comparison = proposal.compare(&[north.clone(), south.clone()]).await.unwrap();
    let difference = comparison.difference.as_ref().unwrap();
    assert_eq!(difference.part, Part::Write);
    assert_eq!(difference.namespace.as_deref(), Some(NOTES));
    assert_eq!(difference.key.as_deref(), Some("origin"));
    assert_eq!(difference.peers, [north.address(), south.address()]);
    assert!(difference.sides[0].starts_with("5 bytes, SHA-256 "), "{difference}");
    assert!(difference.sides[1].starts_with("16 bytes, SHA-256 "), "{difference}");
    assert!(!comparison.to_string().contains("south, not north"));
    let msp_ids: Vec<_> = comparison.answers.iter().filter_map(|answer| answer.msp_id.as_deref()).collect();
    assert_eq!(msp_ids, ["NorthMSP", "SouthMSP"]);

    // All the peers of a gateway that several serve, asked at once.
    let endpoints = ["north", "south"].map(|organization| world.profile(organization).gateway().unwrap());
    let credentials = world.credentials("north", "User1");
    let both = Gateway::connect_any(&endpoints, credentials, Deadlines::default()).await.unwrap();
    let again = proposal.compare(&both.endorsers()).await.unwrap();
    assert_eq!((again.difference, again.answers), (comparison.difference, comparison.answers));

    let agreed = call(&notes, "Put", &["agreed", "x"]).compare(&[north, south]).await.unwrap();
    assert_eq!(agreed.difference, None);
}
