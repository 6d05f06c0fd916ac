//! Signature policies: which organisations' signatures together suffice.

use std::fmt;

use hlf_protos::common::{
    MspPrincipal, MspRole, SignaturePolicy as WirePolicy, SignaturePolicyEnvelope,
    msp_principal::Classification, msp_role::MspRoleType, signature_policy::NOutOf, signature_policy::Type,
};
use prost::Message;
use thiserror::Error;

use crate::response::{Failure, code};

/// Rules may nest this deep, which is far more than anybody can read.
const DEPTH_MAX: usize = 16;

/// Why something is no signature policy.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A rule asks for more or fewer signatures than its parts could give.
    #[error("a rule asks for {n} of {parts} parts: ask for at least one and at most all")]
    CountOutOfRange {
        /// Parts that have to be satisfied.
        n: usize,
        /// Parts there are.
        parts: usize,
    },
    /// A role without an MSP id.
    #[error("a role names no MSP: give the organisation's MSP id")]
    MspMissing,
    /// Rules are nested too deeply.
    #[error("rules are nested more than {DEPTH_MAX} deep: flatten them")]
    TooDeep,
    /// The bytes are no `common.SignaturePolicyEnvelope`.
    #[error("policy does not decode")]
    Undecodable(#[source] prost::DecodeError),
    /// The bytes hold something that this type cannot express.
    #[error("policy has {what}, which is not understood here")]
    Unsupported {
        /// What it is.
        what: &'static str,
    },
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        Failure::new(500, code::POLICY_INVALID).caused_by(error)
    }
}

/// What an identity is in its organisation, by its node OU or the MSP's list of administrators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Anybody with a valid certificate.
    Member,
    /// An administrator.
    Admin,
    /// A client.
    Client,
    /// A peer, which is what endorses.
    Peer,
    /// An orderer.
    Orderer,
}

/// Whose signatures suffice, for [key-level endorsement](crate::Transaction::set_validation_parameter).
///
/// ```
/// use hlf_chaincode::SignaturePolicy;
///
/// let north = SignaturePolicy::peer("NorthMSP");
/// let others = SignaturePolicy::n_of(1, [SignaturePolicy::peer("SouthMSP"), SignaturePolicy::peer("WestMSP")]);
/// let policy = SignaturePolicy::and([north, others]);
/// assert_eq!(policy.to_string(), "AND('NorthMSP.peer', OR('SouthMSP.peer', 'WestMSP.peer'))");
/// assert_eq!(SignaturePolicy::from_bytes(&policy.to_bytes()?)?, policy);
/// # Ok::<(), hlf_chaincode::PolicyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignaturePolicy(Rule);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Signed { msp_id: String, role: Role },
    Of { n: usize, parts: Vec<Rule> },
}

impl SignaturePolicy {
    /// One signature of an organisation, by somebody in a role.
    #[must_use]
    pub fn role(msp_id: impl Into<String>, role: Role) -> Self {
        Self(Rule::Signed { msp_id: msp_id.into(), role })
    }

    /// One signature of anybody in an organisation.
    #[must_use]
    pub fn member(msp_id: impl Into<String>) -> Self {
        Self::role(msp_id, Role::Member)
    }

    /// One signature of an organisation's administrator.
    #[must_use]
    pub fn admin(msp_id: impl Into<String>) -> Self {
        Self::role(msp_id, Role::Admin)
    }

    /// One signature of an organisation's client.
    #[must_use]
    pub fn client(msp_id: impl Into<String>) -> Self {
        Self::role(msp_id, Role::Client)
    }

    /// One signature of an organisation's peer.
    #[must_use]
    pub fn peer(msp_id: impl Into<String>) -> Self {
        Self::role(msp_id, Role::Peer)
    }

    /// One signature of an organisation's orderer.
    #[must_use]
    pub fn orderer(msp_id: impl Into<String>) -> Self {
        Self::role(msp_id, Role::Orderer)
    }

    /// All of these.
    #[must_use]
    pub fn and(parts: impl IntoIterator<Item = Self>) -> Self {
        let parts: Vec<_> = parts.into_iter().map(|part| part.0).collect();
        Self(Rule::Of { n: parts.len(), parts })
    }

    /// At least one of these.
    #[must_use]
    pub fn or(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::n_of(1, parts)
    }

    /// At least `n` of these. A signature counts for one of them only.
    #[must_use]
    pub fn n_of(n: usize, parts: impl IntoIterator<Item = Self>) -> Self {
        Self(Rule::Of { n, parts: parts.into_iter().map(|part| part.0).collect() })
    }

