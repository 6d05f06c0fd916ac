//! What the ends of logs give away.

use super::nodes::last_words_of;
use super::{Code, Findings};
use crate::network::Network;
use crate::process::log_end;

/// Texts by which a program says that it ended by a panic.
const PANICS: [&str; 4] = ["panic: ", "fatal error: ", "goroutine 1 [running]", "panicked at "];
const DISK_FULL: &str = "no space left on device";

pub(super) fn check(network: &Network, found: &mut Findings) {
    let mut names: Vec<String> = network.processes().collect();
    for name in network.supervisor.ended() {
        if !names.contains(&name) {
            found.add(Code::ServiceDown, Some(&name), last_words_of(network, &name));
            names.push(name);
        }
    }
    for name in names {
        let end = log_end(&network.layout.log(&name));
        let line = |holds: &dyn Fn(&str) -> bool| {
            end.lines().rev().find(|line| holds(line)).map(|line| line.trim().to_owned())
        };
        if let Some(line) = line(&|line| line.to_ascii_lowercase().contains(DISK_FULL)) {
            found.add(Code::LogDiskFull, Some(&name), line);
        } else if network.supervisor.running(&name).is_none()
            && let Some(line) = line(&|line| PANICS.iter().any(|sign| line.contains(sign)))
        {
            found.add(Code::LogPanic, Some(&name), line);
        }
    }
}
