//! WebAuthn assertions as signatures: a passkey signs the digest of a statement's exact text.
//!
//! What counts of an assertion (W3C WebAuthn level 2, section 7.2): its type, that its challenge is the
//! SHA-256 of the statement, that it was made for an allowed relying party and on one of its own pages,
//! that a user was present, and, where the consortium wants it, verified.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::hash::sha256;
use crate::limits::{AUTHENTICATOR_DATA_BYTES_MAX, CLIENT_DATA_BYTES_MAX, RELYING_PARTY_BYTES_MAX};

/// Bytes of authenticator data without extensions: digest, flags, counter.
const AUTHENTICATOR_DATA_BYTES: usize = 37;
/// Flag: a user was present.
const USER_PRESENT: u8 = 0x01;
/// Flag: the authenticator verified the user.
const USER_VERIFIED: u8 = 0x04;
/// Flag: attested credential data follows, which no assertion has.
const ATTESTED: u8 = 0x40;
/// Flag: extension data follows.
const EXTENDED: u8 = 0x80;

/// A WebAuthn relying party: a lower-case domain name, at most 253 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct RelyingParty(#[schemars(regex(pattern = "^[a-z0-9.-]{1,253}$"))] String);

/// A text that is no relying party's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a relying party: expected a lower-case domain name such as `patients.example`")]
pub struct ParseRelyingPartyError;

impl FromStr for RelyingParty {
    type Err = ParseRelyingPartyError;

    fn from_str(text: &str) -> Result<Self, ParseRelyingPartyError> {
        let label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if text.len() <= RELYING_PARTY_BYTES_MAX && text.split('.').all(label) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseRelyingPartyError)
        }
    }
}

impl fmt::Display for RelyingParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RelyingParty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl RelyingParty {
    /// Whether a page of this origin belongs to it: `https`, on the domain or below it.
    fn has_origin(&self, origin: &str) -> bool {
        let Some(authority) = origin.strip_prefix("https://") else { return false };
        let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
        let of_domain = host == self.0
            || host.strip_suffix(self.0.as_str()).is_some_and(|sub| sub.ends_with('.') && sub.len() > 1);
        of_domain
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
            && port.parse::<u16>().is_ok_and(|port| port != 0)
    }
}

/// Which assertions count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// The relying parties; none accepts no assertion at all.
    pub relying_parties: &'a [RelyingParty],
    /// Whether the authenticator must have verified its user.
    pub user_verification: bool,
}

/// An assertion that counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// It is too long, no base64url, or its client data no JSON with each field once.
    #[error("the assertion is malformed")]
    Malformed,
    /// It asserts something else than a signature, or inside another page.
    #[error("the assertion is not of type `webauthn.get`, or was made across origins")]
    OtherType,
    /// It signs another statement.
    #[error("the assertion's challenge is not the digest of the statement")]
    Challenge,
    /// It is for a relying party that the consortium does not accept.
    #[error("the assertion is not for a relying party that the consortium's policy names")]
    RelyingParty,
    /// Nobody was there, or nobody was verified.
    #[error("the assertion does not say that a user was present, and verified where that is wanted")]
    User,
}

/// The fields that count; a browser may add others.
#[derive(Deserialize)]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default, rename = "crossOrigin")]
    cross_origin: bool,
}

