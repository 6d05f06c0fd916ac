//! Records, their versions and their corrections.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ANY, CARE, Call, DESK, READERS, WRITERS};
use crate::ids::{Digest, MspId, Nonce, PatientId, RecordId};
use crate::record::{Commitments, Correction, Record, RecordVersion};
use crate::statement::SignedStatement;
use crate::tag::RecordTags;

call!(submit 1 WRITERS
    /// Adds a record; the caller's hospital becomes its custodian. For: authorised clinician or service of the
    /// patient's home, or of a hospital with a care relationship or a permit to write.
    RegisterRecord -> RecordAdded {
        /// Whose record it is.
        patient: PatientId,
        /// Its id, derived from caller, patient and nonce.
        record: RecordId,
        /// What the id is derived with.
        nonce: Nonce,
        /// What version 1 is held to.
        commitments: Commitments,
        /// Its labels, blinded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tags: Option<RecordTags>,
        /// Records of the same patient that it was made from, strictly ascending, at most eight.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        derived_from: Vec<RecordId>,
    }
);
call!(submit 1 WRITERS
    /// Adds a version; earlier ones stay, and a record of the patient's own gets none. For: authorised clinician or
    /// service of the custodian.
    AmendRecord -> RecordAdded {
        /// Whose record it is.
        patient: PatientId,
        /// The record.
        record: RecordId,
        /// The version that is added: one more than the newest.
        version: u64,
        /// What it is held to.
        commitments: Commitments,
        /// The record's labels from now on, blinded; those that it has when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tags: Option<RecordTags>,
        /// Records of the same patient that it was made from, strictly ascending, at most eight.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        derived_from: Vec<RecordId>,
    }
);
call!(evaluate 1 READERS
    /// A record and its newest version. For: clinician, service or auditor of the custodian.
    GetRecord -> RecordView {
        /// The record.
        record: RecordId,
    }
);
call!(evaluate 1 READERS
    /// Every version, newest first. For: clinician, service or auditor of the custodian.
    RecordHistory -> RecordVersions {
        /// The record.
        record: RecordId,
        /// Entries of the page; 0 is the default.
        #[serde(default)]
        page_entries: u32,
        /// The previous page's bookmark; empty for the first page.
        #[serde(default)]
        bookmark: String,
    }
);
call!(evaluate 1 READERS
    /// A patient's records. For: clinician, service or auditor of the patient's home hospital.
    ListRecords -> RecordList {
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
call!(evaluate 1 ANY
    /// Whether the channel holds exactly these commitments for a version. For: any enrolled actor: a version
    /// that is not there answers like one that does not match.
    VerifyRecord -> RecordVerified {
        /// The record.
        record: RecordId,
        /// The version.
        version: u64,
        /// What the caller has.
        commitments: Commitments,
    }
);
call!(submit 2 WRITERS
    /// Adds up to 100 records of one patient. For: who may [`RegisterRecord`].
    RegisterRecords -> RecordsAdded {
        /// Whose records they are.
        patient: PatientId,
        /// The records, strictly ascending by id.
        records: Vec<NewRecord>,
    }
);
call!(submit 2 CARE
    /// Adds a record of the patient's own, by signed statement. For: service, clinician or admin of the hospital
    /// that keeps it.
    RegisterOwnRecord -> RecordAdded {
        /// The statement.
        signed: SignedStatement,
    }
);
call!(submit 2 WRITERS
    /// Withdraws a record that is not the patient's own: it stays on record, and is released to nobody. For: authorised
    /// clinician or service of the custodian.
    WithdrawRecord -> RecordChanged {
        /// Whose record it is.
        patient: PatientId,
        /// The record.
        record: RecordId,
    }
);
call!(submit 2 DESK
    /// Offers custody of a record that is not the patient's own to another member, or takes the offer back. For: service
    /// or admin of the custodian.
    TransferCustody -> RecordChanged {
        /// Whose record it is.
        patient: PatientId,
        /// The record.
        record: RecordId,
        /// To whom; nobody when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<MspId>,
    }
);
call!(submit 2 DESK
    /// Takes custody of a record over; its labels are void until the new custodian gives its own. For: service or
    /// admin of the hospital that it is offered to.
    AcceptCustody -> RecordChanged {
        /// Whose record it is.
        patient: PatientId,
        /// The record.
        record: RecordId,
        /// Its labels, blinded with the new custodian's key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tags: Option<RecordTags>,
    }
);
call!(submit 2 ANY
    /// Asks for a correction of a record, by signed statement of the patient or a guardian. The record stays as it
    /// is. For: any enrolled actor, as carrier.
    RequestCorrection -> Correction {
        /// The statement.
        signed: SignedStatement,
        /// The request's number: 1 for the record's first, one more for each that follows.
        number: u64,
    }
);
call!(submit 2 WRITERS
    /// Answers a correction request, once; an accepted one is followed by a new version. For: authorised clinician
    /// or service of the custodian.
    AnswerCorrection -> Correction {
        /// Whose record it is.
        patient: PatientId,
        /// The record.
        record: RecordId,
        /// The request's number.
        number: u64,
        /// Whether the record is amended.
        accepted: bool,
        /// SHA-256 of the reason.
        reason_digest: Digest,
    }
);
call!(evaluate 2 READERS
    /// A correction request. For: clinician, service or auditor of the custodian.
    GetCorrection -> Correction {
        /// The record.
        record: RecordId,
        /// The request's number.
        number: u64,
    }
);

reply!(
    /// A version that was added.
    RecordAdded {
        /// The record.
        record: RecordId,
        /// The version.
        version: u64,
    }
);
reply!(
    /// A record and its newest version.
    RecordView {
        /// Custody and status.
        record: Record,
        /// The newest version.
        newest: RecordVersion,
    }
);
reply!(
    /// A page of versions.
    RecordVersions {
        /// Newest first.
        versions: Vec<RecordVersion>,
        /// For the next page; empty after the last.
        bookmark: String,
    }
);
reply!(
    /// A page of records.
    RecordList {
        /// Ascending.
        records: Vec<RecordId>,
        /// For the next page; empty after the last.
        bookmark: String,
    }
);
reply!(
    /// What matches.
    RecordVerified {
        /// Whether the content commitment is the channel's.
        content_commitment_matches: bool,
        /// Whether the blob digest and size are the channel's.
        blob_matches: bool,
    }
);
reply!(
    /// A record of a batch.
    NewRecord {
        /// Its id, derived from caller, patient and nonce.
        record: RecordId,
        /// What the id is derived with.
        nonce: Nonce,
        /// What version 1 is held to.
        commitments: Commitments,
        /// Its labels, blinded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tags: Option<RecordTags>,
    }
);
reply!(
    /// Records that were added.
    RecordsAdded {
        /// Strictly ascending.
        records: Vec<RecordId>,
    }
);
reply!(
    /// A record that was changed.
    RecordChanged {
        /// The record.
        record: RecordId,
        /// Number of the change.
        sequence: u64,
    }
);
