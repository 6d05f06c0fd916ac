//! Why a process ended, read from the end of its log.

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

const TAIL_LINES: usize = 12;
/// Only the end of a log is read, however long it is.
const READ_BYTES_MAX: u64 = 1 << 16;

/// How the line of a program in Go begins that ends by itself.
const PANIC: &str = "panic: ";

/// Texts in a log, and what they mean to an operator.
const CAUSES: [(&str, &str); 10] = [
    ("address already in use", "one of its ports is in use by another process"),
    (
        "certificate has expired",
        "one of its certificates has expired; renew it, or destroy the network and make it anew",
    ),
    ("certificate is not valid yet", "one of its certificates is not valid yet; check this machine's clock"),
    ("no space left on device", "the disk is full; free some space and run the command again"),
    ("too many open files", "it may not open enough files; raise the limit with `ulimit -n`"),
    ("permission denied", "it may not use one of its files; check who owns the state folder"),
    ("cannot allocate memory", "this machine is out of memory"),
    ("resource temporarily unavailable", "its ledger is in use by another process"),
    ("could not load a valid signer certificate", "its MSP folder holds no usable certificate and key"),
    ("config file", "its configuration cannot be read"),
];

/// The end of a log, empty when there is none.
pub(crate) fn log_end(log: &Path) -> String {
    let end = || -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(READ_BYTES_MAX)))?;
        let mut bytes = Vec::new();
        file.take(READ_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&end().unwrap_or_default()).into_owned()
}

/// The likely cause and the last lines; of a panic those from it on, for its stack comes after it.
pub(crate) fn last_words(log: &Path) -> (String, String) {
    let text = log_end(log);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.len().saturating_sub(TAIL_LINES);
    let skip = lines
        .iter()
        .rposition(|line| line.starts_with(PANIC))
        .map_or(last, |at| last.min(at.saturating_sub(1)));
    let tail = lines.into_iter().skip(skip).take(TAIL_LINES).collect::<Vec<_>>().join("\n");
    (cause_in(&tail).unwrap_or("the reason is in its log").to_owned(), tail)
}

/// What ended a process, if its last lines say something known.
pub(super) fn known_cause(log: &Path) -> Option<String> {
    let (_, tail) = last_words(log);
    cause_in(&tail).map(str::to_owned)
}

fn cause_in(tail: &str) -> Option<&'static str> {
    let lower = tail.to_ascii_lowercase();
    CAUSES.iter().find(|(sign, _)| lower.contains(sign)).map(|(_, cause)| *cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_cause_is_put_into_words() {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("x.log");
        let many = "noise\n".repeat(50_000);
        fs::write(&log, format!("{many}panic: listen tcp 127.0.0.1:7051: bind: address already in use\n"))
            .unwrap();
        let (cause, tail) = last_words(&log);
        assert!(cause.contains("ports"), "{cause}");
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert_eq!(known_cause(&log), Some(cause));
        // A long stack comes after what matters.
        let stack = "main.main()\n\t/src/main.go:1\n".repeat(40);
        let said = "Cannot commit block: write blockfile_000000: no space left on device";
        fs::write(&log, format!("{many}PANI {said}\npanic: {said}\n\n{stack}")).unwrap();
        let (cause, tail) = last_words(&log);
        assert!(cause.contains("disk is full") && tail.starts_with("PANI"), "{cause}: {tail}");
        let (cause, tail) = last_words(&home.path().join("absent.log"));
        assert!(cause.contains("log") && tail.is_empty());
    }
}
