//! Who could see a record, and what was done: evaluated only.

use std::collections::BTreeSet;

use caretrail_model::calls::{AccessLog, AuditPage, Holder, Holders, WhoCanSee};
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, Effect, LiveConsents};
use caretrail_model::ids::{Actor, MspId};
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::standing::Standing;
use hlf_chaincode::{Failure, split_composite_key};

use super::Handle;
use crate::failure::{refuse, require};
use crate::invocation::Invocation;
use crate::policy::{LedgerFacts, Request, decide};
use crate::stored::decode;
use crate::{keys, pages};

impl Handle for WhoCanSee {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Holders, Failure> {
        invocation.for_roles(&[Role::Service, Role::Admin, Role::Auditor])?;
        let mut reading = invocation.reading()?;
        let record = reading.add(keys::record(&self.record)?);
        let (_, mut facts) = reading.fetch().await?;
        let record = facts.take(record)?.ok_or_else(|| refuse(Code::RecordUnknown))?;

        // Whose consents to read follows from the record.
        let mut reading = invocation.reading()?;
        let patient = reading.add(keys::patient(&record.patient)?);
        let consents = reading.add(keys::consents(&record.patient)?);
        let (policy, mut facts) = reading.fetch().await?;
        let patient = facts.take(patient)?.ok_or_else(|| refuse(Code::StateUnreadable))?;
        let consents = facts.take(consents)?.unwrap_or(LiveConsents::NONE);
        // What is read holds from now on; it says nothing about earlier.
        let now = facts.effective();
        let at = self.at.map_or(now, |at| at.max(now));
        // A record of another home answers like one that is not there.
        require(&patient.home == invocation.msp_id(), Code::RecordUnknown)?;

        let hospitals: BTreeSet<&MspId> =
            consents.consents.iter().map(|consent| consent.provision.grantee.msp_id()).collect();
        let mut holders = Vec::new();
        for msp_id in hospitals {
            let mut standings = invocation.tx.partial_composite(keys::STANDING, &[msp_id.as_str()]).await?;
            while let Some(entry) = standings.next().await? {
                let (_, attributes) = split_composite_key(&entry.key)?;
                let subject = attributes.get(1).and_then(|subject| subject.parse().ok());
                let subject = subject.ok_or_else(|| refuse(Code::StateUnreadable))?;
                let actor = Actor { msp_id: msp_id.clone(), subject };
                let standing: Standing = decode(&entry.value)?;
                let permits = Purpose::ALL.into_iter().filter_map(|purpose| {
                    let request = Request {
                        actor: &actor,
                        role: standing.role,
                        patient: &record.patient,
                        record: &self.record,
                        action: Action::Read,
                        purpose,
                    };
                    let ledger = LedgerFacts {
                        policy: &policy,
                        standing: Some(&standing),
                        consents: &consents,
                        record: Some(&record),
                    };
                    let decision = decide(&request, &ledger, at);
                    (decision.effect == Effect::Permit).then_some((purpose, decision.consent?))
                });
                let (purposes, consents): (Vec<_>, Vec<_>) = permits.unzip();
                if !purposes.is_empty() {
                    holders.push(Holder { actor, role: standing.role, purposes, consents });
                }
            }
        }
        Ok(Holders { at, holders })
    }
}

impl Handle for AccessLog {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<AuditPage, Failure> {
        invocation.for_roles(&[Role::Auditor])?;
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
