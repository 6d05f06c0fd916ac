//! Size classes: the channel shows how long a sealed blob is, not how long its document is.

/// Smallest size class; shorter contents all look alike.
pub(super) const SIZE_CLASS_BYTES_MIN: u64 = 4096;

/// The size class of a content: Padmé (Nikitin et al., PURBs) from 4 KiB on, at most 6.25 % larger.
///
/// A length keeps as many leading bits as the length of its exponent and is rounded up in the others, so
/// that all lengths up to 64 MiB fall into some 400 classes.
pub(super) fn size_class(bytes: u64) -> u64 {
    if bytes <= SIZE_CLASS_BYTES_MIN {
        return SIZE_CLASS_BYTES_MIN;
    }
    let exponent = bytes.ilog2();
    let kept = exponent.ilog2() + 1;
    let rounding = (1 << (exponent - kept)) - 1;
    (bytes + rounding) & !rounding
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_class_holds_its_content_and_is_at_most_a_sixteenth_larger() {
        let mut classes = BTreeSet::new();
        let mut bytes = 1;
        while bytes <= 64 * 1024 * 1024 + 137 {
            let class = size_class(bytes);
            assert!(class >= bytes && size_class(class) == class, "{bytes}");
            assert!(class == SIZE_CLASS_BYTES_MIN || (class - bytes) * 16 <= bytes, "{bytes} {class}");
            classes.insert(class);
            bytes += 1 + bytes / 500;
        }
        assert!(classes.len() < 420, "{}", classes.len());
    }
}
