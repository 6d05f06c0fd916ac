//! What organisations agree on with a definition, beyond its name and version, in Fabric's messages.

use hlf_protos::common::msp_role::MspRoleType;
use hlf_protos::common::signature_policy::{self, NOutOf};
use hlf_protos::common::{MspPrincipal, MspRole, SignaturePolicy, SignaturePolicyEnvelope, msp_principal};
use hlf_protos::prost::Message;
use hlf_protos::protos::{
    ApplicationPolicy, CollectionConfig, CollectionConfigPackage, CollectionPolicyConfig,
    StaticCollectionConfig, application_policy, collection_config, collection_policy_config,
};

use crate::spec::{Chaincode, Collection, EndorsementPolicy, Organization};

/// What Fabric takes for a definition that names no policy.
const DEFAULT_POLICY: &str = "/Channel/Application/Endorsement";

/// The endorsement policy and the collections of a definition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Terms {
    policy: ApplicationPolicy,
    pub(super) collections: Option<CollectionConfigPackage>,
}

impl Terms {
    pub(crate) fn of(chaincode: &Chaincode, organizations: &[Organization]) -> Self {
        let policy = chaincode.endorsement.as_ref().map_or_else(
            || ApplicationPolicy {
                r#type: Some(application_policy::Type::ChannelConfigPolicyReference(
                    DEFAULT_POLICY.to_owned(),
                )),
            },
            application_policy_of,
        );
        let config: Vec<_> =
            chaincode.collections.iter().map(|collection| config_of(collection, organizations)).collect();
        let collections = (!config.is_empty()).then_some(CollectionConfigPackage { config });
        Self { policy, collections }
    }

    /// The endorsement policy as Fabric's validation parameter.
    pub(super) fn validation_parameter(&self) -> Vec<u8> {
        self.policy.encode_to_vec()
    }

    /// The first part in which terms that a peer knows differ from these.
    pub(super) fn difference(
        &self,
        validation_parameter: &[u8],
        collections: Option<&CollectionConfigPackage>,
    ) -> Option<&'static str> {
        // Another tool may have encoded the same policy otherwise.
        let policy = ApplicationPolicy::decode(validation_parameter);
        if policy.as_ref() != Ok(&self.policy) {
            return Some("endorsement policy");
        }
        (configs(collections) != configs(self.collections.as_ref())).then_some("collections")
    }

    /// A collection in force that these terms would drop, or whose time to live they would change.
    pub(super) fn broken_collection<'a>(
        &self,
        in_force: Option<&'a CollectionConfigPackage>,
    ) -> Option<&'a str> {
        configs(in_force).iter().filter_map(of_config).find_map(|old| {
            let kept = configs(self.collections.as_ref())
                .iter()
                .filter_map(of_config)
                .any(|new| new.name == old.name && new.block_to_live == old.block_to_live);
            (!kept).then_some(old.name.as_str())
        })
    }
}

/// No collections are written as no package, or as an empty one.
fn configs(package: Option<&CollectionConfigPackage>) -> &[CollectionConfig] {
    package.map_or(&[], |package| &package.config)
}

fn of_config(config: &CollectionConfig) -> Option<&StaticCollectionConfig> {
    config.payload.as_ref().map(|collection_config::Payload::StaticCollectionConfig(collection)| collection)
}

fn config_of(collection: &Collection, organizations: &[Organization]) -> CollectionConfig {
    // Members' clients read and write, so that members are more than their peers.
    let members = collection
        .members
        .iter()
        .filter_map(|name| organizations.iter().find(|organization| organization.name == *name));
    let mut identities = Vec::new();
    let rules: Vec<_> =
        members.map(|member| signed_by(&mut identities, &member.msp_id, MspRoleType::Member)).collect();
    let rule = SignaturePolicy { r#type: Some(signature_policy::Type::NOutOf(NOutOf { n: 1, rules })) };
    let members = SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities };
    CollectionConfig {
        payload: Some(collection_config::Payload::StaticCollectionConfig(StaticCollectionConfig {
            name: collection.name.clone(),
            member_orgs_policy: Some(CollectionPolicyConfig {
                payload: Some(collection_policy_config::Payload::SignaturePolicy(members)),
            }),
            required_peer_count: i32::from(collection.required_peers),
            maximum_peer_count: i32::from(collection.max_peers),
            block_to_live: collection.block_to_live,
            member_only_read: collection.member_only_read,
            member_only_write: collection.member_only_write,
            endorsement_policy: collection.endorsement.as_ref().map(application_policy_of),
        })),
    }
}

