//! The recovery of a lost key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ANY, Call, DESK};
use crate::ids::{PatientId, StatementId};
use crate::patient::{Patient, Recovery};
use crate::statement::SignedStatement;

call!(submit 2 DESK
    /// Opens the recovery of a lost key, by a statement of the new one. For: service or admin of the home hospital.
    RecoverKey -> Recovery {
        /// The statement.
        signed: SignedStatement,
    }
);
call!(submit 2 DESK
    /// Confirms a recovery, which is due some days later. For: service or admin of another member than the home.
    ConfirmRecovery -> Recovery {
        /// The patient.
        patient: PatientId,
        /// The statement of the new key.
        recovery: StatementId,
    }
);
call!(submit 2 ANY
    /// Puts the new key of a recovery that is due in force. For: any enrolled actor.
    CompleteRecovery -> Patient {
        /// The patient.
        patient: PatientId,
        /// The statement of the new key.
        recovery: StatementId,
    }
);
call!(submit 2 ANY
    /// Cancels a recovery, by a statement of the key in force. For: any enrolled actor, as carrier.
    CancelRecovery -> Recovery {
        /// The statement.
        signed: SignedStatement,
    }
);
call!(evaluate 2 ANY
    /// The newest recovery of a patient's key. For: any enrolled actor.
    GetRecovery -> Recovery {
        /// The patient.
        patient: PatientId,
    }
);