    /// The bytes of a `common.SignaturePolicyEnvelope`, the same that Fabric's policy language gives.
    ///
    /// # Errors
    /// [`PolicyError`] for a rule that could never or would always be satisfied, or that names no MSP.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PolicyError> {
        let mut identities = Vec::new();
        let rule = encode(&self.0, &mut identities, 0)?;
        Ok(SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities }.encode_to_vec())
    }

    /// Reads the bytes of a `common.SignaturePolicyEnvelope` whose principals are MSP roles.
    ///
    /// # Errors
    /// [`PolicyError`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PolicyError> {
        let envelope = SignaturePolicyEnvelope::decode(bytes).map_err(PolicyError::Undecodable)?;
        if envelope.version != 0 {
            return Err(PolicyError::Unsupported { what: "another version" });
        }
        let rule = envelope.rule.ok_or(PolicyError::Unsupported { what: "no rule" })?;
        decode(&rule, &envelope.identities, 0).map(Self)
    }
}

/// Fabric's policy language numbers the principals of nested rules before those beside them.
fn encode(rule: &Rule, identities: &mut Vec<MspPrincipal>, depth: usize) -> Result<WirePolicy, PolicyError> {
    if depth > DEPTH_MAX {
        return Err(PolicyError::TooDeep);
    }
    let (n, parts) = match rule {
        Rule::Signed { .. } => return signed(rule, identities),
        Rule::Of { n, parts } => (*n, parts),
    };
    if n == 0 || n > parts.len() {
        return Err(PolicyError::CountOutOfRange { n, parts: parts.len() });
    }
    let nested: Vec<_> = parts
        .iter()
        .map(|part| match part {
            Rule::Of { .. } => encode(part, identities, depth + 1).map(Some),
            Rule::Signed { .. } => Ok(None),
        })
        .collect::<Result<_, _>>()?;
    let rules = nested
        .into_iter()
        .zip(parts)
        .map(|(nested, part)| nested.map_or_else(|| signed(part, identities), Ok))
        .collect::<Result<_, _>>()?;
    let out_of_range = PolicyError::CountOutOfRange { n, parts: parts.len() };
    let n = i32::try_from(n).map_err(|_| out_of_range)?;
    Ok(WirePolicy { r#type: Some(Type::NOutOf(NOutOf { n, rules })) })
}

fn signed(rule: &Rule, identities: &mut Vec<MspPrincipal>) -> Result<WirePolicy, PolicyError> {
    let Rule::Signed { msp_id, role } = rule else {
        return Err(PolicyError::Unsupported { what: "a rule in place of a role" });
    };
    if msp_id.is_empty() {
        return Err(PolicyError::MspMissing);
    }
    let role = MspRole { msp_identifier: msp_id.clone(), role: role.to_wire().into() };
    let index = i32::try_from(identities.len()).map_err(|_| PolicyError::TooDeep)?;
    identities.push(MspPrincipal {
        principal_classification: Classification::Role.into(),
        principal: role.encode_to_vec(),
    });
    Ok(WirePolicy { r#type: Some(Type::SignedBy(index)) })
}

fn decode(rule: &WirePolicy, identities: &[MspPrincipal], depth: usize) -> Result<Rule, PolicyError> {
    if depth > DEPTH_MAX {
        return Err(PolicyError::TooDeep);
    }
    match &rule.r#type {
        None => Err(PolicyError::Unsupported { what: "a rule of no kind" }),
        Some(Type::SignedBy(index)) => {
            let principal = usize::try_from(*index).ok().and_then(|index| identities.get(index));
            let principal =
                principal.ok_or(PolicyError::Unsupported { what: "an index without principal" })?;
            if principal.principal_classification != i32::from(Classification::Role) {
                return Err(PolicyError::Unsupported { what: "a principal that is no role" });
            }
            let role = MspRole::decode(principal.principal.as_slice()).map_err(PolicyError::Undecodable)?;
            if role.msp_identifier.is_empty() {
                return Err(PolicyError::MspMissing);
            }
            Ok(Rule::Signed { role: Role::from_wire(role.role)?, msp_id: role.msp_identifier })
        }
        Some(Type::NOutOf(of)) => {
            let parts: Vec<_> =
                of.rules.iter().map(|rule| decode(rule, identities, depth + 1)).collect::<Result<_, _>>()?;
            match usize::try_from(of.n) {
                Ok(n) if n >= 1 && n <= parts.len() => Ok(Rule::Of { n, parts }),
                n => Err(PolicyError::CountOutOfRange { n: n.unwrap_or(0), parts: parts.len() }),
            }
        }
    }
}

impl Role {
    fn to_wire(self) -> MspRoleType {
        match self {
            Self::Member => MspRoleType::Member,
            Self::Admin => MspRoleType::Admin,
            Self::Client => MspRoleType::Client,
            Self::Peer => MspRoleType::Peer,
            Self::Orderer => MspRoleType::Orderer,
        }
    }

    fn from_wire(role: i32) -> Result<Self, PolicyError> {
        match MspRoleType::try_from(role) {
            Ok(MspRoleType::Member) => Ok(Self::Member),
            Ok(MspRoleType::Admin) => Ok(Self::Admin),
            Ok(MspRoleType::Client) => Ok(Self::Client),
            Ok(MspRoleType::Peer) => Ok(Self::Peer),
            Ok(MspRoleType::Orderer) => Ok(Self::Orderer),
            Err(_) => Err(PolicyError::Unsupported { what: "an unknown role" }),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Client => "client",
            Self::Peer => "peer",
            Self::Orderer => "orderer",
        })
    }
}

impl fmt::Display for SignaturePolicy {
    /// Fabric's policy language.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, parts) = match self {
            Self::Signed { msp_id, role } => return write!(f, "'{msp_id}.{role}'"),
            Self::Of { n, parts } => (*n, parts),
        };
        match n {
            _ if n == parts.len() => f.write_str("AND(")?,
            1 => f.write_str("OR(")?,
            _ => write!(f, "OutOf({n}, ")?,
        }
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            part.fmt(f)?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What Fabric's own policy language gives for the same text.
    const FABRIC: &str = include_str!("../tests/fixtures/signature_policies.tsv");

    fn parsed() -> Vec<SignaturePolicy> {
        type P = SignaturePolicy;
        vec![
            P::and([P::member("NorthMSP"), P::member("SouthMSP")]),
            P::or([P::peer("NorthMSP"), P::admin("SouthMSP")]),
            P::n_of(2, [P::client("A"), P::orderer("B"), P::peer("C")]),
            P::and([P::peer("A"), P::or([P::peer("B"), P::peer("C")])]),
            P::or([
                P::and([P::peer("A"), P::peer("B")]),
                P::admin("C"),
                P::n_of(2, [P::peer("A"), P::member("D"), P::and([P::peer("E"), P::peer("F")])]),
            ]),
            P::and([P::peer("A"), P::peer("A")]),
        ]
    }

    #[test]
    fn the_bytes_are_those_of_fabrics_policy_language() {
        let lines: Vec<_> = FABRIC.lines().collect();
        assert_eq!(lines.len(), parsed().len());
        for (line, policy) in lines.into_iter().zip(parsed()) {
            let (text, hex) = line.split_once('\t').unwrap();
            assert_eq!(policy.to_string(), text);
            let bytes = policy.to_bytes().unwrap();
            let ours: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(ours, hex, "{text}");
            assert_eq!(SignaturePolicy::from_bytes(&bytes).unwrap(), policy);
        }
    }

    #[test]
    fn what_nobody_or_everybody_satisfies_is_refused() {
        let peer = || SignaturePolicy::peer("A");
        for (n, parts) in [(0, 1), (2, 1), (1, 0)] {
            let policy = SignaturePolicy::n_of(n, std::iter::repeat_with(peer).take(parts));
            assert!(matches!(policy.to_bytes(), Err(PolicyError::CountOutOfRange { .. })), "{policy}");
        }
        assert!(matches!(SignaturePolicy::peer("").to_bytes(), Err(PolicyError::MspMissing)));
        let deep = (0..20).fold(peer(), |inner, _| SignaturePolicy::and([inner]));
        assert!(matches!(deep.to_bytes(), Err(PolicyError::TooDeep)));
        assert!(matches!(SignaturePolicy::from_bytes(b"\xff"), Err(PolicyError::Undecodable(_))));
        assert!(matches!(SignaturePolicy::from_bytes(b""), Err(PolicyError::Unsupported { .. })));
    }

    fn policies() -> impl Strategy<Value = SignaturePolicy> {
        let role = prop_oneof![
            Just(Role::Member),
            Just(Role::Admin),
            Just(Role::Client),
            Just(Role::Peer),
            Just(Role::Orderer)
        ];
        let leaf = ("[A-Z]{1,8}", role).prop_map(|(msp_id, role)| SignaturePolicy::role(msp_id, role));
        leaf.prop_recursive(4, 40, 5, |inner| {
            (prop::collection::vec(inner, 1..5), any::<prop::sample::Index>())
                .prop_map(|(parts, n)| SignaturePolicy::n_of(n.index(parts.len()) + 1, parts))
        })
    }

    proptest! {
        #[test]
        fn every_policy_survives_its_bytes(policy in policies()) {
            prop_assert_eq!(SignaturePolicy::from_bytes(&policy.to_bytes().unwrap()).unwrap(), policy);
        }

        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = SignaturePolicy::from_bytes(&bytes);
        }
    }
}
