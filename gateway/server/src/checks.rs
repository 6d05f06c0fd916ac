//! What a release is checked for, without any I/O: the first row that applies refuses.
//!
//! | # | refused when | code |
//! |---|---|---|
//! | 1 | the entry is of another transaction or patient than asked for | `decision_foreign` |
//! | 2 | the certificate is not the one that the decision's transaction was made with | `certificate_foreign` |
//! | 3 | the certificate's subject is not the decision's actor | `actor_foreign` |
//! | 4 | the connection comes from another hospital than the actor's | `hospital_foreign` |
//! | 5 | the transaction decided no access | `not_a_decision` |
//! | 6 | it decided something else than reading | `not_to_read` |
//! | 7 | it did not decide about this record | `record_not_decided` |
//! | 8 | it denied | `access_denied` |
//! | 9 | the permit names no consent, version or end | `permit_incomplete` |
//! | 10 | the permit's time is over | `permit_expired` |
//!
//! And of the patient's consent that the permit rests on:
//!
//! | # | refused when | code |
//! |---|---|---|
//! | 11 | the patient's key did not sign it | `consent_signature` |
//! | 12 | it is for another channel, chaincode, patient, or another statement | `consent_foreign` |
//! | 13 | it grants nothing, or not this | `consent_not_covering` |
//! | 14 | its period does not hold now | `consent_ended` |

use caretrail_model::audit::{Act, AuditEntry};
use caretrail_model::consent::{Action, Effect};
use caretrail_model::ids::{Actor, MspId, RecordId, StatementId};
use caretrail_model::patient::Patient;
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::statement::{Operation, SignedStatement};
use caretrail_model::time::UnixMs;
use caretrail_records::LedgerName;
use caretrail_records::release::VerifiedRequest;

/// Why nothing is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Row 1.
    #[error("the decision is another transaction's or another patient's")]
    DecisionForeign,
    /// Row 2.
    #[error("the decision was made with another certificate")]
    CertificateForeign,
    /// Row 3.
    #[error("the decision is another actor's")]
    ActorForeign,
    /// Row 4.
    #[error("the connection comes from another hospital than the decision's actor")]
    HospitalForeign,
    /// Row 5.
    #[error("the transaction decided no access")]
    NotADecision,
    /// Row 6.
    #[error("the decision is not about reading")]
    NotToRead,
    /// Row 7.
    #[error("the decision is not about this record")]
    RecordNotDecided,
    /// Row 8.
    #[error("access was denied")]
    AccessDenied,
    /// Row 9.
    #[error("the permit names no consent, version or end")]
    PermitIncomplete,
    /// Row 10.
    #[error("the permit's time is over")]
    PermitExpired,
    /// Row 11.
    #[error("the consent is not signed by the patient's key")]
    ConsentSignature,
    /// Row 12.
    #[error("the consent is for another ledger or patient, or another statement")]
    ConsentForeign,
    /// Row 13.
    #[error("the consent does not cover this release")]
    ConsentNotCovering,
    /// Row 14.
    #[error("the consent's period does not hold now")]
    ConsentEnded,
}

/// A permit that can be used now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    /// For whom.
    pub recipient: Actor,
    /// In which role.
    pub role: Role,
    /// What for.
    pub purpose: Purpose,
    /// The record.
    pub record: RecordId,
    /// The version that was decided.
    pub version: u64,
    /// The consent that permits.
    pub consent: StatementId,
    /// First instant at which it can no longer be used.
    pub valid_until: UnixMs,
}

