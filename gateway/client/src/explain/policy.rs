//! Endorsement policies, and who is missing for them.

use std::collections::{BTreeMap, BTreeSet};

use hlf_protos::common::implicit_meta_policy::Rule as Counted;
use hlf_protos::common::msp_principal::Classification;
use hlf_protos::common::msp_role::MspRoleType;
use hlf_protos::common::policy::PolicyType;
use hlf_protos::common::signature_policy::Type as Form;
use hlf_protos::common::{
    ConfigGroup, ImplicitMetaPolicy, MspPrincipal, MspRole, OrganizationUnit, Policy, SignaturePolicy,
    SignaturePolicyEnvelope,
};
use hlf_protos::kvrwset::KvMetadataEntry;
use hlf_protos::lifecycle::QueryChaincodeDefinitionResult;
use hlf_protos::msp::SerializedIdentity;
use hlf_protos::prost::Message as _;
use hlf_protos::protos::application_policy::Type as Source;
use hlf_protos::protos::collection_config::Payload;
use hlf_protos::protos::{ApplicationPolicy, StaticCollectionConfig};

use super::transaction::{Decoded, NamespaceSet, party};
use super::{Explainer, Key, Party, UnmetPolicy};
use crate::system::SystemChaincodeError;

/// The policy of a chaincode whose definition names none.
const DEFAULT: &str = "/Channel/Application/Endorsement";

/// The policy of `_lifecycle` itself.
const LIFECYCLE: &str = "/Channel/Application/LifecycleEndorsement";

/// The metadata of a key that holds a policy of its own: a signature policy, or any application policy.
const VALIDATION_PARAMETER: &str = "VALIDATION_PARAMETER";
const VALIDATION_PARAMETER_V2: &str = "VALIDATION_PARAMETER_V2";

/// The most ways to satisfy a policy that are told.
const WAYS_MAX: usize = 16;

/// A policy as a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// Somebody of an organisation, with a role in it.
    Signed { msp_id: String, role: MspRoleType },
    /// So many of several.
    OutOf { n: usize, rules: Vec<Rule> },
}

/// The policies of the keys that a transaction writes, as the transactions before it set them.
pub(super) struct KeyParameters {
    open: BTreeSet<Key>,
    found: BTreeMap<Key, Vec<u8>>,
}

impl KeyParameters {
    pub(super) fn of(transaction: &Decoded) -> Self {
        let written = transaction.sets.iter().flat_map(NamespaceSet::written);
        Self { open: written.map(|(key, _)| key).collect(), found: BTreeMap::new() }
    }

    /// Looks at the transactions of one block, the newest first; says whether more would tell nothing new.
    pub(super) fn look(&mut self, newest_first: &[&Decoded]) -> bool {
        for writer in newest_first {
            for set in &writer.sets {
                for (key, entries) in metadata(set) {
                    if self.open.remove(&key)
                        && let Some(parameter) = parameter(entries)
                    {
                        self.found.insert(key, parameter);
                    }
                }
                // A key that is deleted loses its policy.
                for (key, _) in set.written().into_iter().filter(|(_, deleted)| *deleted) {
                    self.open.remove(&key);
                }
            }
        }
        self.open.is_empty()
    }
}

/// The policies that a transaction's endorsements don't satisfy.
pub(super) async fn unmet(
    explainer: &Explainer<'_>,
    transaction: &Decoded,
    parameters: &KeyParameters,
) -> Result<Vec<UnmetPolicy>, SystemChaincodeError> {
    let endorsers: Vec<_> = transaction.endorsers.iter().map(|endorser| party(endorser)).collect();
    let mut unmet = Vec::new();
    let mut channel_group = None;
    // Peers hold what is written to a chaincode to its policy, and the called one in any case.
    let held = |set: &&NamespaceSet| set.namespace == transaction.chaincode || !set.written().is_empty();
    for set in transaction.sets.iter().filter(held) {
        let definition = match set.namespace.as_str() {
            "_lifecycle" => None,
            name => explainer.endorser.lifecycle().committed(explainer.channel, name).await?,
        };
        for (collection, key, parameter) in applicable(set, definition.as_ref(), parameters) {
            if channel_group.is_none() {
                let config = explainer.endorser.channels().config(explainer.channel).await?;
                channel_group = Some(config.channel_group.unwrap_or_default());
            }
            let group = channel_group.as_ref();
            let Some(rule) = group.and_then(|group| rule(parameter.as_ref(), group)) else { continue };
            if rule.holds(&endorsers, &mut vec![false; endorsers.len()]) {
                continue;
            }
            unmet.push(UnmetPolicy {
                namespace: set.namespace.clone(),
                collection,
                key,
                policy: rule.to_string(),
                endorsed: organizations(&endorsers),
                missing: rule.missing(&endorsers),
            });
        }
    }
    Ok(unmet)
}

