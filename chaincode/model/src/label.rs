//! Labels of sensitive records, as a custodian knows them; on the channel they are blinded.
//!
//! A label never leaves its custodian: what the channel gets is a [`Tag`](crate::ids::Tag), which nobody without the
//! custodian's tag key can tell from a random one.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::ids::{RecordId, Tag};
use crate::limits::LABEL_BYTES_MAX;

/// A label of a record, such as `HIV`: 1 to 64 bytes of UTF-8 without control characters, that neither start nor end
/// with white space. ASCII letters are upper case, so that `hiv` is the same label.
///
/// What it says is sensitive: `Debug` does not tell it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

/// A text that is no label; which one is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a label: expected 1 to {LABEL_BYTES_MAX} bytes of text, without control characters and without spaces around it"
)]
pub struct ParseLabelError;

/// Labels of sensitive information that are used everywhere, with what they stand for: codes of HL7 v3 ActCode
/// (`ActInformationSensitivityPolicy`). Any other text is a label too.
pub const KNOWN_LABELS: [(&str, &str); 16] = [
    ("BH", "behavioural health"),
    ("COGN", "cognitive disability"),
    ("DVD", "developmental disability"),
    ("EMOTDIS", "emotional disturbance"),
    ("ETH", "substance abuse"),
    ("GDIS", "genetic disease"),
    ("HIV", "HIV and AIDS"),
    ("MH", "mental health"),
    ("MST", "sexual trauma during military service"),
    ("PSY", "psychiatric disorder"),
    ("PSYTHPN", "notes of a psychotherapist"),
    ("SCA", "sickle cell disease"),
    ("SDV", "sexual assault, abuse or domestic violence"),
    ("SEX", "sexuality and reproduction"),
    ("STD", "sexually transmitted disease"),
    ("SUD", "substance use disorder"),
];

impl Label {
    /// Its text, for those who may know.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag that stands for it: the first 16 bytes of HMAC-SHA-256 over its text, under a custodian's tag key of
    /// one patient and epoch.
    pub fn blinded(&self, tag_key: &[u8; 32]) -> Tag {
        blind(tag_key, &[self.0.as_bytes()])
    }
}

/// A tag of a record that stands for no label: one of those that fill its eight up, by their number.
///
/// It is the same for every version of the record: of ones drawn anew each time, what two versions have in common would
/// tell which are labels. No label begins with the zero byte that this begins with.
pub fn filler(tag_key: &[u8; 32], record: &RecordId, number: u8) -> Tag {
    blind(tag_key, &[&[0], record.as_bytes(), &[number]])
}

fn blind(tag_key: &[u8; 32], parts: &[&[u8]]) -> Tag {
    // HMAC pads a key with zeros up to SHA-256's block of 64 bytes.
    let mut block = [0; 64];
    block.iter_mut().zip(tag_key).for_each(|(padded, byte)| *padded = *byte);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    parts.iter().for_each(|part| mac.update(part));
    let mut tag = [0; 16];
    tag.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(byte, part)| *byte = part);
    Tag::from_bytes(tag)
}

impl FromStr for Label {
    type Err = ParseLabelError;

    fn from_str(text: &str) -> Result<Self, ParseLabelError> {
        let sound = (1..=LABEL_BYTES_MAX).contains(&text.len())
            && !text.chars().any(char::is_control)
            && text.trim() == text;
        if sound { Ok(Self(text.to_ascii_uppercase())) } else { Err(ParseLabelError) }
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Label(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_short_text_that_is_told_to_nobody() {
        let label: Label = "hiv".parse().unwrap();
        assert_eq!(label, "HIV".parse().unwrap());
        assert_eq!(format!("{label:?}"), "Label(redacted)");
        assert_eq!("état sérologique".parse::<Label>().unwrap().as_str(), "éTAT SéROLOGIQUE");
        for refused in ["", " HIV", "HIV\n", "a\u{7}b", &"x".repeat(65)] {
            let error = refused.parse::<Label>().unwrap_err().to_string();
            assert!(refused.is_empty() || !error.contains(refused), "{error}");
        }
    }

    #[test]
    fn a_tag_depends_on_key_and_label() {
        let label: Label = "HIV".parse().unwrap();
        let tag = label.blinded(&[1; 32]);
        assert_eq!(tag, label.blinded(&[1; 32]));
        assert_ne!(tag, label.blinded(&[2; 32]));
        assert_ne!(tag, "PSY".parse::<Label>().unwrap().blinded(&[1; 32]));
    }

    #[test]
    fn known_labels_are_labels_in_order() {
        let labels: Vec<Label> = KNOWN_LABELS.iter().map(|(code, _)| code.parse().unwrap()).collect();
        assert!(labels.is_sorted());
        assert!(labels.iter().zip(KNOWN_LABELS).all(|(label, (code, _))| label.as_str() == code));
    }
}
