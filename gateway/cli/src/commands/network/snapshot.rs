//! `caretrail network snapshot`: a channel's state in a folder, by which further peers join.

use clap::{Args, Subcommand};
use hlf_network::network::Network;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Has a peer write a snapshot of the channel's state as of its newest block.
    Create(Create),
    /// Shows the snapshots on all peers, and those that are still to be made.
    List(List),
}

#[derive(Debug, Args)]
#[command(
    after_help = "A further peer joins by it: add the peer to a spec, then `caretrail network apply --spec FILE --snapshot DIR`. The \
                        folder may be copied to the new peer's machine.\n\n\
                        Example:\n  caretrail network snapshot create --peer peer0.north.example.com"
)]
pub(crate) struct Create {
    /// The peer's host name.
    #[arg(long, value_name = "HOST")]
    peer: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail network snapshot list")]
pub(crate) struct List {}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    let network = Network::existing(&app.network_folder())?;
    match verb {
        Verb::Create(create) => {
            let progress = app.progress();
            app.printer.data(&network.make_snapshot(&create.peer, &progress).await?)?;
        }
        Verb::List(List {}) => app.printer.data(&network.snapshots().await?)?,
    }
    Ok(Exit::Done)
}
