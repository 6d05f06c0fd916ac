//! `caretrail patient`: patients, by their own keys.

use clap::Subcommand;

use crate::app::App;
use crate::failure::Exit;

mod bind_key;
mod cancel_recovery;
mod complete_recovery;
mod confirm_recovery;
mod find;
mod key;
mod prepare;
mod recover_key;
mod recovery;
mod refuse_emergency;
mod register;
mod register_paper;
mod rotate_key;
mod show;
mod signer;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Makes a patient's key file.
    Key(key::Key),
    /// Prepares the registration of a patient whose key is elsewhere, such as a passkey.
    Prepare(prepare::Prepare),
    /// Registers a patient at the own hospital, by the patient's key.
    Register(register::Register),
    /// Finds a patient by the hospital's own number, which never leaves it.
    Find(find::Find),
    /// Shows what the channel knows of a patient.
    Show(show::Show),
    /// Replaces a patient's key, by the old one.
    RotateKey(rotate_key::RotateKey),
    /// Registers a patient without a key.
    RegisterPaper(register_paper::RegisterPaper),
    /// Binds the first key of a patient on paper.
    BindKey(bind_key::BindKey),
    /// Opens the recovery of a lost key.
    RecoverKey(recover_key::RecoverKey),
    /// Confirms a recovery at another hospital.
    ConfirmRecovery(confirm_recovery::ConfirmRecovery),
    /// Puts the new key of a recovery that is due in force.
    CompleteRecovery(complete_recovery::CompleteRecovery),
    /// Cancels a recovery, by the key in force.
    CancelRecovery(cancel_recovery::CancelRecovery),
    /// Shows the newest recovery of a patient's key.
    Recovery(recovery::Recovery),
    /// Shows a key that speaks or spoke for a patient.
    Signer(signer::Signer),
    /// Refuses emergency access, or allows it again.
    RefuseEmergency(refuse_emergency::RefuseEmergency),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Key(key) => key.run(app),
        Verb::Prepare(prepare) => prepare.run(app).await,
        Verb::Register(register) => register.run(app).await,
        Verb::Find(find) => find.run(app).await,
        Verb::Show(show) => show.run(app).await,
        Verb::RotateKey(rotate_key) => rotate_key.run(app).await,
        Verb::RegisterPaper(register_paper) => register_paper.run(app).await,
        Verb::BindKey(bind_key) => bind_key.run(app).await,
        Verb::RecoverKey(recover_key) => recover_key.run(app).await,
        Verb::ConfirmRecovery(confirm_recovery) => confirm_recovery.run(app).await,
        Verb::CompleteRecovery(complete_recovery) => complete_recovery.run(app).await,
        Verb::CancelRecovery(cancel_recovery) => cancel_recovery.run(app).await,
        Verb::Recovery(recovery) => recovery.run(app).await,
        Verb::Signer(signer) => signer.run(app).await,
        Verb::RefuseEmergency(refuse_emergency) => refuse_emergency.run(app).await,
    }
}
