//! Blocks and events of each kind, while the peer that they come from is killed, started again, and ended.

use std::convert::Infallible;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use caretrail_tests::processes;
use caretrail_tests::until::until;
use futures_util::{Stream, StreamExt as _};
use hlf_gateway::protos::kvrwset::KvrwSet;
use hlf_gateway::protos::prost::Message as _;
use hlf_gateway::protos::protos::{BlockAndPrivateData, ChaincodeEvent};
use hlf_gateway::{
    Checkpoint, CheckpointFile, Checkpointer as _, Effect, EventsFrom, Following, Listener, Listening, Retry,
    Start,
};

use crate::outcomes::put;
use crate::world::{NOTES, Notes, told};

const PEER: &str = "peer0.north.example.com";
const SOON: Duration = Duration::from_millis(500);

/// Effects and checkpoint as one value, as a database's transaction would have it.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<(Vec<String>, Option<Checkpoint>)>>);

impl Effect<ChaincodeEvent> for Told {
    type Error = Infallible;

    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, Infallible> {
        Ok(self.0.lock().unwrap().1.clone())
    }

    async fn apply(&mut self, event: ChaincodeEvent, checkpoint: &Checkpoint) -> Result<(), Infallible> {
        let mut told = self.0.lock().unwrap();
        if event.payload.starts_with(b"once") {
            told.0.push(event.tx_id);
        }
        told.1 = Some(checkpoint.clone());
        Ok(())
    }
}

/// What a listener was handed, block by block, and how often its stream broke.
#[derive(Clone, Default)]
struct Heard {
    blocks: Arc<Mutex<Vec<u64>>>,
    interruptions: Arc<AtomicU64>,
}

impl Heard {
    /// Listens until it is aborted, and keeps a checkpoint in a file; ends only with an error, which it gives.
    fn from<T: Send + 'static>(
        listener: Listener<T>,
        checkpoint: CheckpointFile,
        mut note: impl FnMut(T) + Send + 'static,
    ) -> (Self, tokio::task::JoinHandle<String>) {
        let heard = Self::default();
        let Self { blocks, interruptions } = heard.clone();
        let mut listener = listener.with(Listening { last_pause: SOON, ..Listening::default() });
        let listening = tokio::spawn(async move {
            loop {
                let delivered = match listener.next().await {
                    Ok(delivered) => delivered,
                    Err(error) => return told(&error),
                };
                note(delivered.item);
                if let Err(error) = checkpoint.save(&delivered.checkpoint).await {
                    return told(&error);
                }
                interruptions.store(listener.interruptions(), Ordering::Relaxed);
                blocks.lock().unwrap().push(delivered.block_number);
            }
        });
        (heard, listening)
    }
}

/// What a stream that does not heal says when it ends.
async fn last_words<T, E: Error>(stream: impl Stream<Item = Result<T, E>>) -> String {
    let mut stream = std::pin::pin!(stream);
    while let Some(item) = stream.next().await {
        if let Err(error) = item {
            return told(&error);
        }
    }
    "none".to_owned()
}

/// The private values of a block.
fn private_values(both: &BlockAndPrivateData) -> Vec<String> {
    both.private_data_map
        .values()
        .flat_map(|transaction| &transaction.ns_pvt_rwset)
        .flat_map(|namespace| &namespace.collection_pvt_rwset)
        .flat_map(|collection| KvrwSet::decode(collection.rwset.as_slice()).unwrap().writes)
        .map(|write| String::from_utf8(write.value).unwrap())
        .collect()
}

