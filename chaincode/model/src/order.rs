//! The order of lists that are compared or signed.

/// Whether each item is greater than the one before it, so that none occurs twice.
pub(crate) fn strictly_ascending<T: PartialOrd>(items: impl Iterator<Item = T>) -> bool {
    let mut previous: Option<T> = None;
    for item in items {
        if previous.is_some_and(|previous| previous >= item) {
            return false;
        }
        previous = Some(item);
    }
    true
}
