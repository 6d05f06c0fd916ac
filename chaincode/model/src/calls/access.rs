//! Access: decisions, disclosures and the log of both.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ANY, AUDITOR, Call, HOME, SERVICE};
use crate::audit::{AuditEntry, Disclosed};
use crate::consent::Action;
use crate::decision::Decision;
use crate::ids::{Actor, Digest, PatientId, RecordId, RequestId, TxId};
use crate::purpose::Purpose;
use crate::time::UnixMs;

call!(submit 1 ANY
    /// Decides access to records of one patient and commits the decision, a denial too. The same request
    /// id again returns the first decision. For: any enrolled actor.
    RequestAccess -> AccessDecision {
        /// The caller's id of this request.
        request: RequestId,
        /// The patient.
        patient: PatientId,
        /// The records, strictly ascending, 1 to 100.
        records: Vec<RecordId>,
        /// What is to be done.
        action: Action,
        /// What for.
        purpose: Purpose,
    }
);
call!(evaluate 1 ANY
    /// A committed decision. For: any actor of the deciding actor's hospital; service or auditor of any member.
    GetDecision -> AuditEntry {
        /// The patient.
        patient: PatientId,
        /// The transaction that decided.
        decision: TxId,
    }
);
call!(submit 1 SERVICE
    /// Puts a disclosure on record before it happens, decided again at that time. For: service of the custodian.
    RecordDisclosure -> Disclosure {
        /// The patient.
        patient: PatientId,
        /// The transaction that decided.
        decision: TxId,
        /// The record to release.
        record: RecordId,
        /// The version to release.
        version: u64,
        /// Who receives it: the decision's actor.
        recipient: Actor,
        /// SHA-256 of the public key that the secret is wrapped to.
        kem_key_digest: Digest,
    }
);
call!(evaluate 1 ANY
    /// The disclosure of a record under a decision. For: any actor of the recipient's hospital; service or
    /// auditor of any member.
    GetDisclosure -> Disclosure {
        /// The patient.
        patient: PatientId,
        /// The transaction that decided.
        decision: TxId,
        /// The record.
        record: RecordId,
    }
);
call!(evaluate 1 AUDITOR
    /// Every act on a patient, ordered by transaction id: the block index gives their order in time.
    /// For: auditor of the patient's home hospital.
    AccessLog -> AuditPage {
        /// The patient.
        patient: PatientId,
        /// Entries of the page; 0 is the default.
        #[serde(default)]
        page_entries: u32,
        /// The previous page's bookmark; empty for the first page.
        #[serde(default)]
        bookmark: String,
    }
);
call!(evaluate 2 HOME
    /// What a request would be answered, without deciding it: with every reason. For: service, admin or auditor of
    /// the patient's home hospital.
    PreviewAccess -> AccessPreview {
        /// Who would ask.
        actor: Actor,
        /// The patient.
        patient: PatientId,
        /// The records, strictly ascending, 1 to 100.
        records: Vec<RecordId>,
        /// What is to be done.
        action: Action,
        /// What for.
        purpose: Purpose,
        /// The instant; now when absent or past.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<UnixMs>,
    }
);
call!(evaluate 2 AUDITOR
    /// Decides a committed request again, on the facts whose sequence numbers its entry names, with every reason.
    /// For: auditor of the patient's home hospital.
    ReplayDecision -> ReplayedDecision {
        /// The patient.
        patient: PatientId,
        /// The transaction that decided.
        decision: TxId,
    }
);

reply!(
    /// What a request would be answered.
    AccessPreview {
        /// Semantic engine that would decide.
        epoch: u32,
        /// The instant that was decided for.
        at: UnixMs,
        /// One a record, in the order asked, with every reason.
        decisions: Vec<Decision>,
    }
);
reply!(
    /// A decision, decided again.
    ReplayedDecision {
        /// Semantic engine that decided.
        epoch: u32,
        /// Effective time of the decision.
        at: UnixMs,
        /// Whether deciding again gives what was committed.
        matches: bool,
        /// One a record, in the order decided, with every reason.
        decisions: Vec<Decision>,
    }
);
reply!(
    /// A committed decision.
    AccessDecision {
        /// Semantic engine that decided.
        epoch: u32,
        /// The transaction that decided: this one, or the first of the same request id.
        decision: TxId,
        /// Effective time.
        at: UnixMs,
        /// One a record, in the order asked.
        decisions: Vec<Decision>,
    }
);
reply!(
    /// A disclosure on record.
    Disclosure {
        /// Semantic engine that decided again.
        epoch: u32,
        /// The transaction that put it on record.
        tx_id: TxId,
        /// Effective time.
        at: UnixMs,
        /// What was disclosed.
        disclosed: Disclosed,
    }
);
reply!(
    /// A page of audit entries.
    AuditPage {
        /// Ascending by transaction id.
        entries: Vec<AuditEntry>,
        /// For the next page; empty after the last.
        bookmark: String,
    }
);
