//! What a call carries.

use hlf_gateway::protos::protos::TxValidationCode;
use hlf_gateway::{BlockRange, TransactionError};

use crate::world::{NOTES, Notes, told};

pub(crate) async fn arguments_are_bytes_or_text_and_contracts_have_names(world: &mut Notes) {
    let notes = world.notes().await;
    let bytes: &[u8] = &[0, 0xff, 0xfe];
    let proposal = notes.clone().named("shape").proposal("Lengths").arg("text").arg(bytes).arg("");
    assert_eq!(proposal.build().unwrap().evaluate().await.unwrap(), b"4,3,0");

    let put = notes.proposal("Put").arg("bytes").arg(bytes).build().unwrap();
    assert_eq!(notes.submit(put).await.unwrap().result, bytes);
    let get = notes.proposal("Get").arg("bytes").build().unwrap();
    assert_eq!(get.evaluate().await.unwrap(), bytes);
    // A contract that the chaincode does not have.
    let other = notes.named("other").proposal("Lengths").build().unwrap().evaluate().await.unwrap_err();
    assert_eq!(other.chaincode_response().unwrap().message, "NO_SUCH_CALL");
}

pub(crate) async fn private_data_goes_by_transient_values_to_the_organisations_named(world: &mut Notes) {
    let notes = world.notes().await;
    let put = |endorsers: &[&str]| {
        let proposal = notes.proposal("PutPrivate").args(["of_north", "plan"]).transient("value", "secret");
        proposal.endorsing_organizations(endorsers.iter().copied()).build().unwrap()
    };
    // With transient data, the gateway itself asks the collection's members alone.
    let endorsed = put(&[]).endorse().await.unwrap();
    assert_eq!(endorsed.result(), b"NorthMSP");
    assert!(endorsed.submit().await.unwrap().commit_status().await.unwrap().is_valid());
    notes.submit(put(&["NorthMSP"])).await.unwrap();
    let get = notes.proposal("GetPrivate").args(["of_north", "plan"]).endorsing_organizations(["NorthMSP"]);
    assert_eq!(get.build().unwrap().evaluate().await.unwrap(), b"secret");

    // One organisation alone is too few for what is public.
    let put = notes.proposal("Put").args(["alone", "x"]).endorsing_organizations(["NorthMSP"]);
    let error = notes.submit(put.build().unwrap()).await.unwrap_err();
    let TransactionError::Invalid { code, .. } = error else { panic!("{}", told(&error)) };
    assert_eq!(code, TxValidationCode::EndorsementPolicyFailure);
}

pub(crate) async fn a_key_of_its_own_policy_is_endorsed_by_whom_it_names(world: &mut Notes) {
    let notes = world.notes().await;
    let entrust = notes.proposal("Entrust").args(["entrusted", "1", "SouthMSP"]).build().unwrap();
    notes.submit(entrust).await.unwrap();
    // The gateway finds the right organisation by itself, whose own peer is not of it.
    let put = notes.proposal("Put").args(["entrusted", "2"]).build().unwrap();
    notes.submit(put).await.unwrap();
    let put = |endorser: &str| {
        notes.proposal("Put").args(["entrusted", "3"]).endorsing_organizations([endorser]).build().unwrap()
    };
    notes.submit(put("SouthMSP")).await.unwrap();
    let error = notes.submit(put("NorthMSP")).await.unwrap_err();
    let TransactionError::Invalid { code, .. } = error else { panic!("{}", told(&error)) };
    assert_eq!(code, TxValidationCode::EndorsementPolicyFailure);
}

pub(crate) async fn a_large_result_and_large_blocks_come_through(world: &mut Notes) {
    let notes = world.notes().await;
    let large = 5 * 1024 * 1024;
    let zeros = notes.proposal("Zeros").arg(large.to_string()).build().unwrap();
    assert_eq!(zeros.evaluate().await.unwrap().len(), large);

    // In a block, the value is there three times: as argument, as write and as result. Orderers take 10 MiB.
    let third = 2 * 1024 * 1024;
    let put = notes.proposal("Put").arg("large").arg(vec![7; third]).build().unwrap();
    let committed = notes.submit(put).await.unwrap();
    assert_eq!(committed.result.len(), third);
    let admin = world.gateway("north", "Admin").await;
    let mut blocks =
        admin.blocks(world.channel(), committed.block_number..=committed.block_number).await.unwrap();
    let block = blocks.next().await.unwrap().unwrap();
    assert!(block.data.unwrap().data.iter().any(|envelope| envelope.len() > 3 * third));
    let mut newest = admin.filtered_blocks(world.channel(), BlockRange::newest()).await.unwrap();
    assert!(newest.next().await.unwrap().unwrap().number >= committed.block_number);
    let contract = admin.contract(world.channel(), NOTES);
    assert_eq!((contract.chaincode(), contract.name()), (NOTES, None));
}
