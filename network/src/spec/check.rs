//! What a consortium must be before anything is made from it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    CertificateSource, Chaincode, Channel, Collection, Consensus, Consortium, EndorsementPolicy, NodeOu,
    OrderingService, Organization, User, UserKey,
};
use crate::fabric::Version;

/// Why a spec is refused.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The document is not TOML of the expected shape.
    #[error("the spec cannot be read")]
    Syntax(#[source] toml::de::Error),
    /// A value cannot be used.
    #[error("`{field}` is `{value}`: {fix}")]
    Field {
        /// The field's path, with an index into lists.
        field: String,
        /// Its value.
        value: String,
        /// What to write instead.
        fix: &'static str,
    },
}

impl SpecError {
    pub(super) fn field(field: impl Into<String>, value: impl ToString, fix: &'static str) -> Self {
        Self::Field { field: field.into(), value: value.to_string(), fix }
    }
}

const HOST_FIX: &str =
    "use lower-case letters, digits and hyphens, a letter or digit at both ends, 1 to 63 characters";
const DOMAIN_FIX: &str = "use a DNS name such as `north.example.com`";
const MSP_FIX: &str = "use letters, digits, dots and hyphens, a letter or digit first, 1 to 64 characters";
const TWICE: &str = "it is there twice; give each its own";

/// The organisations a channel of this kind is meant for; Fabric itself has no such limit.
const ORGANIZATIONS_MAX: usize = 32;
const NODES_MAX: usize = 16;
const BFT_CONSENTERS_MIN: usize = 4;

impl Consortium {
    pub(super) fn check(&self) -> Result<(), SpecError> {
        if self.fabric < Version::new(2, 5, 0) {
            return Err(SpecError::field("fabric", self.fabric, "use Fabric 2.5 or newer, such as `3.1.1`"));
        }
        self.channel.check()?;
        self.orderer.check(self.fabric)?;
        within(
            "organizations",
            self.organizations.len(),
            1..=ORGANIZATIONS_MAX,
            "name 1 to 32 organisations",
        )?;
        let mut names = BTreeSet::new();
        let mut msp_ids = BTreeSet::from([self.orderer.msp_id.as_str()]);
        let mut domains = BTreeSet::from([self.orderer.domain.as_str()]);
        for (index, organization) in self.organizations.iter().enumerate() {
            organization.check(index, self.fabric)?;
            let at = |field: &str| format!("organizations[{index}].{field}");
            once(&mut names, at("name"), &organization.name)?;
            once(&mut msp_ids, at("msp_id"), &organization.msp_id)?;
            once(&mut domains, at("domain"), &organization.domain)?;
        }
        self.check_endpoints()?;
        self.chaincode.as_ref().map_or(Ok(()), |chaincode| chaincode.check(&self.organizations))
    }
}

impl Consortium {
    /// Endpoints are those of nodes that there are, and of one node each.
    fn check_endpoints(&self) -> Result<(), SpecError> {
        let ordering = ("orderer".to_owned(), &self.orderer.consenters, &self.orderer.endpoints);
        let members = self.organizations.iter().enumerate().map(|(index, organization)| {
            (format!("organizations[{index}]"), &organization.peers, &organization.endpoints)
        });
        let mut taken = BTreeSet::new();
        for (at, nodes, endpoints) in std::iter::once(ordering).chain(members) {
            for (node, address) in endpoints {
                let field = format!("{at}.endpoints.{node}");
                if !nodes.contains(node) {
                    return Err(SpecError::field(field, address, "name a node of that organisation"));
                }
                if !taken.insert(address.to_string()) {
                    return Err(SpecError::field(field, address, "another node is found there already"));
                }
            }
        }
        Ok(())
    }
}

impl Channel {
    fn check(&self) -> Result<(), SpecError> {
        let valid = (1..=249).contains(&self.name.len())
            && self.name.starts_with(|c: char| c.is_ascii_lowercase())
            && self
                .name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-'));
        if !valid {
            return Err(SpecError::field(
                "channel.name",
                &self.name,
                "use lower-case letters, digits, dots and hyphens, a letter first, 1 to 249 characters",
            ));
        }
        within(
            "channel.batch_timeout_ms",
            self.batch_timeout_ms,
            10..=60_000,
            "use 10 to 60000 milliseconds",
        )?;
        within("channel.max_message_count", self.max_message_count, 1..=10_000, "use 1 to 10000 transactions")
    }
}

