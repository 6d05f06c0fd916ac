//! A consortium in another size, made from one that there is.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::{Consensus, Consortium, OrderingService, Organization, SpecError};

/// The consenters of an ordering service in short: `raft:1`, `raft:3`, `bft:4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orderers {
    /// Consensus protocol.
    pub consensus: Consensus,
    /// Number of consenters.
    pub count: usize,
}

impl FromStr for Orderers {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || SpecError::field("orderers", text, "write `raft:1`, `raft:3`, `bft:4` and the like");
        let (consensus, count) = text.split_once(':').ok_or_else(wrong)?;
        let consensus = match consensus {
            "raft" => Consensus::Raft,
            "bft" => Consensus::Bft,
            _ => return Err(wrong()),
        };
        Ok(Self { consensus, count: count.parse().map_err(|_| wrong())? })
    }
}

impl Consortium {
    /// Exchanges the consenters for others, `orderer0` and on.
    ///
    /// # Errors
    /// [`SpecError`] when there can't be that many of the protocol.
    pub fn set_orderers(&mut self, orderers: Orderers) -> Result<(), SpecError> {
        let Orderers { consensus, count } = orderers;
        let consenters = numbered("orderer", count);
        let mut orderer = OrderingService { consensus, consenters, ..self.orderer.clone() };
        orderer.endpoints.retain(|name, _| orderer.consenters.contains(name));
        self.checked(|changed| changed.orderer = orderer)
    }

    /// Exchanges the organisations for others, by their names.
    ///
    /// One of a name that is there stays as it is. A new one is like the first that is there, with MSP id and domain
    /// of its own: `west` becomes `WestMSP` and `west.example.com`.
    ///
    /// # Errors
    /// [`SpecError`] when a name cannot be one, or the chaincode speaks of an organisation that would be gone.
    pub fn set_organizations<N: AsRef<str>>(&mut self, names: &[N]) -> Result<(), SpecError> {
        let organizations = names
            .iter()
            .map(|name| {
                let name = name.as_ref();
                let there = self.organizations.iter().find(|organization| organization.name == name);
                there.cloned().or_else(|| self.organizations.first().map(|first| like(first, name)))
            })
            .collect::<Option<Vec<_>>>()
            .unwrap_or_default();
        self.checked(|changed| changed.organizations = organizations)
    }

    /// Gives every organisation this many peers, `peer0` and on.
    ///
    /// # Errors
    /// [`SpecError`] when there can't be that many.
    pub fn set_peers(&mut self, count: usize) -> Result<(), SpecError> {
        self.checked(|changed| {
            for organization in &mut changed.organizations {
                organization.peers = numbered("peer", count);
                organization.endpoints.retain(|name, _| organization.peers.contains(name));
            }
        })
    }

    /// The consortium as a TOML document that [`Consortium::parse`] reads.
    ///
    /// # Errors
    /// A [`toml::ser::Error`] when it could not be written, which no checked consortium gives.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// Changes a copy, and takes it when it is valid.
    fn checked(&mut self, change: impl FnOnce(&mut Self)) -> Result<(), SpecError> {
        *self = self.with(change)?;
        Ok(())
    }
}

fn numbered(name: &str, count: usize) -> Vec<String> {
    // One more than any check lets pass is enough to be refused by it.
    (0..count.min(1_000)).map(|number| format!("{name}{number}")).collect()
}

fn like(first: &Organization, name: &str) -> Organization {
    let msp_id = name.split('-').flat_map(|word| {
        let mut letters = word.chars();
        letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter().chain(letters)
    });
    let parent = first.domain.split_once('.').map_or("example.com", |(_, parent)| parent);
    Organization {
        name: name.to_owned(),
        msp_id: msp_id.chain("MSP".chars()).collect(),
        domain: format!("{name}.{parent}"),
        endpoints: BTreeMap::new(),
        ..first.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Chaincode, DEFAULT};
    use super::*;

    #[test]
    fn a_spec_is_drawn_in_any_size_and_reads_back() {
        let mut spec = Consortium::parse(DEFAULT).unwrap();
        spec.set_orderers("bft:4".parse().unwrap()).unwrap();
        spec.set_organizations(&["south", "north-west", "east"]).unwrap();
        spec.set_peers(2).unwrap();
        assert_eq!(spec.orderer.consenters, ["orderer0", "orderer1", "orderer2", "orderer3"]);
        let [south, north_west, east] = spec.organizations.as_slice() else { panic!("{spec:?}") };
        assert_eq!(south.msp_id, "SouthMSP");
        assert_eq!(
            (north_west.msp_id.as_str(), north_west.domain.as_str()),
            ("NorthWestMSP", "north-west.example.com")
        );
        assert_eq!(east.users, south.users);
        assert_eq!(east.peers, ["peer0", "peer1"]);
        assert_eq!(Consortium::parse(&spec.to_toml().unwrap()).unwrap(), spec);
    }

    #[test]
    fn what_cannot_be_changes_nothing() {
        let mut spec = Consortium::parse(DEFAULT).unwrap();
        let mut chaincode = Chaincode::new("shelf", "shelf_1");
        chaincode.endorsement = Some("'SouthMSP.peer'".parse().unwrap());
        spec.set_chaincode(chaincode).unwrap();
        let before = spec.clone();
        for wrong in ["raft", "solo:1", "raft:x", "raft:-1", ""] {
            assert!(wrong.parse::<Orderers>().is_err(), "{wrong}");
        }
        for wrong in ["raft:0", "bft:3", "raft:17", "raft:99999999999"] {
            assert!(spec.set_orderers(wrong.parse().unwrap()).is_err(), "{wrong}");
        }
        let none: [&str; 0] = [];
        assert!(spec.set_organizations(&none).is_err());
        for wrong in [&["north", "north"][..], &["nor/th"], &["orderer"], &["north", "east"], &[""]] {
            assert!(spec.set_organizations(wrong).is_err(), "{wrong:?}");
        }
        assert!(spec.set_peers(0).is_err());
        assert_eq!(spec, before);
    }
}
