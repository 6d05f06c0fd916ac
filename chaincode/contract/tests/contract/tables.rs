//! Tables that are made by making calls, and committed.

/// Compares a table with the committed one, or writes it.
pub(crate) fn compare(file: &str, table: &str) {
    if std::env::var_os("CARETRAIL_WRITE_TABLES").is_some() {
        std::fs::write(file, table).unwrap();
    }
    let committed =
        std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file} is committed: {error}"));
    assert_eq!(
        committed, table,
        "{file} changed: look at it, then write it anew with CARETRAIL_WRITE_TABLES=1"
    );
}
