use caretrail_model::ids::TxId;
use clap::Args;
use hlf_gateway::{Cause, Explanation};

use crate::app::App;
use crate::failure::Exit;
use crate::printer::Format;

#[derive(Debug, Args)]
#[command(
    after_help = "It is told from the peer's own blocks: what the transaction was, its verdict, and why. For a conflict, the \
                        key and the transaction that changed it first; for a policy failure, which organisations are \
                        missing. Whole blocks are for admins.\n\nA VALID transaction ends with 0, one that had no effect \
                        with 1, one that is in no block with 4.\n\nExamples:\n  caretrail tx explain 8c… --identity \
                        north/admin\n  caretrail tx explain 8c… --identity north/admin --format json"
)]
pub(crate) struct Explain {
    /// The transaction.
    tx_id: TxId,
}

impl Explain {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let channel = session.records.ledger().channel.to_string();
        let explanation = session.records.gateway().explain(&channel, &self.tx_id.to_string()).await?;
        match app.printer.format {
            Format::Json => app.printer.data(&explanation)?,
            Format::Table => app.printer.text(&format!("{explanation}\n"))?,
        }
        Ok(exit(&explanation))
    }
}

/// A transaction that is in no block may still come into one.
fn exit(explanation: &Explanation) -> Exit {
    match explanation.cause {
        Cause::Valid => Exit::Done,
        Cause::InNoBlock => Exit::Unknown,
        _ => Exit::Failed,
    }
}
