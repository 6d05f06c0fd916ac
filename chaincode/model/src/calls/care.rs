//! Care relationships and broken glass.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ANY, AUDITOR, CLINICIAN, Call, DESK};
use crate::care::{BrokenGlass, Relationship};
use crate::ids::{Actor, Digest, MspId, PatientId, Subject};
use crate::time::UnixMs;

call!(submit 2 DESK
    /// States that a patient is being treated at the caller's hospital, by one clinician or by all of them.
    /// For: service or admin of that hospital, never the clinician who gains by it.
    OpenRelationship -> Relationship {
        /// The patient.
        patient: PatientId,
        /// The clinician; every clinician of the hospital when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<Subject>,
        /// First instant at which it no longer holds.
        until: UnixMs,
    }
);
call!(submit 2 DESK
    /// Closes a care relationship of the caller's hospital. For: service or admin of that hospital.
    CloseRelationship -> Relationship {
        /// The patient.
        patient: PatientId,
        /// The clinician; the one of the whole hospital when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<Subject>,
    }
);
call!(evaluate 2 ANY
    /// A care relationship. For: any actor of that hospital; service or auditor of any member.
    GetRelationship -> Relationship {
        /// The patient.
        patient: PatientId,
        /// The hospital.
        msp_id: MspId,
        /// The clinician; the one of the whole hospital when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<Subject>,
    }
);
call!(submit 2 CLINICIAN
    /// Breaks the glass: emergency access to a patient's records, for a short time, flagged and to be reviewed.
    /// For: authorised clinician who may claim `BTG`.
    BreakGlass -> BrokenGlass {
        /// The patient.
        patient: PatientId,
        /// SHA-256 of the reason, which stays with the hospital.
        reason_digest: Digest,
    }
);
call!(submit 2 AUDITOR
    /// Reviews emergency access. For: auditor of another member than the clinician's.
    ReviewBreakGlass -> BrokenGlass {
        /// The patient.
        patient: PatientId,
        /// Who broke the glass.
        clinician: Actor,
        /// Whether it was justified; when not, it ends at once.
        justified: bool,
        /// SHA-256 of the finding, which stays with the auditor.
        finding_digest: Digest,
    }
);
call!(evaluate 2 ANY
    /// Emergency access of a clinician. For: any actor of the clinician's hospital; service or auditor of any
    /// member.
    GetBreakGlass -> BrokenGlass {
        /// The patient.
        patient: PatientId,
        /// Who broke the glass.
        clinician: Actor,
    }
);
