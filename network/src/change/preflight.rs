//! What Fabric would reject, found before anybody signs.

use std::collections::BTreeSet;
use std::fmt;

use hlf_protos::common::{Capabilities, ConfigGroup};
use hlf_protos::orderer::{BatchSize, BatchTimeout, ConsensusType};
use hlf_protos::protos::AcLs;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

use super::config::{
    ACLS, APPLICATION, BATCH_SIZE, BATCH_TIMEOUT, BFT, CAPABILITIES, CONSENSUS_TYPE, ChannelConfig,
    ConfigError, Consenter, ORDERER,
};
use super::members::{common_name, is_issued_by};
use super::standing::Rule;

/// BFT tolerates one faulty node from this many on.
const BFT_NODES_MIN: usize = 4;

/// Why Fabric, or whoever runs the channel afterwards, would not live with a change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// Nothing would change.
    #[error("the channel is like that already; nothing is to be done")]
    NothingChanges,
    /// More than one node of the ordering service would change at once.
    #[error(
        "{added} orderers would come and {removed} go at once; change one in each proposal, and wait until it takes part"
    )]
    SeveralConsenters {
        /// How many come.
        added: usize,
        /// How many go.
        removed: usize,
    },
    /// Too few nodes would be left.
    #[error("{nodes} orderers would be left; {why}")]
    TooFewConsenters {
        /// How many.
        nodes: usize,
        /// What needs more.
        why: &'static str,
    },
    /// No member would be left.
    #[error("no organisation would be left; a channel needs one at least")]
    NoMember,
    /// A policy could be satisfied and no longer could.
    #[error("nobody could satisfy `{policy}` afterwards: {why}")]
    Unsatisfiable {
        /// The policy.
        policy: String,
        /// What it would ask for.
        why: String,
    },
    /// A certificate of an organisation or node is no good.
    #[error("{whose}: {what}")]
    Certificate {
        /// Whose it is.
        whose: String,
        /// What is wrong with it.
        what: String,
    },
    /// A number is outside of what Fabric takes.
    #[error("`{what}` would be {value}; {fix}")]
    Number {
        /// Which number.
        what: &'static str,
        /// What it would be.
        value: String,
        /// What to give instead.
        fix: &'static str,
    },
    /// An access rule names a policy that is not there.
    #[error("`{resource}` would be guarded by `{policy}`, which the channel has not")]
    NoSuchPolicy {
        /// The request.
        resource: String,
        /// The policy.
        policy: String,
    },
    /// A capability is unknown or lower than the present one.
    #[error("{0}")]
    Capability(String),
    /// The configuration cannot be read.
    #[error("the channel's configuration cannot be judged")]
    Config(#[from] ConfigError),
}

/// Looks for what Fabric would reject in going from one configuration to another.
pub(crate) fn check(present: &ChannelConfig, wanted: &ChannelConfig) -> Result<(), Rejection> {
    consenters(present, wanted)?;
    numbers(wanted)?;
    capabilities(present, wanted)?;
    if wanted.organizations()?.is_empty() {
        return Err(Rejection::NoMember);
    }
    policies("/Channel", present.root().ok(), wanted.root()?)?;
    acls(wanted)?;
    authorities(present, wanted)
}

fn consenters(present: &ChannelConfig, wanted: &ChannelConfig) -> Result<(), Rejection> {
    let (before, after) = (present.consenters()?, wanted.consenters()?);
    let added = after.iter().filter(|consenter| !before.contains(consenter)).count();
    let removed = before.iter().filter(|consenter| !after.contains(consenter)).count();
    if added > 1 || removed > 1 {
        return Err(Rejection::SeveralConsenters { added, removed });
    }
    let kind: ConsensusType = wanted.value(&[ORDERER], CONSENSUS_TYPE)?;
    let nodes = after.len();
    if kind.r#type == BFT && nodes < BFT_NODES_MIN {
        let why = "BFT takes four at least, to live with a faulty one; add one before you remove one";
        return Err(Rejection::TooFewConsenters { nodes, why });
    }
    if nodes == 0 {
        return Err(Rejection::TooFewConsenters { nodes, why: "somebody has to order transactions" });
    }
    for consenter in after.iter().filter(|consenter| !before.contains(consenter)) {
        let whose = format!("orderer `{}`", consenter.address());
        leaf(&whose, &consenter.certificates.server)?;
        leaf(&whose, &consenter.certificates.client)?;
        if let Some(member) = &consenter.bft {
            leaf(&whose, &member.identity)?;
        }
    }
    let trusted = |config: &ChannelConfig| -> Result<Vec<Result<(), String>>, Rejection> {
        let tls = ordering_tls(config)?;
        Ok(after.iter().map(|consenter| vouched(consenter, config, &tls)).collect())
    };
    for ((consenter, now), then) in after.iter().zip(trusted(present)?).zip(trusted(wanted)?) {
        // What is so already, another change need not mend.
        if let Err(what) = then
            && (now.is_ok() || !before.contains(consenter))
        {
            return Err(Rejection::Certificate { whose: format!("orderer `{}`", consenter.address()), what });
        }
    }
    Ok(())
}

