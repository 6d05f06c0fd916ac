//! What a release is checked for, without any I/O: the first row that applies refuses.
//!
//! | # | refused when | code |
//! |---|---|---|
//! | 1 | the entry is of another transaction or patient than asked for | `DECISION_FOREIGN` |
//! | 2 | the certificate is not the one that the decision's transaction was made with | `CERTIFICATE_FOREIGN` |
//! | 3 | the certificate's subject is not the decision's actor | `ACTOR_FOREIGN` |
//! | 4 | the connection comes from another hospital than the actor's | `HOSPITAL_FOREIGN` |
//! | 5 | the transaction decided no access | `NOT_A_DECISION` |
//! | 6 | it decided something else than reading | `NOT_TO_READ` |
//! | 7 | it did not decide about this record | `RECORD_NOT_DECIDED` |
//! | 8 | it denied | `ACCESS_DENIED` |
//! | 9 | the permit names no version or end, or no consent where it rests on one | `PERMIT_INCOMPLETE` |
//! | 10 | the permit's time is over | `PERMIT_EXPIRED` |
//!
//! Row 4 is answered like a decision that is not there: a hospital does not learn of another's.
//!
//! And of the patient's consent that the permit rests on, unless it rests on paper or on broken glass, which the
//! contract alone decides:
//!
//! | # | refused when | code |
//! |---|---|---|
//! | 11 | no key of the patient or a guardian signed it | `CONSENT_SIGNATURE` |
//! | 12 | it is for another channel, chaincode, patient, or another statement | `CONSENT_FOREIGN` |
//! | 13 | it grants nothing, or not this | `CONSENT_NOT_COVERING` |
//! | 14 | its period does not hold now | `CONSENT_ENDED` |

use caretrail_model::audit::{Act, AuditEntry};
use caretrail_model::consent::{Action, Effect, Scope};
use caretrail_model::decision::Rule;
use caretrail_model::ids::{Actor, MspId, RecordId, StatementId};
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::statement::{Operation, PublicKey, SignedStatement};
use caretrail_model::tag::{RecordTags, Tagged};
use caretrail_model::time::UnixMs;
use caretrail_model::webauthn::Accepted;
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
    #[error("the permit names no version or end, or no consent where it rests on one")]
    PermitIncomplete,
    /// Row 10.
    #[error("the permit's time is over")]
    PermitExpired,
    /// Row 11.
    #[error("the consent is not signed by a key of the patient")]
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
    /// What it rests on.
    pub basis: Basis,
    /// First instant at which it can no longer be used.
    pub valid_until: UnixMs,
}

/// What a permit rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// A consent that names the recipient.
    Consent(StatementId),
    /// A consent that was passed on to the recipient.
    PassedOn(StatementId),
    /// An act on paper.
    Paper,
    /// Broken glass.
    BreakGlass,
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
    let basis = match (decision.rule, decision.paper, decision.parent, decision.consent) {
        (Rule::BreakGlass, ..) => Some(Basis::BreakGlass),
        (_, true, ..) => Some(Basis::Paper),
        (_, false, Some(parent), _) => Some(Basis::PassedOn(parent)),
        (_, false, None, consent) => consent.map(Basis::Consent),
    };
    let (Some(basis), Some(version), Some(valid_until)) = (basis, decision.version, decision.valid_until)
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
        basis,
        valid_until,
    })
}

/// A carried statement, with what verifies it.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The statement.
    pub signed: &'a SignedStatement,
    /// The key that the ledger holds under the id that the statement names.
    pub public_key: &'a PublicKey,
    /// WebAuthn assertions that count as signatures.
    pub accepted: Accepted<'a>,
    /// Labels of the record.
    pub tags: Option<&'a RecordTags>,
}

