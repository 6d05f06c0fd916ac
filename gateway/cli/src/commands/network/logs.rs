use std::time::{Duration, SystemTime, UNIX_EPOCH};

use caretrail_model::time::UnixMs;
use clap::Args;
use hlf_network::logs::{Level, LogEntry, LogQuery, LogsError};
use hlf_network::network::Network;

use crate::app::App;
use crate::arguments::shown;
use crate::failure::{Exit, Invalid};
use crate::printer::Format;

#[derive(Debug, Args)]
#[command(
    after_help = "Entries of all processes come in the order of time, those of earlier runs that were kept included. As JSON \
                        it is one entry a line.\n\n\
                        Examples:\n  caretrail network logs --since 10m --level warn\n  \
                        caretrail network logs peer0.north.example.com --follow\n  \
                        caretrail network logs --grep 'leader|quorum' --format json"
)]
pub(crate) struct Logs {
    /// Processes by their names, as `status` shows them [default: all].
    nodes: Vec<String>,
    /// Goes on with what is said from now on, until it is interrupted.
    #[arg(long, short)]
    follow: bool,
    /// The earliest moment: a time ago, such as `10m`, or an instant, such as `2026-01-31T12:00:00Z`.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<i64>,
    /// The least severe level: debug, info, warn or error.
    #[arg(long)]
    level: Option<Level>,
    /// Texts of which an entry has to hold one, with `|` between them; upper and lower case are one.
    #[arg(long, value_name = "TEXT|TEXT…", value_delimiter = '|')]
    grep: Vec<String>,
}

impl Logs {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        let mut query = LogQuery::default();
        query.nodes = self.nodes;
        query.since = self.since;
        query.level = self.level;
        query.containing = self.grep;
        let mut logs = network.logs(query).map_err(|error| match error {
            LogsError::Unknown { .. } => anyhow::Error::from(Invalid(error.to_string())),
            error => error.into(),
        })?;
        while let Some(entry) = logs.next_entry()? {
            print(app, &entry)?;
            // An interruption is heard between two entries.
            tokio::task::consume_budget().await;
        }
        if self.follow {
            let mut follow = logs.follow();
            loop {
                for entry in follow.next().await? {
                    print(app, &entry)?;
                }
            }
        }
        Ok(Exit::Done)
    }
}

fn print(app: &App, entry: &LogEntry) -> anyhow::Result<()> {
    match app.printer.format {
        Format::Json => app.printer.data(entry),
        Format::Table => {
            let at = entry.at.and_then(|at| UnixMs::new(u64::try_from(at).ok()?)).map(shown);
            let level = match entry.level {
                Some(Level::Debug) => "debug",
                Some(Level::Info) => "info",
                Some(Level::Warn) => "warn",
                Some(Level::Error) => "error",
                None => "-",
            };
            let at = at.unwrap_or_else(|| "-".to_owned());
            app.printer.text(&format!("{at}  {}  {level:5}  {}\n", entry.node, entry.text))
        }
    }
}

/// Unix milliseconds of a time ago or an instant.
fn instant(text: &str) -> Result<i64, Invalid> {
    let at = match humantime::parse_duration(text) {
        Ok(ago) => SystemTime::now().checked_sub(ago),
        Err(_) => humantime::parse_rfc3339_weak(text).ok(),
    };
    at.and_then(|at| at.duration_since(UNIX_EPOCH).ok())
        .as_ref()
        .map(Duration::as_millis)
        .and_then(|millis| i64::try_from(millis).ok())
        .ok_or_else(|| Invalid(format!("`{text}` is neither a time ago, such as `10m`, nor an instant")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_ago_or_an_instant() {
        assert_eq!(instant("2026-01-01T00:00:00Z").unwrap(), 1_767_225_600_000);
        let ago = instant("10m").unwrap();
        assert!(ago > 1_767_225_600_000);
        for wrong in ["", "yesterday", "-5m", "2026"] {
            assert!(instant(wrong).is_err(), "{wrong}");
        }
    }
}