/// The TLS authorities of all ordering organisations, those that signed themselves and those below them.
fn ordering_tls(config: &ChannelConfig) -> Result<[Vec<Vec<u8>>; 2], Rejection> {
    let (mut roots, mut below) = (Vec::new(), Vec::new());
    for msp_id in config.group(&[ORDERER])?.groups.keys() {
        let msp = config.msp(msp_id)?;
        roots.extend(msp.tls_root_certs);
        below.extend(msp.tls_intermediate_certs);
    }
    Ok([roots, below])
}

/// Whether the channel knows the authorities of an ordering node's certificates; else what is wrong with them.
///
/// Fabric refuses a node whose TLS certificates are of none. Blocks of a BFT node whose identity is of none count nowhere,
/// and with too many such nodes no block is left that could mend it.
fn vouched(
    consenter: &Consenter,
    config: &ChannelConfig,
    [roots, below]: &[Vec<Vec<u8>>; 2],
) -> Result<(), String> {
    let read =
        |pem: &[u8]| parse_x509_pem(pem).map(|(_, pem)| pem.contents).map_err(|error| error.to_string());
    for pem in [&consenter.certificates.server, &consenter.certificates.client] {
        let der = read(pem)?;
        let (_, found) = X509Certificate::from_der(&der).map_err(|error| error.to_string())?;
        if !is_issued_by(&found, roots, below) {
            return Err(format!(
                "its TLS certificate is issued by `{}`, which the channel would know as no TLS authority of an ordering \
                 organisation; let the channel know that authority first, or keep it until the node has a certificate of \
                 another one",
                found.issuer()
            ));
        }
    }
    let Some(member) = &consenter.bft else { return Ok(()) };
    let msp_id = &member.msp_id;
    let msp = config.msp(msp_id).map_err(|_| format!("its organisation `{msp_id}` is not in the channel"))?;
    let der = read(&member.identity)?;
    let (_, found) = X509Certificate::from_der(&der).map_err(|error| error.to_string())?;
    if !is_issued_by(&found, &msp.root_certs, &msp.intermediate_certs) {
        return Err(format!(
            "its identity is issued by `{}`, which the channel would know as no authority of `{msp_id}`; let the channel know \
             that authority first, or keep it until the node has an identity of another one",
            found.issuer()
        ));
    }
    let authorities = msp.root_certs.iter().chain(&msp.intermediate_certs);
    for authority in authorities.map(std::slice::from_ref).filter(|one| is_issued_by(&found, one, &[])) {
        for below in &msp.intermediate_certs {
            let der = read(below)?;
            let (_, below) = X509Certificate::from_der(&der).map_err(|error| error.to_string())?;
            if is_issued_by(&below, authority, &[]) {
                return Err(format!(
                    "its identity is issued by `{}`, which would have `{}` below it, and Fabric takes only what the lowest \
                     authority issued; add the lower one together with a root of its own",
                    found.issuer(),
                    below.subject()
                ));
            }
        }
    }
    Ok(())
}

