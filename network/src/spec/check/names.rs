//! What names may be made of.

use std::collections::BTreeSet;

use super::{SpecError, once};

const HOST_FIX: &str =
    "use lower-case letters, digits and hyphens, a letter or digit at both ends, 1 to 63 characters";
const DOMAIN_FIX: &str = "use a DNS name such as `north.example.com`";
const MSP_FIX: &str = "use letters, digits, dots and hyphens, a letter or digit first, 1 to 64 characters";

/// Whether a name can be a user's folder.
pub(crate) fn is_user_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

pub(in crate::spec) fn is_host(label: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=63).contains(&label.len())
        && label.starts_with(inner)
        && label.ends_with(inner)
        && label.chars().all(|c| inner(c) || c == '-')
}

pub(super) fn hosts(field: &str, names: &[String]) -> Result<(), SpecError> {
    let mut seen = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if !is_host(name) {
            return Err(SpecError::field(field, name, HOST_FIX));
        }
        once(&mut seen, field, name)?;
    }
    Ok(())
}

pub(super) fn domain(field: &str, name: &str) -> Result<(), SpecError> {
    if name.len() <= 253 && name.split('.').all(is_host) {
        Ok(())
    } else {
        Err(SpecError::field(field, name, DOMAIN_FIX))
    }
}

pub(super) fn msp_id(field: &str, id: &str) -> Result<(), SpecError> {
    let valid = (1..=64).contains(&id.len())
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    if valid { Ok(()) } else { Err(SpecError::field(field, id, MSP_FIX)) }
}

/// Letters and digits in runs, with one separator between runs: Fabric's rule for names and labels.
pub(super) fn segments(text: &str, separators: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .split(|c| separators.contains(c))
            .all(|run| !run.is_empty() && run.chars().all(|c| c.is_ascii_alphanumeric()))
}
