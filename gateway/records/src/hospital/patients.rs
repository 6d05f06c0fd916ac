//! Hospital numbers and the patients they stand for.

use caretrail_model::ids::{PatientId, TxId};
use rusqlite::{OptionalExtension as _, params};

use super::{HOSPITAL_NUMBER_BYTES_MAX, HospitalError, HospitalStore};
use crate::database::Bytes;

impl HospitalStore {
    /// Stores which patient a hospital number stands for, before the patient is registered.
    ///
    /// While no registration under a number is settled, several may wait under it: one whose outcome was
    /// unknown, and the one that was made after it. None is lost, whichever comes to the channel.
    ///
    /// # Errors
    /// When the number is malformed or another patient's, or the patient has another one.
    pub fn store_patient(
        &self,
        number: &str,
        patient: &PatientId,
        tx_id: Option<&TxId>,
    ) -> Result<(), HospitalError> {
        let printable = !number.chars().any(char::is_control);
        if number.is_empty() || number.len() > HOSPITAL_NUMBER_BYTES_MAX || !printable {
            return Err(HospitalError::NumberMalformed);
        }
        enum Found {
            Free,
            Number(PatientId),
            Patient,
        }
        let found = self.database().write(|connection| {
            let of_number = connection
                .query_row(
                    "SELECT patient FROM patients WHERE ledger = ?1 AND number = ?2 AND settled = 1",
                    params![self.ledger, number],
                    |row| row.get::<_, Bytes<16>>(0),
                )
                .optional()?;
            if let Some(known) = of_number.map(|known| PatientId::from_bytes(known.0))
                && known != *patient
            {
                return Ok(Found::Number(known));
            }
            let of_patient: Option<String> = connection
                .query_row(
                    "SELECT number FROM patients WHERE ledger = ?1 AND patient = ?2",
                    params![self.ledger, patient.as_bytes()],
                    |row| row.get(0),
                )
                .optional()?;
            if of_patient.is_some_and(|known| known != number) {
                return Ok(Found::Patient);
            }
            connection.execute(
                "INSERT INTO patients VALUES (?1, ?2, ?3, ?4, 0)
                 ON CONFLICT (ledger, patient) DO UPDATE SET tx_id = coalesce(excluded.tx_id, tx_id)",
                params![self.ledger, number, patient.as_bytes(), tx_id.map(TxId::as_bytes)],
            )?;
            Ok(Found::Free)
        })?;
        match found {
            Found::Free => Ok(()),
            Found::Number(patient) => Err(HospitalError::NumberTaken { patient }),
            Found::Patient => Err(HospitalError::PatientTaken { patient: *patient }),
        }
    }

    /// The patients whose registration under a number is not settled.
    ///
    /// # Errors
    /// When the database fails.
    pub fn pending_patients(&self, number: &str) -> Result<Vec<PatientId>, HospitalError> {
        Ok(self.database().read(|connection| {
            let mut patients = connection
                .prepare("SELECT patient FROM patients WHERE ledger = ?1 AND number = ?2 AND settled = 0")?;
            let patients = patients.query_map(params![self.ledger, number], |row| {
                Ok(PatientId::from_bytes(row.get::<_, Bytes<16>>(0)?.0))
            })?;
            patients.collect()
        })?)
    }

    /// Notes that a patient's registration is on the channel.
    ///
    /// # Errors
    /// When the database fails.
    pub fn settle_patient(&self, patient: &PatientId) -> Result<(), HospitalError> {
        self.change("UPDATE patients SET settled = 1 WHERE ledger = ?1 AND patient = ?2", patient)
    }

    /// Forgets a patient whose registration, by this transaction, was refused for good; a settled one stays, and so does
    /// one that another transaction was noted for since.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_patient(&self, patient: &PatientId, tx_id: Option<&TxId>) -> Result<(), HospitalError> {
        self.database().write(|connection| {
            connection.execute(
                "DELETE FROM patients WHERE ledger = ?1 AND patient = ?2 AND settled = 0 AND tx_id IS ?3",
                params![self.ledger, patient.as_bytes(), tx_id.map(TxId::as_bytes)],
            )
        })?;
        Ok(())
    }

    /// The patient of a hospital number; one whose registration is settled before one that waits.
    ///
    /// # Errors
    /// When the database fails.
    pub fn patient(&self, number: &str) -> Result<Option<PatientId>, HospitalError> {
        let row = self.database().read(|connection| {
            connection
                .query_row(
                    "SELECT patient FROM patients WHERE ledger = ?1 AND number = ?2
                     ORDER BY settled DESC LIMIT 1",
                    params![self.ledger, number],
                    |row| row.get::<_, Bytes<16>>(0),
                )
                .optional()
        })?;
        Ok(row.map(|patient| PatientId::from_bytes(patient.0)))
    }

    /// The hospital number of a patient.
    ///
    /// # Errors
    /// When the database fails.
    pub fn number(&self, patient: &PatientId) -> Result<Option<String>, HospitalError> {
        Ok(self.database().read(|connection| {
            connection
                .query_row(
                    "SELECT number FROM patients WHERE ledger = ?1 AND patient = ?2",
                    params![self.ledger, patient.as_bytes()],
                    |row| row.get(0),
                )
                .optional()
        })?)
    }

    fn change(&self, statement: &str, patient: &PatientId) -> Result<(), HospitalError> {
        self.database()
            .write(|connection| connection.execute(statement, params![self.ledger, patient.as_bytes()]))?;
        Ok(())
    }
}
