//! The consortium's policy: who the members are, who may ask for what, and every duration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::consent::Action;
use crate::hash::{Domain, framed_sha256};
use crate::ids::{ChaincodeName, ChannelName, Digest, MspId};
use crate::limits::{
    MEMBERS_MAX, MEMBERS_MIN, PROVISIONS_MAX, RECORDS_PER_BATCH_MAX, RECORDS_PER_REQUEST_MAX,
    RELYING_PARTIES_MAX, RULES_MAX, URL_BYTES_MAX,
};
use crate::order::strictly_ascending;
use crate::purpose::Purpose;
use crate::role::Role;
use crate::time::DurationMs;
use crate::webauthn::RelyingParty;

/// The newest semantic engine that builds of this version know.
pub const EPOCH: u32 = 2;
/// Every semantic engine that builds of this version know: a consortium switches from one to the next by its
/// policy, so that its members upgrade their builds one by one.
pub const EPOCHS: [u32; 2] = [1, EPOCH];

/// The consortium's policy, one sequence of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsortiumPolicy {
    /// 1 for the first, one more for each that follows.
    pub sequence: u64,
    /// The channel; a proposal for another is refused.
    pub channel: ChannelName,
    /// The chaincode's name; a proposal that names another is refused.
    pub chaincode: ChaincodeName,
    /// Semantic engine in force.
    pub epoch: u32,
    /// The hospitals, in strictly ascending order of MSP id.
    pub members: Vec<Member>,
    /// What each role may ask for, in strictly ascending order of role; a role without a rule may ask for nothing.
    pub rules: Vec<RoleRule>,
    /// Every duration that the contract applies.
    pub durations: Durations,
    /// Durations and limits of what the second semantic engine knows: named from epoch 2 on, and not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
}

/// A member hospital.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its MSP.
    pub msp_id: MspId,
    /// Where its daemon releases records.
    pub daemon: Daemon,
}

/// Where a hospital's daemon is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Daemon {
    /// `https://host:port`, without a path.
    pub url: String,
    /// SHA-256 of the DER certificate of the CA that issued its TLS certificate, and those of its clients.
    pub tls_ca_digest: Digest,
}

/// What actors of one role may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleRule {
    /// The role.
    pub role: Role,
    /// Actions, strictly ascending.
    pub actions: Vec<Action>,
    /// Purposes, strictly ascending; each covers its children.
    pub purposes: Vec<Purpose>,
    /// Whether an open care relationship is wanted as well, for every purpose but `BTG`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_relationship: bool,
}

/// Every duration that the contract applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Durations {
    /// How long after its decision a permit can be used: 1 s to 1 h.
    pub permit_ms: DurationMs,
    /// How far ahead a statement's `submit_by` may lie: 1 s to 30 days.
    pub statement_ms_max: DurationMs,
    /// How long a consent's period may be: 1 s to 36,525 days.
    pub consent_ms_max: DurationMs,
    /// How long a practitioner's authorisation may last: 1 s to 10 years of 366 days.
    pub standing_ms_max: DurationMs,
}

/// Durations and limits of what the second semantic engine knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// How long a permit on paper may last: 1 s to 90 days.
    pub paper_ms_max: DurationMs,
    /// How long a confirmed recovery waits for the old key to cancel it: 1 s to 30 days.
    pub recovery_ms: DurationMs,
    /// How long a guardian's term may last: 1 s to 366 days.
    pub guardian_ms_max: DurationMs,
    /// How long a care relationship may last: 1 s to 10 years of 366 days.
    pub relationship_ms_max: DurationMs,
    /// How long broken glass stays open: 1 s to 24 h.
    pub break_glass_ms: DurationMs,
    /// Live provisions of one patient: 1 to 64.
    pub provisions_max: u32,
    /// Records of one access request: 1 to 100.
    pub request_records_max: u32,
    /// Records of one batch of registrations: 1 to 100.
    pub batch_records_max: u32,
    /// Relying parties whose WebAuthn assertions count as signatures, strictly ascending, at most 16.
    pub relying_parties: Vec<RelyingParty>,
    /// Whether an assertion must say that the authenticator verified its user.
    pub user_verification: bool,
}

impl Terms {
    /// The longest durations and largest limits that the contract takes, and no relying party.
    pub const WIDEST: Self = Self {
        paper_ms_max: DurationMs::from_days(90),
        recovery_ms: DurationMs::from_days(3),
        guardian_ms_max: DurationMs::from_days(366),
        relationship_ms_max: DurationMs::from_days(3660),
        break_glass_ms: DurationMs::from_secs(24 * 3600),
        provisions_max: 64,
        request_records_max: 100,
        batch_records_max: 100,
        relying_parties: Vec::new(),
        user_verification: true,
    };

