//! Keys of the state: simple ones and composite ones.

use thiserror::Error;

use crate::response::{Failure, code};

/// Starts every composite key and ends each of its parts.
const SEPARATOR: char = '\u{0}';
/// Sorts after every attribute, so it ends the range of a partial composite key.
const LAST: char = '\u{10FFFF}';
/// What Fabric takes as the start of all simple keys; an empty start would reach composite keys.
const FIRST_SIMPLE: &str = "\u{1}";

/// Why something is no key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key has no characters.
    #[error("key is empty: name the state to read or write")]
    Empty,
    /// A part holds U+0000 or U+10FFFF, which delimit composite keys.
    #[error(
        "part {index} of a composite key holds U+{character:04X}, which delimits keys: encode it, for example as hex"
    )]
    Delimiter {
        /// 0 for the object type, then 1 for the first attribute.
        index: usize,
        /// The code point found.
        character: u32,
    },
    /// A range of simple keys starts or ends with U+0000, where composite keys live.
    #[error("a range of simple keys reaches into composite keys: scan a partial composite key instead")]
    CompositeInRange,
    /// The key is not a composite one, so it cannot be split.
    #[error("key is no composite key: it has to start and end with U+0000")]
    NotComposite,
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Failure::new(400, code::KEY_INVALID).caused_by(error)
    }
}

/// Joins an object type and its attributes to one key: U+0000, then each part followed by U+0000.
///
/// Empty parts are kept. The same parts give the same key as in Fabric's other shims.
///
/// ```
/// let key = hlf_chaincode::composite_key("lot", &["north", "7"])?;
/// assert_eq!(key, "\u{0}lot\u{0}north\u{0}7\u{0}");
/// # Ok::<(), hlf_chaincode::KeyError>(())
/// ```
///
/// # Errors
/// [`KeyError::Delimiter`] if a part holds U+0000 or U+10FFFF.
pub fn composite_key<A: AsRef<str>>(object_type: &str, attributes: &[A]) -> Result<String, KeyError> {
    let parts = std::iter::once(object_type).chain(attributes.iter().map(AsRef::as_ref));
    let mut key = String::from(SEPARATOR);
    for (index, part) in parts.enumerate() {
        if let Some(character) = part.chars().find(|c| matches!(*c, SEPARATOR | LAST)) {
            return Err(KeyError::Delimiter { index, character: character.into() });
        }
        key.push_str(part);
        key.push(SEPARATOR);
    }
    Ok(key)
}

/// Splits a composite key into its object type and attributes.
///
/// ```
/// let (object_type, attributes) = hlf_chaincode::split_composite_key("\u{0}lot\u{0}north\u{0}7\u{0}")?;
/// assert_eq!((object_type, attributes), ("lot", vec!["north", "7"]));
/// # Ok::<(), hlf_chaincode::KeyError>(())
/// ```
///
/// # Errors
/// [`KeyError::NotComposite`] if the key does not start and end with U+0000.
pub fn split_composite_key(key: &str) -> Result<(&str, Vec<&str>), KeyError> {
    let parts = key
        .strip_prefix(SEPARATOR)
        .and_then(|rest| rest.strip_suffix(SEPARATOR))
        .ok_or(KeyError::NotComposite)?;
    let mut parts = parts.split(SEPARATOR);
    let object_type = parts.next().ok_or(KeyError::NotComposite)?;
    Ok((object_type, parts.collect()))
}

/// A half-open range of keys in byte order; an empty end means no end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRange {
    pub(crate) start: String,
    pub(crate) end: String,
}

impl KeyRange {
    pub(crate) fn simple(start: &str, end: &str) -> Result<Self, KeyError> {
        if start.starts_with(SEPARATOR) || end.starts_with(SEPARATOR) {
            return Err(KeyError::CompositeInRange);
        }
        let start = if start.is_empty() { FIRST_SIMPLE } else { start };
        Ok(Self { start: start.to_owned(), end: end.to_owned() })
    }

    pub(crate) fn partial_composite<A: AsRef<str>>(
        object_type: &str,
        attributes: &[A],
    ) -> Result<Self, KeyError> {
        let start = composite_key(object_type, attributes)?;
        let mut end = start.clone();
        end.push(LAST);
        Ok(Self { start, end })
    }

    pub(crate) fn all_composite() -> Self {
        Self { start: SEPARATOR.to_string(), end: String::from_iter([SEPARATOR, LAST]) }
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.start.as_str() <= key && (self.end.is_empty() || key < self.end.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_as_they_went_in() {
        for attributes in [vec![], vec![""], vec!["", ""], vec!["a", "", "b"], vec!["\u{1}", "ü", "💊"]] {
            for object_type in ["", "t", "type"] {
                let key = composite_key(object_type, &attributes).unwrap();
                assert_eq!(split_composite_key(&key), Ok((object_type, attributes.clone())));
            }
        }
    }

    #[test]
    fn delimiters_are_refused_in_every_part() {
        assert_eq!(composite_key("a\u{0}", &["b"]), Err(KeyError::Delimiter { index: 0, character: 0 }));
        assert_eq!(
            composite_key("a", &["b", "\u{10FFFF}"]),
            Err(KeyError::Delimiter { index: 2, character: 0x10_FFFF })
        );
    }

    #[test]
    fn only_composite_keys_split() {
        for key in ["", "\u{0}", "a", "\u{0}a", "a\u{0}"] {
            assert_eq!(split_composite_key(key), Err(KeyError::NotComposite), "{key:?}");
        }
    }

    #[test]
    fn simple_ranges_never_reach_composite_keys() {
        let all = KeyRange::simple("", "").unwrap();
        assert!(all.contains("\u{1}") && all.contains("a") && all.contains("\u{10FFFF}z"));
        assert!(!all.contains(&composite_key("t", &["a"]).unwrap()));
        assert_eq!(KeyRange::simple("\u{0}t", ""), Err(KeyError::CompositeInRange));
        assert_eq!(KeyRange::simple("a", "\u{0}"), Err(KeyError::CompositeInRange));
    }

    #[test]
    fn a_partial_key_covers_whole_attributes_only() {
        let range = KeyRange::partial_composite("t", &["a"]).unwrap();
        assert!(range.contains(&composite_key("t", &["a", "1"]).unwrap()));
        assert!(range.contains(&composite_key("t", &["a", ""]).unwrap()));
        assert!(!range.contains(&composite_key("t", &["ab", "1"]).unwrap()));
        assert!(!range.contains(&composite_key("tt", &["a"]).unwrap()));
    }

    proptest::proptest! {
        #[test]
        fn a_partial_key_covers_exactly_the_keys_that_begin_with_it(
            parts in proptest::collection::vec("[ab\u{1}\u{10FFFE}]{0,2}", 0..4),
            prefix in proptest::collection::vec("[ab\u{1}\u{10FFFE}]{0,2}", 0..3),
        ) {
            let key = composite_key("t", &parts).unwrap();
            let begins = parts.len() >= prefix.len() && parts.iter().zip(&prefix).all(|(part, of)| part == of);
            let range = KeyRange::partial_composite("t", &prefix).unwrap();
            proptest::prop_assert_eq!(range.contains(&key), begins);
            let (object_type, attributes) = split_composite_key(&key).unwrap();
            proptest::prop_assert_eq!((object_type, attributes), ("t", parts.iter().map(String::as_str).collect()));
        }
    }
}
