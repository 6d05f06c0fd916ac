use clap::Args;
use hlf_network::network::{AuthorityPart, Network};

use super::super::up::{Programs, options};
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "First the new authorities come beside the old, and everything is issued anew. When hospitals elsewhere have peers on the \
                        channel, begin with --announce and have them restart their peers. Restart what uses the hospital's \
                        certificates, such as its daemon; then, with --finish, the old authorities go. Each part goes on when it \
                        is run again.\n\nExample:\n  caretrail network certificates renew-authority north\n  \
                        caretrail network certificates renew-authority north --finish"
)]
pub(crate) struct RenewAuthority {
    /// Name of the hospital, or MSP id of the ordering organisation.
    org: String,
    /// Makes the channel and the nodes here trust the new authorities, and no more: for networks with peers elsewhere.
    #[arg(long, conflicts_with = "finish")]
    announce: bool,
    /// Removes the old authorities, once everything has certificates of the new ones.
    #[arg(long)]
    finish: bool,
    #[command(flatten)]
    programs: Programs,
}

impl RenewAuthority {
    pub(super) async fn run(self, network: &Network, app: &App) -> anyhow::Result<Exit> {
        let options = options(&self.programs, network.spec())?;
        let progress = app.progress();
        let part = match (self.announce, self.finish) {
            (true, _) => AuthorityPart::Announce,
            (false, true) => AuthorityPart::Finish,
            (false, false) => AuthorityPart::Reissue,
        };
        let renewal = network.renew_authority(&self.org, part, &options, &progress).await?;
        app.printer.data(&renewal)?;
        Ok(Exit::Done)
    }
}
