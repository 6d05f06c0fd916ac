//! The consortium's policy: who the members are, who may ask for what, and every duration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::consent::Action;
use crate::hash::{Domain, framed_sha256};
use crate::ids::{ChaincodeName, ChannelName, Digest, MspId};
use crate::limits::{MEMBERS_MAX, MEMBERS_MIN, RULES_MAX, URL_BYTES_MAX};
use crate::order::strictly_ascending;
use crate::purpose::Purpose;
use crate::role::Role;
use crate::time::DurationMs;

/// The semantic engine that builds of this version know.
pub const EPOCH: u32 = 1;

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
        if self.epoch != EPOCH {
            return refuse("epoch", "names an engine that this build does not have: expected 1");
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
        }
        let Durations { permit_ms, statement_ms_max, consent_ms_max, standing_ms_max } = self.durations;
        for (field, value, max) in [
            ("durations.permit_ms", permit_ms, DurationMs::from_secs(3600)),
            ("durations.statement_ms_max", statement_ms_max, DurationMs::from_days(30)),
            ("durations.consent_ms_max", consent_ms_max, DurationMs::from_days(36_525)),
            ("durations.standing_ms_max", standing_ms_max, DurationMs::from_days(3660)),
        ] {
            if value < DurationMs::from_secs(1) || value > max {
                return refuse(field, "is shorter than one second or longer than the contract allows");
            }
        }
        Ok(())
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
        self.rules.iter().any(|rule| {
            rule.role == role
                && rule.actions.contains(&action)
                && rule.purposes.iter().any(|allowed| allowed.covers(purpose))
        })
    }
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
            }],
            durations: Durations {
                permit_ms: DurationMs::from_secs(300),
                statement_ms_max: DurationMs::from_days(1),
                consent_ms_max: DurationMs::from_days(3660),
                standing_ms_max: DurationMs::from_days(366),
            },
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
        let cases: [(&str, Spoil); 9] = [
            ("sequence", |p| p.sequence = 0),
            ("epoch", |p| p.epoch = 2),
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
