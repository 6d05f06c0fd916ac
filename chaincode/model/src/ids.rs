//! Newtypes of every id. Ids of 128 bits are derived from their maker and a nonce, so that nobody
//! who sees one before it commits can squat it; none is derived from a name or a hospital number.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hash::{Domain, framed_sha256};
use crate::limits::{MSP_ID_BYTES_MAX, NAME_BYTES_MAX};

/// A text that is not the id it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {what}: expected {expected}")]
pub struct ParseIdError {
    what: &'static str,
    expected: &'static str,
}

macro_rules! hex_newtype {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $what:literal, $pattern:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
        pub struct $name(#[schemars(with = "String", regex(pattern = $pattern))] [u8; $bytes]);

        impl $name {
            /// Wraps the bytes.
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let error = ParseIdError { what: $what, expected: $expected };
                if text.bytes().any(|b| b.is_ascii_uppercase()) {
                    return Err(error);
                }
                let mut bytes = [0; $bytes];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| error)?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

macro_rules! id128 {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        hex_newtype!($(#[$doc])* $name, 16, $what, "^[0-9a-f]{32}$", "32 lower-case hex characters");
    };
}

macro_rules! digest256 {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        hex_newtype!($(#[$doc])* $name, 32, $what, "^[0-9a-f]{64}$", "64 lower-case hex characters");
    };
}

id128!(
    /// A patient: first 16 bytes of the framed SHA-256 of home MSP, first public key and nonce.
    PatientId,
    "a patient id"
);
id128!(
    /// A record: first 16 bytes of the framed SHA-256 of its maker, the patient and a nonce.
    RecordId,
    "a record id"
);
id128!(
    /// A signed statement: first 16 bytes of the framed SHA-256 of patient, key and nonce. A consent is
    /// named by the statement that granted it.
    StatementId,
    "a statement id"
);
id128!(
    /// A caller-chosen id that makes an access request repeatable.
    RequestId,
    "a request id"
);
id128!(
    /// A patient's key: first 16 bytes of the framed SHA-256 of the uncompressed SEC1 point.
    KeyId,
    "a key id"
);
id128!(
    /// The random id of a staff member or service: its certificate's `caretrail.subject` and common name.
    Subject,
    "a subject"
);
id128!(
    /// 16 random bytes that an id is derived with.
    Nonce,
    "a nonce"
);
id128!(
    /// A label of a record, blinded: first 16 bytes of HMAC-SHA-256 under the custodian's tag key of the
    /// patient and epoch, so that nobody without that key can tell what it says.
    Tag,
    "a tag"
);
digest256!(
    /// A SHA-256 digest.
    Digest,
    "a digest"
);
digest256!(
    /// A Fabric transaction id: SHA-256 of nonce and creator.
    TxId,
    "a transaction id"
);

impl PatientId {
    /// The id of the patient whose first key, uncompressed SEC1, is `public_key` (65 bytes).
    pub fn derive(home: &MspId, public_key: &[u8], nonce: &Nonce) -> Self {
        Self(first_half(framed_sha256(
            Domain::PatientId,
            &[home.as_str().as_bytes(), public_key, nonce.as_bytes()],
        )))
    }
}

impl RecordId {
    /// The id of the record that `maker` adds to `patient`.
    pub fn derive(maker: &Actor, patient: &PatientId, nonce: &Nonce) -> Self {
        Self(first_half(framed_sha256(
            Domain::RecordId,
            &[
                maker.msp_id.as_str().as_bytes(),
                maker.subject.as_bytes(),
                patient.as_bytes(),
                nonce.as_bytes(),
            ],
        )))
    }
}

impl RecordId {
    /// The id of the record that a patient adds with the key `key`; no hospital has an empty MSP id.
    pub fn derive_own(key: &KeyId, patient: &PatientId, nonce: &Nonce) -> Self {
        Self(first_half(framed_sha256(
            Domain::RecordId,
            &[&[], key.as_bytes(), patient.as_bytes(), nonce.as_bytes()],
        )))
    }
}

impl PatientId {
    /// The id of a patient whom `home` registers without a key.
    pub fn derive_on_paper(home: &MspId, nonce: &Nonce) -> Self {
        Self::derive(home, &[], nonce)
    }
}

impl StatementId {
    /// The id of what an enrolled actor puts in force for `patient`: on paper, or by delegation.
    pub fn derive_for(actor: &Actor, patient: &PatientId, nonce: &Nonce) -> Self {
        Self(first_half(framed_sha256(
            Domain::StatementId,
            &[
                patient.as_bytes(),
                actor.msp_id.as_str().as_bytes(),
                actor.subject.as_bytes(),
                nonce.as_bytes(),
            ],
        )))
    }
}

impl StatementId {
    /// The id of the statement that `patient` signs with `key`.
    pub fn derive(patient: &PatientId, key: &KeyId, nonce: &Nonce) -> Self {
        Self(first_half(framed_sha256(
            Domain::StatementId,
            &[patient.as_bytes(), key.as_bytes(), nonce.as_bytes()],
        )))
    }
}

impl KeyId {
    /// The id of a public key, uncompressed SEC1 (65 bytes).
    pub fn derive(public_key: &[u8]) -> Self {
        Self(first_half(framed_sha256(Domain::KeyId, &[public_key])))
    }
}

fn first_half(digest: Digest) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(digest.0.split_at(16).0);
    half
}

macro_rules! name_newtype {
    ($(#[$doc:meta])* $name:ident, $max:expr, $pattern:literal, $what:literal, $expected:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(#[schemars(regex(pattern = $pattern))] String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let allowed: fn(u8) -> bool = $allowed;
                if text.is_empty() || text.len() > $max || !text.bytes().all(allowed) {
                    return Err(ParseIdError { what: $what, expected: $expected });
                }
                Ok(Self(text.to_owned()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name_newtype!(
    /// The id of a Fabric membership service provider: one hospital.
    MspId,
    MSP_ID_BYTES_MAX,
    "^[A-Za-z0-9._-]{1,64}$",
    "an MSP id",
    "1 to 64 letters, digits, `.`, `_` or `-`",
    |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')
);
name_newtype!(
    /// The name of a channel.
    ChannelName,
    NAME_BYTES_MAX,
    "^[a-z0-9.-]{1,249}$",
    "a channel name",
    "1 to 249 lower-case letters, digits, `.` or `-`",
    |b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-')
);
name_newtype!(
    /// The name of a chaincode.
    ChaincodeName,
    NAME_BYTES_MAX,
    "^[A-Za-z0-9_-]{1,249}$",
    "a chaincode name",
    "1 to 249 letters, digits, `_` or `-`",
    |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
);

/// Who acts: a subject under an MSP. The same subject under another MSP is another actor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// The hospital.
    pub msp_id: MspId,
    /// The person or service within it.
    pub subject: Subject,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.msp_id, self.subject)
    }
}

impl FromStr for Actor {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let (msp_id, subject) = text
            .split_once('/')
            .ok_or(ParseIdError { what: "an actor", expected: "`<msp id>/<subject>`" })?;
        Ok(Self { msp_id: msp_id.parse()?, subject: subject.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_ids_are_lower_case_and_of_exact_length() {
        let text = "00112233445566778899aabbccddeeff";
        assert_eq!(text.parse::<PatientId>().unwrap().to_string(), text);
        for refused in [
            "",
            "00",
            "00112233445566778899AABBCCDDEEFF",
            "00112233445566778899aabbccddeef",
            "zz112233445566778899aabbccddeeff",
        ] {
            assert!(refused.parse::<PatientId>().is_err(), "{refused}");
        }
    }

    #[test]
    fn an_id_is_bound_to_its_maker() {
        let nonce = Nonce::from_bytes([7; 16]);
        let patient = PatientId::from_bytes([1; 16]);
        let maker = |msp: &str| Actor { msp_id: msp.parse().unwrap(), subject: Subject::from_bytes([2; 16]) };
        assert_ne!(
            RecordId::derive(&maker("NorthMSP"), &patient, &nonce),
            RecordId::derive(&maker("SouthMSP"), &patient, &nonce)
        );
    }

    #[test]
    fn names_refuse_separators_and_control_characters() {
        for refused in ["", "North/MSP", "North\u{0}MSP", "Nörth", &"x".repeat(65)] {
            assert!(refused.parse::<MspId>().is_err(), "{refused}");
        }
        assert_eq!(
            "NorthMSP/00112233445566778899aabbccddeeff".parse::<Actor>().unwrap().msp_id.as_str(),
            "NorthMSP"
        );
    }
}