/// The policies that apply to what is written in a namespace: collection, key and policy of each.
fn applicable(
    set: &NamespaceSet,
    definition: Option<&QueryChaincodeDefinitionResult>,
    parameters: &KeyParameters,
) -> Vec<(Option<String>, Option<String>, Option<ApplicationPolicy>)> {
    let chaincode = match definition {
        Some(definition) => ApplicationPolicy::decode(definition.validation_parameter.as_slice()).ok(),
        None if set.namespace == "_lifecycle" => Some(reference(LIFECYCLE)),
        None => None,
    };
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (key, _) in set.written() {
        match parameters.found.get(&key) {
            Some(parameter) => {
                let policy = ApplicationPolicy::decode(parameter.as_slice()).ok();
                if seen.insert((key.collection.clone(), Some(key.key.clone()))) {
                    found.push((key.collection, Some(key.key), policy));
                }
            }
            None => {
                let own = key.collection.as_deref().and_then(|name| collection_policy(definition, name));
                let collection = own.as_ref().and(key.collection);
                if seen.insert((collection.clone(), None)) {
                    found.push((collection, None, own.or_else(|| chaincode.clone())));
                }
            }
        }
    }
    // What writes nothing is held to the chaincode's policy too.
    if found.is_empty() {
        found.push((None, None, chaincode));
    }
    found
}

/// A collection's own endorsement policy.
fn collection_policy(
    definition: Option<&QueryChaincodeDefinitionResult>,
    name: &str,
) -> Option<ApplicationPolicy> {
    let collections = definition?.collections.as_ref()?.config.iter();
    let mut collections = collections.filter_map(|config| match config.payload.as_ref()? {
        Payload::StaticCollectionConfig(collection) => Some(collection),
    });
    let found: &StaticCollectionConfig = collections.find(|collection| collection.name == name)?;
    found.endorsement_policy.clone()
}

/// The metadata that is written in a namespace, by key.
fn metadata(set: &NamespaceSet) -> Vec<(Key, &[KvMetadataEntry])> {
    let public = set.public.metadata_writes.iter();
    let mut found: Vec<_> =
        public.map(|write| (Key::public(&set.namespace, &write.key), write.entries.as_slice())).collect();
    for (collection, hashed) in &set.private {
        let private = hashed.metadata_writes.iter();
        found.extend(private.map(|write| {
            (Key::private(&set.namespace, collection, &write.key_hash), write.entries.as_slice())
        }));
    }
    found
}

