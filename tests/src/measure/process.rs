//! What a process has used, as the kernel counts it.

use std::fs;
use std::time::Duration;

/// Processor time that the living threads of a process have used so far, in user and kernel mode, in nanoseconds as the
/// scheduler counts them.
///
/// Threads that have ended are not in it: it suits programs whose threads stay.
///
/// # Panics
/// When the process is gone.
pub fn cpu(pid: u32) -> Duration {
    let path = format!("/proc/{pid}/task");
    let tasks = fs::read_dir(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    // A thread may end between the listing and the look.
    let of_tasks =
        tasks.flatten().filter_map(|task| on_cpu(&fs::read_to_string(task.path().join("schedstat")).ok()?));
    of_tasks.sum()
}

/// The first field of a `schedstat`.
fn on_cpu(schedstat: &str) -> Option<Duration> {
    schedstat.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The most memory that a process has held at once, in bytes: `VmHWM`, its resident set with the pages of its program.
///
/// # Panics
/// When the process is gone.
pub fn peak_memory_bytes(pid: u32) -> u64 {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let kib = status.lines().find_map(|line| {
        let value = line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?;
        value.trim().parse::<u64>().ok()
    });
    kib.unwrap_or_else(|| panic!("{path} has no VmHWM")) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn what_this_process_uses_is_seen() {
        let own = std::process::id();
        let before = cpu(own);
        while cpu(own) == before {
            black_box((0..100_000_u64).sum::<u64>());
        }
        let memory = peak_memory_bytes(own);
        let held = black_box(vec![1_u8; 64 << 20]);
        assert!(peak_memory_bytes(own) >= memory.max(held.len() as u64));
    }
}
