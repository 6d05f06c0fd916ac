//! Which policies guard a change, who has signed it, and who is missing.
//!
//! Policies are evaluated as Fabric's orderers do: a signature counts once for each rule that wants one of its role;
//! an implicit policy counts the child groups whose policy of the given name holds.

use std::collections::BTreeMap;
use std::fmt;

use hlf_protos::common::implicit_meta_policy::Rule as MetaKind;
use hlf_protos::common::msp_principal::Classification;
use hlf_protos::common::msp_role::MspRoleType;
use hlf_protos::common::policy::PolicyType;
use hlf_protos::common::signature_policy::Type as SignatureRule;
use hlf_protos::common::{
    ConfigGroup, ConfigPolicy, ConfigUpdate, ImplicitMetaPolicy, MspPrincipal, MspRole, SignaturePolicy,
    SignaturePolicyEnvelope,
};
use hlf_protos::prost::Message;

use super::config::{APPLICATION, ChannelConfig, ConfigError};
use super::delta::{self, Kind, Touched};
use super::members::{Role, Signer};

/// The deepest nesting of policies that is followed.
const DEPTH_MAX: usize = 16;

/// How far a proposal's signatures go.
#[derive(Debug, Clone)]
pub struct Standing {
    /// One for each policy that guards something of the change.
    pub requirements: Vec<Requirement>,
}

/// A policy that the change's signatures must satisfy.
#[derive(Debug, Clone)]
pub struct Requirement {
    /// The policy, such as `/Channel/Application/Admins`.
    pub policy: String,
    /// What it guards, such as `/Channel/Orderer/BatchSize`.
    pub guards: Vec<String>,
    /// What it asks for.
    pub rule: Rule,
    /// Whether the signatures satisfy it.
    pub satisfied: bool,
    /// MSP ids of organisations whose signature counts towards it.
    pub signed: Vec<String>,
    /// MSP ids of organisations whose signature would count and is not there.
    pub missing: Vec<String>,
}

/// What a policy asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// Signatures by roles or named identities.
    Signatures(SignaturePolicyEnvelope),
    /// At least so many of the child groups' policies.
    Children {
        /// How many.
        needed: usize,
        /// The policy of each child group, by the group's name.
        of: BTreeMap<String, Rule>,
    },
    /// Nothing satisfies it: the reason says why.
    Never(String),
}

impl Standing {
    /// Evaluates the signers of an update on a channel.
    pub(crate) fn of(
        config: &ChannelConfig,
        update: &ConfigUpdate,
        signers: &[Signer],
    ) -> Result<Self, ConfigError> {
        let mut requirements: Vec<Requirement> = Vec::new();
        for touched in delta::touched(update) {
            let (policy, rule) = guard(config, &touched)?;
            let element = touched.name();
            if let Some(known) = requirements.iter_mut().find(|known| known.policy == policy) {
                known.guards.push(element);
                continue;
            }
            let (signed, missing) = rule.organizations(signers);
            requirements.push(Requirement {
                satisfied: rule.is_satisfied(signers),
                policy,
                guards: vec![element],
                rule,
                signed,
                missing,
            });
        }
        Ok(Self { requirements })
    }

    /// Whether nobody's signature is missing.
    pub fn is_complete(&self) -> bool {
        self.requirements.iter().all(|requirement| requirement.satisfied)
    }

    /// A policy that no signatures could satisfy, if there is one.
    pub fn impossible(&self) -> Option<&Requirement> {
        self.requirements.iter().find(|requirement| !requirement.rule.is_possible())
    }
}

impl Touched {
    /// The element from `/Channel` down.
    pub(crate) fn name(&self) -> String {
        let path: String = self.path.iter().map(|name| format!("/{name}")).collect();
        match self.kind {
            Kind::Group | Kind::Value => format!("/Channel{path}"),
            Kind::Policy => format!("/Channel{path} (policy)"),
        }
    }
}

/// The policy that guards an element, by its absolute path.
fn guard(config: &ChannelConfig, touched: &Touched) -> Result<(String, Rule), ConfigError> {
    let names: Vec<&str> = touched.path.iter().map(String::as_str).collect();
    let missing = || ConfigError::Missing(touched.name());
    // A group's own policies guard it; leaves are guarded by those of the group that holds them.
    let (at, mod_policy) = match touched.kind {
        Kind::Group => (names.as_slice(), &config.group(&names)?.mod_policy),
        Kind::Value | Kind::Policy => {
            let (leaf, at) = names.split_last().ok_or_else(missing)?;
            let group = config.group(at)?;
            let mod_policy = match touched.kind {
                Kind::Value => group.values.get(*leaf).map(|value| &value.mod_policy),
                _ => group.policies.get(*leaf).map(|policy| &policy.mod_policy),
            };
            (at, mod_policy.ok_or_else(missing)?)
        }
    };
    if let Some(absolute) = mod_policy.strip_prefix("/Channel/") {
        let names: Vec<&str> = absolute.split('/').collect();
        let Some((name, at)) = names.split_last() else { return Err(missing()) };
        return Ok((mod_policy.clone(), rule_at(config, at, name)?));
    }
    let path: String = at.iter().map(|name| format!("/{name}")).collect();
    Ok((format!("/Channel{path}/{mod_policy}"), rule_at(config, at, mod_policy)?))
}

