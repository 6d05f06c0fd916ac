//! What every carried statement has to pass before its body counts.

use caretrail_model::calls::CarriedStatement;
use caretrail_model::code::Code;
use caretrail_model::guardian::{ByGuardian, Guardian, Guardians};
use caretrail_model::ids::{Actor, KeyId};
use caretrail_model::patient::Patient;
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::statement::{PublicKey, SignedStatement, Statement, StatementError};
use caretrail_model::time::UnixMs;
use caretrail_model::webauthn::Accepted;
use hlf_chaincode::Failure;

use crate::failure::{refuse, require};
use crate::invocation::{Facts, Invocation, Reading, Slot};
use crate::keys;

/// Parses a statement, still untrusted, to learn which facts to read.
pub(crate) fn parse(signed: &SignedStatement) -> Result<Statement, Failure> {
    signed.parse().map_err(refuse_statement)
}

/// Where what a statement's author follows from will be.
#[derive(Debug)]
pub(crate) struct StatementSlots {
    patient: Slot<Patient>,
    guardians: Slot<Guardians>,
    carried: Slot<CarriedStatement>,
}

/// What a statement's author follows from.
#[derive(Debug)]
pub(crate) struct StatementFacts {
    pub(crate) patient: Patient,
    pub(crate) guardians: Guardians,
    carried_before: bool,
}

/// Who signed a statement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Author<'a> {
    /// The patient's key in force.
    Patient,
    /// A guardian in term.
    Guardian(&'a Guardian),
}

impl Author<'_> {
    pub(crate) fn is_patient(&self) -> bool {
        matches!(self, Self::Patient)
    }

    /// The guardian, as a provision names it.
    pub(crate) fn guardian(&self) -> Option<ByGuardian> {
        match self {
            Self::Patient => None,
            Self::Guardian(guardian) => {
                Some(ByGuardian { key: guardian.key, appointment: guardian.appointment })
            }
        }
    }
}

impl StatementSlots {
    /// Adds what a statement rests on to a reading.
    pub(crate) fn add(reading: &mut Reading<'_>, statement: &Statement) -> Result<Self, Failure> {
        Ok(Self {
            patient: reading.add(keys::patient(&statement.patient)?),
            guardians: reading.add_newer(keys::guardians(&statement.patient)?),
            carried: reading.add(keys::statement(&statement.patient, &statement.id)?),
        })
    }

    /// Takes it out; refuses when there is no such patient.
    pub(crate) fn take(self, facts: &mut Facts) -> Result<StatementFacts, Failure> {
        let patient = facts.take(self.patient)?.ok_or_else(|| refuse(Code::PatientUnknown))?;
        let guardians = facts.take(self.guardians)?.unwrap_or(Guardians::NONE);
        let carried_before = facts.take(self.carried)?.is_some();
        Ok(StatementFacts { patient, guardians, carried_before })
    }
}

impl StatementFacts {
    /// Accepts a statement of the patient or a guardian in term, and says whose it is.
    pub(crate) fn accept(
        &self,
        signed: &SignedStatement,
        key: &KeyId,
        policy: &ConsortiumPolicy,
        effective: UnixMs,
    ) -> Result<Author<'_>, Failure> {
        let (author, public_key) = author(&self.patient, &self.guardians, key, effective)
            .ok_or_else(|| refuse(Code::StatementSignature))?;
        accept(signed, public_key, policy, self.carried_before, effective)?;
        Ok(author)
    }

    /// Accepts a statement that only the patient's own key can sign.
    pub(crate) fn accept_own(
        &self,
        signed: &SignedStatement,
        key: &KeyId,
        policy: &ConsortiumPolicy,
        effective: UnixMs,
    ) -> Result<(), Failure> {
        let author = self.accept(signed, key, policy, effective)?;
        require(author.is_patient(), Code::StatementSignature)
    }

    /// Accepts a statement that is signed by the very key that it is about.
    pub(crate) fn accept_by(
        &self,
        signed: &SignedStatement,
        public_key: &PublicKey,
        policy: &ConsortiumPolicy,
        effective: UnixMs,
    ) -> Result<(), Failure> {
        accept(signed, public_key, policy, self.carried_before, effective)
    }
}

/// Whose key it is, with the key itself: the patient's in force, or a guardian's in term.
pub(crate) fn author<'a>(
    patient: &'a Patient,
    guardians: &'a Guardians,
    key: &KeyId,
    effective: UnixMs,
) -> Option<(Author<'a>, &'a PublicKey)> {
    let own = patient.public_key.as_ref().filter(|_| patient.key.as_ref() == Some(key));
    own.map(|public_key| (Author::Patient, public_key)).or_else(|| {
        let guardian = guardians.in_term(key, effective)?;
        Some((Author::Guardian(guardian), &guardian.public_key))
    })
}

/// Checks the author's signature, where and until when the statement counts, and that it is carried for
/// the first time.
pub(crate) fn accept(
    signed: &SignedStatement,
    key: &PublicKey,
    policy: &ConsortiumPolicy,
    carried_before: bool,
    effective: UnixMs,
) -> Result<(), Failure> {
    let accepted = policy.terms.as_ref().map_or_else(Accepted::default, |terms| Accepted {
        relying_parties: &terms.relying_parties,
        user_verification: terms.user_verification,
    });
    let statement = signed.verify_with(key, &accepted).map_err(refuse_statement)?;
    require(
        statement.channel == policy.channel && statement.chaincode == policy.chaincode,
        Code::StatementForeign,
    )?;
    require(!carried_before, Code::StatementReplayed)?;
    require(effective <= statement.submit_by, Code::StatementExpired)?;
    require(statement.submit_by <= effective.plus(policy.durations.statement_ms_max), Code::StatementTooEarly)
}

/// Keeps the statement exactly as signed, with its carrier.
pub(crate) fn keep(
    invocation: &Invocation<'_>,
    statement: &Statement,
    signed: SignedStatement,
    at: UnixMs,
) -> Result<(), Failure> {
    let carrier: Actor = invocation.actor.clone();
    let carried = CarriedStatement { signed, carrier, tx_id: invocation.tx_id, at };
    invocation.put(keys::statement(&statement.patient, &statement.id)?, &carried)
}

fn refuse_statement(error: StatementError) -> Failure {
    let code = match error {
        StatementError::TooLong | StatementError::Malformed | StatementError::ForeignId => {
            Code::StatementMalformed
        }
        StatementError::MalformedSignature
        | StatementError::WrongSignature
        | StatementError::Assertion(_) => Code::StatementSignature,
    };
    refuse(code).caused_by(error)
}
