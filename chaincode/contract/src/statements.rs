//! What every carried statement has to pass before its body counts.

use caretrail_model::calls::CarriedStatement;
use caretrail_model::code::Code;
use caretrail_model::ids::Actor;
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::statement::{PublicKey, SignedStatement, Statement, StatementError};
use caretrail_model::time::UnixMs;
use hlf_chaincode::Failure;

use crate::failure::{refuse, require};
use crate::invocation::Invocation;

/// Parses a statement, still untrusted, to learn which facts to read.
pub(crate) fn parse(signed: &SignedStatement) -> Result<Statement, Failure> {
    signed.parse().map_err(refuse_statement)
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
    let statement = signed.verify(key).map_err(refuse_statement)?;
    require(
        statement.channel == policy.channel && statement.chaincode == policy.chaincode,
        Code::StatementForeign,
    )?;
    require(!carried_before, Code::StatementReplayed)?;
    require(effective <= statement.submit_by, Code::StatementExpired)?;
    require(statement.submit_by <= effective.plus(policy.durations.statement_ms_max), Code::StatementTooEarly)
}

/// The statement as it is kept: exactly as signed, with its carrier.
pub(crate) fn carried(signed: SignedStatement, invocation: &Invocation<'_>, at: UnixMs) -> CarriedStatement {
    let carrier: Actor = invocation.actor.clone();
    CarriedStatement { signed, carrier, tx_id: invocation.tx_id, at }
}

fn refuse_statement(error: StatementError) -> Failure {
    let code = match error {
        StatementError::TooLong | StatementError::Malformed | StatementError::ForeignId => {
            Code::StatementMalformed
        }
        StatementError::MalformedSignature | StatementError::WrongSignature => Code::StatementSignature,
    };
    refuse(code).caused_by(error)
}
