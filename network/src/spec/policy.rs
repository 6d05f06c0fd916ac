//! Endorsement policies, in the words that Fabric's own tools use.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most principals in a policy, and the deepest nesting.
const PRINCIPALS_MAX: usize = 32;
const DEPTH_MAX: usize = 8;

/// Whose peers must endorse: `AND('NorthMSP.peer', OR('SouthMSP.peer', 'EastMSP.peer'))`, `OutOf(2, …)`.
///
/// As Fabric counts, one peer's endorsement stands for one principal: `AND('NorthMSP.peer', 'NorthMSP.peer')` takes
/// two peers of that organisation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum EndorsementPolicy {
    /// A peer of the organisation with this MSP id.
    Peer(String),
    /// At least `n` of the rules.
    OutOf {
        /// How many, from 1 to the number of rules.
        n: usize,
        /// The rules, at least one.
        rules: Vec<EndorsementPolicy>,
    },
}

/// Why a text is no endorsement policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Something else was expected at a place.
    #[error(
        "expected {wanted} at `{found}`; write a policy such as `AND('NorthMSP.peer', OR('SouthMSP.peer', 'EastMSP.peer'))` or `OutOf(2, …)`"
    )]
    Syntax {
        /// What could stand there.
        wanted: &'static str,
        /// The rest of the text from there.
        found: String,
    },
    /// A principal is of another role.
    #[error("`{0}` is not a peer; only peers endorse, so write `MSPID.peer`")]
    NotAPeer(String),
    /// More rules are demanded than there are, or none.
    #[error("`OutOf({n}, …)` has {rules} rules; demand from 1 to that many")]
    Count {
        /// How many are demanded.
        n: usize,
        /// How many there are.
        rules: usize,
    },
    /// The policy is too large.
    #[error("a policy has up to {PRINCIPALS_MAX} principals, nested up to {DEPTH_MAX} deep")]
    TooLarge,
}

impl EndorsementPolicy {
    /// The MSP ids that it names, each as often as it does.
    pub fn msp_ids(&self) -> Vec<&str> {
        match self {
            EndorsementPolicy::Peer(msp_id) => vec![msp_id],
            EndorsementPolicy::OutOf { rules, .. } => rules.iter().flat_map(Self::msp_ids).collect(),
        }
    }

    /// Whether peers that exist can satisfy it, given how many each organisation has, by MSP id.
    pub(crate) fn is_satisfiable(&self, peers: &BTreeMap<&str, usize>) -> bool {
        let has = |msp_id: &str| peers.get(msp_id).copied().unwrap_or_default();
        let mut named = BTreeMap::<&str, usize>::new();
        for msp_id in self.msp_ids() {
            let count = named.entry(msp_id).or_default();
            *count = count.saturating_add(1);
        }
        // Only organisations that are named more often than they have peers can run out of them.
        let scarce: BTreeMap<&str, usize> = named
            .into_iter()
            .filter(|(msp_id, times)| *times > has(msp_id))
            .map(|(msp_id, _)| (msp_id, has(msp_id)))
            .collect();
        !self.uses(&scarce, &BTreeSet::from([BTreeMap::new()])).is_empty()
    }

    /// Every way to satisfy it on top of peers that are used already, by what it then uses of the scarce ones.
    fn uses<'a>(&'a self, scarce: &BTreeMap<&str, usize>, used: &BTreeSet<Uses<'a>>) -> BTreeSet<Uses<'a>> {
        match self {
            EndorsementPolicy::Peer(msp_id) => {
                let Some(has) = scarce.get(msp_id.as_str()) else {
                    return used.clone();
                };
                used.iter()
                    .filter_map(|used| {
                        let mut used = used.clone();
                        let count = used.entry(msp_id.as_str()).or_default();
                        *count = count.saturating_add(1);
                        (*count <= *has).then_some(used)
                    })
                    .collect()
            }
            EndorsementPolicy::OutOf { n, rules } => {
                // By how many rules hold so far.
                let mut ways = vec![BTreeSet::new(); n.saturating_add(1)];
                if let Some(none) = ways.first_mut() {
                    none.clone_from(used);
                }
                for rule in rules {
                    let further: Vec<_> = ways.iter().map(|used| rule.uses(scarce, used)).collect();
                    for (ways, further) in ways.iter_mut().skip(1).zip(further) {
                        ways.extend(further);
                    }
                }
                ways.pop().unwrap_or_default()
            }
        }
    }
}

/// How many peers of scarce organisations are used, by MSP id.
type Uses<'a> = BTreeMap<&'a str, usize>;

impl fmt::Display for EndorsementPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndorsementPolicy::Peer(msp_id) => write!(f, "'{msp_id}.peer'"),
            EndorsementPolicy::OutOf { n, rules } => {
                match n {
                    n if *n == rules.len() => f.write_str("AND(")?,
                    1 => f.write_str("OR(")?,
                    n => write!(f, "OutOf({n}, ")?,
                }
                for (index, rule) in rules.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{rule}")?;
                }
                f.write_str(")")
            }
        }
    }
}