/// Checks rows 11 to 14: whether a key of the patient signed a consent that covers the permit.
///
/// # Errors
/// The first row that applies.
pub fn check_consent(
    permit: &Permit,
    request: &VerifiedRequest,
    evidence: &Evidence<'_>,
    ledger: &LedgerName,
    custodian: &MspId,
    now: UnixMs,
) -> Result<(), Refusal> {
    let (consent, passed_on) = match permit.basis {
        Basis::Consent(consent) => (consent, false),
        Basis::PassedOn(parent) => (parent, true),
        Basis::Paper | Basis::BreakGlass => return Ok(()),
    };
    let statement = evidence
        .signed
        .verify_with(evidence.public_key, &evidence.accepted)
        .map_err(|_| Refusal::ConsentSignature)?;
    if statement.channel != ledger.channel
        || statement.chaincode != ledger.chaincode
        || statement.patient != request.ask.patient
        || statement.id != consent
    {
        return Err(Refusal::ConsentForeign);
    }
    let Operation::GrantConsent(grant) = &statement.operation else {
        return Err(Refusal::ConsentNotCovering);
    };
    let provision = &grant.provision;
    let names = if passed_on {
        provision.actions.contains(&Action::Delegate)
    } else {
        provision.grantee.names(&permit.recipient, permit.role)
    };
    let in_scope = match &provision.scope {
        Scope::Tags { sets } => Tagged::of(evidence.tags, sets) == Tagged::Yes,
        plain => plain.holds(&permit.record, custodian),
    };
    let covers = provision.effect == Effect::Permit
        && names
        && provision.actions.contains(&Action::Read)
        && provision.purposes.iter().any(|purpose| purpose.covers(permit.purpose))
        && in_scope;
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
            Self::DecisionForeign => "DECISION_FOREIGN",
            Self::CertificateForeign => "CERTIFICATE_FOREIGN",
            Self::ActorForeign => "ACTOR_FOREIGN",
            Self::HospitalForeign => "HOSPITAL_FOREIGN",
            Self::NotADecision => "NOT_A_DECISION",
            Self::NotToRead => "NOT_TO_READ",
            Self::RecordNotDecided => "RECORD_NOT_DECIDED",
            Self::AccessDenied => "ACCESS_DENIED",
            Self::PermitIncomplete => "PERMIT_INCOMPLETE",
            Self::PermitExpired => "PERMIT_EXPIRED",
            Self::ConsentSignature => "CONSENT_SIGNATURE",
            Self::ConsentForeign => "CONSENT_FOREIGN",
            Self::ConsentNotCovering => "CONSENT_NOT_COVERING",
            Self::ConsentEnded => "CONSENT_ENDED",
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

#[cfg(test)]
mod tests {
    use caretrail_model::audit::AccessDecided;
    use caretrail_model::consent::{Grantee, Provision};
    use caretrail_model::decision::{Decision, Facts};
    use caretrail_model::ids::{Digest, Nonce, PatientId, RequestId, Subject, TxId};
    use caretrail_model::statement::{Ending, Grant, Statement};
    use caretrail_model::time::Period;
    use caretrail_records::certificate::EnrolmentCertificate;
    use caretrail_records::release::{KemKey, ReleaseAsk};
    use p256::ecdsa::SigningKey;

    use super::*;

    const NOW: u64 = 1_000_000;
    const PATIENT: PatientId = PatientId::from_bytes([1; 16]);
    const RECORD: RecordId = RecordId::from_bytes([2; 16]);
    const SUBJECT: Subject = Subject::from_bytes([3; 16]);
    const DECISION: TxId = TxId::from_bytes([4; 32]);
    const CERTIFICATE: Digest = Digest::from_bytes([5; 32]);

    fn at(unix_ms: u64) -> UnixMs {
        UnixMs::new(unix_ms).unwrap()
    }

    fn msp(name: &str) -> MspId {
        name.parse().unwrap()
    }

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_slice(&[byte; 32]).unwrap()
    }

    fn ledger() -> LedgerName {
        LedgerName { channel: "records".parse().unwrap(), chaincode: "caretrail".parse().unwrap() }
    }

    /// Everything that makes a release right; each case spoils one thing.
    struct World {
        request: VerifiedRequest,
        hospitals: Vec<MspId>,
        entry: AuditEntry,
        statement: Statement,
        signer: SigningKey,
        now: u64,
    }

    impl World {
        fn new() -> Self {
            let nonce = Nonce::from_bytes([6; 16]);
            let key_id = PublicKey::from(*key(7).verifying_key()).id();
            let consent = StatementId::derive(&PATIENT, &key_id, &nonce);
            let provision = Provision {
                effect: Effect::Permit,
                grantee: Grantee::Person { msp_id: msp("SouthMSP"), subject: SUBJECT },
                actions: vec![Action::Read],
                purposes: vec![Purpose::Treat],
                scope: Scope::Records { records: vec![RECORD] },
                period: Period { from: at(NOW), until: at(NOW + 1_000) },
                exceptions: vec![],
            };
            let decision = Decision {
                effect: Effect::Permit,
                consent: Some(consent),
                version: Some(1),
                valid_until: Some(at(NOW + 1_000)),
                ..Decision::deny(RECORD, Rule::ConsentPermits)
            };
            Self {
                request: VerifiedRequest {
                    ask: ReleaseAsk { decision: DECISION, patient: PATIENT, record: RECORD },
                    kem_public_key: KemKey::generate().unwrap().public().clone(),
                    certificate: EnrolmentCertificate {
                        subject: SUBJECT,
                        role: Role::Clinician,
                        digest: CERTIFICATE,
                        key: *key(8).verifying_key(),
                    },
                },
                hospitals: vec![msp("SouthMSP")],
                entry: AuditEntry {
                    epoch: 1,
                    tx_id: DECISION,
                    patient: PATIENT,
                    actor: Actor { msp_id: msp("SouthMSP"), subject: SUBJECT },
                    role: Role::Clinician,
                    certificate_digest: CERTIFICATE,
                    at: at(NOW),
                    act: Act::AccessDecided(AccessDecided {
                        request: RequestId::from_bytes([9; 16]),
                        action: Action::Read,
                        purpose: Purpose::Treat,
                        decisions: vec![decision],
                        facts: Facts { policy: 1, patient: 1, consents: 1, standing: 1, ..Facts::default() },
                    }),
                },
                statement: Statement {
                    channel: ledger().channel,
                    chaincode: ledger().chaincode,
                    patient: PATIENT,
                    id: consent,
                    nonce,
                    key: key_id,
                    submit_by: at(NOW),
                    operation: Operation::GrantConsent(Grant { provision, supersedes: None }),
                },
                signer: key(7),
                now: NOW,
            }
        }

        fn check(&self) -> Result<(), Refusal> {
            let permit = check_decision(&self.request, &self.hospitals, &self.entry, at(self.now))?;
            let signed = SignedStatement::sign(&self.statement, &self.signer).unwrap();
            let public_key = PublicKey::from(*key(7).verifying_key());
            let evidence = Evidence {
                signed: &signed,
                public_key: &public_key,
                accepted: Accepted::default(),
                tags: None,
            };
            let custodian = msp("NorthMSP");
            check_consent(&permit, &self.request, &evidence, &ledger(), &custodian, at(self.now))
        }

        fn decided(&mut self) -> &mut AccessDecided {
            match &mut self.entry.act {
                Act::AccessDecided(decided) => decided,
                _ => unreachable!(),
            }
        }

        fn decision(&mut self) -> &mut Decision {
            &mut self.decided().decisions[0]
        }

        fn provision(&mut self) -> &mut Provision {
            match &mut self.statement.operation {
                Operation::GrantConsent(grant) => &mut grant.provision,
                _ => unreachable!(),
            }
        }

        /// Gives the statement an id that follows from what it says now, and lets the permit rest on it.
        fn identified(&mut self) {
            let statement = &mut self.statement;
            statement.id = StatementId::derive(&statement.patient, &statement.key, &statement.nonce);
            self.decision().consent = Some(self.statement.id);
        }
    }

    #[test]
    fn each_row_refuses_in_its_place() {
        type Spoil = fn(&mut World);
        let cases: [(&str, Refusal, Spoil); 32] = [
            ("another transaction", Refusal::DecisionForeign, |w| w.entry.tx_id = TxId::from_bytes([0; 32])),
            ("another patient", Refusal::DecisionForeign, |w| {
                w.entry.patient = PatientId::from_bytes([0; 16]);
            }),
            ("another certificate", Refusal::CertificateForeign, |w| {
                w.request.certificate.digest = Digest::from_bytes([0; 32]);
            }),
            ("another subject", Refusal::ActorForeign, |w| {
                w.entry.actor.subject = Subject::from_bytes([0; 16])
            }),
            ("another hospital's connection", Refusal::HospitalForeign, |w| {
                w.hospitals = vec![msp("EastMSP")]
            }),
            ("nobody's connection", Refusal::HospitalForeign, |w| w.hospitals.clear()),
            ("the same subject elsewhere", Refusal::HospitalForeign, |w| {
                w.entry.actor.msp_id = msp("EastMSP")
            }),
            ("another act", Refusal::NotADecision, |w| {
                w.entry.act = Act::RecordRegistered { record: RECORD }
            }),
            ("writing", Refusal::NotToRead, |w| w.decided().action = Action::Write),
            ("another record", Refusal::RecordNotDecided, |w| {
                w.decision().record = RecordId::from_bytes([0; 16]);
            }),
            ("a denial", Refusal::AccessDenied, |w| w.decision().effect = Effect::Deny),
            ("a permit by a denying rule", Refusal::AccessDenied, |w| {
                w.decision().rule = Rule::NothingPermits
            }),
            ("no consent", Refusal::PermitIncomplete, |w| w.decision().consent = None),
            ("no version", Refusal::PermitIncomplete, |w| w.decision().version = None),
            ("no end", Refusal::PermitIncomplete, |w| w.decision().valid_until = None),
            ("the end itself", Refusal::PermitExpired, |w| w.now = NOW + 1_000),
            ("another signer", Refusal::ConsentSignature, |w| w.signer = key(9)),
            ("another key named", Refusal::ConsentSignature, |w| {
                w.statement.key = PublicKey::from(*key(9).verifying_key()).id();
                w.identified();
            }),
            ("an id that does not follow", Refusal::ConsentSignature, |w| {
                w.statement.id = StatementId::from_bytes([0; 16]);
            }),
            ("another channel", Refusal::ConsentForeign, |w| w.statement.channel = "other".parse().unwrap()),
            ("another chaincode", Refusal::ConsentForeign, |w| {
                w.statement.chaincode = "other".parse().unwrap();
            }),
            ("another patient's statement", Refusal::ConsentForeign, |w| {
                w.statement.patient = PatientId::from_bytes([0; 16]);
                w.identified();
            }),
            ("another statement", Refusal::ConsentForeign, |w| {
                w.decision().consent = Some(StatementId::from_bytes([0; 16]));
            }),
            ("an ending", Refusal::ConsentNotCovering, |w| {
                let consent = w.statement.id;
                w.statement.operation = Operation::EndConsent(Ending { consent });
            }),
            ("a denying provision", Refusal::ConsentNotCovering, |w| w.provision().effect = Effect::Deny),
            ("another person", Refusal::ConsentNotCovering, |w| {
                w.provision().grantee = Grantee::Role { msp_id: msp("SouthMSP"), role: Role::Auditor };
            }),
            ("another action", Refusal::ConsentNotCovering, |w| w.provision().actions = vec![Action::Write]),
            ("another purpose", Refusal::ConsentNotCovering, |w| {
                w.provision().purposes = vec![Purpose::Hresch]
            }),
            ("another scope", Refusal::ConsentNotCovering, |w| {
                w.provision().scope = Scope::Custodian { msp_id: msp("SouthMSP") };
            }),
            ("tags that the record does not carry", Refusal::ConsentNotCovering, |w| {
                w.provision().scope = Scope::Tags { sets: vec![] };
            }),
            ("passed on, but not to be", Refusal::ConsentNotCovering, |w| {
                w.decision().parent = Some(w.statement.id);
            }),
            ("the consent's end", Refusal::ConsentEnded, |w| w.provision().period.until = at(NOW)),
        ];
        assert_eq!(World::new().check(), Ok(()));
        for (case, refusal, spoil) in cases {
            let mut world = World::new();
            spoil(&mut world);
            assert_eq!(world.check(), Err(refusal), "{case}");
        }
    }

    #[test]
    fn paper_and_broken_glass_rest_on_no_signature() {
        let mut world = World::new();
        world.signer = key(9);
        world.decision().paper = true;
        assert_eq!(world.check(), Ok(()));
        world.decision().paper = false;
        world.decision().rule = Rule::BreakGlass;
        world.decision().consent = None;
        assert_eq!(world.check(), Ok(()));
    }

    #[test]
    fn what_was_passed_on_rests_on_the_patients_own_grant() {
        let mut world = World::new();
        world.provision().grantee = Grantee::Hospital { msp_id: msp("EastMSP") };
        world.provision().actions = vec![Action::Read, Action::Delegate];
        let parent = world.statement.id;
        world.decision().parent = Some(parent);
        world.decision().consent = Some(StatementId::from_bytes([0; 16]));
        assert_eq!(world.check(), Ok(()));
    }

    #[test]
    fn the_last_instant_is_inside_and_the_rule_says_who_may_ask() {
        let mut world = World::new();
        world.now = NOW + 999;
        assert_eq!(world.check(), Ok(()));
        world.hospitals = vec![msp("EastMSP"), msp("SouthMSP")];
        assert_eq!(world.check(), Ok(()), "hospitals may share a TLS authority");
        world.provision().purposes = vec![Purpose::Hresch];
        world.decided().purpose = Purpose::Clintrch;
        assert_eq!(world.check(), Ok(()), "a purpose covers its children");
    }
}
