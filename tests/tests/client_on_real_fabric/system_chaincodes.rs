//! What a peer's system chaincodes tell, typed.

use hlf_gateway::ChaincodeDefinition;
use hlf_gateway::protos::protos::TxValidationCode;
use sha2::{Digest as _, Sha256};

use crate::world::{NOTES, Notes};

pub(crate) async fn a_ledger_is_read(world: &mut Notes) {
    let notes = world.notes().await;
    let done = notes.submit(notes.proposal("Put").args(["ledger", "x"]).build().unwrap()).await.unwrap();
    let endorser = world.gateway("north", "Admin").await.endorser();
    let ledger = endorser.ledger(world.channel());

    let info = ledger.info().await.unwrap();
    assert!(info.height > done.block_number);
    let block = ledger.block(done.block_number).await.unwrap();
    assert_eq!(ledger.block_of(&done.tx_id).await.unwrap(), block);
    let newest = ledger.block_by_hash(&info.current_block_hash).await.unwrap().header.unwrap();
    assert_eq!((newest.number, newest.previous_hash), (info.height - 1, info.previous_block_hash));
    let transaction = ledger.transaction(&done.tx_id).await.unwrap();
    assert_eq!(transaction.validation_code, i32::from(TxValidationCode::Valid));
    assert!(transaction.transaction_envelope.is_some());

    for missing in [
        ledger.block(u64::MAX / 2).await.unwrap_err(),
        ledger.block_by_hash(&[7; 32]).await.unwrap_err(),
        ledger.block_of("none").await.unwrap_err(),
        ledger.transaction("none").await.unwrap_err(),
    ] {
        assert!(missing.is_not_found() && !missing.is_denied(), "{missing:?}");
    }
    let user = world.gateway("north", "User1").await.endorser();
    let denied = user.ledger(world.channel()).info().await.unwrap_err();
    assert!(denied.is_denied() && !denied.is_not_found(), "{denied:?}");
}

pub(crate) async fn channels_are_read(world: &mut Notes) {
    let channels = world.gateway("north", "Admin").await.endorser().channels();
    assert_eq!(channels.joined().await.unwrap(), [world.channel()]);
    let config = channels.config(world.channel()).await.unwrap();
    let application = &config.channel_group.unwrap().groups["Application"];
    assert_eq!(application.groups.keys().collect::<Vec<_>>(), ["NorthMSP", "SouthMSP"]);
    let block = channels.config_block(world.channel()).await.unwrap();
    assert_eq!(block.data.unwrap().data.len(), 1);
    assert!(!channels.join_by_snapshot_status().await.unwrap().in_progress);
    let refused = channels.join_by_snapshot("/nowhere").await.unwrap_err();
    assert!(refused.response().unwrap().message.contains("nowhere"), "{refused:?}");
    assert!(channels.join(b"no block".to_vec()).await.is_err());
}

pub(crate) async fn chaincodes_are_read(world: &mut Notes) {
    let lifecycle = world.gateway("north", "Admin").await.endorser().lifecycle();
    let installed = lifecycle.installed().await.unwrap();
    let package = installed.iter().find(|package| package.label == "notes_1").unwrap();
    let bytes = lifecycle.package(&package.id).await.unwrap().unwrap();
    assert_eq!(package.id, format!("notes_1:{}", hex::encode(Sha256::digest(&bytes))));
    let used = lifecycle.installed_package(&package.id).await.unwrap().unwrap();
    assert_eq!(used.references[world.channel()].chaincodes[0].name, NOTES);
    assert!(lifecycle.install(bytes).await.is_err(), "it is there");
    let absent = format!("notes_1:{}", "0".repeat(64));
    assert_eq!(lifecycle.installed_package(&absent).await.unwrap(), None);
    assert_eq!(lifecycle.package(&absent).await.unwrap(), None);

    let definition = lifecycle.committed(world.channel(), NOTES).await.unwrap().unwrap();
    assert_eq!(definition.sequence, 1);
    assert_eq!(lifecycle.committed(world.channel(), "none").await.unwrap(), None);
    let all = lifecycle.all_committed(world.channel()).await.unwrap().chaincode_definitions;
    assert_eq!(all.iter().map(|definition| definition.name.as_str()).collect::<Vec<_>>(), [NOTES]);
    let approved = lifecycle.approved(world.channel(), NOTES, 1).await.unwrap().unwrap();
    assert_eq!(approved.validation_parameter, definition.validation_parameter);
    assert_eq!(lifecycle.approved(world.channel(), NOTES, 7).await.unwrap(), None);
    if world.is_v3() {
        let all = lifecycle.all_approved(world.channel()).await.unwrap();
        assert_eq!(all.approved_chaincode_definitions.len(), 1);
    }
    // Nobody has approved a second definition.
    let next = ChaincodeDefinition {
        name: NOTES.to_owned(),
        sequence: 2,
        version: definition.version,
        validation_parameter: definition.validation_parameter,
        collections: definition.collections,
        ..ChaincodeDefinition::default()
    };
    let readiness = lifecycle.readiness(world.channel(), &next).await.unwrap();
    assert_eq!(readiness.into_values().collect::<Vec<_>>(), [false, false]);
}