impl From<EndorsementPolicy> for String {
    fn from(policy: EndorsementPolicy) -> Self {
        policy.to_string()
    }
}

impl TryFrom<String> for EndorsementPolicy {
    type Error = PolicyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for EndorsementPolicy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut reader = Reader { rest: text.trim_start() };
        let policy = reader.rule(DEPTH_MAX)?;
        if !reader.rest.is_empty() {
            return Err(reader.expected("the end"));
        }
        if policy.msp_ids().len() > PRINCIPALS_MAX {
            return Err(PolicyError::TooLarge);
        }
        Ok(policy)
    }
}

/// Reads a policy from the start of a text.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn rule(&mut self, depth: usize) -> Result<EndorsementPolicy, PolicyError> {
        let depth = depth.checked_sub(1).ok_or(PolicyError::TooLarge)?;
        if self.rest.starts_with(['\'', '"']) {
            return self.principal();
        }
        let word = self.taken(|c| c.is_ascii_alphabetic());
        let demanded = match word.to_ascii_lowercase().as_str() {
            "and" => None,
            "or" => Some(1),
            "outof" => {
                self.token("(")?;
                let digits = self.taken(|c| c.is_ascii_digit());
                let n = digits.parse().map_err(|_| self.expected("a number of rules"))?;
                self.token(",")?;
                return self.rules(Some(n), depth);
            }
            _ => {
                return Err(PolicyError::Syntax {
                    wanted: "`AND(`, `OR(`, `OutOf(` or a quoted principal",
                    found: format!("{word}{}", self.rest),
                });
            }
        };
        self.token("(")?;
        self.rules(demanded, depth)
    }

    fn rules(&mut self, demanded: Option<usize>, depth: usize) -> Result<EndorsementPolicy, PolicyError> {
        let mut rules = vec![self.rule(depth)?];
        while self.rest.starts_with(',') {
            self.token(",")?;
            rules.push(self.rule(depth)?);
            if rules.len() > PRINCIPALS_MAX {
                return Err(PolicyError::TooLarge);
            }
        }
        self.token(")")?;
        let n = demanded.unwrap_or(rules.len());
        if (1..=rules.len()).contains(&n) {
            Ok(EndorsementPolicy::OutOf { n, rules })
        } else {
            Err(PolicyError::Count { n, rules: rules.len() })
        }
    }

    fn principal(&mut self) -> Result<EndorsementPolicy, PolicyError> {
        let quote = if self.rest.starts_with('"') { "\"" } else { "'" };
        self.token(quote)?;
        let text = self.taken(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        self.token(quote)?;
        match text.rsplit_once('.') {
            Some((msp_id, "peer")) if !msp_id.is_empty() => Ok(EndorsementPolicy::Peer(msp_id.to_owned())),
            _ => Err(PolicyError::NotAPeer(text.to_owned())),
        }
    }

    fn taken(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        taken
    }

    fn token(&mut self, token: &'static str) -> Result<(), PolicyError> {
        let rest = self.rest.strip_prefix(token).ok_or_else(|| {
            self.expected(match token {
                "(" => "`(`",
                ")" => "`,` or `)`",
                "," => "`,`",
                _ => "the closing quote",
            })
        })?;
        self.rest = rest.trim_start();
        Ok(())
    }

    fn expected(&self, wanted: &'static str) -> PolicyError {
        PolicyError::Syntax { wanted, found: self.rest.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy(text: &str) -> EndorsementPolicy {
        text.parse().unwrap_or_else(|error| panic!("`{text}`: {error}"))
    }

    #[test]
    fn fabrics_notation_is_read_and_written() {
        for (text, written) in [
            ("'NorthMSP.peer'", "'NorthMSP.peer'"),
            ("AND('A.peer','B.peer')", "AND('A.peer', 'B.peer')"),
            (" or( \"A.peer\" , 'B.C.peer' ) ", "OR('A.peer', 'B.C.peer')"),
            (
                "OutOf(2, 'A.peer', 'B.peer', and('C.peer', 'D.peer'))",
                "OutOf(2, 'A.peer', 'B.peer', AND('C.peer', 'D.peer'))",
            ),
            ("OutOf(3,'A.peer','B.peer','C.peer')", "AND('A.peer', 'B.peer', 'C.peer')"),
        ] {
            assert_eq!(policy(text).to_string(), written);
            assert_eq!(policy(written), policy(text));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |text: &str| text.parse::<EndorsementPolicy>().unwrap_err();
        for text in [
            "",
            "AND",
            "AND(",
            "AND()",
            "AND('A.peer'",
            "AND('A.peer') OR",
            "NOT('A.peer')",
            "'A.peer",
            "A.peer",
            "OutOf('A.peer')",
            "OutOf(99999999999999999999999, 'A.peer')",
        ] {
            assert!(matches!(error(text), PolicyError::Syntax { .. }), "{text}: {}", error(text));
        }
        assert_eq!(error("'A.member'"), PolicyError::NotAPeer("A.member".to_owned()));
        assert_eq!(error("'peer'"), PolicyError::NotAPeer("peer".to_owned()));
        assert_eq!(error("OutOf(0, 'A.peer')"), PolicyError::Count { n: 0, rules: 1 });
        assert_eq!(error("OutOf(2, 'A.peer')"), PolicyError::Count { n: 2, rules: 1 });
        assert_eq!(error(&"AND(".repeat(10_000)), PolicyError::TooLarge);
        assert_eq!(error(&format!("AND({}'A.peer')", "'A.peer',".repeat(40))), PolicyError::TooLarge);
    }

    #[test]
    fn peers_are_counted_as_fabric_counts_them() {
        let peers = BTreeMap::from([("A", 1), ("B", 2), ("C", 1)]);
        for (text, satisfiable) in [
            ("AND('A.peer', 'B.peer', 'B.peer')", true),
            ("AND('A.peer', 'A.peer')", false),
            ("OR('A.peer', 'X.peer')", true),
            ("AND('A.peer', 'X.peer')", false),
            ("OR(AND('A.peer', 'B.peer'), AND('A.peer', 'C.peer'))", true),
            ("AND(OR('A.peer', 'B.peer'), OR('A.peer', 'C.peer'))", true),
            ("AND(OR('A.peer', 'C.peer'), 'A.peer', 'C.peer')", false),
            ("OutOf(2, 'A.peer', 'A.peer', 'X.peer')", false),
            ("OutOf(2, 'A.peer', 'A.peer', 'C.peer')", true),
        ] {
            assert_eq!(policy(text).is_satisfiable(&peers), satisfiable, "{text}");
        }
        // The worst that fits is still answered at once.
        let pairs: Vec<String> =
            (0..16).map(|i| format!("OR('O{i}.peer', 'O{}.peer')", (i + 1) % 16)).collect();
        let all: Vec<String> = (0..16).map(|i| format!("O{i}")).collect();
        let peers: BTreeMap<&str, usize> = all.iter().map(|name| (name.as_str(), 1)).collect();
        assert!(policy(&format!("AND({})", pairs.join(","))).is_satisfiable(&peers));
    }

    fn policies() -> impl Strategy<Value = EndorsementPolicy> {
        let peer = "[A-D]".prop_map(EndorsementPolicy::Peer);
        peer.prop_recursive(3, 12, 3, |inner| {
            (prop::collection::vec(inner, 1..4), any::<prop::sample::Index>())
                .prop_map(|(rules, n)| EndorsementPolicy::OutOf { n: n.index(rules.len()) + 1, rules })
        })
    }

    /// Whether it holds for a number of peers of each organisation, tried by brute force over who signs for what.
    fn holds(policy: &EndorsementPolicy, left: BTreeMap<String, usize>) -> Vec<BTreeMap<String, usize>> {
        match policy {
            EndorsementPolicy::Peer(msp_id) => match left.get(msp_id) {
                Some(count) if *count > 0 => {
                    let mut left = left.clone();
                    left.insert(msp_id.clone(), count - 1);
                    vec![left]
                }
                _ => Vec::new(),
            },
            EndorsementPolicy::OutOf { n, rules } => (0_u32..1 << rules.len())
                .filter(|chosen| chosen.count_ones() as usize == *n)
                .flat_map(|chosen| {
                    let chosen = rules.iter().enumerate().filter(|(i, _)| chosen >> i & 1 == 1);
                    chosen.fold(vec![left.clone()], |ways, (_, rule)| {
                        ways.into_iter().flat_map(|left| holds(rule, left)).collect()
                    })
                })
                .collect(),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(policy in policies()) {
            prop_assume!(policy.msp_ids().len() <= PRINCIPALS_MAX);
            prop_assert_eq!(policy.to_string().parse::<EndorsementPolicy>().unwrap(), policy);
        }

        #[test]
        fn no_text_is_too_much(text in "[AND()OR,outf0-9'. p]{0,64}|.{0,64}") {
            if let Ok(policy) = text.parse::<EndorsementPolicy>() {
                prop_assert_eq!(policy.to_string().parse::<EndorsementPolicy>().unwrap(), policy);
            }
        }

        #[test]
        fn satisfiable_is_what_some_choice_of_peers_satisfies(policy in policies(), a in 0_usize..3, b in 0_usize..2) {
            let peers = BTreeMap::from([("A", a), ("B", b), ("C", 1)]);
            let left = peers.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
            prop_assert_eq!(policy.is_satisfiable(&peers), !holds(&policy, left).is_empty());
        }
    }
}
