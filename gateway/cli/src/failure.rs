//! How a command ends: its exit code, and its error in words or as JSON.

use std::process::ExitCode;

use caretrail_model::ids::TxId;
use caretrail_records::document::DocumentError;
use caretrail_records::failure::chain;
use caretrail_records::hospital::{BlindError, HospitalError};
use caretrail_records::index::{IndexError, SyncError};
use caretrail_records::patient_key::PatientKeyError;
use caretrail_records::records::IdentityError;
use caretrail_records::release::{KemKeyError, ReleaseClientError};
use caretrail_records::seal::{OpenError, SealError};
use caretrail_records::storage_key::StorageKeyError;
use caretrail_records::workflows::{
    AccessLogError, DocumentWorkflowError, RegisterPatientError, ReleaseError, SettleError,
};
use caretrail_records::{CallError, Failure};
use hlf_gateway::{CommitStatusError, ConnectError, ExplainError, MspFolderError};
use hlf_network::ArchiveError;
use hlf_network::change::{ProposalError, SubmitError};
use hlf_network::export::ExportError;
use hlf_network::network::{
    ApplyError, BackupError, CertificatesError, ChaincodeError, ChangeError, CompareError, DownError,
    ImportError, IssueError, PartError, RestoreError, SnapshotError, StateError, UpError, UpgradeError,
};
use serde::Serialize;

use crate::printer::{Format, Printer};

/// Exit codes of every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked is done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// It was done, and the answer is a denial.
    Denied = 2,
    /// Input or usage is invalid; nothing was done.
    Invalid = 3,
    /// Whether it was done is unknown; the transaction id tells later.
    Unknown = 4,
    /// Others have to do their part first; then the same command goes on (`EX_TEMPFAIL` of `sysexits.h`).
    Waiting = 75,
    /// It was interrupted.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Input that nothing can be done with, and what would be right.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Invalid(pub(crate) String);

/// A transaction that was sent by a command that was then interrupted.
#[derive(Debug, thiserror::Error)]
#[error("interrupted before the outcome of transaction {tx_id} was heard")]
pub(crate) struct Unheard {
    pub(crate) tx_id: TxId,
}

#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    failure: &'a Failure,
    message: &'a str,
}

/// Says why a command failed, and gives its exit code.
pub(crate) fn report(error: &anyhow::Error, printer: Printer) -> Exit {
    let message = chain(error.as_ref());
    let (failure, exit) = classify(error);
    match printer.format {
        Format::Json => {
            let told = Told { failure: &failure, message: &message };
            printer.error(&serde_json::to_string(&told).unwrap_or_else(|_| message.clone()));
        }
        Format::Table => {
            printer.error(&format!("error: {message}"));
            if !message.contains(&failure.fix) && !failure.fix.is_empty() {
                printer.error(&format!("fix:   {}", failure.fix));
            }
        }
    }
    exit
}

/// Prints help, the version, or what is wrong with the command line.
///
/// The command line could not be read, so the format is looked for in its words.
pub(crate) fn report_usage(error: &clap::Error) -> Exit {
    if !error.use_stderr() {
        // A closed stdout leaves nobody to tell.
        let _ = error.print();
        return Exit::Done;
    }
    let words: Vec<_> = std::env::args().collect();
    let json = words.iter().any(|word| word == "--format=json")
        || words.windows(2).any(|pair| pair == ["--format", "json"])
        || std::env::var("CARETRAIL_FORMAT").is_ok_and(|format| format == "json");
    if json {
        let failure = Failure::new("USAGE_INVALID", "input", "see the command's --help");
        let text = error.render().to_string();
        let told = Told { failure: &failure, message: text.trim_end() };
        let printer = Printer::new(Format::Json, false);
        printer.error(&serde_json::to_string(&told).unwrap_or(text.clone()));
    } else {
        // A closed stderr leaves nobody to tell.
        let _ = error.print();
    }
    Exit::Invalid
}

