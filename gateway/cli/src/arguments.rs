//! Arguments that several commands take, and how their texts are read.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use caretrail_model::consent::{Action, Grantee};
use caretrail_model::hash::sha256;
use caretrail_model::ids::{Actor, Digest, MspId, Subject};
use caretrail_model::label::Label;
use caretrail_model::role::Role;
use caretrail_model::statement::PublicKey;
use caretrail_model::time::{DurationMs, UnixMs};

use crate::app::App;
use crate::failure::Invalid;

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

/// What is done with a record: `read`, `write` or `delegate`.
pub(crate) fn action(text: &str) -> Result<Action, String> {
    match text {
        "read" => Ok(Action::Read),
        "write" => Ok(Action::Write),
        "delegate" => Ok(Action::Delegate),
        _ => Err("expected `read`, `write` or `delegate`".to_owned()),
    }
}

/// The word that [`action`] reads.
pub(crate) const fn action_name(action: Action) -> &'static str {
    match action {
        Action::Read => "read",
        Action::Write => "write",
        Action::Delegate => "delegate",
    }
}

/// Labels of records. They are sensitive: what is wrong with one is told without it.
pub(crate) fn labels(texts: &[String]) -> anyhow::Result<Vec<Label>> {
    let labels = texts.iter().map(|text| text.parse()).collect::<Result<Vec<Label>, _>>();
    labels.map_err(|error| Invalid(error.to_string()).into())
}

/// A P-256 public key, as `caretrail patient key` prints it.
pub(crate) fn public_key(text: &str) -> Result<PublicKey, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|error| error.to_string())
}

/// Who acts: `MSP/SUBJECT`, or `ORGANISATION/NAME` of an identity in the state folder.
pub(crate) fn actor(app: &App, text: &str) -> anyhow::Result<Actor> {
    match text.parse() {
        Ok(actor) => Ok(actor),
        Err(_) => app.actor_of(text),
    }
}

/// SHA-256 of a file that stays here.
pub(crate) fn digest_of_file(file: &Path) -> anyhow::Result<Digest> {
    let content = std::fs::read(file).with_context(|| format!("`{}` cannot be read", file.display()))?;
    Ok(sha256(&content))
}

/// The end of a calendar quarter (UTC): the next one after `from`, or one further ahead.
pub(crate) fn quarter_end(from: UnixMs, quarters: u8) -> anyhow::Result<UnixMs> {
    let day = DurationMs::from_days(1);
    let mut at = UnixMs::new(from.get() - from.get() % day.get()).context("the instant is too far ahead")?;
    for _ in 0..quarters {
        at = at.plus(day);
        while !at.is_quarter_start() {
            at = at.plus(day);
        }
    }
    Ok(at)
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
        let new_year = instant("2026-01-01T00:00:00Z").unwrap();
        assert_eq!(shown(quarter_end(new_year, 1).unwrap()), "2026-04-01T00:00:00.000Z");
        let late = instant("2026-03-31T23:59:59Z").unwrap();
        assert_eq!(shown(quarter_end(late, 4).unwrap()), "2027-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_grantee_is_a_hospital_a_role_or_a_person() {
        assert!(matches!(grantee("NorthMSP"), Ok(Grantee::Hospital { .. })));
        assert!(matches!(grantee("NorthMSP/clinician"), Ok(Grantee::Role { .. })));
        assert!(matches!(grantee("NorthMSP/00112233445566778899aabbccddeeff"), Ok(Grantee::Person { .. })));
        assert!(grantee("NorthMSP/doctor").is_err());
    }
}
