//! Every call of the contract: its name, its one JSON argument and its reply.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::audit::{AuditEntry, Disclosed};
use crate::care::{BrokenGlass, Relationship};
use crate::consent::{Action, LiveConsent, Provision};
use crate::decision::{Decision, Rule};
use crate::guardian::Guardians;
use crate::ids::{
    Actor, Digest, KeyId, MspId, Nonce, PatientId, RecordId, RequestId, StatementId, Subject, TxId,
};
use crate::paper::{Paper, PaperAct};
use crate::patient::{Patient, Recovery, Signer, StopSwitch};
use crate::policy::ConsortiumPolicy;
use crate::purpose::Purpose;
use crate::record::{Commitments, Correction, Record, RecordVersion};
use crate::role::Role;
use crate::standing::Standing;
use crate::statement::{Grant, SignedStatement};
use crate::tag::RecordTags;
use crate::time::UnixMs;

/// A call of the contract.
pub trait Call: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// Its name, the transaction's function.
    const NAME: &'static str;
    /// Whether it writes, and so is submitted; the others are evaluated only.
    const WRITES: bool;
    /// The first semantic engine that knows it.
    const SINCE_EPOCH: u32;
    /// Roles that it is for; what else it asks of its caller is in its description.
    const ROLES: &'static [Role];
    /// Its reply.
    type Reply: Serialize + DeserializeOwned + JsonSchema + Send + 'static;
}

const ANY: &[Role] = &Role::ALL;
const ADMIN: &[Role] = &[Role::Admin];
const AUDITOR: &[Role] = &[Role::Auditor];
const SERVICE: &[Role] = &[Role::Service];
const CLINICIAN: &[Role] = &[Role::Clinician];
/// Who acts for a hospital's patients.
const CARE: &[Role] = &[Role::Service, Role::Clinician, Role::Admin];
/// Who speaks for a hospital.
const DESK: &[Role] = &[Role::Service, Role::Admin];
const WRITERS: &[Role] = &[Role::Clinician, Role::Service];
/// Who reads a custodian's own records.
const READERS: &[Role] = &[Role::Clinician, Role::Auditor, Role::Service];
/// Who answers a home hospital's patients.
const HOME: &[Role] = &[Role::Service, Role::Admin, Role::Auditor];
/// Who checks what another hospital did.
const CHECKERS: &[Role] = &[Role::Service, Role::Auditor];

macro_rules! call {
    ($kind:ident $epoch:literal $roles:ident $(#[$doc:meta])* $name:ident -> $reply:ty { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl Call for $name {
            const NAME: &'static str = stringify!($name);
            const WRITES: bool = call!(@$kind);
            const SINCE_EPOCH: u32 = $epoch;
            const ROLES: &'static [Role] = $roles;
            type Reply = $reply;
        }
    };
    (@submit) => { true };
    (@evaluate) => { false };
}

// The consortium's policy and its practitioners.

