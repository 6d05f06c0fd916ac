use super::*;

fn admission(calls_max: usize, waiting_max: usize) -> Arc<Admission> {
    Admission::new(Concurrency { calls_max, waiting_max, ..Concurrency::default() })
}

fn fill(admission: &Arc<Admission>) -> Vec<Admitted> {
    std::iter::from_fn(|| admission.try_enter()).collect()
}

#[test]
fn calls_that_are_refused_together_make_the_limit_fall_once_and_to_what_the_peer_named() {
    let admission = admission(100, 10);
    let under_way = fill(&admission);
    assert_eq!(under_way.len(), 100);
    under_way[0].refused(None);
    assert_eq!(admission.load().limit, 70);
    under_way[1].refused(None);
    assert_eq!(admission.load().limit, 70, "it was sent before the limit fell");
    drop(under_way);
    admission.try_enter().unwrap().refused(Some(10));
    assert_eq!(admission.load().limit, 10);
    assert_eq!(fill(&admission).len(), 10, "what was taken away is not given back");
}

#[test]
fn it_falls_below_what_the_peer_takes_where_others_use_it_too_and_grows_back() {
    let admission = admission(500, 10);
    for _ in 0..8 {
        let call = admission.try_enter().unwrap();
        call.refused(Some(10));
    }
    assert_eq!(admission.load().limit, 1);
    for _ in 0..100 {
        let calls = fill(&admission);
        for call in &calls {
            call.ran(Operation::CommitStatus, Duration::from_secs(1));
        }
    }
    assert_eq!(admission.load().limit, 10, "never above what the peer named");
}

#[test]
fn it_grows_only_while_it_is_used_and_calls_are_as_fast_as_they_can_be() {
    let admission = admission(40, 10);
    admission.try_enter().unwrap().refused(None);
    let fallen = admission.load().limit;
    assert_eq!(fallen, 28);
    for _ in 0..1000 {
        admission.try_enter().unwrap().ran(Operation::Evaluate, Duration::from_millis(1));
    }
    assert_eq!(admission.load().limit, fallen, "nothing waits");
    let calls = fill(&admission);
    for _ in 0..1000 {
        calls[0].ran(Operation::Evaluate, Duration::from_secs(1));
    }
    assert_eq!(admission.load().limit, fallen, "they are slow");
    calls[0].ran(Operation::CommitStatus, Duration::from_secs(1));
    assert_eq!(admission.load().limit, fallen + 1, "a block takes its time");
}

#[test]
fn calls_without_an_answer_bring_it_down_to_a_floor() {
    let admission = admission(100, 10);
    for limit in [70, 49, 34, 32, 32] {
        admission.try_enter().unwrap().late();
        assert_eq!(admission.load().limit, limit);
    }
}

#[tokio::test]
async fn what_waits_is_bounded_in_number_and_in_time() {
    let admission = admission(1, 1);
    let held = admission.try_enter().unwrap();
    let soon = Instant::now() + Duration::from_millis(20);
    let (first, second) =
        tokio::join!(admission.enter("peer0:7051", soon), admission.enter("peer0:7051", soon));
    assert_eq!(first.unwrap_err().code(), tonic::Code::DeadlineExceeded);
    assert_eq!(second.unwrap_err().code(), tonic::Code::ResourceExhausted);
    drop(held);
    assert_eq!(admission.load(), Load { limit: 1, ..Load::default() });
}

#[tokio::test]
async fn a_call_that_is_given_up_while_it_waits_leaves_nothing_behind() {
    let admission = admission(1, 1);
    let held = admission.try_enter().unwrap();
    let far = Instant::now() + Duration::from_secs(60);
    let waited = tokio::time::timeout(Duration::from_millis(10), admission.enter("peer0:7051", far)).await;
    assert!(waited.is_err());
    drop(held);
    assert_eq!(admission.load(), Load { limit: 1, ..Load::default() });
    assert_eq!(fill(&admission).len(), 1);
}

