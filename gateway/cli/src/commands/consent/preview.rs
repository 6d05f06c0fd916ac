use std::path::PathBuf;

use caretrail_model::calls::PreviewConsent;
use caretrail_model::ids::RecordId;
use caretrail_model::statement::Operation;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(
    after_help = "Says whose decisions the draft would change, before it is signed.\n\nExample:\n  caretrail consent preview grant.json --record 41… --actor south/ben --identity north/service"
)]
pub(crate) struct Preview {
    /// The prepared statement of a grant, or a signed one.
    file: PathBuf,
    /// Whom to decide for; may be given more than once.
    #[arg(long = "actor", value_name = "ACTOR", required = true)]
    actors: Vec<String>,
    /// For which record; may be given more than once.
    #[arg(long = "record", value_name = "RECORD", required = true)]
    records: Vec<RecordId>,
}

impl Preview {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let statement = super::prepare::read_statement(&self.file)?;
        let Operation::GrantConsent(draft) = statement.operation else {
            return Err(Invalid("the statement grants nothing that could be previewed".to_owned()).into());
        };
        let mut actors = Vec::with_capacity(self.actors.len());
        for actor in &self.actors {
            actors.push(arguments::actor(app, actor)?);
        }
        let mut records = self.records;
        records.sort_unstable();
        records.dedup();
        let session = app.session().await?;
        let call = PreviewConsent { patient: statement.patient, draft, actors, records };
        app.printer.data(&session.records.evaluate(&call).await?)?;
        Ok(Exit::Done)
    }
}