call!(submit 1 ADMIN
    /// Proposes the next policy. For: admin of a member, or of a hospital that the first policy names.
    ProposePolicy -> ProposedPolicy {
        /// The policy's exact JSON text; its digest is over this text.
        policy: String,
    }
);
call!(submit 1 ADMIN
    /// Approves a proposed policy for the caller's hospital; the approval that completes the majority
    /// (of the first policy: all it names) puts it in force. For: admin of a member.
    ApprovePolicy -> PolicyApproval {
        /// The proposed policy.
        digest: Digest,
    }
);
call!(evaluate 1 ANY
    /// The policy in force. For: any enrolled actor.
    GetPolicy -> ConsortiumPolicy {}
);
call!(submit 1 ADMIN
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
call!(submit 1 ADMIN
    /// Suspends a practitioner of the caller's own hospital. For: admin.
    SuspendPractitioner -> Standing {
        /// The practitioner.
        subject: Subject,
    }
);
call!(evaluate 1 ANY
    /// The standing of a practitioner of a member. For: any enrolled actor.
    GetStanding -> Standing {
        /// The practitioner.
        actor: Actor,
    }
);

// Patients and their records.

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
    /// Adds a version; earlier ones stay. For: authorised clinician or service of the custodian.
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

// Consents.

call!(submit 1 ANY
    /// Puts a provision in force by the patient's signed statement. For: any enrolled actor, as carrier.
    GrantConsent -> ConsentGranted {
        /// The statement.
        signed: SignedStatement,
    }
);
call!(submit 1 ANY
    /// Ends a live consent by the patient's signed statement. For: any enrolled actor, as carrier.
    EndConsent -> ConsentEnded {
        /// The statement.
        signed: SignedStatement,
    }
);
call!(evaluate 1 HOME
    /// A patient's live consents. For: service, admin or auditor of the patient's home hospital.
    ListConsents -> ConsentList {
        /// The patient.
        patient: PatientId,
    }
);
call!(evaluate 1 CHECKERS
    /// A statement's exact text, signature and carrier. For: service or auditor of any member.
    GetStatement -> CarriedStatement {
        /// The patient.
        patient: PatientId,
        /// The statement.
        statement: StatementId,
    }
);
call!(evaluate 1 HOME
    /// Who could read a record at an instant, by deciding for each practitioner and purpose.
    /// For: service, admin or auditor of the patient's home hospital.
    WhoCanSee -> Holders {
        /// The record.
        record: RecordId,
        /// The instant; now when absent. Of an earlier one, what was in force then decides.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<UnixMs>,
    }
);
call!(evaluate 2 HOME
    /// [`WhoCanSee`], in pages: each decides for up to 100 practitioners, so a page may name nobody and not be
    /// the last. For: service, admin or auditor of the patient's home hospital.
    ListHolders -> HolderPage {
        /// The record.
        record: RecordId,
        /// The instant; now when absent. Of an earlier one, what was in force then decides.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<UnixMs>,
        /// Practitioners that are decided for; 0 is the default.
        #[serde(default)]
        page_entries: u32,
        /// The previous page's bookmark; empty for the first page.
        #[serde(default)]
        bookmark: String,
    }
);

// Access.

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

// Keys, guardians and paper.

call!(submit 2 ANY
    /// Stops every permit of a patient at once, or lifts the stop, by signed statement of the patient or a
    /// guardian. For: any enrolled actor, as carrier.
    StopAll -> StopSwitch {
        /// The statement.
        signed: SignedStatement,
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
call!(evaluate 2 ANY
    /// A key that speaks or spoke for a patient, so that what it signed can be verified. For: any enrolled actor.
    GetSigner -> Signer {
        /// The patient.
        patient: PatientId,
        /// The key.
        key: KeyId,
    }
);
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

// Care.

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

// More about records.

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
    /// Withdraws a record: it stays on record, and is released to nobody. For: authorised clinician or service of
    /// the custodian.
    WithdrawRecord -> RecordChanged {
        /// Whose record it is.
        patient: PatientId,
        /// The record.
        record: RecordId,
    }
);
call!(submit 2 DESK
    /// Offers custody of a record to another member, or takes the offer back. For: service or admin of the
    /// custodian.
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

// More about consents.

call!(submit 2 ANY
    /// Passes a live permit on, narrower in every dimension; it ends with the one that it came from. For: the
    /// person whom that permit names and lets delegate.
    DelegateConsent -> ConsentGranted {
        /// The patient.
        patient: PatientId,
        /// The permit that is passed on.
        parent: StatementId,
        /// The new grant's id, derived from caller, patient and nonce.
        id: StatementId,
        /// What it is derived with.
        nonce: Nonce,
        /// What is permitted.
        provision: Provision,
    }
);
call!(submit 2 ANY
    /// Ends a permit that the caller passed on. For: the one who passed it on.
    EndDelegation -> ConsentEnded {
        /// The patient.
        patient: PatientId,
        /// The grant.
        consent: StatementId,
    }
);
call!(evaluate 2 HOME
    /// What a draft would change, before it is signed: who could read each record with and without it.
    /// For: service, admin or auditor of the patient's home hospital.
    PreviewConsent -> ConsentPreview {
        /// The patient.
        patient: PatientId,
        /// The draft.
        draft: Grant,
        /// Whom to decide for, 1 to 20.
        actors: Vec<Actor>,
        /// Which records, strictly ascending, 1 to 20.
        records: Vec<RecordId>,
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
        $each!(ListHolders);
        $each!(RequestAccess);
        $each!(GetDecision);
        $each!(RecordDisclosure);
        $each!(GetDisclosure);
        $each!(AccessLog);
        $each!(StopAll);
        $each!(RefuseEmergency);
        $each!(RegisterPaperPatient);
        $each!(ActOnPaper);
        $each!(ConfirmPaper);
        $each!(GetPaper);
        $each!(BindKey);
        $each!(RotateKey);
        $each!(RecoverKey);
        $each!(ConfirmRecovery);
        $each!(CompleteRecovery);
        $each!(CancelRecovery);
        $each!(GetRecovery);
        $each!(GetSigner);
        $each!(AddGuardian);
        $each!(EndGuardian);
        $each!(ListGuardians);
        $each!(OpenRelationship);
        $each!(CloseRelationship);
        $each!(GetRelationship);
        $each!(BreakGlass);
        $each!(ReviewBreakGlass);
        $each!(GetBreakGlass);
        $each!(RegisterRecords);
        $each!(RegisterOwnRecord);
        $each!(WithdrawRecord);
        $each!(TransferCustody);
        $each!(AcceptCustody);
        $each!(RequestCorrection);
        $each!(AnswerCorrection);
        $each!(GetCorrection);
        $each!(DelegateConsent);
        $each!(EndDelegation);
        $each!(PreviewConsent);
        $each!(PreviewAccess);
        $each!(ReplayDecision);
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
    /// A page of those who can see a record.
    HolderPage {
        /// The instant that was decided for.
        at: UnixMs,
        /// Ascending by actor.
        holders: Vec<Holder>,
        /// For the next page; empty after the last.
        bookmark: String,
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
reply!(
    /// What a draft would change.
    ConsentPreview {
        /// The instant that was decided for.
        at: UnixMs,
        /// One a record, actor and purpose whose decision would be another one.
        changes: Vec<PreviewedChange>,
    }
);
reply!(
    /// A decision that a draft would change.
    PreviewedChange {
        /// The record.
        record: RecordId,
        /// Who would ask.
        actor: Actor,
        /// What for.
        purpose: Purpose,
        /// Without the draft.
        before: Rule,
        /// With it.
        after: Rule,
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
