//! Listeners: events and blocks, each once, whatever happens to the streams and to the process that listens.

use std::convert::Infallible;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use hlf_gateway::protos::common::Status as Told;
use hlf_gateway::protos::gateway::{ChaincodeEventsRequest, ChaincodeEventsResponse};
use hlf_gateway::protos::orderer::SeekSpecified;
use hlf_gateway::protos::orderer::seek_position::Type as Position;
use hlf_gateway::protos::prost::Message as _;
use hlf_gateway::protos::protos::deliver_response::Type as Sent;
use hlf_gateway::protos::protos::{ChaincodeEvent, DeliverResponse, FilteredBlock};
use hlf_gateway::{
    AtLeastOnce, Checkpoint, CheckpointFile, Contract, Deadlines, Delivered, Effect, Endpoint, Gateway,
    ListenError, Listener, Listening, RunError, Start,
};

use crate::ledger::{End, Ledger, Transaction};
use crate::scripted::{Answer, Script, ScriptedPeer, credentials};

const SOON: Listening = Listening {
    first_pause: Duration::from_millis(1),
    last_pause: Duration::from_millis(20),
    quiet: Duration::from_secs(60),
    give_up_after: None,
};

async fn contract(ledger: &Ledger) -> Contract {
    let endpoint = Endpoint::plaintext(ledger.address.to_string());
    let gateway = Gateway::connect(&endpoint, credentials(), Deadlines::default()).await.unwrap();
    gateway.contract("main", "assets")
}

/// Blocks of transactions with and without events, of this and of another chaincode; gives this one's payloads.
fn fill(ledger: &Ledger, blocks: usize) -> Vec<String> {
    let mut expected = Vec::new();
    for block in 0..blocks {
        let mut transactions = Vec::new();
        for index in 0..block % 4 {
            let name = format!("{block}.{index}");
            transactions.push(match (block + index) % 3 {
                0 => Transaction::valid(name),
                1 if index == 1 => Transaction::event(name, "others", "not for us"),
                _ => {
                    expected.push(name.clone());
                    Transaction::event(name.clone(), "assets", name)
                }
            });
        }
        ledger.append(transactions);
    }
    expected
}

fn text(event: &ChaincodeEvent) -> String {
    String::from_utf8(event.payload.clone()).unwrap()
}

async fn next_events(listener: &mut Listener<ChaincodeEvent>, count: usize) -> Vec<String> {
    let mut events = Vec::new();
    for _ in 0..count {
        let next = tokio::time::timeout(Duration::from_secs(60), listener.next());
        events.push(text(&next.await.expect("an event").unwrap().item));
    }
    events
}

/// What outlives a process: effects and checkpoint, changed in one step.
#[derive(Clone, Default)]
struct Database(Arc<Mutex<(Vec<String>, Option<String>)>>);

impl Database {
    fn applied(&self) -> Vec<String> {
        self.0.lock().unwrap().0.clone()
    }
}

impl Effect<ChaincodeEvent> for Database {
    type Error = Infallible;

    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, Infallible> {
        tokio::task::yield_now().await;
        Ok(self.0.lock().unwrap().1.as_ref().map(|text| text.parse().unwrap()))
    }

    async fn apply(&mut self, event: ChaincodeEvent, checkpoint: &Checkpoint) -> Result<(), Infallible> {
        tokio::task::yield_now().await;
        {
            let mut tables = self.0.lock().unwrap();
            tables.0.push(text(&event));
            tables.1 = Some(checkpoint.to_string());
        }
        tokio::task::yield_now().await;
        Ok(())
    }
}

/// Polls a future so many times, or until the end is reached, then drops it.
async fn cut<F: Future>(mut future: Pin<Box<F>>, polls: usize, reached: impl Fn() -> bool) {
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 || reached() {
            return Poll::Ready(());
        }
        left -= 1;
        future.as_mut().poll(context).map(|_| ())
    })
    .await;
}