/// What a policy of the application asks for; `None` when the channel has no such policy.
pub(crate) fn policy_of_application(config: &ChannelConfig, name: &str) -> Option<Rule> {
    let group = config.group(&[APPLICATION]).ok()?;
    group.policies.contains_key(name).then(|| Rule::of(group, name, 0))
}

fn rule_at(config: &ChannelConfig, at: &[&str], name: &str) -> Result<Rule, ConfigError> {
    Ok(Rule::of(config.group(at)?, name, 0))
}

impl Rule {
    /// A group's policy of a name.
    pub(crate) fn of(group: &ConfigGroup, name: &str, depth: usize) -> Self {
        match group.policies.get(name) {
            Some(policy) => Self::read(group, policy, depth),
            None => Self::Never(format!("there is no policy `{name}`")),
        }
    }

    fn read(group: &ConfigGroup, policy: &ConfigPolicy, depth: usize) -> Self {
        if depth > DEPTH_MAX {
            return Self::Never("policies are nested too deeply".to_owned());
        }
        let Some(policy) = &policy.policy else { return Self::Never("it is empty".to_owned()) };
        let unreadable = |_| Self::Never("it cannot be read".to_owned());
        match PolicyType::try_from(policy.r#type) {
            Ok(PolicyType::Signature) => SignaturePolicyEnvelope::decode(policy.value.as_slice())
                .map_or_else(unreadable, Self::Signatures),
            Ok(PolicyType::ImplicitMeta) => match ImplicitMetaPolicy::decode(policy.value.as_slice()) {
                Ok(meta) => Self::children(group, &meta, depth),
                Err(error) => unreadable(error),
            },
            _ => Self::Never("its type is unknown".to_owned()),
        }
    }

    fn children(group: &ConfigGroup, meta: &ImplicitMetaPolicy, depth: usize) -> Self {
        let of: BTreeMap<String, Rule> = group
            .groups
            .iter()
            .map(|(name, child)| (name.clone(), Self::of(child, &meta.sub_policy, depth.saturating_add(1))))
            .collect();
        let needed = match meta.rule() {
            // Of no groups at all, any is satisfied.
            MetaKind::Any => usize::from(!of.is_empty()),
            MetaKind::All => of.len(),
            MetaKind::Majority => (of.len() / 2).saturating_add(1),
        };
        Self::Children { needed, of }
    }

    /// Whether the signers satisfy it.
    pub(crate) fn is_satisfied(&self, signers: &[Signer]) -> bool {
        match self {
            Self::Never(_) => false,
            Self::Children { needed, of } => {
                of.values().filter(|rule| rule.is_satisfied(signers)).count() >= *needed
            }
            Self::Signatures(envelope) => {
                let mut used = vec![false; signers.len()];
                envelope.rule.as_ref().is_some_and(|rule| holds(rule, envelope, signers, &mut used))
            }
        }
    }

    /// Whether some signatures could satisfy it.
    pub(crate) fn is_possible(&self) -> bool {
        match self {
            Self::Never(_) => false,
            Self::Children { needed, of } => of.values().filter(|rule| rule.is_possible()).count() >= *needed,
            Self::Signatures(_) => true,
        }
    }

    /// Organisations whose signature counts, and those whose signature would.
    fn organizations(&self, signers: &[Signer]) -> (Vec<String>, Vec<String>) {
        let mut wanted = Vec::new();
        self.msp_ids(&mut wanted);
        wanted.sort();
        wanted.dedup();
        // An organisation counts if its own signers satisfy what the policy wants of it alone.
        wanted
            .into_iter()
            .partition(|msp_id| signers.iter().any(|signer| &signer.msp_id == msp_id && self.counts(signer)))
    }

    fn msp_ids(&self, found: &mut Vec<String>) {
        match self {
            Self::Never(_) => {}
            Self::Children { of, .. } => of.values().for_each(|rule| rule.msp_ids(found)),
            Self::Signatures(envelope) => {
                found.extend(
                    envelope.identities.iter().filter_map(|principal| Principal::of(principal).msp_id()),
                );
            }
        }
    }

    /// Whether a signer is one that a rule somewhere in it wants.
    fn counts(&self, signer: &Signer) -> bool {
        match self {
            Self::Never(_) => false,
            Self::Children { of, .. } => of.values().any(|rule| rule.counts(signer)),
            Self::Signatures(envelope) => {
                envelope.identities.iter().any(|principal| Principal::of(principal).is(signer))
            }
        }
    }
}

