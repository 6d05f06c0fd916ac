use caretrail_model::label::KNOWN_LABELS;
use clap::Args;
use serde::Serialize;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "They are codes of HL7 v3 ActCode. Upper and lower case are the same label.\n\n\
                        Example:\n  caretrail label known")]
pub(crate) struct Known {}

#[derive(Debug, Serialize)]
struct Row {
    label: &'static str,
    stands_for: &'static str,
}

impl Known {
    pub(crate) fn run(self, app: &App) -> anyhow::Result<Exit> {
        let rows: Vec<_> = KNOWN_LABELS.iter().map(|(label, stands_for)| Row { label, stands_for }).collect();
        app.printer.rows(&rows)?;
        Ok(Exit::Done)
    }
}
