use caretrail_model::ids::PatientId;
use caretrail_model::paper::PaperAct;
use caretrail_model::statement::GuardianTerm;
use caretrail_model::statement::PublicKey;
use caretrail_model::time::Period;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;
use crate::labels::ProtectedArgs;

#[derive(Debug, Args)]
#[command(
    after_help = "It waits until another hospital confirms it.\n\nExample:\n  caretrail paper add-guardian --patient 5d… --guardian BKLf0Hu… --identity north/service"
)]
pub(crate) struct AddGuardian {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The guardian's public key, as `caretrail patient key` prints it.
    #[arg(long, value_name = "KEY", value_parser = arguments::public_key)]
    guardian: PublicKey,
    /// How many ends of calendar quarters ahead the term ends.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=4))]
    quarters: u8,
    #[command(flatten)]
    protected: ProtectedArgs,
}

impl AddGuardian {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let from = arguments::now()?;
        let protected = self.protected.sets(&session, &self.patient)?;
        let until = arguments::quarter_end(from, self.quarters)?;
        let term = GuardianTerm { public_key: self.guardian, term: Period { from, until }, protected };
        let act = PaperAct::AddGuardian { term };
        app.committed(&session.records.act_on_paper(self.patient, act).await?)
    }
}
