use caretrail_model::ids::{PatientId, RecordId};
use clap::Args;

use super::log::Row;
use super::page::{PageArgs, Placed};
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Its versions, custody and corrections, and every decision and release about it, in the order of the chain. For the \
                        auditor of the patient's home hospital; a record's versions alone are shown to its own hospital by \
                        `caretrail record history`.\n\n\
                        Example:\n  caretrail audit history 41… --patient 5d… --identity north/auditor"
)]
pub(crate) struct History {
    /// The record.
    record: RecordId,
    /// Whose record it is.
    #[arg(long)]
    patient: PatientId,
    #[command(flatten)]
    page: PageArgs,
}

impl History {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let index = self.page.index(&session)?;
        let log = session.records.access_log(&index, self.patient).await?;
        let rows = log
            .entries
            .iter()
            .flat_map(|logged| Row::of(logged).into_iter().map(move |row| (logged, row)))
            .map(|(logged, row)| {
                let record = row.record.as_deref().and_then(|record| record.parse().ok());
                Placed::of(logged, record, row)
            })
            .collect();
        self.page.page(app, &session, &log, Some(&self.record), rows).await?.print(app.printer)?;
        Ok(Exit::Done)
    }
}