/// The policy in a key's metadata, as an encoded application policy.
fn parameter(entries: &[KvMetadataEntry]) -> Option<Vec<u8>> {
    let entry = entries
        .iter()
        .find(|entry| entry.name == VALIDATION_PARAMETER || entry.name == VALIDATION_PARAMETER_V2)?;
    if entry.name == VALIDATION_PARAMETER_V2 {
        return Some(entry.value.clone());
    }
    let envelope = SignaturePolicyEnvelope::decode(entry.value.as_slice()).ok()?;
    Some(ApplicationPolicy { r#type: Some(Source::SignaturePolicy(envelope)) }.encode_to_vec())
}

fn reference(path: &str) -> ApplicationPolicy {
    ApplicationPolicy { r#type: Some(Source::ChannelConfigPolicyReference(path.to_owned())) }
}

/// A policy as a tree, with what it refers to in the channel's configuration.
fn rule(policy: Option<&ApplicationPolicy>, channel: &ConfigGroup) -> Option<Rule> {
    match policy.and_then(|policy| policy.r#type.as_ref()) {
        Some(Source::SignaturePolicy(envelope)) => signature_rule(envelope),
        Some(Source::ChannelConfigPolicyReference(path)) => rule_at(path, channel),
        None => rule_at(DEFAULT, channel),
    }
}

fn rule_at(path: &str, channel: &ConfigGroup) -> Option<Rule> {
    let mut group = channel;
    let mut names = path.strip_prefix("/Channel/")?.split('/').peekable();
    while let Some(name) = names.next() {
        if names.peek().is_none() {
            return channel_rule(group, name);
        }
        group = group.groups.get(name)?;
    }
    None
}

/// A policy of a group of the configuration; one that counts sub-groups has theirs below it.
fn channel_rule(group: &ConfigGroup, name: &str) -> Option<Rule> {
    let Policy { r#type, value } = group.policies.get(name)?.policy.as_ref()?;
    match PolicyType::try_from(*r#type).ok()? {
        PolicyType::Signature => signature_rule(&SignaturePolicyEnvelope::decode(value.as_slice()).ok()?),
        PolicyType::ImplicitMeta => {
            let meta = ImplicitMetaPolicy::decode(value.as_slice()).ok()?;
            let rules: Vec<_> =
                group.groups.values().filter_map(|group| channel_rule(group, &meta.sub_policy)).collect();
            let n = match meta.rule() {
                Counted::Any => 1,
                Counted::All => rules.len(),
                Counted::Majority => rules.len() / 2 + 1,
            };
            Some(Rule::OutOf { n, rules })
        }
        PolicyType::Unknown | PolicyType::Msp => None,
    }
}

fn signature_rule(envelope: &SignaturePolicyEnvelope) -> Option<Rule> {
    tree(envelope.rule.as_ref()?, &envelope.identities)
}

fn tree(policy: &SignaturePolicy, principals: &[MspPrincipal]) -> Option<Rule> {
    match policy.r#type.as_ref()? {
        Form::SignedBy(index) => principal(principals.get(usize::try_from(*index).ok()?)?),
        Form::NOutOf(counted) => {
            let rules = counted.rules.iter().map(|rule| tree(rule, principals)).collect::<Option<_>>()?;
            Some(Rule::OutOf { n: usize::try_from(counted.n).ok()?, rules })
        }
    }
}

/// Whom a signature must come from; units and single identities count as members of their organisation.
fn principal(principal: &MspPrincipal) -> Option<Rule> {
    let bytes = principal.principal.as_slice();
    let (msp_id, role) = match principal.principal_classification() {
        Classification::Role => {
            let role = MspRole::decode(bytes).ok()?;
            (role.msp_identifier.clone(), role.role())
        }
        Classification::OrganizationUnit => {
            (OrganizationUnit::decode(bytes).ok()?.msp_identifier, MspRoleType::Member)
        }
        Classification::Identity => (SerializedIdentity::decode(bytes).ok()?.mspid, MspRoleType::Member),
        Classification::Anonymity | Classification::Combined => return None,
    };
    Some(Rule::Signed { msp_id, role })
}

impl Rule {
    /// Whether signers satisfy it, each of them counted once.
    fn holds(&self, signers: &[Party], used: &mut Vec<bool>) -> bool {
        match self {
            Self::Signed { msp_id, role } => {
                let free = signers
                    .iter()
                    .zip(used.iter_mut())
                    .find(|(signer, used)| !**used && signer.msp_id == *msp_id && has_role(signer, *role));
                free.map(|(_, used)| *used = true).is_some()
            }
            Self::OutOf { n, rules } => {
                let mut holding = 0;
                for rule in rules {
                    let mut tried = used.clone();
                    if rule.holds(signers, &mut tried) {
                        holding += 1;
                        *used = tried;
                    }
                }
                holding >= *n
            }
        }
    }

    /// What would have been enough besides, the shortest lists first.
    fn missing(&self, signers: &[Party]) -> Vec<Vec<String>> {
        let mut ways: Vec<Vec<String>> =
            self.ways(signers).into_iter().map(|way| way.into_iter().collect()).collect();
        ways.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        ways
    }

    fn ways(&self, signers: &[Party]) -> Vec<BTreeSet<String>> {
        match self {
            Self::Signed { .. } if self.holds(signers, &mut vec![false; signers.len()]) => {
                vec![BTreeSet::new()]
            }
            Self::Signed { .. } => vec![BTreeSet::from([self.to_string().replace('\'', "")])],
            // Nobody can satisfy it; and what a peer says of `n` is no reason to take memory.
            Self::OutOf { n, rules } if *n > rules.len() => Vec::new(),
            Self::OutOf { n, rules } => {
                // By how many of the rules hold: the ways to get there.
                let mut by_count = vec![Vec::new(); n + 1];
                if let Some(none) = by_count.first_mut() {
                    none.push(BTreeSet::new());
                }
                for rule in rules {
                    let more = rule.ways(signers);
                    for count in (0..*n).rev() {
                        let from = by_count.get(count).cloned().unwrap_or_default();
                        let joined = from.iter().flat_map(|way| more.iter().map(move |add| way | add));
                        if let Some(to) = by_count.get_mut(count + 1) {
                            to.extend(joined);
                            shortest(to);
                        }
                    }
                }
                by_count.pop().unwrap_or_default()
            }
        }
    }
}

/// Policies of every form, and what is missing for them.
#[cfg(any(fuzzing, test))]
pub(super) fn read_anything(bytes: &[u8], signers: &[Party]) {
    let group = ConfigGroup::decode(bytes).unwrap_or_default();
    let policy = ApplicationPolicy::decode(bytes).ok();
    let signature = SignaturePolicyEnvelope::decode(bytes).ok();
    let rules = [rule(policy.as_ref(), &group), signature.as_ref().and_then(signature_rule)];
    for rule in rules.into_iter().flatten() {
        let ways = rule.missing(signers);
        assert!(ways.len() <= WAYS_MAX, "{rule}");
        let _ = rule.holds(signers, &mut vec![false; signers.len()]);
    }
}

/// Keeps the shortest ways, and none that holds another.
fn shortest(ways: &mut Vec<BTreeSet<String>>) {
    ways.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    let mut kept: Vec<BTreeSet<String>> = Vec::new();
    for way in ways.drain(..) {
        if kept.len() < WAYS_MAX && !kept.iter().any(|shorter| shorter.is_subset(&way)) {
            kept.push(way);
        }
    }
    *ways = kept;
}

/// Whether a certificate's units give it a role; so they do where the organisation uses Fabric's own names.
fn has_role(signer: &Party, role: MspRoleType) -> bool {
    role == MspRoleType::Member || signer.units.iter().any(|unit| unit == role_name(role))
}

fn role_name(role: MspRoleType) -> &'static str {
    match role {
        MspRoleType::Member => "member",
        MspRoleType::Admin => "admin",
        MspRoleType::Client => "client",
        MspRoleType::Peer => "peer",
        MspRoleType::Orderer => "orderer",
    }
}

fn organizations(parties: &[Party]) -> Vec<String> {
    let msp_ids: BTreeSet<_> = parties.iter().map(|party| party.msp_id.clone()).collect();
    msp_ids.into_iter().collect()
}

impl std::fmt::Display for Rule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (n, rules) = match self {
            Self::Signed { msp_id, role } => return write!(formatter, "'{msp_id}.{}'", role_name(*role)),
            Self::OutOf { n, rules } => (*n, rules),
        };
        match (n, rules.as_slice()) {
            (1, [rule]) => return rule.fmt(formatter),
            (1, _) => formatter.write_str("OR(")?,
            (n, rules) if n == rules.len() => formatter.write_str("AND(")?,
            (n, _) => write!(formatter, "OutOf({n}, ")?,
        }
        for (index, rule) in rules.iter().enumerate() {
            if index > 0 {
                formatter.write_str(", ")?;
            }
            rule.fmt(formatter)?;
        }
        formatter.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(msp_id: &str) -> Rule {
        Rule::Signed { msp_id: msp_id.into(), role: MspRoleType::Peer }
    }

    fn out_of(n: usize, rules: &[Rule]) -> Rule {
        Rule::OutOf { n, rules: rules.to_vec() }
    }

    fn signers(list: &[(&str, &str)]) -> Vec<Party> {
        let party = |(msp_id, unit): &(&str, &str)| Party {
            msp_id: (*msp_id).into(),
            name: None,
            units: vec![(*unit).into()],
        };
        list.iter().map(party).collect()
    }

    #[test]
    fn who_is_missing_is_told_by_every_shortest_way() {
        let rule = out_of(1, &[out_of(2, &[peer("A"), peer("B")]), out_of(2, &[peer("C"), peer("D")])]);
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a [&'a str]]);
        let table: [Row<'_>; 4] = [
            (&[], &[&["A.peer", "B.peer"], &["C.peer", "D.peer"]]),
            (&[("A", "peer")], &[&["B.peer"], &["C.peer", "D.peer"]]),
            (&[("A", "admin")], &[&["A.peer", "B.peer"], &["C.peer", "D.peer"]]),
            (&[("A", "peer"), ("B", "peer")], &[&[]]),
        ];
        for (who, expected) in table {
            let signers = signers(who);
            assert_eq!(rule.missing(&signers), expected, "{who:?}");
            let holds = rule.holds(&signers, &mut vec![false; signers.len()]);
            assert_eq!(holds, expected.first().is_some_and(|way| way.is_empty()), "{who:?}");
        }
    }

    #[test]
    fn one_signer_counts_once() {
        let twice = out_of(2, &[peer("A"), peer("A")]);
        let one = signers(&[("A", "peer")]);
        assert!(!twice.holds(&one, &mut vec![false]));
        let two = signers(&[("A", "peer"), ("A", "peer")]);
        assert!(twice.holds(&two, &mut vec![false, false]));
    }

    #[test]
    fn a_policy_reads_as_fabrics_tools_write_it() {
        let three = [peer("A"), peer("B"), peer("C")];
        assert_eq!(out_of(3, &three).to_string(), "AND('A.peer', 'B.peer', 'C.peer')");
        assert_eq!(out_of(1, &three).to_string(), "OR('A.peer', 'B.peer', 'C.peer')");
        assert_eq!(out_of(2, &three).to_string(), "OutOf(2, 'A.peer', 'B.peer', 'C.peer')");
        assert_eq!(out_of(1, &three[..1]).to_string(), "'A.peer'");
    }

    #[test]
    fn the_ways_are_bounded() {
        let many: Vec<_> = (0..20).map(|n| peer(&format!("M{n:02}"))).collect();
        assert_eq!(out_of(10, &many).missing(&[]).len(), WAYS_MAX);
    }
}
