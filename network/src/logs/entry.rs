//! One entry of a log: its time, its level, and what it says.

use serde::Serialize;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// How severe an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For developers.
    Debug,
    /// What is done.
    Info,
    /// What may become a problem.
    Warn,
    /// What failed, or ended the process.
    Error,
}

/// A text that is no level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no level; give debug, info, warn or error")]
pub struct LevelError(String);

impl std::str::FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            other => Err(LevelError(other.to_owned())),
        }
    }
}

/// What a process said at one moment; a stack trace belongs to the line before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LogEntry {
    /// When, Unix milliseconds; of a line without a time, that of the line before. Absent when none had one.
    pub at: Option<i64>,
    /// Which process.
    pub node: String,
    /// How severe, when it says.
    pub level: Option<Level>,
    /// The rest of the line, and the lines that belong to it.
    pub text: String,
}

/// A line's time and level, and the rest of it; `None` of one that goes on with the line before.
pub(super) fn read(line: &str) -> Option<(i64, Option<Level>, String)> {
    let plain = without_colours(line);
    let (at, rest) = time_of(&plain)?;
    // Fabric numbers its lines between time and level.
    let mut rest = rest.trim_start();
    let mut level = None;
    for _ in 0..2 {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        if let Some(found) = level_of(word) {
            level = Some(found);
            rest = after.trim_start();
            break;
        }
        let is_number = word.len() >= 4 && word.chars().all(|c| c.is_ascii_hexdigit());
        if !is_number {
            break;
        }
        rest = after.trim_start();
    }
    Some((at, level, rest.to_owned()))
}

fn level_of(word: &str) -> Option<Level> {
    match word {
        "TRACE" | "DEBU" | "DEBUG" => Some(Level::Debug),
        "INFO" | "NOTI" => Some(Level::Info),
        "WARN" | "WARNING" => Some(Level::Warn),
        "ERRO" | "ERROR" | "CRIT" | "PANI" | "FATA" | "DPAN" => Some(Level::Error),
        _ => None,
    }
}

/// The Unix milliseconds at a line's beginning, as Fabric writes them (`2026-01-02 10:11:12.123 UTC`) or as RFC 3339
/// in UTC, and what follows.
pub(super) fn time_of(line: &str) -> Option<(i64, &str)> {
    let date = line.get(..10)?;
    let mut numbers = date.split('-');
    let year = numbers.next()?.parse().ok()?;
    let month = Month::try_from(numbers.next()?.parse::<u8>().ok()?).ok()?;
    let date = Date::from_calendar_date(year, month, numbers.next()?.parse().ok()?).ok()?;
    let rest = line.get(10..)?.strip_prefix([' ', 'T'])?;
    let clock = rest.get(..8)?;
    let mut numbers = clock.split(':').map(str::parse::<u8>);
    let mut next = || numbers.next()?.ok();
    let at = PrimitiveDateTime::new(date, Time::from_hms(next()?, next()?, next()?).ok()?);
    let mut rest = rest.get(8..)?;
    let mut millis = 0_i64;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
        let (digits, after) = fraction.split_at_checked(digits)?;
        for place in 0..3 {
            let digit = digits.as_bytes().get(place).map_or(0, |digit| i64::from(digit.saturating_sub(b'0')));
            millis = millis.saturating_mul(10).saturating_add(digit);
        }
        rest = after;
    }
    let rest = rest.strip_prefix('Z').or_else(|| rest.strip_prefix(" UTC"))?;
    let at: OffsetDateTime = at.assume_utc();
    Some((at.unix_timestamp().saturating_mul(1000).saturating_add(millis), rest))
}

/// A line without the colours that Fabric paints it with.
pub(super) fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_fabric_and_of_rust_programs_are_read() {
        let painted =
            "\u{1b}[33m2026-01-02 10:11:12.123 UTC 00a1 WARN\u{1b}[0m [gossip] \u{1b}[1mf\u{1b}[0m -> lost";
        let (at, level, text) = read(painted).unwrap();
        assert_eq!((at, level, text.as_str()), (1_767_348_672_123, Some(Level::Warn), "[gossip] f -> lost"));
        let (at, level, text) = read("2026-01-02T10:11:12.123456Z  INFO shelf: served").unwrap();
        assert_eq!((at, level, text.as_str()), (1_767_348_672_123, Some(Level::Info), "shelf: served"));
        for more in [
            "",
            "panic: x",
            "\tgoroutine 1",
            "2026-13-02 10:11:12.123 UTC x",
            "2026-01-02",
            "2026-01-02 10:11:1",
        ] {
            assert_eq!(read(more), None, "{more}");
        }
    }
}
