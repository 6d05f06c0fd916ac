//! `caretrail access`: decisions, committed on the channel.

use clap::Subcommand;

use crate::app::App;
use crate::failure::Exit;

mod preview;
mod replay;
mod request;
mod show;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Asks for access to records; the decision commits, a denial too.
    Request(request::Request),
    /// Shows a committed decision.
    Show(show::Show),
    /// Shows what a request would be answered, with every reason.
    Preview(preview::Preview),
    /// Decides a committed request again, with every reason.
    Replay(replay::Replay),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Request(request) => request.run(app).await,
        Verb::Show(show) => show.run(app).await,
        Verb::Preview(preview) => preview.run(app).await,
        Verb::Replay(replay) => replay.run(app).await,
    }
}
