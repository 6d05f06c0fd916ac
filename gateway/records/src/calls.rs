//! Each call of the contract by its own name, typed: what the workflows do not make already.
//!
//! A call that is more than a call for a hospital, such as registering a patient whose number stays in the store, is a
//! [workflow](crate::workflows).

use caretrail_model::calls::*;

use crate::call_error::CallError;
use crate::records::{Committed, Records};

macro_rules! calls {
    ($($(#[$doc:meta])+ $kind:ident fn $name:ident($call:ident);)*) => {
        impl Records {
            $(calls!(@$kind $(#[$doc])+ $name $call);)*
        }
    };
    (@submit $(#[$doc:meta])+ $name:ident $call:ident) => {
        $(#[$doc])+
        ///
        /// # Errors
        /// Those of [`submit`](Self::submit).
        pub async fn $name(&self, call: &$call) -> Result<Committed<<$call as Call>::Reply>, CallError> {
            const { assert!(<$call as Call>::WRITES) };
            self.submit(call).await
        }
    };
    (@evaluate $(#[$doc:meta])+ $name:ident $call:ident) => {
        $(#[$doc])+
        ///
        /// # Errors
        /// Those of [`evaluate`](Self::evaluate).
        pub async fn $name(&self, call: &$call) -> Result<<$call as Call>::Reply, CallError> {
            const { assert!(!<$call as Call>::WRITES) };
            self.evaluate(call).await
        }
    };
}

calls! {
    /// Proposes the next policy.
    submit fn propose_policy(ProposePolicy);
    /// Approves a proposed policy for the caller's hospital; the approval that completes the majority (of the first
    /// policy: all it names) puts it in force.
    submit fn approve_policy(ApprovePolicy);
    /// The policy in force.
    evaluate fn policy(GetPolicy);
    /// Authorises a practitioner of the caller's own hospital, or changes the authorisation.
    submit fn authorize_practitioner(AuthorizePractitioner);
    /// Suspends a practitioner of the caller's own hospital.
    submit fn suspend_practitioner(SuspendPractitioner);
    /// The standing of a practitioner of a member.
    evaluate fn standing(GetStanding);
    /// A patient's home and key in force.
    evaluate fn patient(GetPatient);
    /// A record and its newest version.
    evaluate fn record(GetRecord);
    /// A patient's records.
    evaluate fn list_records(ListRecords);
    /// Whether the channel holds exactly these commitments for a version.
    evaluate fn verify_record(VerifyRecord);
    /// Puts a provision in force by the patient's signed statement.
    submit fn grant_consent(GrantConsent);
    /// Ends a live consent by the patient's signed statement.
    submit fn end_consent(EndConsent);
    /// A patient's live consents.
    evaluate fn list_consents(ListConsents);
    /// A statement's exact text, signature and carrier.
    evaluate fn statement(GetStatement);
    /// Who could read a record at an instant, by deciding for each practitioner and purpose.
    evaluate fn who_can_see(WhoCanSee);
    /// A committed decision.
    evaluate fn decision(GetDecision);
    /// Puts a disclosure on record before it happens, decided again at that time.
    submit fn record_disclosure(RecordDisclosure);
    /// The disclosure of a record under a decision.
    evaluate fn disclosure(GetDisclosure);
    /// Stops every permit of a patient at once, or lifts the stop, by signed statement of the patient or a guardian.
    submit fn stop_all(StopAll);
    /// Refuses emergency access, or allows it again, by the patient's signed statement.
    submit fn refuse_emergency(RefuseEmergency);
    /// Puts in force what waits on paper.
    submit fn confirm_paper(ConfirmPaper);
    /// An act on paper.
    evaluate fn paper(GetPaper);
    /// Binds the first key of a patient on paper, by a statement that it signs; nothing is done on paper from then
    /// on.
    submit fn bind_key(BindKey);
    /// Replaces a patient's key, by a statement of the one in force.
    submit fn rotate_key(RotateKey);
    /// Opens the recovery of a lost key, by a statement of the new one.
    submit fn recover_key(RecoverKey);
    /// Confirms a recovery, which is due some days later.
    submit fn confirm_recovery(ConfirmRecovery);
    /// Puts the new key of a recovery that is due in force.
    submit fn complete_recovery(CompleteRecovery);
    /// Cancels a recovery, by a statement of the key in force.
    submit fn cancel_recovery(CancelRecovery);
    /// The newest recovery of a patient's key.
    evaluate fn recovery(GetRecovery);
    /// A key that speaks or spoke for a patient, so that what it signed can be verified.
    evaluate fn signer(GetSigner);
    /// Appoints a guardian or renews the term, by the patient's signed statement.
    submit fn add_guardian(AddGuardian);
    /// Ends a guardian's term, by signed statement of the patient or that guardian.
    submit fn end_guardian(EndGuardian);
    /// A patient's guardians.
    evaluate fn list_guardians(ListGuardians);
    /// States that a patient is being treated at the caller's hospital, by one clinician or by all of them.
    submit fn open_relationship(OpenRelationship);
    /// Closes a care relationship of the caller's hospital.
    submit fn close_relationship(CloseRelationship);
    /// A care relationship.
    evaluate fn relationship(GetRelationship);
    /// Breaks the glass: emergency access to a patient's records, for a short time, flagged and to be reviewed.
    submit fn break_glass(BreakGlass);
    /// Reviews emergency access.
    submit fn review_break_glass(ReviewBreakGlass);
    /// Emergency access of a clinician.
    evaluate fn broken_glass(GetBreakGlass);
    /// Withdraws a record: it stays on record, and is released to nobody.
    submit fn withdraw_record(WithdrawRecord);
    /// Offers custody of a record to another member, or takes the offer back.
    submit fn transfer_custody(TransferCustody);
    /// Asks for a correction of a record, by signed statement of the patient or a guardian.
    submit fn request_correction(RequestCorrection);
    /// Answers a correction request, once; an accepted one is followed by a new version.
    submit fn answer_correction(AnswerCorrection);
    /// A correction request.
    evaluate fn correction(GetCorrection);
    /// Ends a permit that the caller passed on.
    submit fn end_delegation(EndDelegation);
    /// What a draft would change, before it is signed: who could read each record with and without it.
    evaluate fn preview_consent(PreviewConsent);
    /// What a request would be answered, without deciding it: with every reason.
    evaluate fn preview_access(PreviewAccess);
}
