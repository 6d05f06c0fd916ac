use caretrail_model::calls::GetStanding;
use caretrail_model::ids::Actor;
use clap::Args;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail practitioner show south/ben --identity north/admin")]
pub(crate) struct Show {
    /// The practitioner: `MSP/SUBJECT`, or `ORGANISATION/NAME`.
    practitioner: String,
}

impl Show {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let actor = match self.practitioner.parse::<Actor>() {
            Ok(actor) => actor,
            Err(_) => app.actor_of(&self.practitioner)?,
        };
        let session = app.session().await?;
        app.printer.data(&session.records.standing(&GetStanding { actor }).await?)?;
        Ok(Exit::Done)
    }
}
