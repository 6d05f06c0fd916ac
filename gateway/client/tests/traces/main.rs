//! What the client says of its transactions: a program of its own, one test at a time, because what is said in one
//! thread is cut short when another one stops to listen.

// Functions outside of `#[test]` make the scripts: what they unwrap is the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod an_exporter_gets_one_span;
mod nothing_secret_is_traced;
#[path = "../against_scripted_peers/scripted.rs"]
#[expect(dead_code, reason = "the other program needs the rest")]
mod scripted;
mod transactions_are_traced;

/// Held by the test that listens.
static LISTENING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
