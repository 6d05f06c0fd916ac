//! Arguments that several commands take, and how their texts are read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use caretrail_model::consent::Grantee;
use caretrail_model::ids::{MspId, Subject};
use caretrail_model::role::Role;
use caretrail_model::time::{DurationMs, UnixMs};

/// A length of time in words, such as `30d`, `1h 30m` or `5s`.
pub(crate) fn duration(text: &str) -> Result<DurationMs, String> {
    let duration: Duration = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it like `30d` or `1h 30m`"))?;
    u64::try_from(duration.as_millis())
        .ok()
        .and_then(DurationMs::new)
        .filter(|duration| duration.get() > 0)
        .ok_or_else(|| "the time is zero or too long".to_owned())
}

/// An instant, as RFC 3339 text or Unix milliseconds.
pub(crate) fn instant(text: &str) -> Result<UnixMs, String> {
    if let Ok(unix_ms) = text.parse::<u64>() {
        return UnixMs::new(unix_ms).ok_or_else(|| "the instant is too far ahead".to_owned());
    }
    let time = humantime::parse_rfc3339_weak(text)
        .map_err(|error| format!("{error}; write it like `2030-01-31T12:00:00Z` or as Unix milliseconds"))?;
    unix_ms(time).ok_or_else(|| "the instant lies before 1970".to_owned())
}

/// Whom a consent names: `MSP`, `MSP/role` or `MSP/subject`.
pub(crate) fn grantee(text: &str) -> Result<Grantee, String> {
    let (msp_id, rest) = match text.split_once('/') {
        Some((msp_id, rest)) => (msp_id, Some(rest)),
        None => (text, None),
    };
    let msp_id: MspId = msp_id.parse().map_err(|error| format!("{error}"))?;
    let Some(rest) = rest else { return Ok(Grantee::Hospital { msp_id }) };
    if let Ok(role) = rest.parse::<Role>() {
        return Ok(Grantee::Role { msp_id, role });
    }
    let subject: Subject = rest
        .parse()
        .map_err(|_| "after the `/` comes a role or a subject of 32 hexadecimal characters".to_owned())?;
    Ok(Grantee::Person { msp_id, subject })
}

/// This machine's clock.
pub(crate) fn now() -> anyhow::Result<UnixMs> {
    unix_ms(SystemTime::now()).ok_or_else(|| anyhow::anyhow!("this machine's clock stands before 1970"))
}

/// An instant for people.
pub(crate) fn shown(instant: UnixMs) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(instant.get())).to_string()
}

/// Random bytes for nonces and request ids.
pub(crate) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no randomness: {error}"))?;
    Ok(bytes)
}

fn unix_ms(time: SystemTime) -> Option<UnixMs> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok().and_then(UnixMs::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_words_and_numbers() {
        assert_eq!(duration("1h 30m").unwrap(), DurationMs::from_secs(5400));
        assert!(duration("soon").unwrap_err().contains("30d"));
        assert!(duration("0s").is_err());
        assert_eq!(instant("2026-01-01T00:00:00Z").unwrap(), instant("1767225600000").unwrap());
        assert_eq!(shown(instant("1767225600123").unwrap()), "2026-01-01T00:00:00.123Z");
        assert!(instant("tomorrow").is_err());
    }

    #[test]
    fn a_grantee_is_a_hospital_a_role_or_a_person() {
        assert!(matches!(grantee("NorthMSP"), Ok(Grantee::Hospital { .. })));
        assert!(matches!(grantee("NorthMSP/clinician"), Ok(Grantee::Role { .. })));
        assert!(matches!(grantee("NorthMSP/00112233445566778899aabbccddeeff"), Ok(Grantee::Person { .. })));
        assert!(grantee("NorthMSP/doctor").is_err());
    }
}
