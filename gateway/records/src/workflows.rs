//! What a hospital does with patients and records, from start to end.

mod access;
mod access_log;
mod accounting;
mod documents;
mod labels;
mod patients;
mod pending;
mod statements;

pub use access::{ReleaseError, Released};
pub use access_log::{AccessLogError, LoggedEntry, PatientLog};
pub use accounting::{Permitted, WholeHolders, decisions, permitted};
pub use documents::{DocumentWorkflowError, OpenedVersion};
pub use labels::RecordLabels;
pub use patients::{OnPaper, RegisterPatientError};
pub use pending::{SettleError, Settled};
pub use statements::CarryError;