impl OrderingService {
    fn check(&self, fabric: Version) -> Result<(), SpecError> {
        not_called_ca(self.ca, "orderer.consenters", &self.consenters)?;
        msp_id("orderer.msp_id", &self.msp_id)?;
        domain("orderer.domain", &self.domain)?;
        within("orderer.consenters", self.consenters.len(), 1..=NODES_MAX, "name 1 to 16 consenters")?;
        hosts("orderer.consenters", &self.consenters)?;
        if self.consensus == Consensus::Bft {
            if !fabric.is_v3() {
                return Err(SpecError::field(
                    "orderer.consensus",
                    format_args!("bft with Fabric {fabric}"),
                    "BFT ordering came with Fabric 3; use `raft`, or write `fabric = \"3.1.1\"`",
                ));
            }
            within(
                "orderer.consenters",
                self.consenters.len(),
                BFT_CONSENTERS_MIN..=NODES_MAX,
                "name 4 to 16 consenters: of fewer than four, BFT ordering could bear no faulty one",
            )?;
        }
        Ok(())
    }
}

impl Organization {
    pub(super) fn check(&self, index: usize, fabric: Version) -> Result<(), SpecError> {
        let at = |field: &str| format!("organizations[{index}].{field}");
        if self.name.len() > 32 || !is_host(&self.name) {
            return Err(SpecError::field(
                at("name"),
                &self.name,
                "use lower-case letters, digits and hyphens, 1 to 32 characters",
            ));
        }
        if self.name == super::ORDERING {
            let fix = "that name stands for the ordering organisation; choose another one";
            return Err(SpecError::field(at("name"), &self.name, fix));
        }
        msp_id(&at("msp_id"), &self.msp_id)?;
        domain(&at("domain"), &self.domain)?;
        within(&at("peers"), self.peers.len(), 1..=NODES_MAX, "name 1 to 16 peers")?;
        hosts(&at("peers"), &self.peers)?;
        not_called_ca(self.ca, &at("peers"), &self.peers)?;
        for (peer, limit) in &self.gateway_concurrency {
            let at = at(&format!("gateway_concurrency.{peer}"));
            if !self.peers.contains(peer) {
                return Err(SpecError::field(at, limit, "name one of the organisation's peers"));
            }
            within(&at, *limit, 1..=1_000_000, "allow 1 to 1000000 calls at a time")?;
        }
        let mut names = BTreeSet::new();
        for (number, user) in self.users.iter().enumerate() {
            let at = |field: &str| format!("organizations[{index}].users[{number}].{field}");
            user.check(&at, fabric)?;
            if self.ca == CertificateSource::FabricCa {
                user.check_for_fabric_ca(&at)?;
            }
            once(&mut names, at("name"), &user.name)?;
        }
        if self.admin().is_none() {
            return Err(SpecError::field(
                at("users"),
                format!("{} users, no admin", self.users.len()),
                "give one of them `node_ou = \"admin\"`; it installs and approves chaincode",
            ));
        }
        Ok(())
    }
}

/// A Fabric CA's process has the name that a node called `ca` would have.
fn not_called_ca(source: CertificateSource, at: &str, hosts: &[String]) -> Result<(), SpecError> {
    if source == CertificateSource::FabricCa && hosts.iter().any(|host| host == "ca") {
        return Err(SpecError::field(
            at,
            "ca",
            "that is the name of the organisation's Fabric CA; choose another",
        ));
    }
    Ok(())
}

impl User {
    fn check_for_fabric_ca(&self, at: &dyn Fn(&str) -> String) -> Result<(), SpecError> {
        if self.key == UserKey::Ed25519 {
            return Err(SpecError::field(
                at("key"),
                "ed25519",
                "Fabric CA certifies no Ed25519 keys; use `p256` or `p384`, or `ca = \"development\"`",
            ));
        }
        if let Some("registrar") = self.common_name.as_deref() {
            return Err(SpecError::field(
                at("common_name"),
                "registrar",
                "that is the identity by which the network asks Fabric CA; choose another",
            ));
        }
        Ok(())
    }

