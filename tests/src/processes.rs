//! Processes by id. None is ever looked up by name: other networks may run on this machine.

use std::fs;
use std::path::Path;

use hlf_network::process::MARKER;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Where every `caretrail` that a test starts has its state.
pub(crate) const STATE: &str = "CARETRAIL_STATE";

/// The processes that were started for a network in `folder` or below it, read from `/proc` alone.
///
/// # Panics
/// When there is no `/proc`.
pub fn marked(folder: &Path) -> Vec<u32> {
    carrying(&[MARKER], folder)
}

/// The processes whose environment names a folder, or one below it, in one of these variables.
fn carrying(variables: &[&str], folder: &Path) -> Vec<u32> {
    let wanted: Vec<_> =
        variables.iter().map(|name| format!("{name}={}", folder.display()).into_bytes()).collect();
    let names = |entry: &[u8]| {
        wanted.iter().any(|wanted| {
            let rest = entry.strip_prefix(wanted.as_slice());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        })
    };
    let mut carrying: Vec<u32> = fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(names))
        })
        .collect();
    carrying.sort_unstable();
    carrying
}

/// Ends a process at once, as a crash does.
///
/// # Panics
/// When it is none of this user's processes.
pub fn crash(pid: u32) {
    signal(pid, Signal::KILL);
}

/// Asks a process to end, as Ctrl-C does.
///
/// # Panics
/// When it is none of this user's processes.
pub fn interrupt(pid: u32) {
    signal(pid, Signal::INT);
}

/// Asks a process to end, as a service manager does.
///
/// # Panics
/// When it is none of this user's processes.
pub fn terminate(pid: u32) {
    signal(pid, Signal::TERM);
}

/// Makes a process stand still: SIGSTOP.
///
/// # Panics
/// When it is none of this user's processes.
pub fn pause(pid: u32) {
    signal(pid, Signal::STOP);
}

/// Makes a process go on that stands still: SIGCONT.
///
/// # Panics
/// When it is none of this user's processes.
pub fn resume(pid: u32) {
    signal(pid, Signal::CONT);
}

/// Whether there is a process of this id, this user's or another's.
pub fn is_there(pid: u32) -> bool {
    test_kill_process(id(pid)) != Err(Errno::SRCH)
}

/// Ends what is left of a run in a folder, daemons included, and says whether there was anything.
pub(crate) fn end_all(folder: &Path) -> bool {
    let left = carrying(&[MARKER, STATE], folder);
    for pid in &left {
        // One that ends meanwhile is as good.
        let _ = kill_process(id(*pid), Signal::KILL);
    }
    !left.is_empty()
}

fn signal(pid: u32, signal: Signal) {
    kill_process(id(pid), signal).unwrap_or_else(|error| panic!("process {pid} takes no signal: {error}"));
}

fn id(pid: u32) -> Pid {
    i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id")
}
