//! Every call of the contract: its name, its one JSON argument and its reply.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::audit::{AuditEntry, Disclosed};
use crate::consent::{Action, LiveConsent};
use crate::decision::Decision;
use crate::ids::{Actor, Digest, MspId, Nonce, PatientId, RecordId, RequestId, StatementId, Subject, TxId};
use crate::patient::Patient;
use crate::policy::ConsortiumPolicy;
use crate::purpose::Purpose;
use crate::record::{Commitments, Record, RecordVersion};
use crate::role::Role;
use crate::standing::Standing;
use crate::statement::SignedStatement;
use crate::time::UnixMs;

/// A call of the contract.
pub trait Call: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// Its name, the transaction's function.
    const NAME: &'static str;
    /// Whether it writes, and so is submitted; the others are evaluated only.
    const WRITES: bool;
    /// Its reply.
    type Reply: Serialize + DeserializeOwned + JsonSchema + Send + 'static;
}

macro_rules! call {
    ($kind:ident $(#[$doc:meta])* $name:ident -> $reply:ty { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl Call for $name {
            const NAME: &'static str = stringify!($name);
            const WRITES: bool = call!(@$kind);
            type Reply = $reply;
        }
    };
    (@submit) => { true };
    (@evaluate) => { false };
}

// The consortium's policy and its practitioners.

call!(submit
    /// Proposes the next policy. For: admin of a member, or of a hospital that the first policy names.
    ProposePolicy -> ProposedPolicy {
        /// The policy's exact JSON text; its digest is over this text.
        policy: String,
    }
);
call!(submit
    /// Approves a proposed policy for the caller's hospital; the approval that completes the majority
    /// (of the first policy: all it names) puts it in force. For: admin of a member.
    ApprovePolicy -> PolicyApproval {
        /// The proposed policy.
        digest: Digest,
    }
);
call!(evaluate
    /// The policy in force. For: any enrolled actor.
    GetPolicy -> ConsortiumPolicy {}
);
call!(submit
    /// Authorises a practitioner of the caller's own hospital, or changes the authorisation. For: admin.
    AuthorizePractitioner -> Standing {
        /// The practitioner.
        subject: Subject,
        /// The role to act in, the one in the practitioner's certificate.
        role: Role,
        /// Purposes that the practitioner may claim, strictly ascending.
        purposes: Vec<Purpose>,
        /// First instant at which it no longer holds.
        until: UnixMs,
    }
);
call!(submit
    /// Suspends a practitioner of the caller's own hospital. For: admin.
    SuspendPractitioner -> Standing {
        /// The practitioner.
        subject: Subject,
    }
);
call!(evaluate
    /// The standing of a practitioner of a member. For: any enrolled actor.
    GetStanding -> Standing {
        /// The practitioner.
        actor: Actor,
    }
);

// Patients and their records.

