//! `network up`, stopped in its midst.

use caretrail_tests::caretrail::Caretrail;
use caretrail_tests::fabric;
use caretrail_tests::processes;
use caretrail_tests::stopping::stopped_after;

use crate::world::Ward;

pub(crate) async fn up_is_interrupted_at_any_point_and_goes_on(ward: &mut Ward) {
    let caretrail = Caretrail::new(&ward.folder.join("interrupted"));
    let up = format!("network up{}", fabric::spec_option(&caretrail).await);
    let mut interrupted = 0;
    // Each goes on from where the one before was stopped.
    for lines in 1.. {
        let ended = stopped_after(caretrail.command(&up), lines, processes::interrupt).await;
        if ended.status.success() {
            break;
        }
        assert!(ended.stopped && ended.status.code() == Some(130), "line {lines}: {ended:?}");
        interrupted += 1;
    }
    assert!(interrupted >= 5, "interrupted {interrupted} times");
    let status = caretrail.run("network up").await.done();
    assert_eq!(status["ready"], true, "{status}");
    assert_eq!(processes::marked(caretrail.state()).len(), 5, "not one process too many");
    caretrail.run("policy draft").await.done();
    caretrail.run("network destroy --channel records").await;
    assert_eq!(processes::marked(caretrail.state()), [0_u32; 0]);
    assert!(!caretrail.network_folder().exists());
}

pub(crate) async fn a_killed_up_leaves_nothing_that_down_does_not_find(ward: &mut Ward) {
    for lines in [1, 4, 6, 8] {
        let caretrail = Caretrail::new(&ward.folder.join(format!("killed-{lines}")));
        let up = format!("network up{}", fabric::spec_option(&caretrail).await);
        let ended = stopped_after(caretrail.command(&up), lines, processes::crash).await;
        assert!(ended.stopped && ended.status.code().is_none(), "line {lines}: {ended:?}");
        let left = processes::marked(caretrail.state());
        let down = caretrail.run("network down").await;
        assert_eq!(down.exit, Some(0), "{down:?}");
        assert_eq!(processes::marked(caretrail.state()), [0_u32; 0], "of {left:?}");
        if lines >= 6 {
            assert!(!left.is_empty(), "it had started something by line {lines}");
        }
    }
    // Other networks are none of its business.
    assert_eq!(processes::marked(ward.caretrail.state()).len(), 5);
}