    fn check(&self, at: &dyn Fn(&str) -> String, fabric: Version) -> Result<(), SpecError> {
        if self.key == UserKey::Ed25519 && !fabric.is_v3() {
            return Err(SpecError::field(
                at("key"),
                format_args!("ed25519 with Fabric {fabric}"),
                "Ed25519 identities came with Fabric 3; use `p256` or `p384`, or write `fabric = \"3.1.1\"`",
            ));
        }
        if !is_user_name(&self.name) {
            return Err(SpecError::field(
                at("name"),
                &self.name,
                "use letters, digits, `.`, `_` and `-`, a letter or digit first, 1 to 64 characters",
            ));
        }
        if !matches!(self.node_ou, NodeOu::Client | NodeOu::Admin) {
            return Err(SpecError::field(
                at("node_ou"),
                self.node_ou.as_str(),
                "a user is `client` or `admin`; list peers and consenters as such",
            ));
        }
        if let Some(name) = &self.common_name
            && (name.is_empty() || name.len() > 64 || name.chars().any(char::is_control))
        {
            return Err(SpecError::field(
                at("common_name"),
                name,
                "use 1 to 64 printable characters, or `random`",
            ));
        }
        for (name, value) in &self.attributes {
            if name.is_empty() || name.len() > 256 || value.len() > 1024 {
                return Err(SpecError::field(
                    at("attributes"),
                    name,
                    "use names of 1 to 256 characters and values of up to 1024",
                ));
            }
        }
        Ok(())
    }
}

impl Chaincode {
    /// Whether a text can be a package's label: letters and digits in runs, with one of `.+-_` between them.
    pub fn is_label(text: &str) -> bool {
        label("label", text).is_ok()
    }

    pub(super) fn check(&self, organizations: &[Organization]) -> Result<(), SpecError> {
        if !segments(&self.name, "-_") {
            return Err(SpecError::field(
                "chaincode.name",
                &self.name,
                "use letters and digits, with single `-` or `_` between them",
            ));
        }
        if !segments(&self.version, ".+-_") {
            return Err(SpecError::field(
                "chaincode.version",
                &self.version,
                "use letters and digits, with single `.`, `+`, `-` or `_` between them",
            ));
        }
        label("chaincode.label", &self.label)?;
        if self.sequence == 0 {
            return Err(SpecError::field(
                "chaincode.sequence",
                0,
                "start at 1 and add one with every change",
            ));
        }
        if let Some(policy) = &self.endorsement {
            policy_of("chaincode.endorsement", policy, organizations)?;
        }
        let mut owners = BTreeSet::new();
        for (index, package) in self.packages.iter().enumerate() {
            let at = |field: &str| format!("chaincode.packages[{index}].{field}");
            member(at("organization"), &package.organization, organizations)?;
            once(&mut owners, at("organization"), &package.organization)?;
            label(&at("label"), &package.label)?;
            if package.label == self.label {
                let fix = "give it another label than the chaincode's: by its label a package gets its id";
                return Err(SpecError::field(at("label"), &package.label, fix));
            }
        }
        let mut names = BTreeSet::new();
        for (index, collection) in self.collections.iter().enumerate() {
            let at = |field: &str| format!("chaincode.collections[{index}].{field}");
            collection.check(&at, organizations)?;
            once(&mut names, at("name"), &collection.name)?;
        }
        Ok(())
    }
}