fn classify(error: &anyhow::Error) -> (Failure, Exit) {
    if let Some(call) = call_error(error) {
        let exit = match call {
            CallError::Unknown { .. } => Exit::Unknown,
            CallError::Refused { code, .. } if code.status() == 400 => Exit::Invalid,
            _ => Exit::Failed,
        };
        return (call.failure(), exit);
    }
    if let Some(Unheard { tx_id }) = error.downcast_ref() {
        let fix = format!("ask with `caretrail tx status {tx_id}` before this is run again");
        let failure = Failure::new("OUTCOME_UNKNOWN", "commit_status", fix).of_transaction(tx_id.to_string());
        return (failure.retryable(), Exit::Unknown);
    }
    if let Some(error) = error.downcast_ref::<CommitStatusError>() {
        let fix = "ask again later: the transaction may still be ordered, or never have been";
        let failure = Failure::new("OUTCOME_UNKNOWN", "commit_status", fix).of_transaction(error.tx_id());
        return (failure.retryable(), Exit::Unknown);
    }
    if let Some(ExplainError::Denied { tx_id, .. }) = error.downcast_ref() {
        let fix = "ask as an admin of the hospital: `--identity ORGANISATION/admin`";
        return (Failure::new("BLOCKS_DENIED", "explain", fix).of_transaction(tx_id), Exit::Failed);
    }
    if let Some(ReleaseError::Client(client)) = error.downcast_ref() {
        return release_failure(client);
    }
    if let Some(
        ReleaseError::NotOnChannel { .. }
        | ReleaseError::NotOnRecord { .. }
        | ReleaseError::NotPermitted { .. }
        | ReleaseError::OtherAnswer { .. },
    ) = error.downcast_ref()
    {
        let fix = "nothing was opened: tell the custodian, and the consortium, what its daemon answered";
        return (Failure::new("CUSTODIAN_UNTRUSTED", "release", fix), Exit::Failed);
    }
    if let Some(error) = error.downcast_ref::<ConnectError>() {
        let fix = "check that the peer runs (`caretrail network status`) and that the profile names it";
        let address = Some(error.address().to_owned());
        return (
            Failure { address, ..Failure::new("PEER_UNREACHABLE", "connect", fix).retryable() },
            Exit::Failed,
        );
    }
    local(error)
}

