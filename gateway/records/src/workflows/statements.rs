//! Carrying signed statements, whatever they decide.

use caretrail_model::calls::{
    AddGuardian, BindKey, CancelRecovery, EndConsent, EndGuardian, GrantConsent, RecoverKey, RefuseEmergency,
    RegisterOwnRecord, RegisterPatient, RequestCorrection, RotateKey, StopAll,
};
use caretrail_model::statement::{Operation, SignedStatement, StatementError};
use serde_json::Value;

use crate::call_error::CallError;
use crate::records::{Committed, Records};

/// A statement that was not carried.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// It is no statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The contract or the network refused.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A correction request needs its number.
    #[error("a correction request is numbered: give the number that follows the record's newest request")]
    NumberMissing,
}

impl Records {
    /// Carries a statement by the call that its operation is for; the reply is that call's, as JSON. A correction
    /// request needs its `number`.
    ///
    /// # Errors
    /// When it is no statement, or the contract refuses.
    pub async fn carry(
        &self,
        signed: SignedStatement,
        number: Option<u64>,
    ) -> Result<Committed<Value>, CarryError> {
        macro_rules! carried {
            ($call:expr) => {{
                let Committed { reply, tx_id, block } = self.submit(&$call).await?;
                // Replies came as JSON, so they can be written as JSON.
                Ok(Committed { reply: serde_json::to_value(reply).unwrap_or_default(), tx_id, block })
            }};
        }
        match signed.parse()?.operation {
            Operation::RegisterPatient(_) => carried!(RegisterPatient { signed }),
            Operation::GrantConsent(_) => carried!(GrantConsent { signed }),
            Operation::EndConsent(_) => carried!(EndConsent { signed }),
            Operation::StopAll(_) => carried!(StopAll { signed }),
            Operation::RefuseEmergency(_) => carried!(RefuseEmergency { signed }),
            Operation::BindKey(_) => carried!(BindKey { signed }),
            Operation::RotateKey(_) => carried!(RotateKey { signed }),
            Operation::RecoverKey(_) => carried!(RecoverKey { signed }),
            Operation::CancelRecovery(_) => carried!(CancelRecovery { signed }),
            Operation::AddGuardian(_) => carried!(AddGuardian { signed }),
            Operation::EndGuardian(_) => carried!(EndGuardian { signed }),
            Operation::RegisterRecord(_) => carried!(RegisterOwnRecord { signed }),
            Operation::RequestCorrection(_) => {
                let number = number.ok_or(CarryError::NumberMissing)?;
                carried!(RequestCorrection { signed, number })
            }
        }
    }
}
