//! Settling what was submitted and whose outcome was not known.

use caretrail_model::calls::{GetPatient, VerifyRecord};
use caretrail_model::code::Code;

use crate::call_error::CallError;
use crate::custody::Custody;
use crate::hospital::{HospitalError, Pending, PendingSubject};
use crate::records::Records;

/// What was found out about something pending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What waited.
    pub pending: Pending,
    /// Whether the channel holds it now; it stays pending otherwise, for it may still come.
    pub on_channel: bool,
}

/// Pending outcomes that could not be asked for.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] HospitalError),
    /// The contract or the network refused.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Records {
    /// Asks the channel for everything that this hospital submitted without learning the outcome, as after a
    /// crash, and settles what is there.
    ///
    /// # Errors
    /// When the store or the hospital's peer fails.
    pub async fn settle_pending(&self, custody: &Custody) -> Result<Vec<Settled>, SettleError> {
        let mut settled = Vec::new();
        for pending in custody.store.pending()? {
            let on_channel = match &pending.subject {
                PendingSubject::Patient(patient) => {
                    let found = match self.evaluate(&GetPatient { patient: *patient }).await {
                        Ok(_) => true,
                        Err(error) if error.code() == Some(Code::PatientUnknown) => false,
                        Err(error) => return Err(error.into()),
                    };
                    if found {
                        custody.store.settle_patient(patient)?;
                    }
                    found
                }
                PendingSubject::Version(version) => {
                    let call = VerifyRecord {
                        record: version.id.record,
                        version: version.id.version,
                        commitments: version.commitments.clone(),
                    };
                    let found = self.evaluate(&call).await?.content_commitment_matches;
                    if found {
                        let content_commitment = &version.commitments.content_commitment;
                        custody.store.settle_version(&version.id, content_commitment)?;
                    }
                    found
                }
            };
            settled.push(Settled { pending, on_channel });
        }
        Ok(settled)
    }
}
