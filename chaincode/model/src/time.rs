//! Instants and durations: integer Unix milliseconds below 2⁵³, so that every JSON reader keeps them whole.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// First value that is refused: 2⁵³.
const END: u64 = 1 << 53;

/// An instant: milliseconds since 1970-01-01T00:00:00Z, below 2⁵³.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct UnixMs(u64);

impl UnixMs {
    /// The instant, or `None` at 2⁵³ or later.
    pub const fn new(unix_ms: u64) -> Option<Self> {
        if unix_ms < END { Some(Self(unix_ms)) } else { None }
    }

    /// Milliseconds since the epoch.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The instant `duration` later; it stays at the last representable one.
    #[must_use]
    pub const fn plus(self, duration: DurationMs) -> Self {
        let sum = self.0.saturating_add(duration.0);
        if sum < END { Self(sum) } else { Self(END - 1) }
    }

    /// How far apart two instants are, in either order.
    pub const fn distance(self, other: Self) -> DurationMs {
        DurationMs(self.0.abs_diff(other.0))
    }
}

impl fmt::Display for UnixMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for UnixMs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = u64::deserialize(deserializer)?;
        Self::new(value).ok_or_else(|| serde::de::Error::custom("an instant lies at 2^53 ms or later"))
    }
}

impl UnixMs {
    /// The first instant there is.
    pub const EPOCH: Self = Self(0);

    /// Whether it is the first instant of a calendar quarter in UTC: 1 January, April, July or October.
    ///
    /// Terms end there, so that an end says nothing about a date of birth.
    pub const fn is_quarter_start(self) -> bool {
        const DAY_MS: u64 = 24 * 3600 * 1000;
        if !self.0.is_multiple_of(DAY_MS) {
            return false;
        }
        // Days to civil date, in years that begin on 1 March, so that the leap day is a year's last.
        let days = self.0 / DAY_MS + 719_468;
        let of_era = days % 146_097;
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5;
        // Months count from March: April is 1, July 4, October 7, January 10.
        day == 0 && month % 3 == 1
    }
}

/// A duration in milliseconds, below 2⁵³.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct DurationMs(u64);

impl DurationMs {
    /// The duration, or `None` at 2⁵³ or more.
    pub const fn new(ms: u64) -> Option<Self> {
        if ms < END { Some(Self(ms)) } else { None }
    }

    /// Whole seconds.
    pub const fn from_secs(secs: u32) -> Self {
        Self(secs as u64 * 1000)
    }

    /// Whole days.
    pub const fn from_days(days: u16) -> Self {
        Self(days as u64 * 24 * 3600 * 1000)
    }

    /// Milliseconds.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for DurationMs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = u64::deserialize(deserializer)?;
        Self::new(value).ok_or_else(|| serde::de::Error::custom("a duration is 2^53 ms or longer"))
    }
}

/// A half-open period: `from` is inside, `until` is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// First instant inside.
    pub from: UnixMs,
    /// First instant after.
    pub until: UnixMs,
}

impl Period {
    /// Whether `instant` lies inside.
    pub fn contains(&self, instant: UnixMs) -> bool {
        self.from <= instant && instant < self.until
    }

    /// Whether it holds no instant at all.
    pub fn is_empty(&self) -> bool {
        self.until <= self.from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_end_below_two_to_the_53() {
        assert!(serde_json::from_str::<UnixMs>("9007199254740991").is_ok());
        for refused in ["9007199254740992", "-1", "1.0", "\"1\""] {
            assert!(serde_json::from_str::<UnixMs>(refused).is_err(), "{refused}");
        }
        let last = UnixMs::new(END - 1).unwrap();
        assert_eq!(last.plus(DurationMs::from_secs(1)), last);
    }

    #[test]
    fn quarters_begin_four_times_a_year() {
        let day = DurationMs::from_days(1).get();
        let starts: Vec<u64> =
            (0..366 * 8).filter(|n| UnixMs::new(n * day).unwrap().is_quarter_start()).collect();
        // 1970 to 1977, with the leap years 1972 and 1976.
        assert_eq!(&starts[..9], [0, 90, 181, 273, 365, 455, 546, 638, 730]);
        assert_eq!(starts.len(), 33);
        let april_2026 = UnixMs::new(1_775_001_600_000).unwrap();
        assert!(april_2026.is_quarter_start());
        assert!(!UnixMs::new(april_2026.get() + 1).unwrap().is_quarter_start());
        assert!(!april_2026.plus(DurationMs::from_days(1)).is_quarter_start());
    }

    #[test]
    fn a_period_is_half_open() {
        let at = |ms| UnixMs::new(ms).unwrap();
        let period = Period { from: at(10), until: at(20) };
        assert!(period.contains(at(10)) && period.contains(at(19)));
        assert!(!period.contains(at(9)) && !period.contains(at(20)));
        assert!(Period { from: at(20), until: at(20) }.is_empty());
    }
}
