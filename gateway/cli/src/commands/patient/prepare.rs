use caretrail_model::statement::PublicKey;
use caretrail_model::time::DurationMs;
use caretrail_records::statements;
use clap::Args;

use crate::app::App;
use crate::arguments;
use crate::commands::consent::passkey::PasskeyArgs;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "For a patient whose key is elsewhere, such as a passkey: the key signs what this prints, and `caretrail patient \
                        register --statement` carries it. The hospital of the identity becomes the patient's home.\n\n\
                        Example:\n  caretrail patient prepare --public-key BKLf0Hu… --webauthn --identity north/service > ask.json"
)]
pub(crate) struct Prepare {
    /// The patient's public key: an uncompressed point of P-256, base64url.
    #[arg(long, value_name = "KEY", value_parser = arguments::public_key)]
    public_key: PublicKey,
    /// How long the signed statement may be carried.
    #[arg(long, value_name = "TIME", value_parser = arguments::duration, default_value = "1d")]
    submit_within: DurationMs,
    #[command(flatten)]
    passkey: PasskeyArgs,
}

impl Prepare {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        let home = &session.records.actor().msp_id;
        let submit_by = arguments::now()?.plus(self.submit_within);
        let ledger = session.records.ledger();
        let (patient, text) = statements::prepare_registration(ledger, home, self.public_key, submit_by)?;
        app.printer.say(format!("the patient will be {patient}"));
        self.passkey.print(app, &session, text).await
    }
}
