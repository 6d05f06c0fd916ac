//! What a description must be before anything is made from it.

use serde::Deserialize;

use super::certificates;
use super::description::{DescribedNode, Description, MSP_CONFIG};
use crate::files::FileError;
use crate::spec::{Consortium, NodeAddress, NodeOu, ORDERING};

/// Why an organisation's description is refused; each names what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptionError {
    /// The file cannot be read.
    #[error("the description cannot be read")]
    Unreadable(#[from] FileError),
    /// The text is no description.
    #[error("this is no organisation's description; the organisation exports one from its own part")]
    Syntax(#[source] serde_json::Error),
    /// The text is of another layout.
    #[error("the description's format is `{0}`, which this program does not read")]
    Format(String),
    /// It is for another channel.
    #[error(
        "the description of `{organization}` is for channel `{found}`, and this consortium's is `{wanted}`; \
         compare your consortium's documents"
    )]
    Channel {
        /// The organisation.
        organization: String,
        /// The description's channel.
        found: String,
        /// The consortium's channel.
        wanted: String,
    },
    /// The consortium has no such organisation.
    #[error("`{found}` is no organisation of the consortium; there are {known}: compare your documents")]
    Unknown {
        /// The description's organisation.
        found: String,
        /// Those that there are.
        known: String,
    },
    /// MSP id or domain is not the consortium's.
    #[error(
        "the description of `{organization}` has {field} `{found}`, and the consortium's document `{wanted}`; \
         one of the two is wrong: ask them"
    )]
    Field {
        /// The organisation.
        organization: String,
        /// `msp_id`, `domain`, or a node's endpoint.
        field: String,
        /// What the description says.
        found: String,
        /// What the consortium's document says.
        wanted: String,
    },
    /// Its nodes are not the consortium's.
    #[error(
        "the description of `{organization}` has nodes {found}, and the consortium's document {wanted}; \
         compare your documents"
    )]
    Nodes {
        /// The organisation.
        organization: String,
        /// The description's nodes.
        found: String,
        /// The consortium's nodes.
        wanted: String,
    },
    /// A node is found where another one is.
    #[error(
        "`{host}` of `{organization}` is found at `{endpoint}`, where `{other}` is; each node needs an address of its own"
    )]
    Endpoint {
        /// The organisation.
        organization: String,
        /// The node.
        host: String,
        /// Its address.
        endpoint: NodeAddress,
        /// The node that is there.
        other: String,
    },
    /// A file does not belong into a description.
    #[error(
        "the description of `{organization}` holds `{path}`, which no public MSP folder does; ask for another one"
    )]
    File {
        /// The organisation.
        organization: String,
        /// The file.
        path: String,
    },
    /// A private key is in it.
    #[error(
        "the description of `{organization}` holds a private key, in `{path}`; it is no secret any more: \
         tell them to make another, and to export their description again"
    )]
    Secret {
        /// The organisation.
        organization: String,
        /// The file.
        path: String,
    },
    /// Roles are not told as the channel's policies want.
    #[error(
        "`config.yaml` of `{organization}` does not tell roles by the units client, peer, admin and orderer ({what}), \
         on which the channel's policies rely"
    )]
    Roles {
        /// The organisation.
        organization: String,
        /// What is wrong.
        what: String,
    },
    /// A certificate does not serve.
    #[error("the description of `{organization}` does not serve: {what}: {why}")]
    Certificate {
        /// The organisation.
        organization: String,
        /// Which certificate.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// A certificate has ended or not begun.
    #[error(
        "`{name}`, {what} of `{organization}`, does not count now: {why}; ask for a description with one that does"
    )]
    Time {
        /// The organisation.
        organization: String,
        /// Which certificate.
        what: String,
        /// Its common name.
        name: String,
        /// When it ended or begins.
        why: String,
    },
    /// A node's certificate is not for where it is found.
    #[error(
        "`{host}` of `{organization}` is found at `{endpoint}`, and its certificate is for {names}: nobody would \
         trust it there; let them issue one for that name, or correct the endpoint"
    )]
    Names {
        /// The organisation.
        organization: String,
        /// The node.
        host: String,
        /// Its address.
        endpoint: NodeAddress,
        /// The names in its certificate.
        names: String,
    },
    /// Two organisations have one authority.
    #[error(
        "`{organization}` has the authority `{name}` of `{other}`: whoever has its key would be both; \
         each organisation needs its own"
    )]
    SharedAuthority {
        /// The organisation.
        organization: String,
        /// The other one.
        other: String,
        /// The authority's common name.
        name: String,
    },
}

