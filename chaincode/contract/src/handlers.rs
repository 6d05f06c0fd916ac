//! What each call does: one file a subject.
//!
//! A handler checks the caller's role, reads what it needs together, checks the facts, and writes
//! state and audit entry as one write set.
//!
//! | file | calls |
//! |---|---|
//! | `consortium` | `ProposePolicy`, `ApprovePolicy`, `GetPolicy` |
//! | `practitioners` | `AuthorizePractitioner`, `SuspendPractitioner`, `GetStanding` |
//! | `patients` | `RegisterPatient`, `GetPatient`, `GetSigner`, `RefuseEmergency`, `BindKey`, `RotateKey`, `RecoverKey`, `ConfirmRecovery`, `CompleteRecovery`, `CancelRecovery`, `GetRecovery` |
//! | `guardians` | `AddGuardian`, `EndGuardian`, `ListGuardians` |
//! | `paper` | `RegisterPaperPatient`, `ActOnPaper`, `ConfirmPaper`, `GetPaper` |
//! | `consents` | `GrantConsent`, `EndConsent`, `StopAll`, `ListConsents`, `GetStatement`, `DelegateConsent`, `EndDelegation` |
//! | `records` | `RegisterRecord`, `RegisterRecords`, `AmendRecord`, `RegisterOwnRecord`, `GetRecord`, `RecordHistory`, `ListRecords`, `VerifyRecord` |
//! | `custody` | `WithdrawRecord`, `TransferCustody`, `AcceptCustody`, `RequestCorrection`, `AnswerCorrection`, `GetCorrection` |
//! | `care` | `OpenRelationship`, `CloseRelationship`, `GetRelationship`, `BreakGlass`, `ReviewBreakGlass`, `GetBreakGlass` |
//! | `access` | `RequestAccess`, `GetDecision`, `RecordDisclosure`, `GetDisclosure` |
//! | `previews` | `PreviewAccess`, `PreviewConsent` |
//! | `holders` | `WhoCanSee`, `ListHolders` |
//! | `replay` | `ReplayDecision` |
//! | `audit` | `AccessLog` |

use std::future::Future;

use caretrail_model::calls::Call;
use hlf_chaincode::Failure;

use crate::invocation::Invocation;

mod access;
mod audit;
mod care;
mod consents;
mod consortium;
mod custody;
mod guardians;
mod holders;
mod paper;
mod patients;
mod practitioners;
mod previews;
mod records;
mod replay;

/// A call that this contract answers.
pub(crate) trait Handle: Call {
    /// Answers it.
    fn handle(self, invocation: &Invocation<'_>)
    -> impl Future<Output = Result<Self::Reply, Failure>> + Send;
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_says_in_which_file_each_call_is() {
        let files = [
            ("consortium", include_str!("handlers/consortium.rs")),
            ("practitioners", include_str!("handlers/practitioners.rs")),
            ("patients", include_str!("handlers/patients.rs")),
            ("guardians", include_str!("handlers/guardians.rs")),
            ("paper", include_str!("handlers/paper.rs")),
            ("consents", include_str!("handlers/consents.rs")),
            ("records", include_str!("handlers/records.rs")),
            ("custody", include_str!("handlers/custody.rs")),
            ("care", include_str!("handlers/care.rs")),
            ("access", include_str!("handlers/access.rs")),
            ("previews", include_str!("handlers/previews.rs")),
            ("holders", include_str!("handlers/holders.rs")),
            ("replay", include_str!("handlers/replay.rs")),
            ("audit", include_str!("handlers/audit.rs")),
        ];
        let table = include_str!("handlers.rs").lines().filter(|line| line.starts_with("//! | `"));
        let expected = files.map(|(file, code)| {
            let calls =
                code.lines().filter_map(|line| line.strip_prefix("impl Handle for ")?.strip_suffix(" {"));
            format!(
                "//! | `{file}` | {} |",
                calls.map(|call| format!("`{call}`")).collect::<Vec<_>>().join(", ")
            )
        });
        assert_eq!(table.collect::<Vec<_>>(), expected);
    }
}
