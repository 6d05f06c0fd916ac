//! Patients and their keys.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ANY, CARE, Call};
use crate::ids::{KeyId, PatientId};
use crate::patient::{Patient, Signer};
use crate::statement::SignedStatement;

call!(submit 1 CARE
    /// Registers a patient by the patient's own signed statement. For: service, clinician or admin of the home hospital.
    RegisterPatient -> PatientRegistered {
        /// The statement, signed with the key that it binds.
        signed: SignedStatement,
    }
);
call!(evaluate 1 ANY
    /// A patient's home and key in force. For: any enrolled actor.
    GetPatient -> Patient {
        /// The patient.
        patient: PatientId,
    }
);
call!(submit 2 ANY
    /// Refuses emergency access, or allows it again, by the patient's signed statement. For: any enrolled actor,
    /// as carrier.
    RefuseEmergency -> Patient {
        /// The statement.
        signed: SignedStatement,
    }
);
call!(submit 2 CARE
    /// Binds the first key of a patient on paper, by a statement that it signs; nothing is done on paper from
    /// then on. For: service, clinician or admin of the home hospital.
    BindKey -> Patient {
        /// The statement.
        signed: SignedStatement,
    }
);
call!(submit 2 ANY
    /// Replaces a patient's key, by a statement of the one in force. For: any enrolled actor, as carrier.
    RotateKey -> Patient {
        /// The statement.
        signed: SignedStatement,
    }
);
call!(evaluate 2 ANY
    /// A key that speaks or spoke for a patient, so that what it signed can be verified. For: any enrolled actor.
    GetSigner -> Signer {
        /// The patient.
        patient: PatientId,
        /// The key.
        key: KeyId,
    }
);

reply!(
    /// A registered patient.
    PatientRegistered {
        /// Its id.
        patient: PatientId,
    }
);
