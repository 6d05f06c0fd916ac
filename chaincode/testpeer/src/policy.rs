//! Whether the organisations that endorsed satisfy a key's own policy.

use hlf_protos::common::{
    MspPrincipal, MspRole, SignaturePolicy, SignaturePolicyEnvelope, msp_principal::Classification,
    msp_role::MspRoleType, signature_policy::Type,
};
use prost::Message;

/// Rules may nest this deep; what lies deeper is not satisfied.
const DEPTH_MAX: usize = 32;

/// Whether one peer of each of these organisations together satisfies a `common.SignaturePolicyEnvelope`.
///
/// Each endorsement counts once, the first rule that takes it keeps it, as on real peers. What does
/// not decode is not satisfied.
pub(crate) fn is_satisfied(policy: &[u8], endorsers: &[String]) -> bool {
    let Ok(envelope) = SignaturePolicyEnvelope::decode(policy) else {
        return false;
    };
    let mut used = vec![false; endorsers.len()];
    envelope.rule.is_some_and(|rule| satisfies(&rule, &envelope.identities, endorsers, &mut used, 0))
}

fn satisfies(
    rule: &SignaturePolicy,
    principals: &[MspPrincipal],
    endorsers: &[String],
    used: &mut Vec<bool>,
    depth: usize,
) -> bool {
    if depth > DEPTH_MAX {
        return false;
    }
    match &rule.r#type {
        None => false,
        Some(Type::SignedBy(index)) => {
            let principal = usize::try_from(*index).ok().and_then(|index| principals.get(index));
            let found = principal.and_then(|principal| {
                endorsers
                    .iter()
                    .zip(used.iter_mut())
                    .find(|(endorser, used)| !**used && is_peer_of(principal, endorser))
            });
            found.map(|(_, used)| *used = true).is_some()
        }
        Some(Type::NOutOf(of)) => {
            let mut satisfied = 0;
            for rule in &of.rules {
                let mut tried = used.clone();
                if satisfies(rule, principals, endorsers, &mut tried, depth + 1) {
                    satisfied += 1;
                    *used = tried;
                }
            }
            satisfied >= of.n
        }
    }
}

/// Whether a peer of an organisation is what a principal asks for.
fn is_peer_of(principal: &MspPrincipal, msp_id: &str) -> bool {
    if principal.principal_classification != i32::from(Classification::Role) {
        return false;
    }
    MspRole::decode(principal.principal.as_slice()).is_ok_and(|role| {
        role.msp_identifier == msp_id
            && matches!(MspRoleType::try_from(role.role), Ok(MspRoleType::Member | MspRoleType::Peer))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hlf_protos::common::signature_policy::NOutOf;

    fn policy(n: i32, signers: &[i32], roles: &[(&str, MspRoleType)]) -> Vec<u8> {
        let rules =
            signers.iter().map(|index| SignaturePolicy { r#type: Some(Type::SignedBy(*index)) }).collect();
        let identities = roles
            .iter()
            .map(|(msp_id, role)| MspPrincipal {
                principal: MspRole { msp_identifier: (*msp_id).into(), role: (*role).into() }.encode_to_vec(),
                ..MspPrincipal::default()
            })
            .collect();
        let rule = Some(SignaturePolicy { r#type: Some(Type::NOutOf(NOutOf { n, rules })) });
        SignaturePolicyEnvelope { version: 0, rule, identities }.encode_to_vec()
    }

    #[test]
    fn organisations_count_once_and_in_their_role() {
        let roles = [("N", MspRoleType::Peer), ("S", MspRoleType::Member), ("N", MspRoleType::Admin)];
        let by = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let both = policy(2, &[0, 1], &roles);
        assert!(is_satisfied(&both, &by(&["S", "N"])));
        assert!(!is_satisfied(&both, &by(&["S"])));
        assert!(!is_satisfied(&policy(2, &[0, 0], &roles), &by(&["N"])), "one signature is not two");
        assert!(!is_satisfied(&policy(1, &[2], &roles), &by(&["N"])), "a peer is no admin");
        assert!(!is_satisfied(&policy(1, &[3], &roles), &by(&["N"])), "no such principal");
        assert!(!is_satisfied(b"\xff", &by(&["N"])) && !is_satisfied(b"", &by(&["N"])));
    }

    proptest::proptest! {
        #[test]
        fn no_policy_is_a_panic(bytes in proptest::prelude::any::<Vec<u8>>()) {
            let _ = is_satisfied(&bytes, &["N".to_owned()]);
        }
    }
}
