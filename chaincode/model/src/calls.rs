//! Every call of the contract: its name, its one JSON argument and its reply.
//!
//! One file a noun; a reply stands below the calls that give it.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::role::Role;

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
            const ROLES: &'static [$crate::role::Role] = $roles;
            type Reply = $reply;
        }
    };
    (@submit) => { true };
    (@evaluate) => { false };
}

macro_rules! reply {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
    };
}

mod access;
mod care;
mod consents;
mod guardians;
mod paper;
mod patients;
mod policy;
mod records;
mod recoveries;

pub use access::*;
pub use care::*;
pub use consents::*;
pub use guardians::*;
pub use paper::*;
pub use patients::*;
pub use policy::*;
pub use records::*;
pub use recoveries::*;

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