/// Deterministic numbers, so that a failure can be had again.
fn numbers(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

#[tokio::test]
async fn effects_are_applied_exactly_once_though_the_process_is_killed_between_any_two_steps() {
    let mut kills = 0;
    for seed in 0..40 {
        let mut draw = numbers(seed + 1);
        let ledger = Ledger::start();
        let expected = fill(&ledger, 12);
        ledger.change(|state| state.breaks.extend((0..draw(8)).map(|_| draw(12))));
        let contract = contract(&ledger).await;
        let database = Database::default();
        // Every number of polls is tried over the seeds; what is dropped has nothing but the database left.
        while database.applied().len() < expected.len() {
            let polls = 1 + draw(12) as usize;
            let mut effect = database.clone();
            let mut listener = contract.listen(Start::Oldest).with(SOON);
            let all = || database.applied().len() >= expected.len();
            cut(Box::pin(listener.run(&mut effect)), polls, all).await;
            kills += 1;
            if draw(4) == 0 {
                ledger.end_streams(if draw(2) == 0 { End::Break } else { End::HalfClose });
            }
        }
        assert_eq!(database.applied(), expected, "seed {seed}");
    }
    assert!(kills > 150, "{kills} kills");
}

#[tokio::test]
async fn with_a_file_no_event_is_lost_and_a_kill_repeats_at_most_one() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..10 {
        let mut draw = numbers(seed + 1000);
        let ledger = Ledger::start();
        let expected = fill(&ledger, 12);
        let contract = contract(&ledger).await;
        let path = folder.path().join(seed.to_string());
        let applied = Arc::new(Mutex::new(Vec::new()));
        let mut runs = 0;
        while applied.lock().unwrap().last() != expected.last() {
            let before = applied.lock().unwrap().len();
            let mut effect = AtLeastOnce::new(opened(&path).await, |event: ChaincodeEvent| {
                let applied = Arc::clone(&applied);
                async move {
                    applied.lock().unwrap().push(text(&event));
                    tokio::task::yield_now().await;
                    Ok::<_, Infallible>(())
                }
            });
            let mut listener = contract.listen(Start::Oldest).with(SOON);
            let all = || applied.lock().unwrap().last() == expected.last();
            cut(Box::pin(listener.run(&mut effect)), 10 + draw(60) as usize, all).await;
            runs += 1;
            // It went on where it was, or repeated the last one.
            let applied = applied.lock().unwrap();
            if before > 0 && applied.len() > before {
                let place = |event: &String| expected.iter().position(|expected| expected == event).unwrap();
                let step = place(&applied[before]) as i64 - place(&applied[before - 1]) as i64;
                assert!((0..=1).contains(&step), "seed {seed}: {applied:?}");
            }
        }
        let mut applied = applied.lock().unwrap().clone();
        let repeated = applied.len() - expected.len();
        assert!(repeated <= runs, "{repeated} repeated in {runs} runs");
        applied.dedup();
        assert_eq!(applied, expected, "seed {seed}");
    }
}

