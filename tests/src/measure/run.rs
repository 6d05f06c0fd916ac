//! One run of a benchmark, which ends in a report whatever happens in it.

use std::io::{self, Write as _};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::stage::Stage;

/// What a run found.
#[derive(Debug)]
pub struct Found {
    /// The report as it is printed.
    pub text: String,
    /// Whether every part of it was measured.
    pub whole: bool,
}

/// Runs a benchmark in a folder of its own and prints what it found. The folder is kept when something failed.
///
/// # Panics
/// When the folder cannot be made.
pub async fn on_stage<R>(tmp: &Path, name: &str, run: impl FnOnce(PathBuf) -> R) -> ExitCode
where
    R: Future<Output = Found> + Send + 'static,
{
    let stage = Stage::set(tmp, name);
    let run = tokio::spawn(run(stage.folder().to_owned()));
    let stop = run.abort_handle();
    let ended = tokio::select! {
        ended = run => ended.map_err(|error| error.to_string()),
        _ = tokio::signal::ctrl_c() => {
            stop.abort();
            Err("interrupted".to_owned())
        }
    };
    let whole = ended.as_ref().is_ok_and(|found| found.whole);
    stage.clear(!whole);
    match ended {
        Ok(found) => {
            // What is found is this program's output; whoever does not read it to its end has seen enough.
            let _ = writeln!(io::stdout(), "{}", found.text);
        }
        Err(reason) => eprintln!("{reason}"),
    }
    if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a part of a benchmark, at most for so long; a part that panics or hangs says why, and leaves the others.
///
/// # Errors
/// What became of the part instead.
pub async fn part<T>(name: &str, limit: Duration, part: impl Future<Output = T>) -> Result<T, String> {
    let why = match tokio::time::timeout(limit, AssertUnwindSafe(part).catch_unwind()).await {
        Ok(Ok(found)) => return Ok(found),
        Err(_) => format!("not done within {} s", limit.as_secs()),
        Ok(Err(panic)) => {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
        }
    };
    eprintln!("{name}: {why}");
    Err(format!("{name}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_fails_or_hangs_says_so_and_leaves_the_others() {
        let limit = Duration::from_millis(10);
        assert_eq!(part("one", Duration::MAX, async { 1 }).await, Ok(1));
        let panics: Result<(), _> = part("two", Duration::MAX, async { panic!("no {}", "peer") }).await;
        assert_eq!(panics, Err("two: no peer".to_owned()));
        let hangs: Result<(), _> = part("three", limit, std::future::pending()).await;
        assert_eq!(hangs, Err("three: not done within 0 s".to_owned()));
    }
}
