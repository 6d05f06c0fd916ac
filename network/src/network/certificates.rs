//! The certificates of a network: when they end, what ends with them, renewal and revocation.

mod authority;
pub(super) mod import;
mod inventory;
mod renew;
mod revoke;

use super::up::UpError;
use super::{ChangeError, IssueError, PartError, StepError};
use crate::ca::CaError;
use crate::commands::typed;
use crate::files::FileError;
use crate::lock::LockError;
use crate::wait::WaitError;

pub use authority::{AuthorityPart, AuthorityRenewal};
pub use import::{ImportedCertificate, RequestKey, UnfitError, Use};
pub use inventory::{CertificateKind, CertificateStatus, Certificates};
pub use renew::{Renewal, RenewedKeys};
pub use revoke::Refusals;

/// Why certificates could not be looked at, renewed or revoked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificatesError {
    /// Somebody else is at work in the folder.
    #[error("the network is in use")]
    Lock(#[from] LockError),
    /// A file cannot be read or written.
    #[error("the organisations' folders cannot be used")]
    File(#[from] FileError),
    /// A file holds no certificate.
    #[error("`{file}` holds no certificate: {what}")]
    NoCertificate {
        /// The file.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// A CA could not issue.
    #[error("no certificate was issued")]
    Ca(#[from] CaError),
    /// A CA could not be asked.
    #[error("no certificate was issued")]
    Issue(#[from] IssueError),
    /// A certificate from elsewhere does not fit.
    #[error("the certificate is not taken, and nothing was changed")]
    Import(#[from] UnfitError),
    /// The new authorities are not in use everywhere yet.
    #[error(
        "the old authorities of `{0}` cannot go: not everything has certificates of their successors; reissue first"
    )]
    NotReissued(String),
    /// There is nobody of that name.
    #[error("nobody here is called `{name}`; there are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The user is the one that acts for its organisation.
    #[error(
        "`{0}` acts for its organisation: it signs the channel's changes and looks after the peers; \
         make another user the first admin in the spec before you revoke it"
    )]
    Acting(String),
    /// The channel's configuration could not be changed.
    #[error("the channel does not know of it")]
    Step(#[from] StepError),
    /// The channel's configuration could not be read.
    #[error("the channel cannot be asked")]
    Change(#[from] ChangeError),
    /// A node did not come back.
    #[error("a node did not come back with its new certificate")]
    Up(#[from] UpError),
    /// The organisation's own part is not as it shall be.
    #[error("the organisation's own part is not settled")]
    Part(#[source] Box<PartError>),
    /// Peers still take what is revoked on the channel, or a node is not level with the others after its restart.
    #[error("not every node does yet what it should; see {}", typed("status"))]
    Wait(#[from] WaitError),
}