/// The file as soon as the write that a killed run had begun is over.
async fn opened(path: &Path) -> CheckpointFile {
    let open = async {
        loop {
            match CheckpointFile::open(path) {
                Ok(file) => return file,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), open).await.unwrap()
}

#[tokio::test]
async fn a_stream_that_breaks_before_each_block_has_no_gap_and_repeats_nothing() {
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    let expected = fill(&ledger, 20);
    ledger.change(|state| state.breaks.extend(2..=20));
    let mut events = contract.listen(Start::Number(0)).with(SOON);
    assert_eq!(next_events(&mut events, expected.len()).await, expected);
    assert!(events.interruptions() > 5, "{}", events.interruptions());
    assert!(events.last_interruption().unwrap().contains("assets"));

    for end in [End::Break, End::HalfClose, End::Told(Told::ServiceUnavailable), End::Told(Told::Success)] {
        ledger.end_streams(end);
        ledger.append(vec![Transaction::event("late", "assets", "late")]);
        assert_eq!(next_events(&mut events, 1).await, ["late"]);
        ledger.change(|state| state.verdicts.remove("late"));
    }
}

#[tokio::test]
async fn blocks_of_each_kind_come_once_each() {
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    fill(&ledger, 9);
    let mut whole = contract.gateway().listen_to_blocks("main", Start::Oldest).with(SOON);
    let mut filtered = contract.gateway().listen_to_filtered_blocks("main", Start::Number(3)).with(SOON);
    ledger.change(|state| state.breaks.extend([1, 2, 3, 5, 8]));
    for number in 0..=9 {
        let block = whole.next().await.unwrap();
        assert_eq!((block.block_number, block.item.header.unwrap().number), (number, number));
        assert_eq!((block.checkpoint.block_number, block.checkpoint.done), (number + 1, 0));
    }
    ledger.change(|state| state.breaks.extend([4, 6, 9]));
    for number in 3..=9 {
        assert_eq!(filtered.next().await.unwrap().item.number, number);
    }
    let checkpoint =
        Checkpoint { stream: "filtered blocks main".into(), block_number: 7, done: 0, tx_id: String::new() };
    filtered.resume(checkpoint.clone());
    assert_eq!(filtered.next().await.unwrap().item.number, 7);

    let gateway = contract.gateway();
    let mut private = gateway.listen_to_blocks_with_private_data("main", Start::Number(0)).with(SOON);
    ledger.change(|state| state.breaks.extend([1, 4, 7]));
    for number in 0..=9 {
        let Delivered { item, checkpoint, .. } = private.next().await.unwrap();
        let block = item.block.unwrap();
        assert_eq!(block.header.unwrap().number, number);
        assert_eq!(item.private_data_map.len(), block.data.unwrap().data.len());
        assert_eq!((checkpoint.block_number, checkpoint.done), (number + 1, 0));
    }
    assert_eq!(private.interruptions(), 3);
    // A checkpoint of blocks is none of blocks with private data.
    private.resume(checkpoint);
    let error = private.next().await.unwrap_err();
    assert!(matches!(error, ListenError::Checkpoint { .. }), "{error}");
}

#[tokio::test]
async fn a_peer_that_repeats_blocks_and_goes_back_hands_nothing_over_twice() {
    let block = |block_number: u64, payload: &str| {
        let event = ChaincodeEvent {
            chaincode_id: "assets".into(),
            tx_id: payload.into(),
            event_name: "done".into(),
            payload: payload.into(),
        };
        ChaincodeEventsResponse { block_number, events: vec![event] }
    };
    let starts = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&starts);
    let script = Script {
        events: Box::new(move |request| {
            let request = ChaincodeEventsRequest::decode(request.request.as_slice()).unwrap();
            asked.lock().unwrap().push(request.start_position.unwrap().r#type);
            let first = asked.lock().unwrap().len() == 1;
            Answer::Reply(match first {
                true => vec![block(5, "a"), block(5, "a"), block(4, "before"), block(7, "b"), block(5, "a")],
                false => vec![block(5, "a"), block(7, "b"), block(9, "c")],
            })
        }),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(script).await;
    let endpoint = Endpoint::plaintext(peer.address.to_string());
    let gateway = Gateway::connect(&endpoint, credentials(), Deadlines::default()).await.unwrap();
    let mut events = gateway.contract("main", "assets").listen(Start::Number(5)).with(SOON);
    assert_eq!(next_events(&mut events, 3).await, ["a", "b", "c"]);
    let at = |number| Some(Position::Specified(SeekSpecified { number }));
    assert_eq!(*starts.lock().unwrap(), [at(5), at(8)]);
}

#[tokio::test]
async fn from_the_next_commit_on_nothing_is_missed_though_the_stream_breaks_before_it() {
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    ledger.append(vec![Transaction::event("before", "assets", "before")]);
    let mut events = contract.listen(Start::NextCommit).with(SOON);
    // It has begun once its stream of events was asked for.
    let first = tokio::spawn(async move { (next_events(&mut events, 1).await, events) });
    ledger.until(|state| state.count("events") == 1).await;
    ledger.stand_still(true);
    ledger.append(vec![Transaction::event("first", "assets", "first")]);
    ledger.end_streams(End::Break);
    ledger.append(vec![Transaction::event("second", "assets", "second")]);
    let (first, mut events) = first.await.unwrap();
    assert_eq!(first, ["first"]);
    assert_eq!(next_events(&mut events, 1).await, ["second"]);
}

#[tokio::test]
async fn a_stream_that_stands_still_is_noticed_and_replaced() {
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    let quick = Listening { quiet: Duration::from_millis(50), ..SOON };
    let mut events = contract.listen(Start::Oldest).with(quick);
    ledger.append(vec![Transaction::event("1", "assets", "1")]);
    assert_eq!(next_events(&mut events, 1).await, ["1"]);
    ledger.stand_still(true);
    ledger.append(vec![Transaction::event("2", "assets", "2")]);
    assert_eq!(next_events(&mut events, 1).await, ["2"]);
    assert_eq!(events.interruptions(), 1);
    assert!(events.last_interruption().unwrap().contains("stood still before block 2"));

    let mut blocks = contract.gateway().listen_to_blocks("main", Start::Number(2)).with(quick);
    assert_eq!(blocks.next().await.unwrap().block_number, 2);
    ledger.stand_still(true);
    ledger.append(Vec::new());
    assert_eq!(blocks.next().await.unwrap().block_number, 3);
    assert_eq!(blocks.interruptions(), 1);
}

#[tokio::test]
async fn a_quiet_stream_is_left_alone_and_resumed_behind_what_holds_nothing_for_it() {
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    let mut events =
        contract.listen(Start::Oldest).with(Listening { quiet: Duration::from_millis(30), ..SOON });
    let listening = tokio::spawn(async move { (next_events(&mut events, 1).await, events) });
    for block in 0..20 {
        ledger.append(vec![Transaction::event(format!("other {block}"), "others", "x")]);
    }
    // It looked behind itself more than once, and each time over new blocks alone.
    let looked = ledger.state().count("filtered blocks");
    ledger.until(|state| state.count("filtered blocks") >= looked + 6).await;
    assert_eq!(ledger.state().count("events"), 1, "the stream itself is not opened again");
    ledger.append(vec![Transaction::event("mine", "assets", "mine")]);
    let (first, events) = listening.await.unwrap();
    assert_eq!(first, ["mine"]);
    assert_eq!(events.interruptions(), 0);
}

#[tokio::test]
async fn after_a_transaction_without_an_event_come_those_of_later_ones() {
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    ledger.append(vec![
        Transaction::event("a", "assets", "a"),
        Transaction::valid("silent"),
        Transaction::event("b", "assets", "b"),
        Transaction::event("c", "assets", "c"),
    ]);
    ledger.append(vec![Transaction::event("d", "assets", "d")]);
    let events_after =
        async |tx_id: &str, count| next_events(&mut contract.listen_after(1, tx_id).with(SOON), count).await;
    assert_eq!(events_after("silent", 3).await, ["b", "c", "d"]);
    assert_eq!(events_after("a", 3).await, ["b", "c", "d"]);
    assert_eq!(events_after("c", 1).await, ["d"]);
    let mut events = contract.listen_after(2, "a").with(SOON);
    let error = events.next().await.unwrap_err();
    assert!(matches!(error, ListenError::Checkpoint { block_number: 2, .. }), "{error}");

    // In the middle of a block, a checkpoint of the second of three.
    let mut events = contract.listen_after(1, "silent").with(SOON);
    let checkpoint = events.next().await.unwrap().checkpoint;
    assert_eq!((checkpoint.block_number, checkpoint.done, checkpoint.tx_id.as_str()), (1, 2, "b"));
    let mut events = contract.listen(Start::NextCommit).with(SOON);
    events.resume(checkpoint);
    assert_eq!(next_events(&mut events, 2).await, ["c", "d"]);
}

#[tokio::test]
async fn a_checkpoint_of_something_else_is_refused() {
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    ledger.append(vec![Transaction::event("a", "assets", "a"), Transaction::event("b", "assets", "b")]);
    let checkpoint = contract.listen(Start::Oldest).with(SOON).next().await.unwrap().checkpoint;
    let foreign = [
        Checkpoint { stream: "events main others".into(), ..checkpoint.clone() },
        Checkpoint { tx_id: "x".into(), ..checkpoint.clone() },
        Checkpoint { done: 3, ..checkpoint.clone() },
        Checkpoint { done: u64::MAX, ..checkpoint },
    ];
    for checkpoint in foreign {
        let mut events = contract.listen(Start::Oldest).with(SOON);
        events.resume(checkpoint.clone());
        let error = events.next().await.unwrap_err();
        assert!(matches!(error, ListenError::Checkpoint { .. }), "{checkpoint:?}: {error}");
    }
}

#[tokio::test]
async fn a_listener_says_why_it_stopped() {
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    ledger.change(|state| state.deliver_refusal = Some(Told::Forbidden));
    let error = contract.listen(Start::Number(0)).with(SOON).next().await.unwrap_err();
    assert!(matches!(error, ListenError::Refused { .. }), "{error}");
    let error =
        contract.gateway().listen_to_blocks("main", Start::Oldest).with(SOON).next().await.unwrap_err();
    assert!(matches!(error, ListenError::Refused { .. }), "{error}");

    // A channel that isn't there is told; one that was there may come back.
    ledger.change(|state| state.deliver_refusal = None);
    let mut blocks = contract.gateway().listen_to_blocks("main", Start::Oldest).with(SOON);
    blocks.next().await.unwrap();
    ledger.change(|state| state.deliver_refusal = Some(Told::NotFound));
    let error =
        contract.gateway().listen_to_blocks("main", Start::Oldest).with(SOON).next().await.unwrap_err();
    assert!(matches!(error, ListenError::Refused { .. }), "{error}");
    let mut blocks = blocks.with(Listening { give_up_after: Some(Duration::from_millis(100)), ..SOON });
    ledger.end_streams(End::Break);
    let error = blocks.next().await.unwrap_err();
    let ListenError::GaveUp { source, .. } = &error else { panic!("{error}") };
    assert!(source.to_string().contains("NOT_FOUND"), "{source}");
    ledger.change(|state| state.deliver_refusal = None);
    ledger.append(Vec::new());
    assert_eq!(blocks.next().await.unwrap().block_number, 1, "and it goes on if it's asked to");
}

/// An effect that fails once, at an item of this name, and always at the one named `end`.
struct Failing {
    once: Option<&'static str>,
    applied: Vec<String>,
    checkpoint: Option<Checkpoint>,
}

impl Failing {
    fn once(name: &'static str) -> Self {
        Self { once: Some(name), applied: Vec::new(), checkpoint: None }
    }
}

impl Effect<ChaincodeEvent> for Failing {
    type Error = std::io::Error;

    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, std::io::Error> {
        Ok(self.checkpoint.clone())
    }

    async fn apply(&mut self, event: ChaincodeEvent, checkpoint: &Checkpoint) -> Result<(), std::io::Error> {
        let name = text(&event);
        if self.once.take_if(|once| *once == name).is_some() || name == "end" {
            return Err(std::io::Error::other("disk is full"));
        }
        self.applied.push(name);
        self.checkpoint = Some(checkpoint.clone());
        Ok(())
    }
}

#[tokio::test]
async fn an_effect_that_fails_is_tried_again_with_the_same_item() {
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    ledger.append(["a", "b", "c", "end"].map(|name| Transaction::event(name, "assets", name)).to_vec());
    let mut effect = Failing::once("b");
    let mut events = contract.listen(Start::Oldest).with(SOON);
    for _ in 0..2 {
        let error = events.run(&mut effect).await.unwrap_err();
        assert!(matches!(error, RunError::Effect(_)), "{error}");
    }
    assert_eq!(effect.applied, ["a", "b", "c"]);
}

#[tokio::test]
async fn an_effect_that_fails_before_its_first_checkpoint_gets_the_same_item_from_the_same_listener() {
    for (start, already) in [(Start::NextCommit, 0), (Start::Newest, 1)] {
        let ledger = Ledger::start();
        let contract = contract(&ledger).await;
        let event = |name: &str| Transaction::event(name, "assets", name);
        if already == 1 {
            ledger.append(vec![event("first")]);
        }
        let mut effect = Failing::once("first");
        let mut events = contract.listen(start).with(SOON);
        let begun = async {
            ledger.until(|state| state.count("events") == 1).await;
            if already == 0 {
                ledger.append(vec![event("first")]);
            }
        };
        let (failed, ()) = tokio::join!(events.run(&mut effect), begun);
        assert!(matches!(failed, Err(RunError::Effect(_))));

        ledger.append(vec![event("second")]);
        ledger.append(vec![event("end")]);
        let again = tokio::time::timeout(Duration::from_secs(60), events.run(&mut effect));
        assert!(matches!(again.await.expect("nothing is skipped"), Err(RunError::Effect(_))));
        assert_eq!(effect.applied, ["first", "second"], "{start:?}");
    }
}

#[tokio::test]
async fn a_block_of_the_last_number_that_there_is_is_not_taken() {
    let event = |payload: &str| ChaincodeEvent {
        chaincode_id: "assets".into(),
        tx_id: payload.into(),
        event_name: "done".into(),
        payload: payload.into(),
    };
    let mut opened = 0;
    let mut asked = 0;
    let script = Script {
        events: Box::new(move |_| {
            opened += 1;
            let block_number = if opened == 1 { u64::MAX } else { 5 };
            Answer::Reply(vec![ChaincodeEventsResponse { block_number, events: vec![event("a")] }])
        }),
        deliver: Box::new(move |_| {
            asked += 1;
            let number = if asked == 1 { u64::MAX } else { 4 };
            let block = FilteredBlock { number, ..FilteredBlock::default() };
            Answer::Reply(vec![DeliverResponse { r#type: Some(Sent::FilteredBlock(block)) }])
        }),
        ..Script::default()
    };
    let peer = ScriptedPeer::start(script).await;
    let endpoint = Endpoint::plaintext(peer.address.to_string());
    let gateway = Gateway::connect(&endpoint, credentials(), Deadlines::default()).await.unwrap();
    let mut events = gateway.contract("main", "assets").listen(Start::NextCommit).with(SOON);
    assert_eq!(events.next().await.unwrap().block_number, 5);
    assert_eq!(events.interruptions(), 2, "once for the newest block, once for the event");
    assert!(events.last_interruption().unwrap().contains("something else"));
}

#[tokio::test]
async fn a_block_that_the_peer_cannot_reduce_ends_no_listener() {
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    let quick = Listening { quiet: Duration::from_millis(20), ..SOON };
    ledger.append(vec![Transaction::event("1", "assets", "1")]);
    let mut events = contract.listen(Start::Number(1)).with(quick);
    assert_eq!(next_events(&mut events, 1).await, ["1"]);
    ledger.append(vec![Transaction::malformed()]);
    let listening = tokio::spawn(async move { (next_events(&mut events, 1).await, events) });
    // It looks behind itself in vain, more than once.
    ledger.until(|state| state.count("events") >= 4).await;
    ledger.append(vec![Transaction::event("2", "assets", "2")]);
    let (second, events) = listening.await.unwrap();
    assert_eq!((second, events.interruptions()), (vec!["2".to_owned()], 0), "the stream itself was well");
    drop(events);

    // One begins while such a block is the newest.
    ledger.append(vec![Transaction::malformed()]);
    let opened = ledger.state().count("events");
    let mut next = contract.listen(Start::NextCommit).with(SOON);
    let listening = tokio::spawn(async move { next_events(&mut next, 1).await });
    ledger.until(|state| state.count("events") > opened).await;
    ledger.append(vec![Transaction::event("3", "assets", "3")]);
    assert_eq!(listening.await.unwrap(), ["3"]);

    // Nor does it matter where one goes on.
    let event = |name: &str| Transaction::event(name, "assets", name);
    ledger.append(vec![event("a"), Transaction::malformed(), event("b")]);
    let number = ledger.state().verdicts["a"].0;
    let mut after = contract.listen_after(number, "a").with(SOON);
    assert_eq!(next_events(&mut after, 1).await, ["b"]);

    // A listener to filtered blocks ends before it, without a gap.
    let mut filtered = contract.gateway().listen_to_filtered_blocks("main", Start::Number(1)).with(SOON);
    assert_eq!(filtered.next().await.unwrap().block_number, 1);
    let error = filtered.next().await.unwrap_err();
    assert!(matches!(error, ListenError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn a_quiet_stream_is_a_stream_and_who_may_not_look_behind_it_does_not_give_up() {
    let listening = Listening {
        quiet: Duration::from_millis(20),
        give_up_after: Some(Duration::from_millis(300)),
        ..SOON
    };
    let ledger = Ledger::start();
    let contract = contract(&ledger).await;
    let mut events = contract.listen(Start::Number(1)).with(listening);
    let listener = tokio::spawn(async move { (next_events(&mut events, 1).await, events) });
    // Once it looks behind its stream, that is there to be broken.
    ledger.until(|state| state.count("events") >= 1 && state.count("filtered blocks") >= 1).await;
    ledger.end_streams(End::Break);
    ledger.until(|state| state.count("events") >= 2).await;
    // So many looks behind it take longer than what it gives up after.
    let looked = ledger.state().count("filtered blocks");
    ledger.until(|state| state.count("filtered blocks") >= looked + 20).await;
    ledger.end_streams(End::Break);
    ledger.until(|state| state.count("events") >= 3).await;
    ledger.append(vec![Transaction::event("1", "assets", "1")]);
    let (first, mut events) = listener.await.unwrap();
    assert_eq!((first, events.interruptions()), (vec!["1".to_owned()], 2));

    ledger.change(|state| state.filtered_refusal = Some(Told::Forbidden));
    let opened = ledger.state().count("events");
    let listener = tokio::spawn(async move { (next_events(&mut events, 1).await, events) });
    ledger.until(|state| state.count("events") >= opened + 5).await;
    ledger.append(vec![Transaction::event("2", "assets", "2")]);
    let (second, events) = listener.await.unwrap();
    assert_eq!((second, events.interruptions()), (vec!["2".to_owned()], 2));
}