impl Collection {
    fn check(&self, at: &dyn Fn(&str) -> String, organizations: &[Organization]) -> Result<(), SpecError> {
        let valid = (1..=128).contains(&self.name.len())
            && self.name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && self.name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if !valid {
            let fix = "use letters, digits, `-` and `_`, a letter or digit first, 1 to 128 characters";
            return Err(SpecError::field(at("name"), &self.name, fix));
        }
        within(&at("members"), self.members.len(), 1..=ORGANIZATIONS_MAX, "name 1 to 32 organisations")?;
        let mut seen = BTreeSet::new();
        let mut peers = 0_usize;
        for (index, name) in self.members.iter().enumerate() {
            let field = at(&format!("members[{index}]"));
            peers = peers.saturating_add(member(field.clone(), name, organizations)?.peers.len());
            once(&mut seen, field, name)?;
        }
        if usize::from(self.required_peers) >= peers {
            let fix = "the endorsing peer is not counted: require fewer than its members have peers";
            return Err(SpecError::field(at("required_peers"), self.required_peers, fix));
        }
        if self.max_peers < self.required_peers {
            let fix = "give the data to at least `required_peers`";
            return Err(SpecError::field(at("max_peers"), self.max_peers, fix));
        }
        self.endorsement
            .as_ref()
            .map_or(Ok(()), |policy| policy_of(&at("endorsement"), policy, organizations))
    }
}

fn label(field: &str, label: &str) -> Result<(), SpecError> {
    if segments(label, ".+-_") {
        Ok(())
    } else {
        let fix = "use letters and digits, with single `.`, `+`, `-` or `_` between them";
        Err(SpecError::field(field, label, fix))
    }
}

fn member<'a>(
    field: String,
    name: &str,
    organizations: &'a [Organization],
) -> Result<&'a Organization, SpecError> {
    organizations
        .iter()
        .find(|organization| organization.name == name)
        .ok_or_else(|| SpecError::field(field, name, "name one of the organisations in the spec"))
}

fn policy_of(
    field: &str,
    policy: &EndorsementPolicy,
    organizations: &[Organization],
) -> Result<(), SpecError> {
    let peers: BTreeMap<&str, usize> =
        organizations.iter().map(|member| (member.msp_id.as_str(), member.peers.len())).collect();
    if policy.msp_ids().iter().any(|msp_id| !peers.contains_key(msp_id)) {
        return Err(SpecError::field(field, policy, "name MSP ids of the organisations in the spec"));
    }
    if policy.is_satisfiable(&peers) {
        Ok(())
    } else {
        let fix = "no choice of the organisations' peers satisfies it; each endorses once";
        Err(SpecError::field(field, policy, fix))
    }
}

/// Whether a name can be a user's folder.
pub(crate) fn is_user_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

pub(super) fn is_host(label: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=63).contains(&label.len())
        && label.starts_with(inner)
        && label.ends_with(inner)
        && label.chars().all(|c| inner(c) || c == '-')
}

fn hosts(field: &str, names: &[String]) -> Result<(), SpecError> {
    let mut seen = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if !is_host(name) {
            return Err(SpecError::field(field, name, HOST_FIX));
        }
        once(&mut seen, field, name)?;
    }
    Ok(())
}

fn domain(field: &str, name: &str) -> Result<(), SpecError> {
    if name.len() <= 253 && name.split('.').all(is_host) {
        Ok(())
    } else {
        Err(SpecError::field(field, name, DOMAIN_FIX))
    }
}

fn msp_id(field: &str, id: &str) -> Result<(), SpecError> {
    let valid = (1..=64).contains(&id.len())
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    if valid { Ok(()) } else { Err(SpecError::field(field, id, MSP_FIX)) }
}

/// Letters and digits in runs, with one separator between runs: Fabric's rule for names and labels.
fn segments(text: &str, separators: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .split(|c| separators.contains(c))
            .all(|run| !run.is_empty() && run.chars().all(|c| c.is_ascii_alphanumeric()))
}

fn within<T: PartialOrd + ToString>(
    field: &str,
    value: T,
    range: std::ops::RangeInclusive<T>,
    fix: &'static str,
) -> Result<(), SpecError> {
    if range.contains(&value) { Ok(()) } else { Err(SpecError::field(field, value, fix)) }
}

fn once<'a>(seen: &mut BTreeSet<&'a str>, field: String, value: &'a str) -> Result<(), SpecError> {
    if seen.insert(value) { Ok(()) } else { Err(SpecError::field(field, value, TWICE)) }
}

#[cfg(test)]
mod tests {
    use super::super::DEFAULT;
    use super::*;

