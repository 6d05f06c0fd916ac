use std::path::PathBuf;

use caretrail_records::statements::plain_words;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Read it before you sign: it says in words what the text decides.\n\n\
                        Example:\n  caretrail consent show statement.json")]
pub(crate) struct Show {
    /// A prepared or a signed statement.
    file: PathBuf,
}

impl Show {
    pub(crate) fn run(self, app: &App) -> anyhow::Result<Exit> {
        let statement = super::prepare::read_statement(&self.file)?;
        let words = plain_words(&statement, arguments::shown);
        app.printer.text(&(words.join("\n") + "\n"))?;
        Ok(Exit::Done)
    }
}
