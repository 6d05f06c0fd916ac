//! Patients, registered by their own signed statement.

use caretrail_model::audit::Act;
use caretrail_model::calls::{GetPatient, PatientRegistered, RegisterPatient};
use caretrail_model::code::Code;
use caretrail_model::ids::PatientId;
use caretrail_model::patient::Patient;
use caretrail_model::role::Role;
use caretrail_model::statement::Operation;
use hlf_chaincode::Failure;

use super::Handle;
use crate::failure::{refuse, require};
use crate::invocation::Invocation;
use crate::{keys, statements};

impl Handle for RegisterPatient {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<PatientRegistered, Failure> {
        invocation.for_roles(&[Role::Service, Role::Clinician, Role::Admin])?;
        let statement = statements::parse(&self.signed)?;
        let Operation::RegisterPatient(registration) = statement.operation else {
            return Err(refuse(Code::StatementForeign));
        };
        let derived = PatientId::derive(
            &registration.home,
            &registration.public_key.to_sec1_bytes(),
            &registration.patient_nonce,
        );
        require(statement.patient == derived, Code::PatientIdForeign)?;
        require(&registration.home == invocation.msp_id(), Code::HospitalNotAllowed)?;

        let mut reading = invocation.reading()?;
        let patient = reading.add(keys::patient(&statement.patient)?);
        let carried = reading.add(keys::statement(&statement.patient, &statement.id)?);
        let (policy, mut facts) = reading.fetch().await?;
        require(facts.take(patient)?.is_none(), Code::PatientExists)?;
        let carried_before = facts.take(carried)?.is_some();
        let at = facts.effective();
        statements::accept(&self.signed, &registration.public_key, &policy, carried_before, at)?;

        let patient = Patient {
            sequence: 1,
            home: registration.home,
            key: statement.key,
            public_key: registration.public_key,
            at,
        };
        invocation.put(keys::patient(&statement.patient)?, &patient)?;
        invocation.put(
            keys::statement(&statement.patient, &statement.id)?,
            &statements::carried(self.signed, invocation, at),
        )?;
        let act = Act::PatientRegistered { statement: statement.id };
        invocation.audit(&policy, &statement.patient, at, act)?;
        Ok(PatientRegistered { patient: statement.patient })
    }
}

impl Handle for GetPatient {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Patient, Failure> {
        let mut reading = invocation.reading()?;
        let patient = reading.add(keys::patient(&self.patient)?);
        let (_, mut facts) = reading.fetch().await?;
        facts.take(patient)?.ok_or_else(|| refuse(Code::PatientUnknown))
    }
}
