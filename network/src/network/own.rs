//! What of a consortium is this folder's own: all of it, or one organisation's part.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::Network;
use super::issue::CHAINCODE_SERVICE;
use crate::ca::TlsFiles;
use crate::exchange::Description;
use crate::node::{self, ADMIN, LISTEN, OPERATIONS};
use crate::ports::{Place, PortError};
use crate::spec::{NodeAddress, ORDERING, Organization, Part};

impl Network {
    /// Whose part of the consortium this is; `None` when all of it is here.
    pub fn part(&self) -> Option<&Part> {
        self.part.as_ref()
    }

    /// The member organisations whose keys and nodes are here.
    pub fn own_organizations(&self) -> impl Iterator<Item = &Organization> + Clone {
        self.spec.organizations.iter().filter(|organization| self.holds(&organization.name))
    }

    /// Whether the ordering organisation's keys and nodes are here.
    pub fn holds_ordering(&self) -> bool {
        self.holds(ORDERING)
    }

    /// Whether the keys and nodes of an organisation of this name are here.
    pub(crate) fn holds(&self, name: &str) -> bool {
        self.part.as_ref().is_none_or(|part| part.organization == name)
    }

    /// The consenters that run here.
    pub(super) fn own_consenters(&self) -> &[String] {
        if self.holds_ordering() { &self.spec.orderer.consenters } else { &[] }
    }

    /// The ports that own nodes have to be given, where no address is fixed.
    pub(super) fn wanted_ports(&self) -> Vec<(String, &'static [&'static str])> {
        let orderer = &self.spec.orderer;
        let orderers = self.own_consenters().iter().map(|name| (name, orderer.host(name), node::OF_ORDERER));
        let peers = self.own_organizations().flat_map(|organization| {
            organization.peers.iter().map(|name| (name, organization.host(name), node::OF_PEER))
        });
        let places = self.fixed_places();
        let mut wanted = Vec::new();
        for (_, host, purposes) in orderers.chain(peers) {
            let listens = places.get(&host).map(|place| &place.listens);
            let fixed = |purpose: &str| listens.is_some_and(|listens| listens.contains_key(purpose));
            match purposes {
                [LISTEN, rest @ ..] if fixed(LISTEN) => wanted.push((host, rest)),
                purposes => wanted.push((host, purposes)),
            }
        }
        wanted
    }

    /// Where nodes are that are not at chosen ports of 127.0.0.1: as the documents say, and the others' as their
    /// descriptions do.
    pub(super) fn places(&self) -> Result<BTreeMap<String, Place>, PortError> {
        let mut places = self.fixed_places();
        for description in Description::read_all(&self.layout.imports())? {
            for node in description.nodes {
                places.entry(node.host).or_default().public.get_or_insert(node.endpoint);
            }
        }
        Ok(places)
    }

    /// Where nodes are as the documents say.
    fn fixed_places(&self) -> BTreeMap<String, Place> {
        let orderer = &self.spec.orderer;
        let mut places = BTreeMap::<String, Place>::new();
        let mut note = |own: bool, name: &str, host: String, public: Option<&NodeAddress>| {
            let settings = self.part.as_ref().and_then(|part| part.nodes.get(name)).filter(|_| own);
            let listen = settings.and_then(|settings| settings.listen);
            let listen = listen.or_else(|| public.filter(|_| own).map(NodeAddress::default_listen));
            let operations = settings.and_then(|settings| settings.operations);
            let admin = settings.and_then(|settings| settings.admin);
            let listens: BTreeMap<&'static str, SocketAddr> =
                [(LISTEN, listen), (OPERATIONS, operations), (ADMIN, admin)]
                    .into_iter()
                    .filter_map(|(p, at)| Some((p, at?)))
                    .collect();
            if public.is_some() || !listens.is_empty() {
                places.insert(host, Place { public: public.cloned(), listens });
            }
        };
        for name in &orderer.consenters {
            note(self.holds_ordering(), name, orderer.host(name), orderer.endpoints.get(name));
        }
        for organization in &self.spec.organizations {
            for name in &organization.peers {
                let own = self.holds(&organization.name);
                note(own, name, organization.host(name), organization.endpoints.get(name));
            }
        }
        places
    }

    /// The names and addresses, beside its own, by which a node is called.
    pub(super) fn names_of(&self, host: &str) -> Vec<String> {
        let places = self.fixed_places();
        let Some(place) = places.get(host) else { return Vec::new() };
        let listens = place.listens.values().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified());
        place
            .public
            .iter()
            .map(|public| public.host.clone())
            .chain(listens.map(|ip| ip.to_string()))
            .collect()
    }

    /// The TLS files of an organisation's chaincode service, and those of its callers.
    pub(crate) fn chaincode_tls(&self, organization: &Organization) -> (TlsFiles, TlsFiles) {
        self.home(organization).service(CHAINCODE_SERVICE)
    }
}
