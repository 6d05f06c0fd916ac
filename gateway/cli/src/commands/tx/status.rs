use caretrail_model::ids::TxId;
use clap::Args;
use serde::Serialize;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "A transaction whose outcome was reported as unknown is asked for here. It ends with 4 as long as no block \
                        holds it.\n\nExample:\n  caretrail tx status 8c… --identity north/service"
)]
pub(crate) struct Status {
    /// The transaction.
    tx_id: TxId,
}

#[derive(Debug, Serialize)]
struct Committed {
    tx_id: String,
    validation_code: String,
    block: u64,
}

impl Status {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let status = session.records.outcome(&self.tx_id).await?;
        app.printer.data(&Committed {
            tx_id: status.tx_id.clone(),
            validation_code: status.code.as_str_name().to_owned(),
            block: status.block_number,
        })?;
        Ok(if status.is_valid() { Exit::Done } else { Exit::Failed })
    }
}
