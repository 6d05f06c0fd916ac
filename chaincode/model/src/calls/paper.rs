//! Patients without a key, and what is done for them on paper.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patients::PatientRegistered;
use super::{Call, DESK, HOME};
use crate::ids::{Nonce, PatientId, StatementId};
use crate::paper::{Paper, PaperAct};

call!(submit 2 DESK
    /// Registers a patient without a key. For: service or admin of the home hospital.
    RegisterPaperPatient -> PatientRegistered {
        /// The id, derived from home and nonce.
        patient: PatientId,
        /// What it is derived with.
        nonce: Nonce,
    }
);
call!(submit 2 DESK
    /// Does something on paper for a patient without a key: what narrows access works at once, what opens it waits
    /// for a second hospital. For: service or admin of the home hospital.
    ActOnPaper -> Paper {
        /// The patient.
        patient: PatientId,
        /// Its id, derived from caller, patient and nonce.
        id: StatementId,
        /// What it is derived with.
        nonce: Nonce,
        /// What is done.
        act: PaperAct,
    }
);
call!(submit 2 DESK
    /// Puts in force what waits on paper. For: service or admin of another member than the home hospital.
    ConfirmPaper -> Paper {
        /// The patient.
        patient: PatientId,
        /// What waits.
        id: StatementId,
    }
);
call!(evaluate 2 HOME
    /// An act on paper. For: service, admin or auditor of any member.
    GetPaper -> Paper {
        /// The patient.
        patient: PatientId,
        /// Its id.
        id: StatementId,
    }
);