    fn validate(&self) -> Result<(), PolicyError> {
        for (field, value, max) in [
            ("terms.paper_ms_max", self.paper_ms_max, DurationMs::from_days(90)),
            ("terms.recovery_ms", self.recovery_ms, DurationMs::from_days(30)),
            ("terms.guardian_ms_max", self.guardian_ms_max, DurationMs::from_days(366)),
            ("terms.relationship_ms_max", self.relationship_ms_max, DurationMs::from_days(3660)),
            ("terms.break_glass_ms", self.break_glass_ms, DurationMs::from_secs(24 * 3600)),
        ] {
            check_duration(field, value, max)?;
        }
        for (field, value, max) in [
            ("terms.provisions_max", self.provisions_max, PROVISIONS_MAX),
            ("terms.request_records_max", self.request_records_max, RECORDS_PER_REQUEST_MAX),
            ("terms.batch_records_max", self.batch_records_max, RECORDS_PER_BATCH_MAX),
        ] {
            if value == 0 || usize::try_from(value).map_or(true, |value| value > max) {
                return Err(PolicyError { field, problem: "is zero or larger than the contract allows" });
            }
        }
        if self.relying_parties.len() > RELYING_PARTIES_MAX
            || !strictly_ascending(self.relying_parties.iter())
        {
            let problem = "must be in ascending order, each once, at most 16";
            return Err(PolicyError { field: "terms.relying_parties", problem });
        }
        Ok(())
    }
}

/// A policy that cannot be put in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy field `{field}` {problem}")]
pub struct PolicyError {
    /// The field, as in JSON.
    pub field: &'static str,
    /// What is wrong, and what would be right.
    pub problem: &'static str,
}

impl ConsortiumPolicy {
    /// Checks every bound and order.
    ///
    /// # Errors
    /// Names the first field that is out of bounds.
    pub fn validate(&self) -> Result<(), PolicyError> {
        let refuse = |field, problem| Err(PolicyError { field, problem });
        if self.sequence == 0 {
            return refuse("sequence", "starts at 1");
        }
        if !EPOCHS.contains(&self.epoch) {
            return refuse("epoch", "names an engine that this build does not have: expected 1 or 2");
        }
        // One hospital alone could otherwise put a first policy in force that names nobody else.
        if !(MEMBERS_MIN..=MEMBERS_MAX).contains(&self.members.len()) {
            return refuse("members", "must name 2 to 64 hospitals");
        }
        if !strictly_ascending(self.members.iter().map(|member| &member.msp_id)) {
            return refuse("members", "must be in ascending order of MSP id, each once");
        }
        if !self.members.iter().all(|member| is_daemon_url(&member.daemon.url)) {
            return refuse(
                "members.daemon.url",
                "must be `https://host:port` of at most 256 bytes, without a path",
            );
        }
        if self.rules.len() > RULES_MAX || !strictly_ascending(self.rules.iter().map(|rule| rule.role)) {
            return refuse("rules", "must be in ascending order of role, each once");
        }
        for rule in &self.rules {
            if !strictly_ascending(rule.actions.iter()) || !strictly_ascending(rule.purposes.iter()) {
                return refuse("rules", "must list actions and purposes in ascending order, each once");
            }
            if self.epoch == 1 && (rule.needs_relationship || rule.actions.contains(&Action::Delegate)) {
                return refuse("rules", "say something that the first semantic engine does not know");
            }
        }
        let Durations { permit_ms, statement_ms_max, consent_ms_max, standing_ms_max } = self.durations;
        for (field, value, max) in [
            ("durations.permit_ms", permit_ms, DurationMs::from_secs(3600)),
            ("durations.statement_ms_max", statement_ms_max, DurationMs::from_days(30)),
            ("durations.consent_ms_max", consent_ms_max, DurationMs::from_days(36_525)),
            ("durations.standing_ms_max", standing_ms_max, DurationMs::from_days(3660)),
        ] {
            check_duration(field, value, max)?;
        }
        match (&self.terms, self.epoch) {
            (None, 1) => Ok(()),
            (Some(terms), 2) => terms.validate(),
            _ => refuse("terms", "must be named from epoch 2 on, and not before"),
        }
    }

    /// The digest that names this policy while it is proposed: framed SHA-256 of its JSON text.
    pub fn digest_of_text(json: &str) -> Digest {
        framed_sha256(Domain::Policy, &[json.as_bytes()])
    }

    /// Whether `msp_id` is a member.
    pub fn is_member(&self, msp_id: &MspId) -> bool {
        self.member(msp_id).is_some()
    }

    /// The member with this MSP id.
    pub fn member(&self, msp_id: &MspId) -> Option<&Member> {
        self.members.iter().find(|member| &member.msp_id == msp_id)
    }

