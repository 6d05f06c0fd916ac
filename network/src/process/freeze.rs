//! Processes that stand still for a moment, so that their files can be looked at.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Handle, ProcessError, Supervisor, proc_fs};

/// How long the kernel may take to stop every thread: one that waits for a disk stops when it has it.
const STOP_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(2);

/// The guard: it goes by the end of its input alone.
const GUARD: &str = r#"trap '' HUP INT TERM QUIT; read -r line; if [ $# -gt 0 ]; then kill -CONT "$@"; fi"#;

/// Processes that stand still until this is dropped, or the program ends in whatever way.
pub(crate) struct Frozen {
    handles: Vec<Handle>,
    guard: Child,
}

impl Supervisor {
    /// Makes the running ones of these processes stand still, all of their threads.
    ///
    /// Their files are then as they would be had the processes been killed: what they wrote is there, what they were
    /// about to write is not. Nothing that they answered is undone.
    pub(crate) async fn freeze(&self, names: &[String]) -> Result<Frozen, ProcessError> {
        let pids: Vec<u32> =
            names.iter().filter_map(|name| self.running(name)).map(|running| running.pid).collect();
        let handles =
            pids.iter().filter_map(|pid| self.handle(*pid).transpose()).collect::<Result<Vec<_>, _>>()?;
        let frozen = Frozen { guard: guard(&handles)?, handles };
        for handle in &frozen.handles {
            handle.send(Signal::STOP)?;
        }
        let begun = Instant::now();
        loop {
            let moving: Vec<u32> =
                frozen.handles.iter().map(Handle::pid).filter(|pid| !proc_fs::stands_still(*pid)).collect();
            if moving.is_empty() {
                return Ok(frozen);
            }
            if begun.elapsed() > STOP_LIMIT {
                return Err(ProcessError::Unstoppable(moving));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Waits for this program's end, and lets the processes go on then: nobody else would, were it killed meanwhile.
///
/// What ends this program, such as a terminal that closes, goes to its whole group, so the guard has one of its own.
fn guard(handles: &[Handle]) -> Result<Child, ProcessError> {
    let program = "/bin/sh";
    Command::new(program)
        .args(["-c", GUARD, "guard"])
        .args(handles.iter().map(|handle| handle.pid().to_string()))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|source| ProcessError::Start {
            name: "guard of frozen processes".to_owned(),
            program: program.into(),
            source,
        })
}

#[cfg(test)]
impl Frozen {
    pub(super) fn guard(&self) -> u32 {
        self.guard.id()
    }

    /// What the kernel does when the program ends: the guard hears that nobody is there any more.
    pub(super) fn forget_but_for_the_guard(mut self) {
        self.handles.clear();
        drop(self.guard.stdin.take());
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for handle in &self.handles {
            // One that is gone needs no more; the guard tries once more in any case.
            let _ = handle.send(Signal::CONT);
        }
        if let Some(mut stdin) = self.guard.stdin.take() {
            let _ = stdin.write_all(b"\n");
        }
        let _ = self.guard.wait();
    }
}
