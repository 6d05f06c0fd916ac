use caretrail_model::ids::Actor;
use caretrail_model::role::Role;
use clap::Args;
use serde::Serialize;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail identity show north/ada")]
pub(crate) struct Show {
    /// `ORGANISATION/NAME`.
    name: String,
}

/// An identity for people: who it is on the channel.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    name: String,
    actor: String,
    role: Role,
}

impl Shown {
    pub(super) fn new(name: &str, actor: &Actor, role: Role) -> Self {
        Self { name: name.to_owned(), actor: actor.to_string(), role }
    }
}

impl Show {
    pub(crate) fn run(self, app: &App) -> anyhow::Result<Exit> {
        let (actor, role) = app.enrolled(&self.name)?;
        app.printer.data(&Shown::new(&self.name, &actor, role))?;
        Ok(Exit::Done)
    }
}