/// Checks rows 1 to 10: whether what the ledger holds of the decision permits what is asked.
///
/// `hospitals` are those whose TLS authority vouches for the connection.
///
/// # Errors
/// The first row that applies.
pub fn check_decision(
    request: &VerifiedRequest,
    hospitals: &[MspId],
    entry: &AuditEntry,
    now: UnixMs,
) -> Result<Permit, Refusal> {
    if entry.tx_id != request.ask.decision || entry.patient != request.ask.patient {
        return Err(Refusal::DecisionForeign);
    }
    if entry.certificate_digest != request.certificate.digest {
        return Err(Refusal::CertificateForeign);
    }
    if entry.actor.subject != request.certificate.subject {
        return Err(Refusal::ActorForeign);
    }
    if !hospitals.contains(&entry.actor.msp_id) {
        return Err(Refusal::HospitalForeign);
    }
    let Act::AccessDecided(decided) = &entry.act else { return Err(Refusal::NotADecision) };
    if decided.action != Action::Read {
        return Err(Refusal::NotToRead);
    }
    let decision = decided
        .decisions
        .iter()
        .find(|decision| decision.record == request.ask.record)
        .ok_or(Refusal::RecordNotDecided)?;
    // The rule decides; an entry whose effect says otherwise is none of this contract's.
    if decision.effect != Effect::Permit || decision.rule.effect() != Effect::Permit {
        return Err(Refusal::AccessDenied);
    }
    let (Some(consent), Some(version), Some(valid_until)) =
        (decision.consent, decision.version, decision.valid_until)
    else {
        return Err(Refusal::PermitIncomplete);
    };
    if now >= valid_until {
        return Err(Refusal::PermitExpired);
    }
    Ok(Permit {
        recipient: entry.actor.clone(),
        role: entry.role,
        purpose: decided.purpose,
        record: decision.record,
        version,
        consent,
        valid_until,
    })
}

/// Checks rows 11 to 14: whether the patient's own key signed a consent that covers the permit.
///
/// # Errors
/// The first row that applies.
pub fn check_consent(
    permit: &Permit,
    request: &VerifiedRequest,
    signed: &SignedStatement,
    patient: &Patient,
    ledger: &LedgerName,
    custodian: &MspId,
    now: UnixMs,
) -> Result<(), Refusal> {
    let statement = signed.verify(&patient.public_key).map_err(|_| Refusal::ConsentSignature)?;
    if statement.channel != ledger.channel
        || statement.chaincode != ledger.chaincode
        || statement.patient != request.ask.patient
        || statement.id != permit.consent
    {
        return Err(Refusal::ConsentForeign);
    }
    let Operation::GrantConsent(grant) = &statement.operation else {
        return Err(Refusal::ConsentNotCovering);
    };
    let provision = &grant.provision;
    let covers = provision.effect == Effect::Permit
        && provision.grantee.names(&permit.recipient, permit.role)
        && provision.actions.contains(&Action::Read)
        && provision.purposes.iter().any(|purpose| purpose.covers(permit.purpose))
        && provision.scope.holds(&permit.record, custodian);
    if !covers {
        return Err(Refusal::ConsentNotCovering);
    }
    if !provision.period.contains(now) {
        return Err(Refusal::ConsentEnded);
    }
    Ok(())
}

impl Refusal {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::DecisionForeign => "decision_foreign",
            Self::CertificateForeign => "certificate_foreign",
            Self::ActorForeign => "actor_foreign",
            Self::HospitalForeign => "hospital_foreign",
            Self::NotADecision => "not_a_decision",
            Self::NotToRead => "not_to_read",
            Self::RecordNotDecided => "record_not_decided",
            Self::AccessDenied => "access_denied",
            Self::PermitIncomplete => "permit_incomplete",
            Self::PermitExpired => "permit_expired",
            Self::ConsentSignature => "consent_signature",
            Self::ConsentForeign => "consent_foreign",
            Self::ConsentNotCovering => "consent_not_covering",
            Self::ConsentEnded => "consent_ended",
        }
    }

    /// What to do about it.
    pub const fn fix(self) -> &'static str {
        match self {
            Self::DecisionForeign | Self::NotADecision => {
                "name the transaction of your own access request for this patient"
            }
            Self::CertificateForeign | Self::ActorForeign => {
                "ask with the very identity that requested access"
            }
            Self::HospitalForeign => "connect with the TLS certificate of the hospital that requested access",
            Self::NotToRead => "request access to read",
            Self::RecordNotDecided => "name a record of the decided request",
            Self::AccessDenied => "nothing permits it: let the patient consent, then request access again",
            Self::PermitIncomplete => {
                "request access again; if it stays so, compare the builds of contract and daemon"
            }
            Self::PermitExpired | Self::ConsentEnded => "request access again",
            Self::ConsentSignature | Self::ConsentForeign | Self::ConsentNotCovering => {
                "let the patient sign a consent that covers it, then request access again"
            }
        }
    }
}
