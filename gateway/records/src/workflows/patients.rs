//! Registering a patient.

use caretrail_model::calls::{GetPatient, PatientRegistered, RegisterPatient};
use caretrail_model::code::Code;

use crate::call_error::CallError;
use crate::custody::Custody;
use crate::hospital::HospitalError;
use crate::patient_key::SignedRegistration;
use crate::records::{Committed, Records};

/// A patient that was not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterPatientError {
    /// The hospital number cannot be stored.
    #[error(transparent)]
    Store(#[from] HospitalError),
    /// The contract or the network refused.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Records {
    /// Registers a patient by the patient's own statement; the hospital number stays in the store.
    ///
    /// The number is stored before the transaction is sent, and freed again when that was refused for good.
    ///
    /// # Errors
    /// When the number is taken, or the registration is refused; of an unknown outcome the number stays, and
    /// [`settle_pending`](Self::settle_pending) asks again.
    pub async fn register_patient(
        &self,
        custody: &Custody,
        number: &str,
        registration: &SignedRegistration,
    ) -> Result<Committed<PatientRegistered>, RegisterPatientError> {
        let store = &custody.store;
        let patient = registration.patient;
        self.settle_number(custody, number).await?;
        store.store_patient(number, &patient, None)?;
        let call = RegisterPatient { signed: registration.signed.clone() };
        // A short write to a local file: the transaction itself waits for the network much longer.
        let note = |tx_id: &_| store.store_patient(number, &patient, Some(tx_id)).map_err(Into::into);
        match self.submit_noted(&call, note).await {
            Ok(committed) => {
                store.settle_patient(&patient)?;
                Ok(committed)
            }
            Err(error) => {
                if error.code() == Some(Code::PatientExists) {
                    // It was registered before, perhaps by a program that was stopped before it knew.
                    store.settle_patient(&patient)?;
                } else if error.had_no_effect() {
                    store.forget_patient(&patient)?;
                }
                Err(error.into())
            }
        }
    }

    /// Settles an earlier registration under this number whose outcome was not known.
    async fn settle_number(&self, custody: &Custody, number: &str) -> Result<(), RegisterPatientError> {
        for patient in custody.store.pending_patients(number)? {
            match self.evaluate(&GetPatient { patient }).await {
                Ok(_) => custody.store.settle_patient(&patient)?,
                Err(error) if error.code() == Some(Code::PatientUnknown) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
