use std::path::PathBuf;

use caretrail_model::calls::GrantConsent;
use caretrail_model::ids::{PatientId, StatementId};
use caretrail_model::statement;
use caretrail_model::time::DurationMs;
use caretrail_records::patient_key::PatientKey;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::failure::Exit;
use crate::provision::ProvisionArgs;

#[derive(Debug, Args)]
#[command(
    after_help = "The identity only carries the statement: nobody but the patient's key can sign it.\n\n\
                        Examples:\n  caretrail consent grant --patient 5d… --key patient.pem --to SouthMSP/7c… \\\n    \
                        --purpose TREAT --for 30d --identity south/service\n  \
                        caretrail consent grant --patient 5d… --key patient.pem --to SouthMSP --except label=HIV \\\n    \
                        --except purpose=CLINTRCH,to=SouthMSP/clinician --identity north/service\n  \
                        caretrail consent grant --patient 5d… --key patient.pem --provision provision.json --identity south/service"
)]
pub(crate) struct Grant {
    /// The patient.
    #[arg(long)]
    patient: PatientId,
    /// The key file of the patient, or of a guardian.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The live consent that it replaces.
    #[arg(long, value_name = "CONSENT")]
    supersedes: Option<StatementId>,
    /// How long the signed statement may be carried.
    #[arg(long, value_name = "TIME", value_parser = arguments::duration, default_value = "1h")]
    submit_within: DurationMs,
    #[command(flatten)]
    pub(super) provision: ProvisionArgs,
}

impl Grant {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let key = PatientKey::load(&self.key)?;
        let session = app.session().await?;
        let provision = self.provision.read(app, &session, &self.patient).await?;
        let grant = statement::Grant { provision, supersedes: self.supersedes };
        let submit_by = arguments::now()?.plus(self.submit_within);
        let signed = key.grant(session.records.ledger(), self.patient, grant, submit_by)?;
        app.committed(&session.records.grant_consent(&GrantConsent { signed }).await?)
    }
}