call!(submit
    /// Registers a patient by the patient's own signed statement. For: service, clinician or admin of the home hospital.
    RegisterPatient -> PatientRegistered {
        /// The statement, signed with the key that it binds.
        signed: SignedStatement,
    }
);
call!(evaluate
    /// A patient's home and key in force. For: any enrolled actor.
    GetPatient -> Patient {
        /// The patient.
        patient: PatientId,
    }
);
call!(submit
    /// Adds a record. For: authorised clinician of the patient's home hospital, which becomes its custodian.
    RegisterRecord -> RecordAdded {
        /// Whose record it is.
        patient: PatientId,
        /// Its id, derived from caller, patient and nonce.
        record: RecordId,
        /// What the id is derived with.
        nonce: Nonce,
        /// What version 1 is held to.
        commitments: Commitments,
    }
);
call!(submit
    /// Adds a version; earlier ones stay. For: authorised clinician of the custodian.
    AmendRecord -> RecordAdded {
        /// Whose record it is.
        patient: PatientId,
        /// The record.
        record: RecordId,
        /// The version that is added: one more than the newest.
        version: u64,
        /// What it is held to.
        commitments: Commitments,
    }
);
call!(evaluate
    /// A record and its newest version. For: clinician, service or auditor of the custodian.
    GetRecord -> RecordView {
        /// The record.
        record: RecordId,
    }
);
call!(evaluate
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
call!(evaluate
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
call!(evaluate
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

// Consents.

call!(submit
    /// Puts a provision in force by the patient's signed statement. For: any enrolled actor, as carrier.
    GrantConsent -> ConsentGranted {
        /// The statement.
        signed: SignedStatement,
    }
);
call!(submit
    /// Ends a live consent by the patient's signed statement. For: any enrolled actor, as carrier.
    EndConsent -> ConsentEnded {
        /// The statement.
        signed: SignedStatement,
    }
);
call!(evaluate
    /// A patient's live consents. For: service, admin or auditor of the patient's home hospital.
    ListConsents -> ConsentList {
        /// The patient.
        patient: PatientId,
    }
);
call!(evaluate
    /// A statement's exact text, signature and carrier. For: service or auditor of any member.
    GetStatement -> CarriedStatement {
        /// The patient.
        patient: PatientId,
        /// The statement.
        statement: StatementId,
    }
);
call!(evaluate
    /// Who could read a record at an instant, by deciding for each practitioner and purpose.
    /// For: service, admin or auditor of the patient's home hospital.
    WhoCanSee -> Holders {
        /// The record.
        record: RecordId,
        /// The instant, now or later; now when absent or past.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<UnixMs>,
    }
);

// Access.

call!(submit
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
call!(evaluate
    /// A committed decision. For: any actor of the deciding actor's hospital; service or auditor of any member.
    GetDecision -> AuditEntry {
        /// The patient.
        patient: PatientId,
        /// The transaction that decided.
        decision: TxId,
    }
);
call!(submit
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
call!(evaluate
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
call!(evaluate
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

/// Calls `$each!(Name)` for every call of the contract, in the order of its documentation.
#[macro_export]
macro_rules! for_each_call {
    ($each:ident) => {
        $each!(ProposePolicy);
        $each!(ApprovePolicy);
        $each!(GetPolicy);
        $each!(AuthorizePractitioner);
        $each!(SuspendPractitioner);
        $each!(GetStanding);
        $each!(RegisterPatient);
        $each!(GetPatient);
        $each!(RegisterRecord);
        $each!(AmendRecord);
        $each!(GetRecord);
        $each!(RecordHistory);
        $each!(ListRecords);
        $each!(VerifyRecord);
        $each!(GrantConsent);
        $each!(EndConsent);
        $each!(ListConsents);
        $each!(GetStatement);
        $each!(WhoCanSee);
        $each!(RequestAccess);
        $each!(GetDecision);
        $each!(RecordDisclosure);
        $each!(GetDisclosure);
        $each!(AccessLog);
    };
}

macro_rules! reply {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
    };
}

reply!(
    /// A proposed policy.
    ProposedPolicy {
        /// What names it until it is in force.
        digest: Digest,
    }
);
reply!(
    /// An approval.
    PolicyApproval {
        /// Whether this approval put the policy in force.
        in_force: bool,
        /// Hospitals that approved, this one included.
        approved: Vec<MspId>,
        /// Hospitals whose approval is still open.
        missing: Vec<MspId>,
    }
);
reply!(
    /// A registered patient.
    PatientRegistered {
        /// Its id.
        patient: PatientId,
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
    /// A granted consent.
    ConsentGranted {
        /// Its id: the statement's.
        consent: StatementId,
    }
);
reply!(
    /// An ended consent.
    ConsentEnded {
        /// Its id.
        consent: StatementId,
    }
);
reply!(
    /// A patient's live consents.
    ConsentList {
        /// 0 when none was ever granted, one more for each change.
        sequence: u64,
        /// In the order in which they were granted.
        consents: Vec<LiveConsent>,
    }
);
reply!(
    /// A carried statement.
    CarriedStatement {
        /// Exactly what was carried.
        signed: SignedStatement,
        /// Who carried it.
        carrier: Actor,
        /// The transaction that carried it.
        tx_id: TxId,
        /// Effective time.
        at: UnixMs,
    }
);
reply!(
    /// Who can see a record.
    Holders {
        /// The instant that was decided for.
        at: UnixMs,
        /// Ascending by actor: those practitioners of the hospitals that the patient's consents name for whom
        /// reading would be permitted.
        holders: Vec<Holder>,
    }
);
reply!(
    /// Somebody who can see a record.
    Holder {
        /// The practitioner.
        actor: Actor,
        /// In which role.
        role: Role,
        /// What for.
        purposes: Vec<Purpose>,
        /// The consents that permit, one a purpose.
        consents: Vec<StatementId>,
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
