use caretrail_model::consent::{Action, Effect, Provision, Scope};
use caretrail_model::ids::PatientId;
use caretrail_model::ids::StatementId;
use caretrail_model::purpose::Purpose;
use caretrail_model::time::DurationMs;
use caretrail_model::time::Period;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "It has to be narrower than the permit in every dimension, and ends with it.\n\nExample:\n  caretrail consent delegate 9a… --patient 5d… --to south/eve --for 1d --identity south/ben"
)]
pub(crate) struct Delegate {
    /// The permit that is passed on.
    parent: StatementId,
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// Whom it names: `MSP`, `MSP/ROLE`, `MSP/SUBJECT`, or `ORGANISATION/NAME` of an identity in the state folder.
    #[arg(long, value_name = "GRANTEE")]
    to: String,
    /// For which purpose; may be given more than once.
    #[arg(long = "purpose", value_name = "CODE", default_value = "TREAT")]
    purposes: Vec<Purpose>,
    /// How long it holds.
    #[arg(long = "for", value_name = "TIME", value_parser = arguments::duration, default_value = "30d")]
    lasting: DurationMs,
}

impl Delegate {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let from = arguments::now()?;
        let mut purposes = self.purposes;
        purposes.sort_unstable();
        purposes.dedup();
        let provision = Provision {
            effect: Effect::Permit,
            grantee: super::named(app, &self.to)?,
            actions: vec![Action::Read],
            purposes,
            scope: Scope::All {},
            period: Period { from, until: from.plus(self.lasting) },
            exceptions: Vec::new(),
        };
        app.committed(&session.records.delegate(self.patient, self.parent, provision).await?)
    }
}
