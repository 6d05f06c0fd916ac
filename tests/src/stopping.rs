//! Long work, stopped in its midst.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// How long it may take to end, once it was told to or by itself.
const END: Duration = Duration::from_secs(600);

/// How a command ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// Lines that it printed and said, together.
    pub lines: usize,
    /// Whether it was stopped: it may be through before it has said that many lines.
    pub stopped: bool,
}

/// Starts a command, and stops it once it has printed and said so many lines together.
///
/// # Panics
/// When it does not start or end.
pub async fn stopped_after(mut command: Command, lines: usize, stop: fn(u32)) -> Ended {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a started command");
    let (heard, mut hears) = unbounded_channel();
    let readers = [
        tokio::spawn(read(child.stdout.take().expect("its stdout"), heard.clone())),
        tokio::spawn(read(child.stderr.take().expect("its stderr"), heard)),
    ];
    let ended = async {
        let (mut count, mut stopped) = (0, false);
        while hears.recv().await.is_some() {
            count += 1;
            // It may have ended by itself since it said the line.
            if let (true, Some(pid)) = (count == lines, child.id()) {
                stop(pid);
                stopped = true;
            }
        }
        Ended { status: child.wait().await.expect("its status"), lines: count, stopped }
    };
    let ended = tokio::time::timeout(END, ended).await.expect("an end");
    for reader in readers {
        reader.await.expect("a reader's end");
    }
    ended
}

async fn read(from: impl AsyncRead + Unpin, heard: UnboundedSender<()>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(_)) = lines.next_line().await {
        if heard.send(()).is_err() {
            return;
        }
    }
}
