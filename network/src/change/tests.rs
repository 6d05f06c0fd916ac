//! The delta against a plain model, policies as tables, and proposals that don't agree with themselves.

use std::collections::BTreeMap;

use hlf_protos::common::{Config, ConfigGroup, ConfigPolicy, ConfigValue, Policy};
use hlf_protos::prost::Message as _;
use proptest::prelude::*;

use super::config::ChannelConfig;
use super::delta;
use super::edit::{MetaRule, PolicyRule};
use super::members::{Role, Signer};
use super::standing::Rule;
use super::{FileFormatError, Proposal};

fn value(bytes: u8, guard: u8) -> ConfigValue {
    ConfigValue { version: 0, value: vec![bytes], mod_policy: format!("guard{guard}") }
}

fn policy(bytes: u8, guard: u8) -> ConfigPolicy {
    let policy = Some(Policy { r#type: 1, value: vec![bytes] });
    ConfigPolicy { version: 0, policy, mod_policy: format!("guard{guard}") }
}

/// Groups of few names and few contents, so that trees share much.
fn tree() -> impl Strategy<Value = ConfigGroup> {
    let names = || prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned);
    let leaf = (
        prop::collection::btree_map(names(), (0..3_u8, 0..2_u8).prop_map(|(b, g)| value(b, g)), 0..3),
        prop::collection::btree_map(names(), (0..3_u8, 0..2_u8).prop_map(|(b, g)| policy(b, g)), 0..3),
        0..2_u8,
    )
        .prop_map(|(values, policies, guard)| ConfigGroup {
            values,
            policies,
            mod_policy: format!("guard{guard}"),
            ..ConfigGroup::default()
        });
    leaf.prop_recursive(3, 24, 3, move |inner| {
        (inner.clone(), prop::collection::btree_map(names(), inner, 0..3))
            .prop_map(|(group, groups)| ConfigGroup { groups, ..group })
    })
}

fn config(root: ConfigGroup) -> ChannelConfig {
    let mut root = root;
    for section in ["Application", "Orderer"] {
        root.groups.entry(section.to_owned()).or_default();
    }
    ChannelConfig::new("main".to_owned(), Config { sequence: 7, channel_group: Some(root) }).unwrap()
}

/// A tree without its versions: what it says.
fn said(group: &ConfigGroup) -> ConfigGroup {
    ConfigGroup {
        version: 0,
        groups: group.groups.iter().map(|(name, inner)| (name.clone(), said(inner))).collect(),
        values: group
            .values
            .iter()
            .map(|(name, value)| (name.clone(), ConfigValue { version: 0, ..value.clone() }))
            .collect(),
        policies: group
            .policies
            .iter()
            .map(|(name, policy)| (name.clone(), ConfigPolicy { version: 0, ..policy.clone() }))
            .collect(),
        mod_policy: group.mod_policy.clone(),
    }
}

proptest! {
    /// Three updates in a row lead from tree to tree, whatever the trees; an update fits once.
    #[test]
    fn an_update_leads_where_it_should_and_fits_once(
        first in tree(), second in tree(), third in tree(),
    ) {
        let mut present = config(first);
        for wanted in [second, third].map(config) {
            match delta::between(&present, &wanted).unwrap() {
                None => prop_assert_eq!(said(present.root().unwrap()), said(wanted.root().unwrap())),
                Some(update) => {
                    prop_assert!(!delta::is_written(&present, &update));
                    let after = delta::applied(&present, &update).unwrap();
                    prop_assert_eq!(said(after.root().unwrap()), said(wanted.root().unwrap()));
                    prop_assert_eq!(after.sequence(), present.sequence() + 1);
                    prop_assert!(delta::applied(&after, &update).is_err());
                    prop_assert!(delta::is_written(&after, &update));
                    present = after;
                }
            }
        }
    }

    #[test]
    fn no_text_or_bytes_make_a_proposal_panic(text in ".*", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Proposal::parse(&text);
        let block = hlf_protos::common::Block::decode(bytes.as_slice()).unwrap_or_default();
        prop_assert!(ChannelConfig::of_block(&block).is_err());
        let present = config(ConfigGroup::default());
        prop_assert!(Signer::identify(&present, &bytes).is_err());
    }
}

fn signer(msp_id: &str, role: Role) -> Signer {
    Signer {
        msp_id: msp_id.to_owned(),
        common_name: format!("{role}"),
        roles: [Role::Member, role].into(),
        serialized: format!("{msp_id}/{role}").into_bytes(),
    }
}

fn admins_of(organizations: &[&str], rule: MetaRule) -> ConfigGroup {
    let guarded = |rule: PolicyRule| ConfigPolicy { policy: Some(rule.encode()), ..ConfigPolicy::default() };
    let groups = organizations
        .iter()
        .map(|msp_id| {
            let admins = guarded(PolicyRule::AnyOf(vec![((*msp_id).to_owned(), Role::Admin)]));
            let group = ConfigGroup {
                policies: BTreeMap::from([("Admins".to_owned(), admins)]),
                ..ConfigGroup::default()
            };
            ((*msp_id).to_owned(), group)
        })
        .collect();
    let meta = guarded(PolicyRule::Children { rule, policy: "Admins".to_owned() });
    ConfigGroup { groups, policies: BTreeMap::from([("Admins".to_owned(), meta)]), ..ConfigGroup::default() }
}

#[test]
fn an_implicit_policy_counts_organizations_not_signatures() {
    let three = ["NorthMSP", "SouthMSP", "EastMSP"];
    for (rule, needed) in [(MetaRule::Any, 1), (MetaRule::Majority, 2), (MetaRule::All, 3)] {
        let group = admins_of(&three, rule);
        let rule = Rule::of(&group, "Admins", 0);
        for count in 0..=3 {
            let mut signers: Vec<_> = three.iter().take(count).map(|one| signer(one, Role::Admin)).collect();
            // Members of other roles, and more of the same organisation, change nothing.
            signers.extend(three.iter().map(|one| signer(one, Role::Client)));
            signers.extend(three.iter().take(count).map(|one| signer(one, Role::Admin)));
            assert_eq!(rule.is_satisfied(&signers), count >= needed, "{rule} by {count}");
        }
    }
    // Of none, any is satisfied and a majority never is.
    assert!(Rule::of(&admins_of(&[], MetaRule::Any), "Admins", 0).is_satisfied(&[]));
    assert!(!Rule::of(&admins_of(&[], MetaRule::Majority), "Admins", 0).is_possible());
    assert!(!Rule::of(&admins_of(&three, MetaRule::Any), "Writers", 0).is_possible());
}

#[test]
fn one_signature_stands_for_one_principal() {
    let principals = vec![("NorthMSP".to_owned(), Role::Member), ("NorthMSP".to_owned(), Role::Admin)];
    let PolicyRule::AnyOf(principals) = PolicyRule::AnyOf(principals) else { unreachable!() };
    let encoded = PolicyRule::AnyOf(principals).encode();
    let mut envelope = hlf_protos::common::SignaturePolicyEnvelope::decode(encoded.value.as_slice()).unwrap();
    if let Some(hlf_protos::common::signature_policy::Type::NOutOf(several)) =
        envelope.rule.as_mut().and_then(|rule| rule.r#type.as_mut())
    {
        several.n = 2;
    }
    let both = Rule::Signatures(envelope);
    let (admin, client) = (signer("NorthMSP", Role::Admin), signer("NorthMSP", Role::Client));
    assert!(!both.is_satisfied(std::slice::from_ref(&admin)));
    assert!(!both.is_satisfied(&[client.clone(), client.clone()]));
    assert!(both.is_satisfied(&[client.clone(), admin.clone()]));
    // As Fabric's orderers count: the first rule takes the first signer that fits, here the admin.
    assert!(!both.is_satisfied(&[admin, client]));
}

#[test]
fn a_file_that_does_not_agree_with_itself_is_refused() {
    let update = |channel: &str| {
        let update = hlf_protos::common::ConfigUpdate {
            channel_id: channel.to_owned(),
            ..hlf_protos::common::ConfigUpdate::default()
        };
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(update.encode_to_vec())
    };
    let file = |format: &str, channel: &str, update: &str| {
        format!(
            r#"{{"format":"{format}","channel":"{channel}","title":"t","made_at":1,"update":"{update}","signatures":[]}}"#
        )
    };
    let good = "hlf-network channel change 1";
    let read = Proposal::parse(&file(good, "main", &update("main"))).unwrap();
    assert_eq!(Proposal::parse(&read.to_string()).unwrap(), read);
    let refusals = [
        (file("hlf-network channel change 2", "main", &update("main")), "Format"),
        (file(good, "main", &update("other")), "Channel"),
        (file(good, "main", "%%"), "Base64"),
        (file(good, "main", "////"), "Update"),
        ("{}".to_owned(), "Syntax"),
        (String::new(), "Syntax"),
    ];
    for (text, expected) in refusals {
        let found = match Proposal::parse(&text).unwrap_err() {
            FileFormatError::Format(_) => "Format",
            FileFormatError::Channel { .. } => "Channel",
            FileFormatError::Base64(_) => "Base64",
            FileFormatError::Update(_) => "Update",
            FileFormatError::Syntax(_) => "Syntax",
            _ => "another",
        };
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn an_orderer_without_a_leader_is_no_answer_for_the_others() {
    let refused =
        |status: &str| super::SubmitError::Refused { status: status.to_owned(), info: String::new() };
    assert!(refused("SERVICE_UNAVAILABLE").is_unavailable());
    assert!(!refused("BAD_REQUEST").is_unavailable() && !refused("BAD_REQUEST").is_for_now());
    let info = "0 out of 2 nodes are alive, configuration will result in quorum loss".to_owned();
    let alone = super::SubmitError::Refused { status: "BAD_REQUEST".to_owned(), info };
    assert!(alone.is_for_now() && !alone.is_unavailable());
    assert!(!super::SubmitError::Incomplete(String::new()).is_unavailable());
}

#[test]
fn ordering_nodes_that_come_and_go_are_told_from_those_that_change() {
    use super::{Consenter, ConsenterCertificates, ConsentersChange};
    let node = |port: u16, certificate: &str| Consenter {
        host: "node".to_owned(),
        port,
        certificates: ConsenterCertificates { server: certificate.into(), client: certificate.into() },
        bft: None,
    };
    let change = ConsentersChange::between(&[node(1, "a"), node(2, "b")], &[node(2, "b"), node(3, "c")]);
    let list = |name: &str| vec![name.to_owned()];
    assert_eq!(change, ConsentersChange { come: list("node:3"), go: list("node:1"), stay: list("node:2") });
    assert!(change.is_any());
    assert!(!ConsentersChange::between(&[node(1, "a")], &[node(1, "renewed")]).is_any());
}