/// What went wrong on this machine, before or after the network was asked.
fn local(error: &anyhow::Error) -> (Failure, Exit) {
    let invalid = |code, fix| (Failure::new(code, "input", fix), Exit::Invalid);
    let failed = |code, fix| (Failure::new(code, "local", fix), Exit::Failed);
    if error.is::<Invalid>() {
        return invalid("INPUT_INVALID", "see the command's --help");
    }
    if error.is::<DocumentError>() {
        return invalid("DOCUMENT_UNUSABLE", "name a file of 1 byte to 64 MiB that can be read");
    }
    if error.is::<MspFolderError>() || error.is::<IdentityError>() {
        return invalid("IDENTITY_UNUSABLE", "name an MSP folder with a valid certificate and its own key");
    }
    if let Some(IndexError::BeginsElsewhere { .. }) = error.downcast_ref() {
        return invalid("INDEX_BEGINS_ELSEWHERE", "leave out --first-block, or remove `blocks.sqlite`");
    }
    match error.downcast_ref() {
        Some(AccessLogError::Sync(SyncError::Missing { first_block, .. })) => {
            let fix = format!(
                "name a peer that has all blocks (--profile); or remove `blocks.sqlite`, if there is one, and say \
                 --first-block {first_block}: each row then says that nothing before has a place"
            );
            return (Failure::new("BLOCKS_MISSING", "deliver", fix), Exit::Failed);
        }
        Some(AccessLogError::Sync(SyncError::NoBlock { .. } | SyncError::Behind { .. })) => {
            let fix = "ask again once the peer has more blocks, or name another one (--profile)";
            return (Failure::new("BLOCKS_MISSING", "deliver", fix).retryable(), Exit::Failed);
        }
        _ => {}
    }
    if let Some(StorageKeyError::Missing { .. }) = error.downcast_ref() {
        let fix = "put the copy of the key back that is kept apart, or name it: --storage-key FILE";
        return invalid("STORAGE_KEY_MISSING", fix);
    }
    if error.is::<PatientKeyError>() || error.is::<KemKeyError>() || error.is::<StorageKeyError>() {
        return invalid("KEY_UNUSABLE", "name a key file that is whole and readable by its owner only");
    }
    let store = match (error.downcast_ref(), error.downcast_ref(), error.downcast_ref()) {
        (Some(RegisterPatientError::Store(store)), _, _) => Some(store),
        (_, Some(DocumentWorkflowError::Store(store)), _) => Some(store),
        (_, _, store) => store,
    };
    match store {
        Some(HospitalError::NumberTaken { .. } | HospitalError::PatientTaken { .. }) => {
            return invalid("NUMBER_TAKEN", "find the patient by the number: `caretrail patient find`");
        }
        Some(HospitalError::NumberMalformed) => {
            return invalid("NUMBER_MALFORMED", "give the number as 1 to 64 bytes of text");
        }
        Some(_) => {
            return failed("STORE_FAILED", "check the hospital's data folder, its disk and its permissions");
        }
        None => {}
    }
    let blind = match (error.downcast_ref(), error.downcast_ref()) {
        (Some(DocumentWorkflowError::Labels(blind)), _) => Some(blind),
        (_, blind) => blind,
    };
    match blind {
        Some(BlindError::Store(_)) => {
            return failed("STORE_FAILED", "check the hospital's data folder, its disk and its permissions");
        }
        Some(_) => return invalid("LABELS_UNUSABLE", "see the command's --help about labels"),
        None => {}
    }
    match error.downcast_ref() {
        Some(DocumentWorkflowError::SaysTooMuch { .. }) => {
            return invalid("INPUT_INVALID", "add the record by itself");
        }
        Some(DocumentWorkflowError::Vault(_) | DocumentWorkflowError::Seal(SealError::Write(_))) => {
            return failed("VAULT_FAILED", "check the vault's folder: its free space and its permissions");
        }
        Some(DocumentWorkflowError::Open { source: OpenError::Mismatch(_), .. }) => {
            return failed(
                "DOES_NOT_MATCH",
                "restore the blob from a backup: the channel holds what it has to be",
            );
        }
        Some(DocumentWorkflowError::Seal(SealError::Read(_) | SealError::LengthChanged { .. })) => {
            return invalid("DOCUMENT_UNUSABLE", "name a file that can be read and that nothing writes to");
        }
        Some(DocumentWorkflowError::NoSuchVersion { .. }) => {
            return invalid("VERSION_UNKNOWN", "list the record's history");
        }
        _ => {}
    }
    if let Some(change) = error.downcast_ref() {
        return change_failure(change);
    }
    if error.is::<ProposalError>() {
        return invalid("CHANGE_REFUSED", "nothing was submitted: mend what the message names");
    }
    if let Some(ApplyError::Plan(_)) = error.downcast_ref() {
        return invalid("SPEC_REFUSED", "nothing was changed: mend what the message names");
    }
    if let Some(CertificatesError::Unknown { .. } | CertificatesError::Acting(_)) = error.downcast_ref() {
        return invalid("NAME_REFUSED", "nothing was changed: mend what the message names");
    }
    if let Some(IssueError::NoFabricCa(_) | IssueError::GivenKeys) = error.downcast_ref() {
        return invalid("NAME_REFUSED", "nothing was changed: mend what the message names");
    }
    if let Some(
        ExportError::NotEmpty(_)
        | ExportError::Organization(_)
        | ExportError::NoEndpoint { .. }
        | ExportError::Outside(_)
        | ExportError::NotText(_),
    ) = error.downcast_ref()
    {
        return invalid("EXPORT_REFUSED", "nothing was written: mend what the message names");
    }
    if let Some(failure) = keeping_failure(error) {
        return failure;
    }
    if let Some(UpError::Obstacles(obstacles)) = error.downcast_ref()
        && let Some(first) = obstacles.findings.first()
    {
        let code = first.code.as_str().to_uppercase().replace('-', "_");
        return (Failure::new(code, "local", first.fix.clone()), Exit::Failed);
    }
    match error.downcast_ref() {
        Some(ImportError::Part(_)) | None => {}
        Some(_) => return invalid("IMPORT_REFUSED", "nothing was taken over: mend what the message names"),
    }
    if let Some(PartError::Requested { .. }) = error.downcast_ref() {
        let fix = "put the missing files there, then run the same command again";
        return (Failure::new("WAITING", "local", fix).retryable(), Exit::Waiting);
    }
    if let Some(PartError::Keys(_)) = error.downcast_ref() {
        return invalid("KEYS_UNUSABLE", "nothing was taken over: mend what the message names");
    }
    if let Some(PartError::Missing(_)) = error.downcast_ref() {
        let fix = "import the missing descriptions, then run the same command again";
        return (Failure::new("WAITING", "local", fix).retryable(), Exit::Waiting);
    }
    if error.is::<ApplyError>()
        || error.is::<ImportError>()
        || error.is::<PartError>()
        || error.is::<CertificatesError>()
        || error.is::<UpError>()
        || error.is::<DownError>()
        || error.is::<StateError>()
    {
        return failed("NETWORK_FAILED", "mend what the message names, then run the same command again");
    }
    failed("FAILED", "mend what the message names, then run the same command again")
}