/// Whether a signature rule holds; a signer that was used for one principal is not used for another.
fn holds(
    rule: &SignaturePolicy,
    envelope: &SignaturePolicyEnvelope,
    signers: &[Signer],
    used: &mut Vec<bool>,
) -> bool {
    match &rule.r#type {
        None => false,
        Some(SignatureRule::SignedBy(index)) => {
            let principal = usize::try_from(*index).ok().and_then(|index| envelope.identities.get(index));
            let Some(principal) = principal.map(Principal::of) else { return false };
            for (signer, used) in signers.iter().zip(used.iter_mut()) {
                if !*used && principal.is(signer) {
                    *used = true;
                    return true;
                }
            }
            false
        }
        Some(SignatureRule::NOutOf(several)) => {
            let mut held = 0_i32;
            for rule in &several.rules {
                let mut tried = used.clone();
                if holds(rule, envelope, signers, &mut tried) {
                    held = held.saturating_add(1);
                    *used = tried;
                }
            }
            held >= several.n
        }
    }
}

/// Whom a signature policy asks for.
enum Principal {
    Role {
        msp_id: String,
        role: Role,
    },
    Identity(Vec<u8>),
    /// A unit, or another kind that this crate doesn't evaluate: nobody is counted for it.
    Other,
}

impl Principal {
    fn of(principal: &MspPrincipal) -> Self {
        match principal.principal_classification() {
            Classification::Role => match MspRole::decode(principal.principal.as_slice()) {
                Ok(found) => {
                    let role = match found.role() {
                        MspRoleType::Member => Role::Member,
                        MspRoleType::Admin => Role::Admin,
                        MspRoleType::Client => Role::Client,
                        MspRoleType::Peer => Role::Peer,
                        MspRoleType::Orderer => Role::Orderer,
                    };
                    Self::Role { msp_id: found.msp_identifier, role }
                }
                Err(_) => Self::Other,
            },
            Classification::Identity => Self::Identity(principal.principal.clone()),
            _ => Self::Other,
        }
    }

    fn is(&self, signer: &Signer) -> bool {
        match self {
            Self::Role { msp_id, role } => signer.is(msp_id, *role),
            Self::Identity(serialized) => &signer.serialized == serialized,
            Self::Other => false,
        }
    }

    fn msp_id(&self) -> Option<String> {
        match self {
            Self::Role { msp_id, .. } => Some(msp_id.clone()),
            Self::Identity(serialized) => hlf_protos::msp::SerializedIdentity::decode(serialized.as_slice())
                .ok()
                .map(|found| found.mspid),
            Self::Other => None,
        }
    }
}

/// `2 of NorthMSP, SouthMSP, EastMSP` and the like.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never(reason) => write!(f, "nobody can satisfy it: {reason}"),
            Self::Children { needed, of } if of.len() == 1 && *needed == 1 => {
                of.values().next().map_or(Ok(()), |rule| write!(f, "{rule}"))
            }
            Self::Children { needed, of } => {
                write!(f, "{needed} of ")?;
                list(f, of.values())
            }
            Self::Signatures(envelope) => match &envelope.rule {
                Some(rule) => signature(f, rule, envelope),
                None => f.write_str("nobody"),
            },
        }
    }
}

fn list<'a>(f: &mut fmt::Formatter<'_>, rules: impl Iterator<Item = &'a Rule>) -> fmt::Result {
    f.write_str("(")?;
    for (index, rule) in rules.enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}{rule}")?;
    }
    f.write_str(")")
}

fn signature(
    f: &mut fmt::Formatter<'_>,
    rule: &SignaturePolicy,
    envelope: &SignaturePolicyEnvelope,
) -> fmt::Result {
    match &rule.r#type {
        None => f.write_str("nobody"),
        Some(SignatureRule::SignedBy(index)) => {
            let principal = usize::try_from(*index).ok().and_then(|index| envelope.identities.get(index));
            match principal.map(Principal::of) {
                Some(Principal::Role { msp_id, role }) => write!(f, "{msp_id}.{role}"),
                Some(identity @ Principal::Identity(_)) => {
                    write!(f, "a named identity of {}", identity.msp_id().unwrap_or_default())
                }
                _ => f.write_str("another kind of principal"),
            }
        }
        Some(SignatureRule::NOutOf(several)) => {
            if several.rules.len() > 1 {
                write!(f, "{} of (", several.n)?;
            }
            for (index, rule) in several.rules.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { ", " })?;
                signature(f, rule, envelope)?;
            }
            if several.rules.len() > 1 { f.write_str(")") } else { Ok(()) }
        }
    }
}

/// `/Channel/Application/Admins wants 2 of (…): signed by NorthMSP, missing SouthMSP`.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} wants {}: ", self.policy, self.rule)?;
        let names = |list: &[String]| if list.is_empty() { "nobody".to_owned() } else { list.join(", ") };
        write!(f, "signed by {}", names(&self.signed))?;
        if self.satisfied {
            f.write_str(", which is enough")
        } else {
            write!(f, ", missing {}", names(&self.missing))
        }
    }
}
