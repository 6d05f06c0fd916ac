//! The official gateway client for Go: it drives our chaincode, and counts without our client.

use std::process::Stdio;

use hlf_network::Quiet;
use hlf_protos::protos::TxValidationCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::world::{CHAINCODE, DEADLINE, Mixed, Sent};

const VALID: &str = "VALID";

#[derive(Debug, Deserialize)]
struct Driven {
    metadata: Value,
    typed: Value,
    typed_refused: Refused,
    submitted: String,
    evaluated: String,
    staged: Committed,
    signed_elsewhere: Committed,
    transient: String,
    bytes: String,
    evaluate_refused: Refused,
    submit_refused: Refused,
    too_few_endorsers: Committed,
    events: Vec<Event>,
    filtered: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Committed {
    reply: String,
    tx_id: String,
    code: String,
    block: u64,
}

#[derive(Debug, Deserialize)]
struct Refused {
    status: String,
    message: String,
    details: Option<Vec<Detail>>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Detail {
    msp_id: String,
    message: String,
}

#[derive(Debug, Deserialize)]
struct Event {
    block: u64,
    tx_id: String,
    name: String,
    payload: String,
}

#[derive(Debug, Deserialize)]
struct Transaction {
    block: u64,
    tx_id: String,
    code: String,
    chaincode: String,
    endorsers: Vec<String>,
    namespaces: Vec<String>,
}

pub(crate) async fn the_official_client_drives_our_chaincode<const EDITION: usize>(
    world: &mut Mixed<EDITION>,
) {
    let driven: Driven = run(world, "drive", "clerk", &[CHAINCODE]).await;

    // Typed functions, which only our chaincode has.
    let functions = driven.metadata["contracts"]["every-operation"]["transactions"].as_array().unwrap();
    let names: Vec<_> = functions.iter().map(|function| function["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Describe", "RoundTripsOfThreeReads"], "{}", driven.metadata);
    assert_eq!(driven.typed, json!({ "key": "go", "bytes": null }));
    assert_eq!(driven.typed_refused.status, "Unknown");
    assert!(driven.typed_refused.message.contains("400"), "{:?}", driven.typed_refused);

    // In one call, in stages, and signed elsewhere.
    assert_eq!((driven.submitted.as_str(), driven.evaluated.as_str()), ("\n", "31"));
    let [staged, one_call, elsewhere] = driven.events.as_slice() else { panic!("{:?}", driven.events) };
    for (event, payload) in [(one_call, "one call"), (staged, "staged"), (elsewhere, "signed elsewhere")] {
        assert_eq!((event.name.as_str(), event.payload.as_str()), ("driven", payload));
    }
    for (committed, event) in [(&driven.staged, staged), (&driven.signed_elsewhere, elsewhere)] {
        assert_eq!((committed.code.as_str(), committed.reply.as_str()), (VALID, "\n"));
        assert_eq!((&committed.tx_id, committed.block), (&event.tx_id, event.block));
    }

    assert_eq!(driven.transient, "price:37");
    assert_eq!(driven.bytes, "Run ff00fe");

    // The chaincode's own code reaches the caller.
    let own = |message: &str| Detail { msp_id: "SouthMSP".to_owned(), message: message.to_owned() };
    let Refused { status, message, .. } = &driven.evaluate_refused;
    assert_eq!(status, "Unknown");
    assert!(message.ends_with("chaincode response 500, GO_REFUSED"), "{message}");
    let Refused { status, details, .. } = driven.submit_refused;
    assert_eq!(status, "Aborted");
    assert!(details.unwrap().contains(&own("chaincode response 500, GO_REFUSED")));

    // One organisation is not enough, whatever the client asks for.
    let refused = &driven.too_few_endorsers;
    assert_eq!(refused.code, TxValidationCode::EndorsementPolicyFailure.as_str_name());

    let sent = [
        (&staged.tx_id, TxValidationCode::Valid, world.both().to_vec()),
        (&one_call.tx_id, TxValidationCode::Valid, world.both().to_vec()),
        (&elsewhere.tx_id, TxValidationCode::Valid, world.both().to_vec()),
        (&refused.tx_id, TxValidationCode::EndorsementPolicyFailure, vec![world.south.msp_id.clone()]),
    ];
    let told: Vec<_> =
        sent.iter().map(|(tx_id, code, _)| format!("{tx_id} {}", code.as_str_name())).collect();
    assert_eq!(driven.filtered, told);
    let sent = sent.map(|(tx_id, code, endorsers)| Sent { tx_id: tx_id.clone(), code, endorsers });
    world.sent.extend(sent);

    // Both peers, before anything else reads there.
    let last = &refused.tx_id;
    for side in [&world.north, &world.south] {
        side.gateway.commit_status(side.contract.channel(), last).await.unwrap();
    }
}

/// The count is Fabric's own: blocks come by the official client, and Fabric's own schema reads them.
pub(crate) async fn the_blocks_hold_exactly_what_was_sent<const EDITION: usize>(world: &mut Mixed<EDITION>) {
    let blocks: Vec<Transaction> = run(world, "blocks", "Admin", &[]).await;
    let of_chaincode: Vec<_> =
        blocks.into_iter().filter(|transaction| transaction.chaincode == CHAINCODE).collect();
    assert!(of_chaincode.is_sorted_by_key(|transaction| transaction.block));

    let valid = |code: &str| code == VALID;
    let sent_valid = world.sent.iter().filter(|sent| sent.code == TxValidationCode::Valid).count();
    assert_eq!(of_chaincode.iter().filter(|transaction| valid(&transaction.code)).count(), sent_valid);

    let found: Vec<_> = of_chaincode
        .into_iter()
        .map(|Transaction { tx_id, code, mut endorsers, namespaces, .. }| {
            assert!(!namespaces.is_empty());
            endorsers.sort();
            Sent { tx_id, code: TxValidationCode::from_str_name(&code).unwrap(), endorsers }
        })
        .collect();
    assert_eq!(found, world.sent);
    eprintln!("{} transactions, {sent_valid} of them VALID", found.len());
    world.network.down(&Quiet).await.unwrap();
}

/// What the program says on South's peer, as a user of South's, with nothing but South's connection profile and the user's folder.
async fn run<T: DeserializeOwned, const EDITION: usize>(
    world: &Mixed<EDITION>,
    command: &str,
    user: &str,
    further: &[&str],
) -> T {
    let layout = world.network.layout();
    let south = world.network.spec().organization("south").unwrap();
    let running = Command::new(&world.gateway_client)
        .arg(command)
        .arg(layout.connection_profile("south"))
        .arg(layout.user(south, user).join("msp"))
        .args(further)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(2 * DEADLINE, running).await.expect("an end").unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    serde_json::from_slice(&ended.stdout).unwrap()
}
