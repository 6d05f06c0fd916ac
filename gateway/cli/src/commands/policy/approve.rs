use caretrail_model::calls::ApprovePolicy;
use caretrail_model::ids::Digest;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "The first policy is in force once every hospital it names has approved, a later one once a majority \
                        has.\n\nExample:\n  caretrail policy approve 3f… --identity south/admin"
)]
pub(crate) struct Approve {
    /// The proposed policy's digest.
    digest: Digest,
}

impl Approve {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let committed = session.records.approve_policy(&ApprovePolicy { digest: self.digest }).await?;
        app.committed(&committed)
    }
}
