//! Blocks and chaincode events.

use hlf_gateway::protos::common::Status;
use hlf_gateway::protos::kvrwset::KvrwSet;
use hlf_gateway::protos::prost::Message as _;
use hlf_gateway::{BlockRange, DeliverError, EventsFrom, Start};

use crate::world::{NOTES, Notes, told};

pub(crate) async fn blocks_come_whole_filtered_and_with_private_data(world: &mut Notes) {
    let notes = world.notes().await;
    let put = notes.proposal("PutPrivate").args(["of_north", "note"]).transient("value", "for north alone");
    let put = put.endorsing_organizations(["NorthMSP"]).build().unwrap();
    let done = notes.submit(put).await.unwrap();
    let at = done.block_number;

    let north = world.gateway("north", "Admin").await;
    let mut filtered = north.filtered_blocks(world.channel(), at..=at).await.unwrap();
    let block = filtered.next().await.unwrap().unwrap();
    assert!(block.filtered_transactions.iter().any(|transaction| transaction.txid == done.tx_id));
    assert!(filtered.next().await.unwrap().is_none());
    let mut whole = north.blocks(world.channel(), at..=at).await.unwrap();
    let block = whole.next().await.unwrap().unwrap();
    assert_eq!(block.header.as_ref().unwrap().number, at);

    let mut private = north.blocks_with_private_data(world.channel(), at..=at).await.unwrap();
    let both = private.next().await.unwrap().unwrap();
    assert_eq!(both.block.as_ref(), Some(&block));
    let values: Vec<Vec<u8>> = both
        .private_data_map
        .values()
        .flat_map(|transaction| &transaction.ns_pvt_rwset)
        .filter(|namespace| namespace.namespace == NOTES)
        .flat_map(|namespace| &namespace.collection_pvt_rwset)
        .inspect(|collection| assert_eq!(collection.collection_name, "of_north"))
        .flat_map(|collection| KvrwSet::decode(collection.rwset.as_slice()).unwrap().writes)
        .map(|write| write.value)
        .collect();
    assert_eq!(values, [b"for north alone"]);
    assert!(private.next().await.unwrap().is_none());

    // The other organisation's peer has the same block without it.
    let south = world.gateway("south", "Admin").await;
    let mut private = south.blocks_with_private_data(world.channel(), at..=at).await.unwrap();
    let both = private.next().await.unwrap().unwrap();
    assert_eq!(both.block.unwrap().header, block.header);
    assert!(both.private_data_map.values().all(|transaction| transaction.ns_pvt_rwset.is_empty()));
}

pub(crate) async fn events_are_replayed_from_any_block(world: &mut Notes) {
    let notes = world.notes().await;
    // Opened before anything of this act is there.
    let mut coming = notes.events(EventsFrom::NextCommit).await.unwrap();
    let mut done = Vec::new();
    for number in 0..3 {
        let put = notes.proposal("Put").args([format!("event{number}"), "x".to_owned()]).build().unwrap();
        done.push(notes.submit(put).await.unwrap());
    }
    let mut replayed = notes.events(EventsFrom::Block(done[1].block_number)).await.unwrap();
    for (number, done) in done.iter().enumerate().skip(1) {
        let block = replayed.next().await.unwrap();
        assert_eq!(block.block_number, done.block_number);
        let [event] = block.events.as_slice() else { panic!("{block:?}") };
        assert_eq!((event.tx_id.as_str(), event.event_name.as_str()), (done.tx_id.as_str(), "put"));
        assert_eq!(event.payload, format!("event{number}").into_bytes());
    }
    // How soon a peer takes a new stream is its own matter: what comes first is one of these.
    let first = coming.next().await.unwrap();
    assert!(done.iter().any(|done| done.block_number == first.block_number), "{first:?}");

    // Blocks, too, from the oldest to the newest, and from behind the newest: nothing.
    let gateway = world.gateway("north", "User1").await;
    let mut blocks =
        gateway.filtered_blocks(world.channel(), BlockRange::to_newest(Start::Oldest)).await.unwrap();
    let mut numbers = Vec::new();
    while let Some(block) = blocks.next().await.unwrap() {
        numbers.push(block.number);
    }
    let newest = *numbers.last().unwrap();
    assert_eq!(numbers, (0..=newest).collect::<Vec<_>>());
    assert!(newest >= done[2].block_number);
    let behind = BlockRange::to_newest(Start::Number(newest + 1));
    let mut blocks = gateway.filtered_blocks(world.channel(), behind).await.unwrap();
    assert!(blocks.next().await.unwrap().is_none());
}

pub(crate) async fn a_stream_says_why_it_ended(world: &mut Notes) {
    // Whole blocks are for those who may read them.
    let client = world.gateway("north", "User1").await;
    for whole in [true, false] {
        let request = client.block_request(world.channel(), 0..=0);
        let error = match whole {
            true => request.blocks().await.unwrap().next().await.unwrap_err(),
            false => request.blocks_with_private_data().await.unwrap().next().await.unwrap_err(),
        };
        let DeliverError::Refused { status, .. } = &error else { panic!("{}", told(&error)) };
        assert_eq!(*status, Status::Forbidden);
        assert!(error.to_string().contains("may not read"), "{error}");
    }
    // No such channel.
    let mut blocks = client.filtered_blocks("nowhere", ..).await.unwrap();
    let error = blocks.next().await.unwrap_err();
    let DeliverError::Refused { status, channel } = &error else { panic!("{}", told(&error)) };
    assert_eq!((*status, channel.as_str()), (Status::NotFound, "nowhere"));
    assert!(error.to_string().contains("no such channel"), "{error}");
    // No such block yet, and no wish to wait for it.
    let behind = BlockRange::to_newest(Start::Number(1_000_000));
    let error = client.filtered_blocks(world.channel(), behind).await.unwrap().next().await.unwrap_err();
    assert!(matches!(error, DeliverError::Refused { status: Status::NotFound, .. }), "{}", told(&error));
    let mut events = client.contract("nowhere", NOTES).events(EventsFrom::NextCommit).await.unwrap();
    let error = events.next().await.unwrap_err();
    assert!(told(&error).contains("nowhere"), "{}", told(&error));
}
