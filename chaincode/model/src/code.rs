//! The stable codes of refused calls. A refusal's message on the wire is exactly the code.

use std::fmt;
use std::str::FromStr;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal $text:literal, $fix:literal;)*) => {
        /// Why a call was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The text on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The response status, 400 or more: Fabric endorses none of them.
            pub const fn status(self) -> i32 {
                match self { $(Self::$name => $status,)* }
            }

            /// What the caller can do about it.
            pub const fn fix(self) -> &'static str {
                match self { $(Self::$name => $fix,)* }
            }
        }
    };
}

codes! {
    /// The argument is no JSON of the call's shape.
    ArgumentInvalid = 400 "ARGUMENT_INVALID", "compare the argument with the call's schema in the contract's metadata";
    /// A list, text or number is out of bounds.
    ArgumentOutOfBounds = 400 "ARGUMENT_OUT_OF_BOUNDS", "keep lists, texts and numbers within the documented limits";
    /// A bookmark is not one of this query.
    BookmarkInvalid = 400 "BOOKMARK_INVALID", "pass the bookmark of the previous page of the same query, unchanged";
    /// The policy is not sound.
    PolicyInvalid = 400 "POLICY_INVALID", "check order, bounds and daemons of the proposed policy";
    /// The policy is not the next of its sequence.
    PolicySequence = 409 "POLICY_SEQUENCE", "propose the sequence that follows the policy in force";
    /// The policy names another channel or chaincode than the call.
    PolicyForeign = 400 "POLICY_FOREIGN", "name this channel and this chaincode in the policy";
    /// No policy of that digest is proposed.
    PolicyUnknown = 404 "POLICY_UNKNOWN", "propose the policy first, or compare the digest";
    /// No policy is in force yet.
    NoPolicy = 412 "NO_POLICY", "have the members' admins propose and approve the first consortium policy";
    /// The call came through another chaincode, or was changed on its way.
    NotCalledDirectly = 403 "NOT_CALLED_DIRECTLY", "call this chaincode itself, not through another one";
    /// The proposal names another channel or chaincode than the policy in force.
    ForeignChaincode = 403 "FOREIGN_CHAINCODE", "call the chaincode under the name that the consortium's policy fixes";
    /// The proposal's timestamp is too far from the endorser's clock.
    TimestampOutsideWindow = 412 "TIMESTAMP_OUTSIDE_WINDOW", "set this machine's clock (NTP), or the peer's, and send a new proposal";
    /// The creator's certificate is not one of an enrolled actor.
    IdentityInvalid = 403 "IDENTITY_INVALID", "enrol with a certificate whose common name is its caretrail.subject, with a caretrail.role";
    /// The policy in force wants a semantic engine that this build does not have.
    EngineUnknown = 500 "ENGINE_UNKNOWN", "upgrade this hospital's chaincode service to a build that has the engine";
    /// The actor's MSP is no member of the consortium.
    NotAMember = 403 "NOT_A_MEMBER", "act with an identity of a member hospital";
    /// The actor's role may not make this call.
    RoleNotAllowed = 403 "ROLE_NOT_ALLOWED", "make the call with an identity of the role that it is for";
    /// The actor's hospital may not make this call for this patient or record.
    HospitalNotAllowed = 403 "HOSPITAL_NOT_ALLOWED", "make the call from the hospital that keeps the record or is the patient's home";
    /// The actor is not authorised at the hospital.
    NotAuthorized = 403 "NOT_AUTHORIZED", "have the hospital's admin authorise this practitioner";
    /// The authorisation lasts longer than the policy allows, or ended before it began.
    StandingPeriod = 400 "STANDING_PERIOD", "end the authorisation later than now and within the policy's limit";
    /// There is no such standing.
    StandingUnknown = 404 "STANDING_UNKNOWN", "authorise the practitioner first";
    /// There is no such patient.
    PatientUnknown = 404 "PATIENT_UNKNOWN", "check the patient id, or register the patient";
    /// The patient is registered already.
    PatientExists = 409 "PATIENT_EXISTS", "use the registered patient: registration happened before";
    /// The patient's id does not follow from home, key and nonce.
    PatientIdForeign = 400 "PATIENT_ID_FOREIGN", "derive the patient id from the home hospital, the key and the nonce";
    /// There is no such record, or not for this caller.
    RecordUnknown = 404 "RECORD_UNKNOWN", "check the record id";
    /// The record exists already.
    RecordExists = 409 "RECORD_EXISTS", "amend the record, or register with a new nonce";
    /// The record's id does not follow from maker, patient and nonce.
    RecordIdForeign = 400 "RECORD_ID_FOREIGN", "derive the record id from the maker, the patient and the nonce";
    /// The version is not the next.
    VersionConflict = 409 "VERSION_CONFLICT", "read the record's newest version and amend that one";
    /// The statement is malformed.
    StatementMalformed = 400 "STATEMENT_MALFORMED", "let the patient sign a statement of the documented format";
    /// The statement's signature is not the patient's.
    StatementSignature = 403 "STATEMENT_SIGNATURE", "carry the statement exactly as the patient's own key signed it";
    /// The statement is for another channel, chaincode or operation.
    StatementForeign = 403 "STATEMENT_FOREIGN", "let the patient sign for this channel, chaincode and operation";
    /// The statement was carried before.
    StatementReplayed = 409 "STATEMENT_REPLAYED", "a statement counts once: let the patient sign a new one";
    /// The statement's `submit_by` has passed.
    StatementExpired = 403 "STATEMENT_EXPIRED", "let the patient sign a new statement with a later submit_by";
    /// The statement's `submit_by` is further ahead than the policy allows.
    StatementTooEarly = 400 "STATEMENT_TOO_EARLY", "let the patient sign a statement with an earlier submit_by";
    /// The provision is not sound.
    ConsentInvalid = 400 "CONSENT_INVALID", "check the consent's period, actions, purposes and records";
    /// There is no such live consent.
    ConsentUnknown = 404 "CONSENT_UNKNOWN", "list the patient's live consents: this one ended or was never granted";
    /// The patient has as many live consents as the contract keeps, or as it keeps of guardians or of what was passed on.
    ConsentsFull = 409 "CONSENTS_FULL", "end or supersede a live consent first";
    /// There is no such statement.
    StatementUnknown = 404 "STATEMENT_UNKNOWN", "check the statement id";
    /// There is no such decision.
    DecisionUnknown = 404 "DECISION_UNKNOWN", "check the decision's transaction id: only a VALID transaction decides";
    /// Nothing was disclosed under that decision.
    DisclosureUnknown = 404 "DISCLOSURE_UNKNOWN", "ask for a release first";
    /// The request id was used for another request.
    RequestIdReused = 409 "REQUEST_ID_REUSED", "choose a new request id for another patient, record, action or purpose";
    /// The disclosure does not match the decision.
    DisclosureMismatch = 403 "DISCLOSURE_MISMATCH", "disclose what was decided, to the one for whom it was decided";
    /// The permit can no longer be used.
    PermitExpired = 403 "PERMIT_EXPIRED", "request access again";
    /// Decided again now, it is no permit.
    PermitEnded = 403 "PERMIT_ENDED", "request access again: what permitted it has ended";
    /// It was disclosed already, to another key.
    DisclosedToOtherKey = 409 "DISCLOSED_TO_OTHER_KEY", "ask with the key of the first release, or request access again";
    /// It was disclosed already, to the same key.
    AlreadyDisclosed = 409 "ALREADY_DISCLOSED", "read the first disclosure";
    /// The consortium's policy does not know this call yet.
    EpochTooOld = 412 "EPOCH_TOO_OLD", "have the members put a policy of a newer epoch in force first";
    /// A key speaks for the patient: nothing is done on paper any more.
    KeyBound = 409 "KEY_BOUND", "let the patient sign a statement: nothing is done on paper once a key is bound";
    /// No key speaks for the patient.
    KeyUnbound = 409 "KEY_UNBOUND", "bind the patient's key first, or act on paper";
    /// The key speaks for the patient already, as the patient's or a guardian's.
    KeyInUse = 409 "KEY_IN_USE", "name a key that does not speak for this patient yet";
    /// There is no such recovery, or it ended.
    RecoveryUnknown = 404 "RECOVERY_UNKNOWN", "open a recovery at the patient's home hospital first";
    /// Another recovery waits.
    RecoveryPending = 409 "RECOVERY_PENDING", "wait until the open recovery is completed or cancelled";
    /// The recovery is not confirmed, or its time is not over.
    RecoveryNotDue = 412 "RECOVERY_NOT_DUE", "have a second hospital confirm it, and wait until it is due";
    /// A second hospital has to do this.
    SecondHospital = 403 "SECOND_HOSPITAL", "let another member hospital than the first do this";
    /// There is no such act on paper, or it is done.
    PaperUnknown = 404 "PAPER_UNKNOWN", "propose it at the patient's home hospital first";
    /// The act on paper waited too long, or what it changes was changed since.
    PaperLapsed = 409 "PAPER_LAPSED", "propose it anew: its time is over, or what it changes was changed since";
    /// The id does not follow from actor, patient and nonce.
    GrantIdForeign = 400 "GRANT_ID_FOREIGN", "derive the id from the caller, the patient and the nonce";
    /// The id was used before.
    GrantIdUsed = 409 "GRANT_ID_USED", "derive a new id from a new nonce";
    /// The guardian's term is not sound.
    GuardianTermInvalid = 400 "GUARDIAN_TERM_INVALID", "end the term with a calendar quarter (UTC), later than now and within the policy's limit";
    /// The patient has as many guardians as the contract keeps.
    GuardiansFull = 409 "GUARDIANS_FULL", "end another guardian's term first";
    /// There is no such guardian.
    GuardianUnknown = 404 "GUARDIAN_UNKNOWN", "list the patient's guardians: this one's term is over or never began";
    /// The stop, or the denial, was made by somebody else.
    NotTheAuthor = 403 "NOT_THE_AUTHOR", "let the patient, or the guardian who made it, end it";
    /// The relationship lasts longer than the policy allows, or ended before it began.
    RelationshipPeriod = 400 "RELATIONSHIP_PERIOD", "end the relationship later than now and within the policy's limit";
    /// There is no such relationship, or it ended.
    RelationshipUnknown = 404 "RELATIONSHIP_UNKNOWN", "open the care relationship first";
    /// The tags are not eight in order, or another custodian's.
    TagsInvalid = 400 "TAGS_INVALID", "give exactly eight tags in ascending order, made with this hospital's own tag key";
    /// The record was withdrawn.
    RecordWithdrawn = 409 "RECORD_WITHDRAWN", "add a new record: a withdrawn one stays as it is";
    /// The record is the patient's own: whoever keeps it changes nothing of it.
    PatientsOwnRecord = 403 "PATIENTS_OWN_RECORD", "keep it as the patient added it: a patient who wants it otherwise adds another record";
    /// Custody is not offered to this hospital.
    CustodyNotOffered = 409 "CUSTODY_NOT_OFFERED", "let the custodian offer custody to this hospital first";
    /// A record that this one is derived from is not there, or another patient's.
    DerivedFromUnknown = 400 "DERIVED_FROM_UNKNOWN", "name records of the same patient";
    /// The correction request's number is not the next.
    CorrectionNumber = 409 "CORRECTION_NUMBER", "number the request one more than the record's newest";
    /// There is no such correction request.
    CorrectionUnknown = 404 "CORRECTION_UNKNOWN", "check the record and the request's number";
    /// The correction request was answered.
    CorrectionAnswered = 409 "CORRECTION_ANSWERED", "read the answer: a request is answered once";
    /// The grant that is passed on is not the caller's, or may not be passed on.
    DelegationUnknown = 403 "DELEGATION_UNKNOWN", "pass on a live grant that names you and lets you delegate, while no denial keeps you from it";
    /// The grant is wider than the one that it is passed on from.
    DelegationWider = 400 "DELEGATION_WIDER", "narrow actions, purposes, records and period to those of the grant passed on";
    /// The patient refuses emergency access.
    EmergencyRefused = 403 "EMERGENCY_REFUSED", "the patient refuses emergency access: ask for consent";
    /// An earlier one was not reviewed.
    ReviewPending = 409 "REVIEW_PENDING", "have an auditor of another hospital review the earlier emergency access first";
    /// The glass was not broken.
    BreakGlassUnknown = 404 "BREAK_GLASS_UNKNOWN", "check patient and clinician";
    /// It was reviewed.
    ReviewedAlready = 409 "REVIEWED_ALREADY", "read the review: each emergency access is reviewed once";
    /// There are more practitioners than one answer decides for.
    HoldersTooMany = 413 "HOLDERS_TOO_MANY", "ask page by page, as `caretrail audit who-can-see` does";
    /// What decided is not kept as immutable state.
    ReplayUnavailable = 404 "REPLAY_UNAVAILABLE", "replay decisions that were made under epoch 2 or later";
    /// A state value cannot be read.
    StateUnreadable = 500 "STATE_UNREADABLE", "look at the chaincode's log: this build does not know the value's format";
    /// The ledger did not answer.
    LedgerUnavailable = 503 "LEDGER_UNAVAILABLE", "look at the peer's log, then call again";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is none of the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a code of this contract")]
pub struct ParseCodeError;

impl FromStr for Code {
    type Err = ParseCodeError;

    fn from_str(text: &str) -> Result<Self, ParseCodeError> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(ParseCodeError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_its_own_and_never_endorsed() {
        let texts: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.status() >= 400);
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
    }
}
