//! What Linux tells about processes under `/proc`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;

/// The ids of all processes.
pub(crate) fn all() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The command line of a process, empty when it is gone or not ours to see.
pub(crate) fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    bytes
        .split(|byte| *byte == 0)
        .filter(|part| !part.is_empty())
        .map(|part| String::from_utf8_lossy(part))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Kernel ticks from boot to the process's start; `None` when it is gone or only waits to be reaped.
pub(super) fn start_ticks(pid: u32) -> Option<u64> {
    start_ticks_in(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn start_ticks_in(stat: &str) -> Option<u64> {
    // The name, in parentheses, may hold anything; what follows the last one is fields 3 and later.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    // Field 20. While other threads of it end, its first one is a zombie, and its files and ports are still open.
    let threads: u32 = fields.nth(16)?.parse().ok()?;
    if state == "X" || state == "Z" && threads <= 1 {
        return None;
    }
    fields.nth(1)?.parse().ok()
}

/// Whether every thread of a process is stopped, or it is gone.
pub(super) fn stands_still(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    threads.into_iter().flatten().flatten().all(|thread| {
        let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { return true };
        let state = stat.rsplit_once(") ").and_then(|(_, fields)| fields.chars().next());
        matches!(state, None | Some('T' | 't' | 'Z' | 'X'))
    })
}

/// The kernel's id of this boot, empty when it does not tell.
pub(super) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Whether a process was started with this variable set to this value.
pub(super) fn carries(pid: u32, variable: &str, value: &OsStr) -> bool {
    variable_of(pid, variable).is_some_and(|found| found == value)
}

/// The value of a variable that a process was started with.
pub(crate) fn variable_of(pid: u32, variable: &str) -> Option<OsString> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environment
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(variable.as_bytes())?.strip_prefix(b"="))
        .map(|value| OsString::from_vec(value.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_ended_with_its_last_thread() {
        // proc_pid_stat(5): id, name, state, then fields 4 to 19, number of threads, field 21, start.
        let stat = |name: &str, state: char, threads: u32| {
            let between = "1 ".repeat(16);
            format!("71 ({name}) {state} {between}{threads} 0 9120 1 1\n")
        };
        for (state, threads, expected) in [
            ('R', 1, Some(9120)),
            ('S', 12, Some(9120)),
            ('T', 3, Some(9120)),
            ('Z', 5, Some(9120)),
            ('Z', 1, None),
            ('X', 1, None),
        ] {
            for name in ["peer", "a) Z 1 (b", ") X"] {
                assert_eq!(start_ticks_in(&stat(name, state, threads)), expected, "{name} {state} {threads}");
            }
        }
        assert_eq!(start_ticks_in(""), None);
        assert!(start_ticks(std::process::id()).is_some());
    }
}
