//! Processes by id. None is ever looked up by name: other networks may run on this machine.

use std::fs;
use std::path::Path;

use hlf_network::process::MARKER;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// The processes that were started for a network in `folder` or below it, read from `/proc` alone.
///
/// # Panics
/// When there is no `/proc`.
pub fn marked(folder: &Path) -> Vec<u32> {
    let wanted = format!("{MARKER}={}", folder.display()).into_bytes();
    let within = [wanted.as_slice(), b"/"].concat();
    let carries = |entry: &[u8]| entry == wanted || entry.starts_with(&within);
    let mut marked: Vec<u32> = fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(carries))
        })
        .collect();
    marked.sort_unstable();
    marked
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

/// Whether there is a process of this id.
pub fn is_there(pid: u32) -> bool {
    test_kill_process(id(pid)).is_ok()
}

/// Ends what is left of the networks in a folder; what ends meanwhile is as good.
pub(crate) fn end_all(folder: &Path) {
    for pid in marked(folder) {
        let _ = kill_process(id(pid), Signal::KILL);
    }
}

fn signal(pid: u32, signal: Signal) {
    kill_process(id(pid), signal).unwrap_or_else(|error| panic!("process {pid} takes no signal: {error}"));
}

fn id(pid: u32) -> Pid {
    i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id")
}
