//! Blinded labels of records, and which records a set of them holds.
//!
//! A label is blinded under a key of one patient, custodian and epoch, so the same label of two custodians,
//! or of two epochs, gives two tags that cannot be compared. What cannot be compared is never opened: it
//! matches whatever denies and nothing that permits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{MspId, Tag};
use crate::limits::{TAG_SETS_MAX, TAGS_PER_RECORD, TAGS_PER_SET_MAX};
use crate::order::strictly_ascending;

/// The tags of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordTags {
    /// The custodian whose tag key made them.
    pub custodian: MspId,
    /// Epoch of that key.
    pub epoch: u32,
    /// Eight, strictly ascending; those that stand for no label are random.
    pub tags: Vec<Tag>,
}

impl RecordTags {
    /// Whether there are exactly eight, in order.
    pub fn is_well_formed(&self) -> bool {
        self.tags.len() == TAGS_PER_RECORD && strictly_ascending(self.tags.iter())
    }
}

/// Tags of one custodian that a scope names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TagSet {
    /// The custodian whose tag key made them.
    pub custodian: MspId,
    /// Epoch of that key.
    pub epoch: u32,
    /// The tags, strictly ascending, 1 to 32.
    pub tags: Vec<Tag>,
}

/// How a record stands to a list of tag sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tagged {
    /// It carries one of the tags.
    Yes,
    /// It carries none of them.
    No,
    /// It has no tags, or tags of a custodian or an epoch that the sets do not name.
    Unknown,
}

impl Tagged {
    /// How a record with these tags stands to `sets`.
    pub fn of(record: Option<&RecordTags>, sets: &[TagSet]) -> Self {
        let Some(record) = record else { return Self::Unknown };
        let comparable =
            sets.iter().find(|set| set.custodian == record.custodian && set.epoch == record.epoch);
        match comparable {
            None => Self::Unknown,
            Some(set) if set.tags.iter().any(|tag| record.tags.contains(tag)) => Self::Yes,
            Some(_) => Self::No,
        }
    }
}

/// Whether the sets are within bounds: 1 to 16, strictly ascending by custodian, each of 1 to 32 tags.
pub(crate) fn sets_are_well_formed(sets: &[TagSet]) -> bool {
    (1..=TAG_SETS_MAX).contains(&sets.len())
        && strictly_ascending(sets.iter().map(|set| &set.custodian))
        && sets.iter().all(|set| {
            (1..=TAGS_PER_SET_MAX).contains(&set.tags.len()) && strictly_ascending(set.tags.iter())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(byte: u8) -> Tag {
        Tag::from_bytes([byte; 16])
    }

    fn set(custodian: &str, epoch: u32, tags: &[u8]) -> TagSet {
        TagSet { custodian: custodian.parse().unwrap(), epoch, tags: tags.iter().copied().map(tag).collect() }
    }

    #[test]
    fn what_cannot_be_compared_is_unknown() {
        let record =
            RecordTags { custodian: "NorthMSP".parse().unwrap(), epoch: 2, tags: (1..=8).map(tag).collect() };
        let cases = [
            (Some(&record), set("NorthMSP", 2, &[8, 9]), Tagged::Yes),
            (Some(&record), set("NorthMSP", 2, &[9]), Tagged::No),
            (Some(&record), set("NorthMSP", 1, &[8]), Tagged::Unknown),
            (Some(&record), set("SouthMSP", 2, &[8]), Tagged::Unknown),
            (None, set("NorthMSP", 2, &[8]), Tagged::Unknown),
        ];
        for (record, sets, expected) in cases {
            assert_eq!(Tagged::of(record, std::slice::from_ref(&sets)), expected, "{sets:?}");
        }
        assert!(record.is_well_formed());
        assert!(!sets_are_well_formed(&[]));
        assert!(sets_are_well_formed(&[set("NorthMSP", 1, &[1]), set("SouthMSP", 1, &[1])]));
        assert!(!sets_are_well_formed(&[set("NorthMSP", 1, &[1]), set("NorthMSP", 2, &[1])]));
        assert!(!sets_are_well_formed(&[set("NorthMSP", 1, &[])]));
    }
}
