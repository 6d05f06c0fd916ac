//! `network up`, stopped in its midst.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use caretrail_tests::caretrail::Caretrail;
use caretrail_tests::processes;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::world::Ward;

/// How long `up` may take to end, once it was told to or by itself.
const END: Duration = Duration::from_secs(120);

/// Starts `up`, and stops it once it has said so many lines; says how it ended, and whether it was stopped.
async fn up_stopped_after(caretrail: &Caretrail, lines: usize, stop: fn(u32)) -> (ExitStatus, bool) {
    let mut command = caretrail.command("network up");
    let mut up = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(up.stderr.take().unwrap()).lines();
    let ended = async {
        let mut heard = 0;
        let mut stopped = false;
        while let Some(_line) = said.next_line().await.unwrap() {
            heard += 1;
            if heard == lines {
                stop(up.id().unwrap());
                stopped = true;
            }
        }
        (up.wait().await.unwrap(), stopped)
    };
    tokio::time::timeout(END, ended).await.expect("an end of `up`")
}

pub(crate) async fn up_is_interrupted_at_any_point_and_goes_on(ward: &mut Ward) {
    let caretrail = Caretrail::new(&ward.folder.join("interrupted"));
    let mut interrupted = 0;
    // Each goes on from where the one before was stopped.
    for lines in 1.. {
        let (status, stopped) = up_stopped_after(&caretrail, lines, processes::interrupt).await;
        if status.success() {
            break;
        }
        assert!(stopped && status.code() == Some(130), "line {lines}: {status}");
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
        let (status, stopped) = up_stopped_after(&caretrail, lines, processes::crash).await;
        assert!(stopped && status.code().is_none(), "line {lines}: {status}");
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
