//! A digest that people read to each other.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// How many bytes are shown: 160 bits, of which nobody makes two files.
const SHOWN_BYTES: usize = 20;

/// The first 20 bytes of a SHA-256, in ten groups of four hexadecimal digits: `1f0c-8d7a-…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; SHOWN_BYTES]);

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no digest; write ten groups of four hexadecimal digits, as they were read to you")]
pub struct DigestError(String);

impl Digest {
    /// The digest of bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut shown = [0; SHOWN_BYTES];
        for (to, from) in shown.iter_mut().zip(Sha256::digest(bytes)) {
            *to = from;
        }
        Self(shown)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pair) in self.0.chunks(2).enumerate() {
            let separator = if index == 0 { "" } else { "-" };
            write!(f, "{separator}{}", hex::encode(pair))?;
        }
        Ok(())
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: String = text.chars().filter(|c| !matches!(c, '-' | ' ' | ':')).collect();
        let mut shown = [0; SHOWN_BYTES];
        hex::decode_to_slice(digits, &mut shown).map_err(|_| DigestError(text.to_owned()))?;
        Ok(Self(shown))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_aloud_and_written_down_again() {
        // SHA-256 of nothing.
        let digest = Digest::of(b"");
        assert_eq!(digest.to_string(), "e3b0-c442-98fc-1c14-9afb-f4c8-996f-b924-27ae-41e4");
        for text in ["E3B0C442 98FC1C14 9AFBF4C8 996FB924 27AE41E4", &digest.to_string()] {
            assert_eq!(text.parse(), Ok(digest));
        }
        for text in ["", "e3b0", "e3b0-c442-98fc-1c14-9afb-f4c8-996f-b924-27ae-41eg"] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
