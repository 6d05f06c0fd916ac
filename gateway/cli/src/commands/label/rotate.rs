use caretrail_model::ids::PatientId;
use clap::Args;
use serde::Serialize;

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Tags of the earlier key can be compared with nothing from then on: records stay closed wherever labels count, until \
                        their labels are renewed and the patient has signed the consents by label anew. Rotate when the old tags \
                        were linked to labels by somebody who should not.\n\n\
                        Example:\n  caretrail label rotate --patient 5d… --identity north/service"
)]
pub(crate) struct Rotate {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
}

#[derive(Debug, Serialize)]
struct Rotated {
    patient: String,
    epoch: u32,
}

impl Rotate {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let epoch = session.custody()?.store.rotate_tag_key(&self.patient)?;
        app.printer.data(&Rotated { patient: self.patient.to_string(), epoch })?;
        app.printer.say(format!(
            "next: `caretrail label renew --patient {}`, then have consents by label signed anew",
            self.patient
        ));
        Ok(Exit::Done)
    }
}