fn numbers(wanted: &ChannelConfig) -> Result<(), Rejection> {
    let size: BatchSize = wanted.value(&[ORDERER], BATCH_SIZE)?;
    let zero = |what, fix| Rejection::Number { what, value: "0".to_owned(), fix };
    if size.max_message_count == 0 {
        return Err(zero("max_message_count", "let a block hold one transaction at least"));
    }
    if size.absolute_max_bytes == 0 {
        return Err(zero("absolute_max_bytes", "let a block hold some bytes"));
    }
    if size.preferred_max_bytes == 0 || size.preferred_max_bytes > size.absolute_max_bytes {
        return Err(Rejection::Number {
            what: "preferred_max_bytes",
            value: size.preferred_max_bytes.to_string(),
            fix: "let it be from 1 to absolute_max_bytes",
        });
    }
    let timeout: BatchTimeout = wanted.value(&[ORDERER], BATCH_TIMEOUT)?;
    if timeout.timeout.starts_with('0') || timeout.timeout.starts_with('-') {
        let fix = "let a block wait for a millisecond at least";
        return Err(Rejection::Number { what: "batch timeout", value: timeout.timeout, fix });
    }
    Ok(())
}

/// Levels of capabilities that Fabric knows, from low to high, by section.
const CHANNEL_LEVELS: &[&str] = &["V1_1", "V1_3", "V1_4_2", "V1_4_3", "V2_0", "V3_0"];
const ORDERER_LEVELS: &[&str] = &["V1_1", "V1_4_2", "V2_0"];
const APPLICATION_LEVELS: &[&str] = &["V1_1", "V1_2", "V1_3", "V1_4_2", "V2_0", "V2_5"];