/// What went wrong with a backup, a restore or an upgrade.
fn keeping_failure(error: &anyhow::Error) -> Option<(Failure, Exit)> {
    let backup = match error.downcast_ref() {
        Some(RestoreError::Backup(backup)) => Some(backup),
        _ => error.downcast_ref::<BackupError>(),
    };
    if let Some(ChaincodeError::Unknown { .. } | ChaincodeError::None | ChaincodeError::InUse { .. }) =
        error.downcast_ref()
    {
        let fix = "nothing was changed: mend what the message names";
        return Some((Failure::new("CHAINCODE_REFUSED", "input", fix), Exit::Invalid));
    }
    if let Some(
        SnapshotError::Unknown { .. }
        | SnapshotError::Folder { .. }
        | SnapshotError::Other { .. }
        | SnapshotError::Joined(_),
    ) = error.downcast_ref()
    {
        let fix = "nothing was changed: mend what the message names";
        return Some((Failure::new("SNAPSHOT_REFUSED", "input", fix), Exit::Invalid));
    }
    let (code, fix, exit) = match (backup, error.downcast_ref(), error.downcast_ref()) {
        (Some(BackupError::Archive(ArchiveError::Damaged { .. } | ArchiveError::Foreign { .. })), _, _) => {
            ("BACKUP_DAMAGED", "take another copy of the backup, or an older one", Exit::Failed)
        }
        (Some(BackupError::Archive(ArchiveError::Exists(_)) | BackupError::Unknown { .. }), _, _)
        | (_, Some(RestoreError::NotEmpty { .. }), _) => {
            ("NAME_REFUSED", "nothing was written: mend what the message names", Exit::Invalid)
        }
        (
            _,
            _,
            Some(UpgradeError::Downgrade { .. } | UpgradeError::Programs { .. } | UpgradeError::Spec(_)),
        ) => ("RELEASE_REFUSED", "nothing was changed: mend what the message names", Exit::Invalid),
        (None, None, None)
            if !error.is::<CompareError>()
                && !error.is::<SnapshotError>()
                && !error.is::<ChaincodeError>() =>
        {
            return None;
        }
        _ => ("NETWORK_FAILED", "mend what the message names, then run the same command again", Exit::Failed),
    };
    let stage = if exit == Exit::Invalid { "input" } else { "local" };
    Some((Failure::new(code, stage, fix), exit))
}

/// A change of the channel's configuration.
fn change_failure(change: &ChangeError) -> (Failure, Exit) {
    match change {
        ChangeError::Submit(SubmitError::Unknown(_)) => {
            let fix = "look at the channel's configuration before you submit it again";
            (Failure::new("OUTCOME_UNKNOWN", "submit", fix), Exit::Unknown)
        }
        ChangeError::NotEverywhere(_) => {
            let fix = "it is in force: bring the peers back that lack it";
            (Failure::new("PEER_BEHIND", "commit_status", fix), Exit::Failed)
        }
        ChangeError::Proposal(_)
        | ChangeError::Submit(SubmitError::Incomplete(_) | SubmitError::Proposal(_)) => {
            let fix = "nothing was submitted: mend what the message names";
            (Failure::new("CHANGE_REFUSED", "input", fix), Exit::Invalid)
        }
        _ => {
            let fix = "mend what the message names, then run the same command again";
            (Failure::new("NETWORK_FAILED", "local", fix), Exit::Failed)
        }
    }
}

fn release_failure(client: &ReleaseClientError) -> (Failure, Exit) {
    let failure = client.failure();
    let exit =
        if failure.code.eq_ignore_ascii_case("OUTCOME_UNKNOWN") { Exit::Unknown } else { Exit::Failed };
    (failure, exit)
}

/// The contract's or the network's answer, in whatever workflow it came.
fn call_error(error: &anyhow::Error) -> Option<&CallError> {
    if let Some(call) = error.downcast_ref::<CallError>() {
        Some(call)
    } else if let Some(RegisterPatientError::Call(call)) = error.downcast_ref() {
        Some(call)
    } else if let Some(DocumentWorkflowError::Call(call)) = error.downcast_ref() {
        Some(call)
    } else if let Some(ReleaseError::Call(call)) = error.downcast_ref() {
        Some(call)
    } else if let Some(AccessLogError::Call(call)) = error.downcast_ref() {
        Some(call)
    } else if let Some(SettleError::Call(call)) = error.downcast_ref() {
        Some(call)
    } else {
        None
    }
}