    /// The default spec with one text exchanged for another.
    fn with(from: &str, to: &str) -> Result<Consortium, SpecError> {
        assert!(DEFAULT.contains(from), "{from}");
        Consortium::parse(&DEFAULT.replacen(from, to, 1))
    }

    fn refused_field(from: &str, to: &str) -> String {
        match with(from, to) {
            Err(SpecError::Field { field, .. }) => field,
            other => panic!("`{to}` gave {other:?}"),
        }
    }

    #[test]
    fn the_default_is_valid() {
        let spec = Consortium::parse(DEFAULT).unwrap();
        assert_eq!(spec.channel.batch_timeout_ms, 200);
        assert_eq!(spec.organization("SouthMSP").unwrap().domain, "south.example.com");
        assert!(spec.chaincode.is_none());
        let written = toml::to_string(&spec).unwrap();
        assert_eq!(Consortium::parse(&written).unwrap(), spec);
    }

    #[test]
    fn peers_take_batches_and_keep_history_unless_they_shall_not() {
        let of = |setting: &str| Consortium::parse(&format!("{DEFAULT}\n[peer]\n{setting}")).unwrap();
        let told = |spec: &Consortium| (spec.peer.chaincode_batches, spec.peer.key_history);
        assert_eq!(told(&of("")), (true, true));
        for (setting, expected) in
            [("chaincode_batches = false", (false, true)), ("key_history = false", (true, false))]
        {
            let spec = of(setting);
            assert_eq!(told(&spec), expected);
            assert_eq!(Consortium::parse(&spec.to_toml().unwrap()).unwrap(), spec);
        }
    }

    #[test]
    fn another_channel_has_a_name_that_a_channel_may_have() {
        let spec = Consortium::parse(DEFAULT).unwrap();
        let other = spec.on_channel("other").unwrap();
        assert_eq!((other.channel.name.as_str(), &other.organizations), ("other", &spec.organizations));
        assert!(matches!(spec.on_channel("../up"), Err(SpecError::Field { .. })));
    }

