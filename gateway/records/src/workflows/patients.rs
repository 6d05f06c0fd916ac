//! Registering a patient.

use caretrail_model::calls::{
    ActOnPaper, Call, ConsentGranted, DelegateConsent, GetPatient, PatientRegistered, RegisterPaperPatient,
    RegisterPatient,
};
use caretrail_model::code::Code;
use caretrail_model::consent::Provision;
use caretrail_model::ids::{Nonce, PatientId, StatementId, TxId};
use caretrail_model::paper::{Paper, PaperAct};
use serde::Serialize;

use crate::call_error::CallError;
use crate::custody::Custody;
use crate::hospital::HospitalError;
use crate::patient_key::SignedRegistration;
use crate::records::{Committed, Records};
use crate::secret::{RandomnessError, random_16};

/// An act on paper, with the id that a second hospital confirms it by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OnPaper {
    /// Its id.
    pub id: StatementId,
    /// What is on the channel of it.
    pub paper: Paper,
}

/// A patient that was not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterPatientError {
    /// The hospital number cannot be stored.
    #[error(transparent)]
    Store(#[from] HospitalError),
    /// The contract or the network refused.
    #[error(transparent)]
    Call(#[from] CallError),
    /// An id is random.
    #[error("no id was made")]
    Randomness(#[from] RandomnessError),
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
        let call = RegisterPatient { signed: registration.signed.clone() };
        self.settle_number(custody, number).await?;
        self.register(custody, number, registration.patient, &call).await
    }

    /// Registers a patient without a key; the hospital number stays in the store.
    ///
    /// # Errors
    /// As [`register_patient`](Self::register_patient).
    pub async fn register_paper_patient(
        &self,
        custody: &Custody,
        number: &str,
    ) -> Result<Committed<PatientRegistered>, RegisterPatientError> {
        self.settle_number(custody, number).await?;
        let nonce = Nonce::from_bytes(random_16()?);
        let patient = PatientId::derive_on_paper(&self.actor().msp_id, &nonce);
        self.register(custody, number, patient, &RegisterPaperPatient { patient, nonce }).await
    }

    /// Notes the number, submits, and settles the note.
    async fn register<C: Call<Reply = PatientRegistered>>(
        &self,
        custody: &Custody,
        number: &str,
        patient: PatientId,
        call: &C,
    ) -> Result<Committed<PatientRegistered>, RegisterPatientError> {
        let store = &custody.store;
        // An earlier try of the same registration may still come to the channel: what it noted stays, whatever this one
        // comes to.
        let tried_before = store.pending_patients(number)?.contains(&patient);
        store.store_patient(number, &patient, None)?;
        // A short write to a local file: the transaction itself waits for the network much longer.
        let mut last = None;
        let note = |tx_id: &TxId| {
            last = Some(*tx_id);
            store.store_patient(number, &patient, Some(tx_id)).map_err(Into::into)
        };
        match self.submit_noted(call, note).await {
            Ok(committed) => {
                // Noted once more: whoever carried the same registration may have had it forgotten.
                let stored = store.store_patient(number, &patient, last.as_ref());
                noted(stored.and_then(|()| store.settle_patient(&patient)), &patient);
                Ok(committed)
            }
            Err(error) => {
                if error.code() == Some(Code::PatientExists) {
                    // It was registered before, perhaps by a program that was stopped before it knew.
                    noted(store.settle_patient(&patient), &patient);
                } else if error.had_no_effect() && !tried_before {
                    noted(store.forget_patient(&patient, last.as_ref()), &patient);
                }
                Err(error.into())
            }
        }
    }

    /// Does something on paper for a patient without a key.
    ///
    /// # Errors
    /// When there is no randomness, or the contract refuses.
    pub async fn act_on_paper(
        &self,
        patient: PatientId,
        act: PaperAct,
    ) -> Result<Committed<OnPaper>, RegisterPatientError> {
        let nonce = Nonce::from_bytes(random_16()?);
        let id = StatementId::derive_for(self.actor(), &patient, &nonce);
        let Committed { reply, tx_id, block } = self.submit(&ActOnPaper { patient, id, nonce, act }).await?;
        Ok(Committed { reply: OnPaper { id, paper: reply }, tx_id, block })
    }

    /// Passes a permit on that names this actor.
    ///
    /// # Errors
    /// When there is no randomness, or the contract refuses.
    pub async fn delegate(
        &self,
        patient: PatientId,
        parent: StatementId,
        provision: Provision,
    ) -> Result<Committed<ConsentGranted>, RegisterPatientError> {
        let nonce = Nonce::from_bytes(random_16()?);
        let id = StatementId::derive_for(self.actor(), &patient, &nonce);
        Ok(self.submit(&DelegateConsent { patient, parent, id, nonce, provision }).await?)
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

/// The channel's answer is told whatever becomes of its note: that is settled later, from the channel.
fn noted(written: Result<(), HospitalError>, patient: &PatientId) {
    if let Err(error) = written {
        tracing::warn!(%patient, %error, "the store does not know the registration's outcome; it is asked for later");
    }
}