/// The bytes that the authenticator signed, once everything that they claim is right for `statement`.
///
/// # Errors
/// Names what is wrong.
pub fn signed_bytes(
    statement: &[u8],
    authenticator_data: &str,
    client_data: &str,
    accepted: &Accepted<'_>,
) -> Result<Vec<u8>, AssertionError> {
    let malformed = |_| AssertionError::Malformed;
    let authenticator_data = URL_SAFE_NO_PAD.decode(authenticator_data).map_err(malformed)?;
    let client_data = URL_SAFE_NO_PAD.decode(client_data).map_err(malformed)?;
    if client_data.len() > CLIENT_DATA_BYTES_MAX || authenticator_data.len() > AUTHENTICATOR_DATA_BYTES_MAX {
        return Err(AssertionError::Malformed);
    }
    let text = std::str::from_utf8(&client_data).map_err(|_| AssertionError::Malformed)?;
    let said: ClientData = serde_json::from_str(text).map_err(|_| AssertionError::Malformed)?;
    if !text.starts_with('{') {
        return Err(AssertionError::Malformed);
    }
    if said.r#type != "webauthn.get" || said.cross_origin {
        return Err(AssertionError::OtherType);
    }
    if said.challenge != URL_SAFE_NO_PAD.encode(sha256(statement).as_bytes()) {
        return Err(AssertionError::Challenge);
    }

    let (digest, rest) = authenticator_data.split_at_checked(32).ok_or(AssertionError::Malformed)?;
    let flags = *rest.first().ok_or(AssertionError::Malformed)?;
    let extended = flags & EXTENDED != 0;
    let whole = authenticator_data.len() == AUTHENTICATOR_DATA_BYTES
        || (extended && authenticator_data.len() > AUTHENTICATOR_DATA_BYTES);
    if !whole || flags & ATTESTED != 0 {
        return Err(AssertionError::Malformed);
    }
    let party = accepted
        .relying_parties
        .iter()
        .find(|party| sha256(party.0.as_bytes()).as_bytes() == digest)
        .ok_or(AssertionError::RelyingParty)?;
    if !party.has_origin(&said.origin) {
        return Err(AssertionError::RelyingParty);
    }
    let wanted = if accepted.user_verification { USER_PRESENT | USER_VERIFIED } else { USER_PRESENT };
    if flags & wanted != wanted {
        return Err(AssertionError::User);
    }
    let mut signed = authenticator_data;
    signed.extend_from_slice(sha256(&client_data).as_bytes());
    Ok(signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parties() -> Vec<RelyingParty> {
        vec!["patients.example".parse().unwrap()]
    }

    fn client_data(of: &[u8], kind: &str, origin: &str, more: &str) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(sha256(of).as_bytes());
        let json = format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}"{more}}}"#);
        URL_SAFE_NO_PAD.encode(json)
    }

    fn authenticator_data(party: &str, flags: u8, more: &[u8]) -> String {
        let mut data = sha256(party.as_bytes()).as_bytes().to_vec();
        data.push(flags);
        data.extend_from_slice(&[0, 0, 0, 7]);
        data.extend_from_slice(more);
        URL_SAFE_NO_PAD.encode(data)
    }

    #[test]
    fn each_claim_of_an_assertion_counts() {
        let statement = b"a statement";
        let get = |origin: &str| client_data(statement, "webauthn.get", origin, "");
        let home = "https://patients.example";
        let good = authenticator_data("patients.example", 0x05, &[]);
        let cases = [
            (good.clone(), get(home), None),
            (good.clone(), get("https://app.patients.example:8443"), None),
            (
                good.clone(),
                client_data(statement, "webauthn.get", home, r#","crossOrigin":false,"x":1"#),
                None,
            ),
            (authenticator_data("patients.example", 0x85, &[0xa0]), get(home), None),
            (good.clone(), get("http://patients.example"), Some(AssertionError::RelyingParty)),
            (good.clone(), get("https://evilpatients.example"), Some(AssertionError::RelyingParty)),
            (good.clone(), get("https://patients.example.evil"), Some(AssertionError::RelyingParty)),
            (good.clone(), get("https://patients.example@evil"), Some(AssertionError::RelyingParty)),
            (authenticator_data("other.example", 0x05, &[]), get(home), Some(AssertionError::RelyingParty)),
            (authenticator_data("patients.example", 0x01, &[]), get(home), Some(AssertionError::User)),
            (authenticator_data("patients.example", 0x04, &[]), get(home), Some(AssertionError::User)),
            (authenticator_data("patients.example", 0x45, &[]), get(home), Some(AssertionError::Malformed)),
            (authenticator_data("patients.example", 0x05, &[1]), get(home), Some(AssertionError::Malformed)),
            (
                good.clone(),
                client_data(statement, "webauthn.create", home, ""),
                Some(AssertionError::OtherType),
            ),
            (
                good.clone(),
                client_data(statement, "webauthn.get", home, r#","crossOrigin":true"#),
                Some(AssertionError::OtherType),
            ),
            (
                good.clone(),
                client_data(statement, "webauthn.get", home, r#","origin":"https://evil""#),
                Some(AssertionError::Malformed),
            ),
            (
                good.clone(),
                client_data(b"another", "webauthn.get", home, ""),
                Some(AssertionError::Challenge),
            ),
            (good.clone(), "not base64!".to_owned(), Some(AssertionError::Malformed)),
            (URL_SAFE_NO_PAD.encode([0; 32]), get(home), Some(AssertionError::Malformed)),
        ];
        let parties = parties();
        let accepted = Accepted { relying_parties: &parties, user_verification: true };
        for (number, (data, client, refused)) in cases.into_iter().enumerate() {
            let signed = signed_bytes(statement, &data, &client, &accepted);
            assert_eq!(signed.as_ref().err().copied(), refused, "case {number}");
        }
        let nobody = Accepted::default();
        assert_eq!(signed_bytes(statement, &good, &get(home), &nobody), Err(AssertionError::RelyingParty));
        let present = Accepted { relying_parties: &parties, user_verification: false };
        let unverified = authenticator_data("patients.example", 0x01, &[]);
        assert!(signed_bytes(statement, &unverified, &get(home), &present).is_ok());
    }

    #[test]
    fn a_relying_party_is_a_lower_case_domain() {
        for refused in ["", ".", "A.example", "a..example", "a.example.", "a/b", &"a".repeat(254)] {
            assert!(refused.parse::<RelyingParty>().is_err(), "{refused}");
        }
    }
}