fn capabilities(present: &ChannelConfig, wanted: &ChannelConfig) -> Result<(), Rejection> {
    let sections: [(&[&str], &[&str]); 3] =
        [(&[], CHANNEL_LEVELS), (&[ORDERER], ORDERER_LEVELS), (&[APPLICATION], APPLICATION_LEVELS)];
    for (path, levels) in sections {
        let highest = |config: &ChannelConfig| -> Result<Option<usize>, Rejection> {
            let found: Capabilities = match config.value(path, CAPABILITIES) {
                Ok(found) => found,
                Err(ConfigError::Missing(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let mut highest = None;
            for name in found.capabilities.keys() {
                let level = levels.iter().position(|level| level == name).ok_or_else(|| {
                    let known = levels.join(", ");
                    let section = path.first().unwrap_or(&"Channel");
                    Rejection::Capability(format!("{section} has no capability `{name}`; it has {known}"))
                })?;
                highest = highest.max(Some(level));
            }
            Ok(highest)
        };
        let (before, after) = (highest(present)?, highest(wanted)?);
        if after < before {
            let name = before.and_then(|level| levels.get(level)).unwrap_or(&"");
            return Err(Rejection::Capability(format!(
                "`{name}` is in force; nodes that wrote blocks under it cannot go back to a lower capability"
            )));
        }
    }
    Ok(())
}

/// Demands that no policy that could be satisfied becomes impossible.
fn policies(path: &str, present: Option<&ConfigGroup>, wanted: &ConfigGroup) -> Result<(), Rejection> {
    for name in wanted.policies.keys() {
        let rule = Rule::of(wanted, name, 0);
        let was_possible = present.is_none_or(|present| {
            !present.policies.contains_key(name) || Rule::of(present, name, 0).is_possible()
        });
        if was_possible && !rule.is_possible() {
            return Err(Rejection::Unsatisfiable { policy: format!("{path}/{name}"), why: rule.to_string() });
        }
    }
    for (name, inner) in &wanted.groups {
        policies(&format!("{path}/{name}"), present.and_then(|group| group.groups.get(name)), inner)?;
    }
    Ok(())
}

fn acls(wanted: &ChannelConfig) -> Result<(), Rejection> {
    let acls: AcLs = match wanted.value(&[APPLICATION], ACLS) {
        Ok(acls) => acls,
        Err(ConfigError::Missing(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for (resource, guard) in acls.acls {
        let policy = guard.policy_ref;
        let names: Vec<&str> = match policy.strip_prefix("/Channel/") {
            Some(absolute) => absolute.split('/').collect(),
            None => [APPLICATION].into_iter().chain(policy.split('/')).collect(),
        };
        let found = names
            .split_last()
            .is_some_and(|(name, at)| wanted.group(at).is_ok_and(|group| group.policies.contains_key(*name)));
        if !found {
            return Err(Rejection::NoSuchPolicy { resource, policy });
        }
    }
    Ok(())
}

/// Demands that authorities that come are authorities, in their time, and that those above them are there.
fn authorities(present: &ChannelConfig, wanted: &ChannelConfig) -> Result<(), Rejection> {
    for section in [APPLICATION, ORDERER] {
        let names: BTreeSet<&String> = wanted.group(&[section])?.groups.keys().collect();
        for msp_id in names {
            let after = wanted.msp(msp_id)?;
            let before = present.msp(msp_id).unwrap_or_default();
            let whose = format!("organisation `{msp_id}`");
            let lists = [
                (&before.root_certs, &after.root_certs, "authority"),
                (&before.tls_root_certs, &after.tls_root_certs, "TLS authority"),
            ];
            for (before, after, what) in lists {
                if after.is_empty() {
                    return Err(Rejection::Certificate { whose, what: format!("it has no {what}") });
                }
                for pem in after.iter().filter(|pem| !before.contains(pem)) {
                    let fail = |why: &dyn fmt::Display| Rejection::Certificate {
                        whose: whose.clone(),
                        what: format!("its {what} {why}"),
                    };
                    let (_, pem) = parse_x509_pem(pem).map_err(|_| fail(&"is not a certificate in PEM"))?;
                    let (_, found) = X509Certificate::from_der(&pem.contents)
                        .map_err(|_| fail(&"is not an X.509 certificate"))?;
                    if !found.is_ca() {
                        let name = common_name(&found);
                        return Err(fail(&format!("`{name}` may not issue certificates")));
                    }
                    in_its_time(&found).map_err(|when| fail(&when))?;
                }
            }
            let chains = [
                (&after.root_certs, &after.intermediate_certs, "authority"),
                (&after.tls_root_certs, &after.tls_intermediate_certs, "TLS authority"),
            ];
            for (roots, below, what) in chains {
                for pem in below {
                    let wrong = |why: String| Rejection::Certificate {
                        whose: whose.clone(),
                        what: format!("its {what} {why}"),
                    };
                    let (_, pem) =
                        parse_x509_pem(pem).map_err(|_| wrong("is not a certificate in PEM".to_owned()))?;
                    let (_, found) = X509Certificate::from_der(&pem.contents)
                        .map_err(|_| wrong("is not an X.509 certificate".to_owned()))?;
                    let name = common_name(&found);
                    if !found.is_ca() {
                        return Err(wrong(format!("`{name}` may not issue certificates")));
                    }
                    if !is_issued_by(&found, roots, below) {
                        let issuer = found.issuer();
                        return Err(wrong(format!(
                            "`{name}` would be there without the one above it, `{issuer}`; both come and go in one proposal"
                        )));
                    }
                }
            }
            if after.name != **msp_id {
                let what = format!("its membership rules are those of `{}`", after.name);
                return Err(Rejection::Certificate { whose, what });
            }
        }
    }
    Ok(())
}

/// Demands a certificate in its time.
fn leaf(whose: &str, pem: &[u8]) -> Result<(), Rejection> {
    let fail = |what: String| Rejection::Certificate { whose: whose.to_owned(), what };
    let (_, pem) = parse_x509_pem(pem).map_err(|_| fail("its certificate is not PEM".to_owned()))?;
    let (_, found) = X509Certificate::from_der(&pem.contents)
        .map_err(|_| fail("its certificate is not X.509".to_owned()))?;
    in_its_time(&found).map_err(|when| fail(format!("its certificate {when}")))
}

fn in_its_time(certificate: &X509Certificate<'_>) -> Result<(), String> {
    let validity = certificate.validity();
    if validity.is_valid_at(ASN1Time::now()) {
        return Ok(());
    }
    let name = common_name(certificate);
    Err(format!("`{name}` is not valid now: it is for {} to {}", validity.not_before, validity.not_after))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hlf_protos::common::{Config, ConfigValue, Orderers};
    use hlf_protos::etcdraft;
    use hlf_protos::msp::{FabricMspConfig, MspConfig};
    use hlf_protos::prost::Message;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyIdMethod};

    use super::super::config::{MSP, ORDERERS};
    use super::*;
    use crate::ca::{Authority, Key};
    use crate::spec::UserKey;

    /// A certificate and its key, PEM, of an authority or, without one, of itself.
    struct Pair(String, String);

    impl Pair {
        fn root(name: &str) -> Self {
            let (pem, key) = Authority::make(name).unwrap();
            Self(pem, text(&key))
        }

        fn issues(&self, name: &str, is_ca: bool) -> Self {
            let issuer = Issuer::from_ca_cert_pem(&self.0, Key::of_any_kind(&self.1).unwrap()).unwrap();
            let key = Key::generate(UserKey::P256).unwrap();
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.serial_number = Some(1_u64.into());
            params.key_identifier_method = KeyIdMethod::PreSpecified(key.identifier());
            params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
            Self(params.signed_by(&key, &issuer).unwrap().pem(), text(&key))
        }

        fn pem(&self) -> Vec<u8> {
            self.0.clone().into_bytes()
        }
    }

    fn text(key: &Key) -> String {
        String::from_utf8(key.to_pem().unwrap().as_ref().to_vec()).unwrap()
    }

    fn value(message: &impl Message) -> ConfigValue {
        ConfigValue { value: message.encode_to_vec(), ..ConfigValue::default() }
    }

    /// Authorities of the ordering organisation: roots and those below, of identities, then of TLS certificates.
    type Trust<'a> = [&'a [&'a Pair]; 4];

    fn channel(trust: Trust<'_>, values: &[(&str, ConfigValue)]) -> ChannelConfig {
        let [root_certs, intermediate_certs, tls_root_certs, tls_intermediate_certs] =
            trust.map(|pairs| pairs.iter().map(|pair| pair.pem()).collect());
        let msp = FabricMspConfig {
            name: "OrdererMSP".to_owned(),
            root_certs,
            intermediate_certs,
            tls_root_certs,
            tls_intermediate_certs,
            ..FabricMspConfig::default()
        };
        let msp = value(&MspConfig { r#type: 0, config: msp.encode_to_vec() });
        let organization =
            ConfigGroup { values: BTreeMap::from([(MSP.to_owned(), msp)]), ..ConfigGroup::default() };
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let orderer = ConfigGroup {
            groups: BTreeMap::from([("OrdererMSP".to_owned(), organization)]),
            values,
            ..ConfigGroup::default()
        };
        let groups = [(APPLICATION, ConfigGroup::default()), (ORDERER, orderer)];
        let root = ConfigGroup {
            groups: groups.map(|(name, group)| (name.to_owned(), group)).into(),
            ..ConfigGroup::default()
        };
        ChannelConfig::new("main".to_owned(), Config { sequence: 1, channel_group: Some(root) }).unwrap()
    }

    fn raft(trust: Trust<'_>, nodes: &[&Pair]) -> ChannelConfig {
        let consenters = (1..).zip(nodes).map(|(port, node)| etcdraft::Consenter {
            host: "node".to_owned(),
            port,
            client_tls_cert: node.pem(),
            server_tls_cert: node.pem(),
        });
        let metadata = etcdraft::ConfigMetadata { consenters: consenters.collect(), ..Default::default() };
        let kind = ConsensusType {
            r#type: "etcdraft".to_owned(),
            metadata: metadata.encode_to_vec(),
            ..ConsensusType::default()
        };
        channel(trust, &[(CONSENSUS_TYPE, value(&kind))])
    }

    fn bft(trust: Trust<'_>, tls: &Pair, identities: &[&Pair]) -> ChannelConfig {
        let nodes = (1..).zip(identities).map(|(id, identity)| hlf_protos::common::Consenter {
            id,
            host: "node".to_owned(),
            port: id,
            msp_id: "OrdererMSP".to_owned(),
            identity: identity.pem(),
            client_tls_cert: tls.pem(),
            server_tls_cert: tls.pem(),
        });
        let kind = ConsensusType { r#type: BFT.to_owned(), ..ConsensusType::default() };
        let orderers = Orderers { consenter_mapping: nodes.collect() };
        channel(trust, &[(CONSENSUS_TYPE, value(&kind)), (ORDERERS, value(&orderers))])
    }

    fn refused(checked: Result<(), Rejection>, expected: &str) {
        let told = checked.unwrap_err().to_string();
        assert!(told.contains(expected), "{told}");
    }

    #[test]
    fn an_authority_comes_with_those_above_it_and_does_not_stay_without_them() {
        let (ca, tls) = (Pair::root("ca"), Pair::root("tlsca"));
        let (lower, lower_tls) = (ca.issues("lower", true), tls.issues("lower-tls", true));
        let elsewhere = Pair::root("elsewhere");
        let stranger = elsewhere.issues("stranger", true);
        let plain = || channel([&[&ca], &[], &[&tls], &[]], &[]);
        let whole = || channel([&[&ca], &[&lower], &[&tls], &[&lower_tls]], &[]);
        authorities(&plain(), &whole()).unwrap();
        authorities(&whole(), &plain()).unwrap();
        let table = [
            (channel([&[&ca], &[&stranger], &[&tls], &[]], &[]), "its authority `stranger` would be there"),
            (channel([&[&ca], &[], &[&tls], &[&stranger]], &[]), "its TLS authority `stranger` would be"),
            (channel([&[&elsewhere], &[&lower], &[&tls], &[]], &[]), "`lower` would be there without"),
            (channel([&[&ca], &[], &[&elsewhere], &[&lower_tls]], &[]), "`lower-tls` would be there without"),
        ];
        for (wanted, expected) in table {
            refused(authorities(&whole(), &wanted), expected);
        }
    }

    #[test]
    fn ordering_nodes_are_of_authorities_that_the_channel_knows() {
        let (ca, tls, other) = (Pair::root("ca"), Pair::root("tlsca"), Pair::root("other"));
        let lower = tls.issues("lower", true);
        let (first, second) = (tls.issues("first", false), lower.issues("second", false));
        let stranger = other.issues("stranger", false);
        let known: Trust<'_> = [&[&ca], &[], &[&tls], &[&lower]];
        let present = raft(known, &[&first]);
        consenters(&present, &raft(known, &[&first, &second])).unwrap();
        refused(consenters(&present, &raft(known, &[&first, &stranger])), "issued by `CN=other`");
        let without: Trust<'_> = [&[&ca], &[], &[&other], &[]];
        refused(consenters(&present, &raft(without, &[&first])), "orderer `node:1`: its TLS certificate");
        let of_lower = raft(known, &[&second]);
        refused(consenters(&of_lower, &raft([&[&ca], &[], &[&tls], &[]], &[&second])), "`CN=lower`");
        // What is wrong already is another change's matter.
        consenters(&raft(without, &[&first]), &raft(without, &[&first])).unwrap();
    }

    #[test]
    fn identities_of_bft_nodes_are_of_authorities_that_the_channel_knows() {
        let (ca, tls, other) = (Pair::root("ca"), Pair::root("tlsca"), Pair::root("other"));
        let node = tls.issues("node", false);
        let (one, new) = (ca.issues("one", false), other.issues("new", false));
        let old: Trust<'_> = [&[&ca], &[], &[&tls], &[]];
        let both: Trust<'_> = [&[&ca, &other], &[], &[&tls], &[]];
        let finished: Trust<'_> = [&[&other], &[], &[&tls], &[]];
        let nodes = [&one, &one, &one, &one];
        let present = bft(old, &node, &nodes);
        consenters(&present, &bft(both, &node, &nodes)).unwrap();
        refused(consenters(&present, &bft(finished, &node, &nodes)), "no authority of `OrdererMSP`");
        let replaced = [&new, &one, &one, &one];
        refused(consenters(&present, &bft(old, &node, &replaced)), "its identity is issued by `CN=other`");
        consenters(&present, &bft(both, &node, &replaced)).unwrap();
        consenters(&bft(both, &node, &[&new; 4]), &bft(finished, &node, &[&new; 4])).unwrap();
        // Of an authority that gets another one below it, nothing counts any more.
        let (lower, apart) = (ca.issues("lower", true), other.issues("apart", true));
        let above: Trust<'_> = [&[&ca], &[&lower], &[&tls], &[]];
        refused(consenters(&present, &bft(above, &node, &nodes)), "which would have `CN=lower` below it");
        consenters(&present, &bft([&[&ca, &other], &[&apart], &[&tls], &[]], &node, &nodes)).unwrap();
    }
}