pub(crate) async fn items_of_each_kind_come_exactly_once_though_their_peer_is_killed(world: &mut Notes) {
    const EVENTS: usize = 60;
    let channel = world.channel().to_owned();
    let south = world.gateway("south", "User1").await.following_commits(Following::default());
    let notes = south.contract(&channel, NOTES);
    let first = put(&notes, "before").await.unwrap();
    let begin = south.commit_status(&channel, &first).await.unwrap().block_number;

    // Events are listened to at the peer that is killed, by one that is itself killed and started again now and then.
    let north = world.gateway("north", "User1").await.contract(&channel, NOTES);
    let events_of = north.clone();
    let told_of = Told::default();
    let (effects, interruptions) = (told_of.clone(), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&interruptions);
    let listening = tokio::spawn(async move {
        let settings = Listening { last_pause: SOON, ..Listening::default() };
        for life in 0_u64.. {
            let mut listener = events_of.listen(Start::Number(begin)).with(settings);
            let limit = Duration::from_millis(200 + 300 * life.min(40));
            let ended = tokio::time::timeout(limit, listener.run(&mut effects.clone())).await;
            counted.fetch_add(listener.interruptions(), Ordering::Relaxed);
            if let Ok(Err(error)) = ended {
                return told(&error);
            }
        }
        unreachable!("it lives for ever")
    });

    // So are blocks of each kind, the private values with them.
    let admin = world.gateway("north", "Admin").await;
    let file = |kind: &str| CheckpointFile::open(world.folder.join(format!("{kind}.checkpoint"))).unwrap();
    let values = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&values);
    let from = Start::Number(begin);
    let whole = Heard::from(admin.listen_to_blocks(&channel, from), file("whole"), |_| ());
    let filtered = Heard::from(admin.listen_to_filtered_blocks(&channel, from), file("filtered"), |_| ());
    let private = admin.listen_to_blocks_with_private_data(&channel, from);
    let private = Heard::from(private, file("private"), move |both| {
        noted.lock().unwrap().extend(private_values(&both))
    });
    let blocks = [("whole", whole), ("filtered", filtered), ("private", private)];

    // And streams that do not heal say why they ended.
    let request = admin.block_request(&channel, begin..);
    let streams = [
        tokio::spawn(last_words(request.blocks().await.unwrap())),
        tokio::spawn(last_words(request.filtered_blocks().await.unwrap())),
        tokio::spawn(last_words(request.blocks_with_private_data().await.unwrap())),
        tokio::spawn(last_words(north.events(EventsFrom::Block(begin)).await.unwrap())),
    ];

    let retry = Retry { attempts: 1000, ..Retry::default() };
    let put_private = async |value: &str| {
        let call = admin.contract(&channel, NOTES).proposal("PutPrivate").args(["of_north", value]);
        let call = call.transient("value", value).endorsing_organizations(["NorthMSP"]);
        let done = admin.contract(&channel, NOTES).submit_retrying(call, &retry).await;
        done.unwrap_or_else(|error| panic!("{value}: {}", told(&error)));
    };
    let mut done = Vec::new();
    for number in 0..EVENTS {
        let pid = world.network.supervisor().running(PEER).map(|running| running.pid);
        match number {
            5 => put_private("before it is killed").await,
            15 => processes::crash(pid.unwrap()),
            30 => world.up().await,
            40 => put_private("between").await,
            45 => processes::terminate(pid.unwrap()),
            _ => (),
        }
        let key = format!("once{number}");
        let call = notes.proposal("Put").args([key.as_str(), "x"]);
        let put = notes.submit_retrying(call, &retry).await;
        let put = put.unwrap_or_else(|error| panic!("{number}: {}", told(&error)));
        done.push(put.committed.tx_id);
    }
    world.up().await;
    put_private("after it was ended").await;

    for (stream, of) in streams.into_iter().zip([&channel, &channel, &channel, NOTES]) {
        let words = tokio::time::timeout(Duration::from_secs(60), stream).await.unwrap().unwrap();
        assert!(words.contains(of) && words.contains("UNAVAILABLE"), "{words}");
    }

    until("all events", Duration::from_secs(60), async || {
        assert!(!listening.is_finished());
        (told_of.0.lock().unwrap().0.len() >= EVENTS).then_some(())
    })
    .await;
    // Whatever came twice would come by now: the next event is the last.
    let last = put(&notes, "once, at last").await.unwrap();
    let last = south.commit_status(&channel, &last).await.unwrap().block_number;
    until("the last event", Duration::from_secs(60), async || {
        (told_of.0.lock().unwrap().0.len() > EVENTS).then_some(())
    })
    .await;
    listening.abort();
    let events = told_of.0.lock().unwrap().0.clone();
    assert_eq!(events[..EVENTS], done, "each event once, in order");
    assert_eq!(events.len(), EVENTS + 1);
    assert!(interruptions.load(Ordering::Relaxed) >= 2, "{interruptions:?} interruptions");

    for (kind, (heard, listening)) in blocks {
        until("the last block", Duration::from_secs(60), async || {
            assert!(!listening.is_finished(), "{kind}");
            (heard.blocks.lock().unwrap().last().is_some_and(|number| *number >= last)).then_some(())
        })
        .await;
        listening.abort();
        let numbers = heard.blocks.lock().unwrap().clone();
        let end = *numbers.last().unwrap();
        assert_eq!(numbers, (begin..=end).collect::<Vec<_>>(), "{kind}: each block once, in order");
        assert!(heard.interruptions.load(Ordering::Relaxed) >= 2, "{kind}");
        // Whoever listens next goes on behind the last block, from the file.
        assert!(listening.await.unwrap_err().is_cancelled());
        let kept = file(kind).load().await.unwrap().unwrap();
        assert!(kept.block_number > last, "{kind}: {kept}");
    }
    assert_eq!(*values.lock().unwrap(), ["before it is killed", "between", "after it was ended"]);
}
