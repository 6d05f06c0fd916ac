//! How operators call what this library does, where a message names a command.

use std::sync::OnceLock;

/// How they call it when nobody says.
const UNNAMED: &str = "network";

static PREFIX: OnceLock<String> = OnceLock::new();

/// Says how operators call this library's commands, such as `mytool network`: whatever names one to them, error, finding or
/// what is awaited from others, then begins with that.
///
/// A program says it once, before anything else of this library; `network` stands there without it. Returns false, and
/// changes nothing, when it was said before.
pub fn name_commands(prefix: impl Into<String>) -> bool {
    PREFIX.set(prefix.into()).is_ok()
}

/// What stands before every command.
pub(crate) fn prefix() -> &'static str {
    PREFIX.get().map_or(UNNAMED, String::as_str)
}

/// A command as an operator types it, in backticks.
pub(crate) fn typed(words: &str) -> String {
    format!("`{} {words}`", prefix())
}
