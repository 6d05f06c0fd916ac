use std::path::PathBuf;

use caretrail_model::calls::AddGuardian;
use caretrail_model::ids::PatientId;
use caretrail_model::statement::GuardianTerm;
use caretrail_model::statement::Operation;
use caretrail_model::statement::PublicKey;
use caretrail_model::time::DurationMs;
use caretrail_model::time::Period;
use caretrail_records::patient_key::PatientKey;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;
use crate::labels::ProtectedArgs;

#[derive(Debug, Args)]
#[command(
    after_help = "The guardian's permits end with the term, denials stay. A term that is renewed in time goes on.\n\nExample:\n  caretrail guardian add --patient 5d… --key patient.pem --guardian BKLf0Hu… --quarters 4 --identity south/service"
)]
pub(crate) struct Add {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The patient's key file.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The guardian's public key, as `caretrail patient key` prints it.
    #[arg(long, value_name = "KEY", value_parser = arguments::public_key)]
    guardian: PublicKey,
    /// How many ends of calendar quarters ahead the term ends.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=4))]
    quarters: u8,
    #[command(flatten)]
    protected: ProtectedArgs,
    /// How long the signed statement may be carried.
    #[arg(long, value_name = "TIME", value_parser = arguments::duration, default_value = "1h")]
    submit_within: DurationMs,
}

impl Add {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let key = PatientKey::load(&self.key)?;
        let session = app.session().await?;
        let submit_by = arguments::now()?.plus(self.submit_within);
        let from = arguments::now()?;
        let protected = self.protected.sets(&session, &self.patient)?;
        let until = arguments::quarter_end(from, self.quarters)?;
        let term = GuardianTerm { public_key: self.guardian, term: Period { from, until }, protected };
        let operation = Operation::AddGuardian(term);
        let signed = key.sign(session.records.ledger(), self.patient, submit_by, operation)?;
        app.committed(&session.records.add_guardian(&AddGuardian { signed }).await?)
    }
}