#[tokio::test]
async fn streams_leave_half_of_the_calls() {
    let admission = admission(4, 1);
    let streams = [
        admission.enter_stream("peer0:7051").await.unwrap(),
        admission.enter_stream("peer0:7051").await.unwrap(),
    ];
    let third = admission.enter_stream("peer0:7051").await.unwrap_err();
    assert_eq!(third.code(), tonic::Code::ResourceExhausted);
    assert_eq!(fill(&admission).len(), 2);
    drop(streams);
    assert_eq!(admission.load(), Load { limit: 4, ..Load::default() });

    let streams_alone =
        Admission::of_streams(Concurrency { calls_max: 1, waiting_max: 1, ..Concurrency::default() });
    let first = streams_alone.enter_stream("peer0:7051").await.unwrap();
    let second = streams_alone.enter_stream("peer0:7051").await.unwrap_err();
    assert_eq!(second.code(), tonic::Code::ResourceExhausted);
    drop(first);
}

#[tokio::test]
async fn however_low_the_limit_falls_a_call_has_room_beside_the_streams_and_it_grows_back() {
    let admission = admission(8, 10);
    let first = admission.enter_stream("peer0:7051").await.unwrap();
    let second = admission.enter_stream("peer0:7051").await.unwrap();
    for _ in 0..20 {
        admission.try_enter().unwrap().refused(Some(1));
    }
    assert_eq!(admission.load().limit, 3);
    assert_eq!(fill(&admission).len(), 1);
    drop((first, second));
    for _ in 0..20 {
        admission.try_enter().unwrap().refused(None);
    }
    assert_eq!(admission.load().limit, 1);
    let third = admission.enter_stream("peer0:7051").await.unwrap();
    admission.try_enter().expect("a stream brings room for a call").refused(None);
    assert_eq!(admission.load().limit, 2);
    admission.state().named = None;
    for _ in 0..20 {
        let calls = fill(&admission);
        calls[0].ran(Operation::CommitStatus, Duration::from_secs(1));
        calls[0].ran(Operation::CommitStatus, Duration::from_secs(1));
    }
    assert!(admission.load().limit > 4, "{:?}", admission.load());
    drop(third);
}

#[tokio::test]
async fn while_calls_wait_the_limit_is_tried_higher_from_time_to_time() {
    let admission = admission(8, 10);
    for _ in 0..20 {
        admission.try_enter().unwrap().refused(None);
    }
    let held = admission.try_enter().unwrap();
    assert!(admission.try_enter().is_none());
    let long_ago = Instant::now().checked_sub(TRIED_AGAIN).unwrap();
    admission.state().changed = long_ago;
    let soon = Instant::now() + Duration::from_secs(1);
    let second = admission.enter("peer0:7051", soon).await.expect("one more is tried");
    assert_eq!(admission.load().limit, 2);
    admission.state().changed = long_ago;
    second.refused(None);
    assert_eq!(admission.load().limit, 1, "the peer took no more");
    drop((held, second));
}

#[test]
fn what_a_peer_named_is_forgotten_in_time() {
    let admission = admission(20, 10);
    admission.try_enter().unwrap().refused(Some(2));
    assert_eq!(admission.load().limit, 2);
    let grown = || {
        for _ in 0..20 {
            for call in &fill(&admission) {
                call.ran(Operation::CommitStatus, Duration::from_secs(1));
            }
        }
        admission.load().limit
    };
    assert_eq!(grown(), 2);
    admission.state().named = Some((2, Instant::now().checked_sub(NAMED_FOR).unwrap()));
    assert!(grown() > 2);
}

#[test]
fn a_refusal_is_known_by_its_words() {
    let words = "too many requests for /gateway.Gateway, exceeding concurrency limit (500)";
    assert_eq!(refusal(words), Some(Some(500)));
    let unknown = "too many requests for /protos.Deliver, exceeding concurrency limit (many)";
    assert_eq!(refusal(unknown), Some(None));
    // What comes through a gateway from a chaincode or from another peer is not this peer's word.
    assert_eq!(refusal(&format!("chaincode response 500, {words}")), None);
    assert_eq!(
        refusal(&format!("evaluate call to endorser returned error: chaincode response 500, {words}")),
        None
    );
    assert_eq!(refusal("client identity expired"), None);
}
