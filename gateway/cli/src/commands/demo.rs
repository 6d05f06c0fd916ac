//! `caretrail demo`: a record's whole way through a two-hospital network.

use std::path::PathBuf;

use anyhow::Context as _;
use caretrail_records::document::Document;
use clap::Args;

use crate::app::{App, make_private};
use crate::commands::network::{Up, stand_up};
use crate::commands::{identity, serve};
use crate::failure::Exit;

mod story;
mod teller;

use story::Story;
use teller::Teller;

/// Staff of the story, by hospital; their certificates name nobody.
const STAFF: [&str; 3] = ["north/ada", "north/newcomer", "south/ben"];

#[derive(Debug, Args)]
#[command(
    after_help = "It makes what is missing, uses what runs, and leaves the network running. Each run tells the story of a new \
                        synthetic patient.\n\nExamples:\n  caretrail demo\n  caretrail demo --file scan.pdf"
)]
pub(crate) struct Demo {
    /// A document of your own to carry along, 1 byte to 64 MiB.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    up: Up,
}

impl Demo {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        if let Some(file) = &self.file {
            // Said before minutes are spent on a network.
            Document::open(file, None)?;
        }
        app.printer.say(
            "Standing up a Fabric network of two hospitals on this machine. The first time Fabric itself is built, which takes \
             minutes; later runs take seconds.",
        );
        let network = stand_up(&self.up, app).await?;
        for name in STAFF {
            if app.actor_of(name).is_err() {
                identity::issue(&network, name, caretrail_model::role::Role::Clinician).await?;
            }
        }
        let folder = app.state().join("demo");
        make_private(&folder)?;
        let mut story = Story::begin(app, &network, folder, self.file, Teller::new(app.printer)).await?;
        story.constitute().await?;
        // A daemon releases under a policy, so there has to be one.
        for organization in &network.spec().organizations {
            serve::ensure(app, &network, organization).await?;
        }
        story.tell().await.context("the story stopped")?;
        Ok(Exit::Done)
    }
}
