use caretrail_model::consent::{Action, Effect, Provision, Scope};
use caretrail_model::ids::PatientId;
use caretrail_model::paper::PaperAct;
use caretrail_model::purpose::Purpose;
use caretrail_model::time::DurationMs;
use caretrail_model::time::Period;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "A permit waits until another hospital confirms it: `caretrail paper confirm`.\n\nExample:\n  caretrail paper grant --patient 5d… --to SouthMSP/clinician --for 30d --identity north/service"
)]
pub(crate) struct Grant {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// Whom it names: `MSP`, `MSP/ROLE`, `MSP/SUBJECT`, or `ORGANISATION/NAME` of an identity in the state folder.
    #[arg(long, value_name = "GRANTEE")]
    to: String,
    /// Denies instead of permitting; a denial works at once.
    #[arg(long)]
    deny: bool,
    /// For which purpose; may be given more than once.
    #[arg(long = "purpose", value_name = "CODE", default_value = "TREAT")]
    purposes: Vec<Purpose>,
    /// How long it holds.
    #[arg(long = "for", value_name = "TIME", value_parser = arguments::duration, default_value = "30d")]
    lasting: DurationMs,
}

impl Grant {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let from = arguments::now()?;
        let mut purposes = self.purposes;
        purposes.sort_unstable();
        purposes.dedup();
        let provision = Provision {
            effect: if self.deny { Effect::Deny } else { Effect::Permit },
            grantee: crate::commands::consent::named(app, &self.to)?,
            actions: vec![Action::Read],
            purposes,
            scope: Scope::All {},
            period: Period { from, until: from.plus(self.lasting) },
            exceptions: Vec::new(),
        };
        let act = PaperAct::Grant { provision };
        app.committed(&session.records.act_on_paper(self.patient, act).await?)
    }
}