/// `config.yaml` of an MSP.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MspConfig {
    #[serde(rename = "NodeOUs")]
    node_ous: NodeOus,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeOus {
    #[serde(default)]
    enable: bool,
    #[serde(rename = "ClientOUIdentifier")]
    client: Unit,
    #[serde(rename = "PeerOUIdentifier")]
    peer: Unit,
    #[serde(rename = "AdminOUIdentifier")]
    admin: Unit,
    #[serde(rename = "OrdererOUIdentifier")]
    orderer: Unit,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Unit {
    #[serde(default)]
    certificate: Option<String>,
    #[serde(rename = "OrganizationalUnitIdentifier")]
    unit: String,
}

impl Description {
    /// Holds it against the consortium's document, and against the other organisations' descriptions.
    ///
    /// # Errors
    /// [`DescriptionError`] names what does not fit.
    pub fn check(&self, consortium: &Consortium, others: &[Self]) -> Result<(), DescriptionError> {
        self.demand_place(consortium)?;
        self.demand_public()?;
        self.demand_roles()?;
        self.demand_authorities(others)?;
        self.nodes.iter().try_for_each(|node| self.demand_node(node, others))
    }

    /// Whose it is, and which nodes it has.
    fn demand_place(&self, consortium: &Consortium) -> Result<(), DescriptionError> {
        let organization = self.organization.clone();
        if self.channel != consortium.channel.name {
            let (found, wanted) = (self.channel.clone(), consortium.channel.name.clone());
            return Err(DescriptionError::Channel { organization, found, wanted });
        }
        let orderer = &consortium.orderer;
        let (msp_id, domain, nodes, endpoints) = if self.organization == ORDERING {
            (&orderer.msp_id, &orderer.domain, &orderer.consenters, &orderer.endpoints)
        } else {
            let known = consortium.organizations.iter().find(|known| known.name == self.organization);
            let Some(known) = known else {
                let names = consortium.organizations.iter().map(|known| known.name.as_str());
                let known = std::iter::once(ORDERING).chain(names).collect::<Vec<_>>().join(", ");
                return Err(DescriptionError::Unknown { found: organization, known });
            };
            (&known.msp_id, &known.domain, &known.peers, &known.endpoints)
        };
        let differs = |field: &str, found: &dyn ToString, wanted: &dyn ToString| DescriptionError::Field {
            organization: organization.clone(),
            field: field.to_owned(),
            found: found.to_string(),
            wanted: wanted.to_string(),
        };
        if self.msp_id != *msp_id {
            return Err(differs("msp_id", &self.msp_id, msp_id));
        }
        if self.domain != *domain {
            return Err(differs("domain", &self.domain, domain));
        }
        let wanted: Vec<String> = nodes.iter().map(|node| format!("{node}.{domain}")).collect();
        let found: Vec<&str> = self.nodes.iter().map(|node| node.host.as_str()).collect();
        if wanted.iter().ne(&found) {
            let (found, wanted) = (found.join(", "), wanted.join(", "));
            return Err(DescriptionError::Nodes { organization, found, wanted });
        }
        for (name, node) in nodes.iter().zip(&self.nodes) {
            if let Some(wanted) = endpoints.get(name)
                && node.endpoint != *wanted
            {
                return Err(differs(&format!("the endpoint of {name}"), &node.endpoint, wanted));
            }
        }
        Ok(())
    }

    /// Roles by units: the channel's policies ask for peers, clients and admins.
    fn demand_roles(&self) -> Result<(), DescriptionError> {
        let wrong = |what: String| DescriptionError::Roles { organization: self.organization.clone(), what };
        let text = self.msp.get(MSP_CONFIG).ok_or_else(|| wrong("there is none".to_owned()))?;
        let config: MspConfig = serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let units = &config.node_ous;
        if !units.enable {
            return Err(wrong("they are switched off".to_owned()));
        }
        for (unit, role) in [
            (&units.client, NodeOu::Client),
            (&units.peer, NodeOu::Peer),
            (&units.admin, NodeOu::Admin),
            (&units.orderer, NodeOu::Orderer),
        ] {
            if unit.unit != role.as_str() {
                return Err(wrong(format!("`{}` stands for {}", unit.unit, role.as_str())));
            }
            if let Some(file) = unit.certificate.as_ref().filter(|file| !self.msp.contains_key(*file)) {
                return Err(wrong(format!("it names `{file}`, which is not there")));
            }
        }
        Ok(())
    }

    /// Authorities that may issue, now, and that are nobody else's.
    fn demand_authorities(&self, others: &[Self]) -> Result<(), DescriptionError> {
        for (folder, what, needed) in [
            ("cacerts", "an authority", true),
            ("intermediatecerts", "an intermediate authority", false),
            ("tlscacerts", "a TLS authority", true),
            ("tlsintermediatecerts", "an intermediate TLS authority", false),
        ] {
            let mut found = false;
            for pem in self.pems(folder) {
                for der in self.readable(what, pem)? {
                    found = true;
                    let name = certificates::authority(&der).map_err(|why| self.wrong(what, why))?;
                    self.demand_time(what, &der)?;
                    let shared = others.iter().find(|other| {
                        other.organization != self.organization && other.certificates(folder).contains(&der)
                    });
                    if let Some(other) = shared {
                        return Err(DescriptionError::SharedAuthority {
                            organization: self.organization.clone(),
                            other: other.organization.clone(),
                            name,
                        });
                    }
                }
            }
            if needed && !found {
                return Err(self.wrong(what, format!("there is none in `{folder}`")));
            }
        }
        Ok(())
    }

    /// A node that its own authorities vouch for, under the name by which it is called.
    fn demand_node(&self, node: &DescribedNode, others: &[Self]) -> Result<(), DescriptionError> {
        let what = format!("the TLS certificate of `{}`", node.host);
        let chain = self.readable(&what, &node.tls_certificate)?;
        let (roots, between) = (self.certificates("tlscacerts"), self.certificates("tlsintermediatecerts"));
        let tls = self.issued(&what, &chain, &roots, &between)?;
        let names = certificates::names(tls);
        if !certificates::is_for(&names, &node.endpoint.host) {
            return Err(DescriptionError::Names {
                organization: self.organization.clone(),
                host: node.host.clone(),
                endpoint: node.endpoint.clone(),
                names: if names.is_empty() { "no name".to_owned() } else { names.join(", ") },
            });
        }
        let all = others.iter().chain(std::iter::once(self)).flat_map(|other| &other.nodes);
        let mut there = all.filter(|other| other.endpoint == node.endpoint && other.host != node.host);
        if let Some(other) = there.next() {
            return Err(DescriptionError::Endpoint {
                organization: self.organization.clone(),
                host: node.host.clone(),
                endpoint: node.endpoint.clone(),
                other: other.host.clone(),
            });
        }
        let what = format!("the signing certificate of `{}`", node.host);
        match (&node.identity_certificate, self.organization == ORDERING) {
            (None, false) => Ok(()),
            (Some(_), false) => Err(self.wrong(&what, "only of consenters it is told".to_owned())),
            (None, true) => Err(self.wrong(&what, "it is missing".to_owned())),
            (Some(pem), true) => {
                let chain = self.readable(&what, pem)?;
                let (roots, between) = (self.certificates("cacerts"), self.certificates("intermediatecerts"));
                let identity = self.issued(&what, &chain, &roots, &between)?;
                match certificates::has_unit(identity, NodeOu::Orderer.as_str()) {
                    true => Ok(()),
                    false => Err(self.wrong(&what, "it has not the unit `orderer`".to_owned())),
                }
            }
        }
    }

    /// The first certificate of a chain, when it counts now and the authorities vouch for it.
    fn issued<'a>(
        &self,
        what: &str,
        chain: &'a [Vec<u8>],
        roots: &[Vec<u8>],
        between: &[Vec<u8>],
    ) -> Result<&'a [u8], DescriptionError> {
        let Some(leaf) = chain.first() else { return Err(self.wrong(what, "there is none".to_owned())) };
        self.demand_time(what, leaf)?;
        if certificates::is_issued(leaf, roots, between) {
            Ok(leaf)
        } else {
            Err(self.wrong(what, "the organisation's own authorities did not issue it".to_owned()))
        }
    }

    fn readable(&self, what: &str, pem: &str) -> Result<Vec<Vec<u8>>, DescriptionError> {
        certificates::parse(pem).map_err(|why| self.wrong(what, why))
    }

    fn demand_time(&self, what: &str, der: &[u8]) -> Result<(), DescriptionError> {
        match certificates::out_of_time(der) {
            None => Ok(()),
            Some((name, why)) => Err(DescriptionError::Time {
                organization: self.organization.clone(),
                what: what.to_owned(),
                name,
                why,
            }),
        }
    }

    fn wrong(&self, what: &str, why: String) -> DescriptionError {
        DescriptionError::Certificate { organization: self.organization.clone(), what: what.to_owned(), why }
    }
}