fn application_policy_of(policy: &EndorsementPolicy) -> ApplicationPolicy {
    let mut identities = Vec::new();
    let rule = Some(rule_of(policy, &mut identities));
    let envelope = SignaturePolicyEnvelope { version: 0, rule, identities };
    ApplicationPolicy { r#type: Some(application_policy::Type::SignaturePolicy(envelope)) }
}

fn rule_of(policy: &EndorsementPolicy, identities: &mut Vec<MspPrincipal>) -> SignaturePolicy {
    match policy {
        EndorsementPolicy::Peer(msp_id) => signed_by(identities, msp_id, MspRoleType::Peer),
        EndorsementPolicy::OutOf { n, rules } => {
            let rules = rules.iter().map(|rule| rule_of(rule, identities)).collect();
            let n = i32::try_from(*n).unwrap_or(i32::MAX);
            SignaturePolicy { r#type: Some(signature_policy::Type::NOutOf(NOutOf { n, rules })) }
        }
    }
}

/// A rule by the number of its principal, which is added when it is not there.
fn signed_by(identities: &mut Vec<MspPrincipal>, msp_id: &str, role: MspRoleType) -> SignaturePolicy {
    let principal = MspPrincipal {
        principal_classification: msp_principal::Classification::Role.into(),
        principal: MspRole { msp_identifier: msp_id.to_owned(), role: role.into() }.encode_to_vec(),
    };
    let index = identities.iter().position(|known| *known == principal).unwrap_or_else(|| {
        identities.push(principal);
        identities.len().saturating_sub(1)
    });
    let index = i32::try_from(index).unwrap_or(i32::MAX);
    SignaturePolicy { r#type: Some(signature_policy::Type::SignedBy(index)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Consortium, DEFAULT};

    fn terms(table: &str) -> Terms {
        let chaincode = "[chaincode]\nname = \"shelf\"\nlabel = \"shelf_1\"\n";
        let spec = Consortium::parse(&format!("{DEFAULT}\n{chaincode}{table}")).unwrap();
        Terms::of(&spec.chaincode.unwrap(), &spec.organizations)
    }

    fn collection(name: &str, rest: &str) -> String {
        format!("[[chaincode.collections]]\nname = \"{name}\"\nmembers = [\"north\"]\n{rest}\n")
    }

    #[test]
    fn without_a_policy_it_is_fabrics_default() {
        let terms = terms("");
        let path = b"/Channel/Application/Endorsement";
        assert_eq!(terms.validation_parameter(), [&[0x12, 32][..], path].concat());
        assert_eq!(terms.collections, None);
        let parameter = terms.validation_parameter();
        assert_eq!(terms.difference(&parameter, None), None);
        assert_eq!(terms.difference(&parameter, Some(&CollectionConfigPackage::default())), None);
        assert_eq!(terms.difference(b"\xff", None), Some("endorsement policy"));
    }

    #[test]
    fn a_principal_stands_once() {
        let twice = "OR(AND('NorthMSP.peer', 'SouthMSP.peer'), 'NorthMSP.peer')";
        let terms = terms(&format!("endorsement = \"{twice}\""));
        let Some(application_policy::Type::SignaturePolicy(envelope)) = terms.policy.r#type else {
            panic!("{terms:?}");
        };
        let principals: Vec<_> = envelope
            .identities
            .iter()
            .map(|identity| MspRole::decode(identity.principal.as_slice()).unwrap())
            .collect();
        assert_eq!(principals.len(), 2);
        assert!(principals.iter().all(|role| role.role() == MspRoleType::Peer));
    }

    #[test]
    fn every_change_of_a_collection_is_seen() {
        let base = terms(&collection("a", ""));
        for changed in [
            collection("b", ""),
            collection("a", "max_peers = 2"),
            collection("a", "block_to_live = 9"),
            collection("a", "member_only_read = false"),
            collection("a", "member_only_write = false"),
            collection("a", "endorsement = \"'NorthMSP.peer'\""),
            collection("a", "") + &collection("b", ""),
            String::new(),
        ] {
            let changed = terms(&changed);
            let seen = base.difference(&changed.validation_parameter(), changed.collections.as_ref());
            assert_eq!(seen, Some("collections"), "{changed:?}");
        }
    }

    #[test]
    fn what_fabric_never_lets_change_of_a_collection_is_found() {
        let old = terms(&(collection("a", "") + &collection("b", "block_to_live = 9")));
        let broken = |new: &str| terms(new).broken_collection(old.collections.as_ref()).map(str::to_owned);
        assert_eq!(broken(&collection("a", "")), Some("b".to_owned()));
        assert_eq!(broken(&(collection("b", "") + &collection("a", ""))), Some("b".to_owned()));
        let more =
            collection("b", "block_to_live = 9") + &collection("a", "max_peers = 3") + &collection("c", "");
        assert_eq!(broken(&more), None);
        assert_eq!(terms("").broken_collection(None), None);
    }
}