    #[test]
    fn every_wrong_value_is_named_by_its_field() {
        for (from, to, field) in [
            (r#"fabric = "3.1.1""#, r#"fabric = "2.4.0""#, "fabric"),
            (r#""consortium""#, r#""Consortium""#, "channel.name"),
            (r#""consortium""#, r#""../up""#, "channel.name"),
            ("batch_timeout_ms = 200", "batch_timeout_ms = 0", "channel.batch_timeout_ms"),
            (r#"["orderer0"]"#, "[]", "orderer.consenters"),
            (r#"["orderer0"]"#, r#"["a", "a"]"#, "orderer.consenters[1]"),
            (r#""OrdererMSP""#, r#""""#, "orderer.msp_id"),
            (r#""north""#, r#""nor/th""#, "organizations[0].name"),
            (r#""north""#, r#""orderer""#, "organizations[0].name"),
            (
                r#"consenters = ["orderer0"]"#,
                "consenters = [\"orderer0\"]\nendpoints = { orderer1 = \"10.0.0.1:7050\" }",
                "orderer.endpoints.orderer1",
            ),
            (
                r#"consenters = ["orderer0"]"#,
                "consenters = [\"orderer0\", \"b\"]\nendpoints = { b = \"10.0.0.1:7050\", orderer0 = \"10.0.0.1:7050\" }",
                "orderer.endpoints.orderer0",
            ),
            (r#""south""#, r#""north""#, "organizations[1].name"),
            (r#""SouthMSP""#, r#""NorthMSP""#, "organizations[1].msp_id"),
            (r#""south.example.com""#, r#""orderer.example.com""#, "organizations[1].domain"),
            (r#""north.example.com""#, r#""../../etc""#, "organizations[0].domain"),
            (r#"["peer0"]"#, r#"["Peer 0"]"#, "organizations[0].peers[0]"),
            (
                r#"peers = ["peer0"]"#,
                "peers = [\"peer0\"]\ngateway_concurrency = { peer1 = 9 }",
                "organizations[0].gateway_concurrency.peer1",
            ),
            (
                r#"peers = ["peer0"]"#,
                "peers = [\"peer0\"]\ngateway_concurrency = { peer0 = 0 }",
                "organizations[0].gateway_concurrency.peer0",
            ),
            (r#"name = "User1""#, r#"name = "../User1""#, "organizations[0].users[1].name"),
            (r#"name = "User1""#, r#"name = "Admin""#, "organizations[0].users[1].name"),
            (r#"node_ou = "admin""#, r#"node_ou = "peer""#, "organizations[0].users[0].node_ou"),
            (r#"node_ou = "admin""#, r#"node_ou = "client""#, "organizations[0].users"),
        ] {
            assert_eq!(refused_field(from, to), field, "{to}");
        }
    }

    #[test]
    fn bft_ordering_wants_fabric_3_and_four_consenters() {
        let document = |fabric: &str, consenters: &str| {
            let text = DEFAULT.replacen("3.1.1", fabric, 1).replacen("\"raft\"", "\"bft\"", 1).replacen(
                r#"["orderer0"]"#,
                consenters,
                1,
            );
            Consortium::parse(&text)
        };
        let four = r#"["a", "b", "c", "d"]"#;
        assert_eq!(document("3.1.1", four).unwrap().orderer.consensus, Consensus::Bft);
        for (fabric, consenters, named) in
            [("2.5.9", four, "orderer.consensus"), ("3.1.1", r#"["a", "b", "c"]"#, "orderer.consenters")]
        {
            let refused = document(fabric, consenters);
            assert!(matches!(&refused, Err(SpecError::Field { field, .. }) if field == named), "{refused:?}");
        }
    }

    #[test]
    fn editors_are_told_of_every_field() {
        let schema = super::super::schema();
        let chaincode = &schema["$defs"]["Chaincode"]["properties"];
        for field in ["name", "label", "version", "sequence", "endorsement", "packages", "collections"] {
            assert!(chaincode[field].is_object(), "{field}: {schema:#}");
        }
        assert_eq!(schema["properties"]["fabric"]["type"], "string");
        assert_eq!(schema["additionalProperties"], false);
        let consensus = schema["$defs"]["Consensus"].to_string();
        assert!(consensus.contains("raft") && consensus.contains("bft"), "{consensus}");
    }

    #[test]
    fn unknown_fields_and_values_are_refused() {
        for (from, to) in [
            ("batch_timeout_ms", "batch_timeout"),
            (r#"consensus = "raft""#, r#"consensus = "solo""#),
            (r#"endorsement = "majority""#, r#"endorsement = "most""#),
            (r#"fabric = "3.1.1""#, r#"fabric = "newest""#),
        ] {
            assert!(matches!(with(from, to), Err(SpecError::Syntax(_))), "{to}");
        }
    }

    #[test]
    fn a_chaincode_is_checked_as_fabric_would() {
        let mut spec = Consortium::parse(DEFAULT).unwrap();
        let good = Chaincode::new("basic-asset", "basic_1.0");
        spec.set_chaincode(good.clone()).unwrap();
        for bad in [
            Chaincode::new("basic asset", "basic_1.0"),
            Chaincode::new("_lifecycle", "basic_1.0"),
            Chaincode::new("basic", "basic:1.0"),
            Chaincode::new("basic", "../basic"),
            Chaincode { sequence: 0, ..good.clone() },
        ] {
            assert!(spec.set_chaincode(bad.clone()).is_err(), "{bad:?}");
        }
        assert_eq!(spec.chaincode, Some(good));
    }

    #[test]
    fn a_definition_names_what_is_there() {
        let parse = |table: &str| {
            let chaincode = "[chaincode]\nname = \"shelf\"\nlabel = \"shelf_1\"\n";
            Consortium::parse(&format!("{DEFAULT}\n{chaincode}{table}"))
        };
        let spec = parse(
            r#"
            endorsement = "AND('NorthMSP.peer', 'SouthMSP.peer')"
            [[chaincode.packages]]
            organization = "south"
            label = "shelf_go"
            [[chaincode.collections]]
            name = "pair"
            members = ["north", "south"]
            required_peers = 1
            endorsement = "OR('NorthMSP.peer', 'SouthMSP.peer')"
            "#,
        )
        .unwrap();
        assert_eq!(Consortium::parse(&toml::to_string(&spec).unwrap()).unwrap(), spec);
        let chaincode = spec.chaincode.unwrap();
        assert_eq!(chaincode.label_of("south"), "shelf_go");
        assert_eq!(chaincode.label_of("north"), "shelf_1");
        assert!(chaincode.collections[0].member_only_read);

        let package = |organization: &str, label: &str| {
            format!("[[chaincode.packages]]\norganization = \"{organization}\"\nlabel = \"{label}\"\n")
        };
        let collection =
            |name: &str, rest: &str| format!("[[chaincode.collections]]\nname = \"{name}\"\n{rest}\n");
        let north = r#"members = ["north"]"#;
        for (table, field) in [
            (r#"endorsement = "'EastMSP.peer'""#.to_owned(), "chaincode.endorsement"),
            (r#"endorsement = "AND('NorthMSP.peer', 'NorthMSP.peer')""#.to_owned(), "chaincode.endorsement"),
            (package("east", "shelf_go"), "chaincode.packages[0].organization"),
            (package("south", "shelf_1"), "chaincode.packages[0].label"),
            (package("south", "../x"), "chaincode.packages[0].label"),
            (package("south", "a") + &package("south", "b"), "chaincode.packages[1].organization"),
            (collection("_x", north), "chaincode.collections[0].name"),
            (collection("x", north) + &collection("x", north), "chaincode.collections[1].name"),
            (collection("x", "members = []"), "chaincode.collections[0].members"),
            (collection("x", r#"members = ["east"]"#), "chaincode.collections[0].members[0]"),
            (
                collection("x", &format!("{north}\nrequired_peers = 1")),
                "chaincode.collections[0].required_peers",
            ),
            (
                collection("x", "members = [\"north\", \"south\"]\nrequired_peers = 1\nmax_peers = 0"),
                "chaincode.collections[0].max_peers",
            ),
            (
                collection("x", &format!("{north}\nendorsement = \"'EastMSP.peer'\"")),
                "chaincode.collections[0].endorsement",
            ),
        ] {
            match parse(&table) {
                Err(SpecError::Field { field: named, .. }) => assert_eq!(named, field, "{table}"),
                other => panic!("{table}: {other:?}"),
            }
        }
        assert!(matches!(parse(r#"endorsement = "most""#), Err(SpecError::Syntax(_))));
    }

    #[test]
    fn a_user_is_added_only_when_valid() {
        let mut spec = Consortium::parse(DEFAULT).unwrap();
        let user = |name: &str| User {
            name: name.to_owned(),
            node_ou: NodeOu::Client,
            common_name: Some("random".to_owned()),
            attributes: [("role".to_owned(), "auditor".to_owned())].into(),
            key: UserKey::default(),
        };
        spec.add_user("north", user("audit")).unwrap();
        assert!(spec.add_user("north", user("audit")).is_err());
        assert!(spec.add_user("east", user("audit")).is_err());
        assert!(spec.add_user("south", user("a/b")).is_err());
        let ed25519 = |name: &str| User { key: UserKey::Ed25519, ..user(name) };
        spec.add_user("north", ed25519("late")).unwrap();
        assert!(spec.to_toml().unwrap().contains("key = \"ed25519\""));
        let mut lts = Consortium::parse(&DEFAULT.replacen("3.1.1", "2.5.9", 1)).unwrap();
        let error = lts.add_user("north", ed25519("late")).unwrap_err();
        assert!(error.to_string().contains("Fabric 3"), "{error}");
        assert_eq!(spec.organization("south").unwrap().users.len(), 2);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_accepted_is_one_folder_name(text in ".{0,20}|[a-z./_-]{0,8}") {
            let accepted = [is_user_name(&text), is_host(&text), domain("d", &text).is_ok(), segments(&text, ".+-_")];
            if accepted.contains(&true) {
                let mut parts = std::path::Path::new(&text).components();
                assert!(matches!(parts.next(), Some(std::path::Component::Normal(_))));
                assert!(parts.next().is_none());
            }
        }
    }
}
