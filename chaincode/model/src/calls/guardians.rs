//! Guardians.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ANY, Call, HOME};
use crate::guardian::Guardians;
use crate::ids::PatientId;
use crate::statement::SignedStatement;

call!(submit 2 ANY
    /// Appoints a guardian or renews the term, by the patient's signed statement. For: any enrolled actor, as carrier.
    AddGuardian -> Guardians {
        /// The statement.
        signed: SignedStatement,
    }
);
call!(submit 2 ANY
    /// Ends a guardian's term, by signed statement of the patient or that guardian. For: any enrolled actor, as
    /// carrier.
    EndGuardian -> Guardians {
        /// The statement.
        signed: SignedStatement,
    }
);
call!(evaluate 2 HOME
    /// A patient's guardians. For: service, admin or auditor of any member.
    ListGuardians -> Guardians {
        /// The patient.
        patient: PatientId,
    }
);
