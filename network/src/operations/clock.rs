//! A node's clock, read from the `Date` of its answers.

use time::{Date, Duration, Month, OffsetDateTime, Time};

const MONTHS: [(&str, Month); 12] = [
    ("Jan", Month::January),
    ("Feb", Month::February),
    ("Mar", Month::March),
    ("Apr", Month::April),
    ("May", Month::May),
    ("Jun", Month::June),
    ("Jul", Month::July),
    ("Aug", Month::August),
    ("Sep", Month::September),
    ("Oct", Month::October),
    ("Nov", Month::November),
    ("Dec", Month::December),
];

/// An HTTP date such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, IMF-fixdate).
pub(super) fn of_http(text: &str) -> Option<OffsetDateTime> {
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day = words.next()?.parse().ok()?;
    let name = words.next()?;
    let (_, month) = MONTHS.iter().find(|(known, _)| *known == name)?;
    let year = words.next()?.parse().ok()?;
    let mut numbers = words.next()?.split(':').map(str::parse::<u8>);
    let mut next = || numbers.next()?.ok();
    let at = Time::from_hms(next()?, next()?, next()?).ok()?;
    (words.next()? == "GMT").then_some(())?;
    Some(Date::from_calendar_date(year, *month, day).ok()?.with_time(at).assume_utc())
}

/// How far a clock is certainly off: it said a whole second of which nobody knows how much had passed, at some moment
/// between the question and its answer.
pub(super) fn skew(said: OffsetDateTime, before: OffsetDateTime, after: OffsetDateTime) -> Duration {
    let (earliest, latest) = (said, said + Duration::seconds(1));
    if earliest > after {
        earliest - after
    } else if latest < before {
        latest - before
    } else {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix_s: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(unix_s).unwrap()
    }

    #[test]
    fn a_date_of_http_is_read_and_nothing_else_is() {
        assert_eq!(of_http("Sun, 06 Nov 1994 08:49:37 GMT"), Some(at(784_111_777)));
        for wrong in
            ["", "Sun, 06 Nov 1994", "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET"]
        {
            assert_eq!(of_http(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_clock_is_off_only_as_far_as_is_certain() {
        let half = Duration::milliseconds(500);
        assert_eq!(skew(at(100), at(100) + half, at(101)), Duration::ZERO);
        assert_eq!(skew(at(105), at(100), at(101)), Duration::seconds(4));
        assert_eq!(skew(at(95), at(100), at(101)), Duration::seconds(-4));
        assert_eq!(skew(at(102), at(100), at(102) + half), Duration::ZERO);
    }
}
