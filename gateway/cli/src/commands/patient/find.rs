use clap::Args;
use serde::Serialize;

use crate::app::App;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail patient find 4711 --identity north/service")]
pub(crate) struct Find {
    /// The hospital's own number.
    number: String,
}

#[derive(Debug, Serialize)]
struct Found {
    patient: String,
}

impl Find {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let custody = session.custody()?;
        let Some(patient) = custody.store.patient(&self.number)? else {
            return Err(Invalid(
                "no patient of this hospital has that number: register the patient".to_owned(),
            )
            .into());
        };
        app.printer.data(&Found { patient: patient.to_string() })?;
        Ok(Exit::Done)
    }
}
