//! `caretrail record`: sealed records.

use clap::Subcommand;

use crate::app::App;
use crate::failure::Exit;

mod accept;
mod add;
mod add_all;
mod add_own;
mod amend;
mod answer_correction;
mod correction;
mod fetch;
mod history;
mod list;
mod request_correction;
mod sample;
mod transfer;
mod verify;
mod withdraw;

pub(crate) use fetch::release_client;
pub(crate) use sample::bundle;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Seals a document and adds it as a patient's new record.
    Add(add::Add),
    /// Seals a document and adds it as a record's next version.
    Amend(amend::Amend),
    /// Opens a version from the own vault and checks every byte against the channel.
    Verify(verify::Verify),
    /// Lists a record's versions.
    History(history::History),
    /// Lists a patient's records.
    List(list::List),
    /// Fetches a permitted record from the hospital that keeps it, and checks it against the channel.
    Fetch(fetch::Fetch),
    /// Prints a synthetic FHIR R4 Bundle to try things out with.
    Sample(sample::Sample),
    /// Adds up to 100 documents of a patient in one transaction.
    AddAll(add_all::AddAll),
    /// Adds a record of the patient's own, by the patient's key.
    AddOwn(add_own::AddOwn),
    /// Withdraws a record.
    Withdraw(withdraw::Withdraw),
    /// Offers custody of a record to another hospital.
    Transfer(transfer::Transfer),
    /// Takes custody of a record over.
    Accept(accept::Accept),
    /// Asks for a correction, by the patient's key.
    RequestCorrection(request_correction::RequestCorrection),
    /// Answers a correction request.
    AnswerCorrection(answer_correction::AnswerCorrection),
    /// Shows a correction request.
    Correction(correction::Correction),
}

pub(crate) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Add(add) => add.run(app).await,
        Verb::Amend(amend) => amend.run(app).await,
        Verb::Verify(verify) => verify.run(app).await,
        Verb::History(history) => history.run(app).await,
        Verb::List(list) => list.run(app).await,
        Verb::Fetch(fetch) => fetch.run(app).await,
        Verb::Sample(sample) => sample.run(app),
        Verb::AddAll(add_all) => add_all.run(app).await,
        Verb::AddOwn(add_own) => add_own.run(app).await,
        Verb::Withdraw(withdraw) => withdraw.run(app).await,
        Verb::Transfer(transfer) => transfer.run(app).await,
        Verb::Accept(accept) => accept.run(app).await,
        Verb::RequestCorrection(request_correction) => request_correction.run(app).await,
        Verb::AnswerCorrection(answer_correction) => answer_correction.run(app).await,
        Verb::Correction(correction) => correction.run(app).await,
    }
}
