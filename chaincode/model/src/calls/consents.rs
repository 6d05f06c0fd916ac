//! Consents, delegated ones, and who can see what by them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ANY, CHECKERS, Call, HOME};
use crate::consent::{Action, LiveConsent, Provision};
use crate::decision::Rule;
use crate::ids::{Actor, KeyId, Nonce, PatientId, RecordId, StatementId, TxId};
use crate::patient::StopSwitch;
use crate::purpose::Purpose;
use crate::role::Role;
use crate::statement::{Grant, SignedStatement};
use crate::time::UnixMs;

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
call!(submit 2 ANY
    /// Stops every permit of a patient at once, or lifts the stop, by signed statement of the patient or a
    /// guardian. For: any enrolled actor, as carrier.
    StopAll -> StopSwitch {
        /// The statement.
        signed: SignedStatement,
    }
);
call!(evaluate 1 HOME
    /// Who could read a record at an instant, by deciding for each practitioner and purpose; of more than a
    /// thousand practitioners [`ListHolders`] tells. For: service, admin or auditor of the patient's home hospital.
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
call!(submit 2 ANY
    /// Passes a live permit on, narrower in every dimension; it ends with the one that it came from. For: the
    /// person whom that permit names and lets delegate, where the policy lets the role, and no denial keeps them from it.
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
    /// What a draft would change, before it is signed: who could do what with each record with and without it, and
    /// until when. It is refused as the signed statement would be. For: service, admin or auditor of the patient's
    /// home hospital.
    PreviewConsent -> ConsentPreview {
        /// The patient.
        patient: PatientId,
        /// The draft of a grant; absent when `ends` is not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        draft: Option<Grant>,
        /// In place of a draft, the live consent that would be ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ends: Option<StatementId>,
        /// Id of the key that would sign: the patient's, or that of a guardian in term. The patient's when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signer: Option<KeyId>,
        /// The instant to decide for, if it is later than now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<UnixMs>,
        /// Whom to decide for, 1 to 20.
        actors: Vec<Actor>,
        /// Which records, strictly ascending, 1 to 20.
        records: Vec<RecordId>,
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
    /// What a draft would change.
    ConsentPreview {
        /// The instant that was decided for.
        at: UnixMs,
        /// One a record, actor, action and purpose whose decision would be another one, or end at another instant.
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
        /// To do what, as a request for it is decided.
        action: Action,
        /// What for.
        purpose: Purpose,
        /// Without the draft.
        before: PreviewedDecision,
        /// With it.
        after: PreviewedDecision,
    }
);
reply!(
    /// How a request would be decided, and for how long the same would be.
    PreviewedDecision {
        /// The rule that decides.
        rule: Rule,
        /// When consents and guardians' terms permit it no longer, or the broken glass does; absent of a denial. The
        /// permit of one request, the asker's standing and a care relationship may end earlier.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        valid_until: Option<UnixMs>,
    }
);
