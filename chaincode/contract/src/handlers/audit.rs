//! What was done to a patient: evaluated only.

use caretrail_model::calls::{AccessLog, AuditPage};
use caretrail_model::code::Code;
use hlf_chaincode::Failure;

use super::Handle;
use crate::failure::{refuse, require};
use crate::invocation::Invocation;
use crate::stored::decode;
use crate::{keys, pages};

impl Handle for AccessLog {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<AuditPage, Failure> {
        let mut reading = invocation.reading()?;
        let patient = reading.add(keys::patient(&self.patient)?);
        let (_, mut facts) = reading.fetch().await?;
        let patient = facts.take(patient)?.ok_or_else(|| refuse(Code::PatientUnknown))?;
        require(&patient.home == invocation.msp_id(), Code::HospitalNotAllowed)?;

        let page = pages::page(self.page_entries, self.bookmark)?;
        let found =
            invocation.tx.partial_composite_page(keys::AUDIT, &[self.patient.to_string()], &page).await?;
        let entries = found.entries.iter().map(|entry| decode(&entry.value)).collect::<Result<_, _>>()?;
        Ok(AuditPage { entries, bookmark: found.bookmark.unwrap_or_default() })
    }
}
