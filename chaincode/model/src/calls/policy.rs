//! The consortium's policy, and the standing of practitioners.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ADMIN, ANY, Call};
use crate::ids::{Actor, Digest, MspId, Subject};
use crate::policy::ConsortiumPolicy;
use crate::purpose::Purpose;
use crate::role::Role;
use crate::standing::Standing;
use crate::time::UnixMs;

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