    /// Whether an actor of `role` may ask for `action` and `purpose` at all.
    pub fn allows(&self, role: Role, action: Action, purpose: Purpose) -> bool {
        self.rule(role, action, purpose).is_some()
    }

    /// The rule that lets an actor of `role` ask for `action` and `purpose`.
    pub fn rule(&self, role: Role, action: Action, purpose: Purpose) -> Option<&RoleRule> {
        self.rules.iter().find(|rule| {
            rule.role == role
                && rule.actions.contains(&action)
                && rule.purposes.iter().any(|allowed| allowed.covers(purpose))
        })
    }
}

fn check_duration(field: &'static str, value: DurationMs, max: DurationMs) -> Result<(), PolicyError> {
    if value < DurationMs::from_secs(1) || value > max {
        let problem = "is shorter than one second or longer than the contract allows";
        return Err(PolicyError { field, problem });
    }
    Ok(())
}

fn is_daemon_url(url: &str) -> bool {
    let Some(authority) = url.strip_prefix("https://") else { return false };
    let Some((host, port)) = authority.rsplit_once(':') else { return false };
    url.len() <= URL_BYTES_MAX
        && !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
        && port.bytes().all(|b| b.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> ConsortiumPolicy {
        let member = |msp: &str| Member {
            msp_id: msp.parse().unwrap(),
            daemon: Daemon {
                url: "https://localhost:7443".into(),
                tls_ca_digest: Digest::from_bytes([3; 32]),
            },
        };
        ConsortiumPolicy {
            sequence: 1,
            channel: "records".parse().unwrap(),
            chaincode: "caretrail".parse().unwrap(),
            epoch: EPOCH,
            members: vec![member("NorthMSP"), member("SouthMSP")],
            rules: vec![RoleRule {
                role: Role::Clinician,
                actions: vec![Action::Read, Action::Write],
                purposes: vec![Purpose::Treat, Purpose::Hresch],
                needs_relationship: false,
            }],
            durations: Durations {
                permit_ms: DurationMs::from_secs(300),
                statement_ms_max: DurationMs::from_days(1),
                consent_ms_max: DurationMs::from_days(3660),
                standing_ms_max: DurationMs::from_days(366),
            },
            terms: Some(Terms::WIDEST),
        }
    }

    #[test]
    fn a_sound_policy_passes_and_says_what_roles_may_ask() {
        let policy = policy();
        assert_eq!(policy.validate(), Ok(()));
        assert!(policy.allows(Role::Clinician, Action::Read, Purpose::Clintrch));
        assert!(!policy.allows(Role::Clinician, Action::Read, Purpose::Btg));
        assert!(!policy.allows(Role::Service, Action::Read, Purpose::Treat));
    }

    #[test]
    fn each_bound_is_named() {
        type Spoil = fn(&mut ConsortiumPolicy);
        let cases: [(&str, Spoil); 17] = [
            ("sequence", |p| p.sequence = 0),
            ("epoch", |p| p.epoch = 3),
            ("terms", |p| p.terms = None),
            ("terms", |p| p.epoch = 1),
            ("rules", |p| {
                (p.epoch, p.terms) = (1, None);
                p.rules[0].needs_relationship = true;
            }),
            ("terms.paper_ms_max", |p| {
                p.terms.as_mut().unwrap().paper_ms_max = DurationMs::from_days(91);
            }),
            ("terms.recovery_ms", |p| {
                p.terms.as_mut().unwrap().recovery_ms = DurationMs::new(999).unwrap();
            }),
            ("terms.provisions_max", |p| p.terms.as_mut().unwrap().provisions_max = 65),
            ("terms.request_records_max", |p| p.terms.as_mut().unwrap().request_records_max = 0),
            ("terms.relying_parties", |p| {
                p.terms.as_mut().unwrap().relying_parties = vec!["a.example".parse().unwrap(); 2];
            }),
            ("members", |p| p.members.truncate(1)),
            ("members", |p| p.members.reverse()),
            ("members.daemon.url", |p| p.members[0].daemon.url = "http://localhost:1".into()),
            ("members.daemon.url", |p| p.members[0].daemon.url = "https://localhost:1/patients/7".into()),
            ("rules", |p| p.rules.push(p.rules[0].clone())),
            ("rules", |p| p.rules[0].purposes.reverse()),
            ("durations.permit_ms", |p| p.durations.permit_ms = DurationMs::from_secs(3601)),
        ];
        for (field, spoil) in cases {
            let mut spoiled = policy();
            spoil(&mut spoiled);
            assert_eq!(spoiled.validate().unwrap_err().field, field);
        }
    }
}
