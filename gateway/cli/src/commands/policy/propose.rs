use std::path::PathBuf;

use anyhow::Context as _;
use caretrail_model::calls::ProposePolicy;
use caretrail_model::policy::ConsortiumPolicy;
use clap::Args;

use crate::app::App;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail policy draft > policy.json\n  \
                        caretrail policy propose policy.json --identity north/admin")]
pub(crate) struct Propose {
    /// The policy's JSON; its digest is over exactly this text.
    file: PathBuf,
}

impl Propose {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let text = std::fs::read_to_string(&self.file)
            .with_context(|| format!("policy `{}` cannot be read", self.file.display()))?;
        let policy: ConsortiumPolicy = serde_json::from_str(&text)
            .map_err(|error| Invalid(format!("the policy is no policy: {error}")))?;
        policy.validate().map_err(|error| Invalid(error.to_string()))?;
        let session = app.session().await?;
        let committed = session.records.propose_policy(&ProposePolicy { policy: text }).await?;
        app.printer.say(format!("proposed; now: caretrail policy approve {}", committed.reply.digest));
        app.committed(&committed)
    }
}
