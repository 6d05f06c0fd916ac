//! Orderers and peers: started, waited for, joined to the channel.

use hlf_gateway::{Deadlines, Endorser, Gateway};

use super::Network;
use super::chaincode_service;
use super::up::{START_LIMIT, Stand, UpError, said};
use crate::builder::Values;
use crate::channel;
use crate::fabric_ca::Server;
use crate::lifecycle::Member;
use crate::node::{self, ADMIN, LISTEN, NodeError, OPERATIONS};
use crate::peer::Successor;
use crate::ports::{self, Ports};
use crate::process::Service;
use crate::progress::Step;
use crate::spec::Organization;
use crate::wait::{self, Look};
use crate::{orderer, peer};

impl Stand<'_> {
    /// Starts orderers and peers, and waits until each answers.
    pub(super) async fn start_nodes(&self, ports: &Ports) -> Result<Vec<Member>, UpError> {
        for organization in self.network.own_organizations() {
            self.write_values(organization, ports)?;
        }
        let services = self.nodes(ports)?;
        self.demand_addresses(ports, &services)?;
        let step = Step::begin(self.progress, "orderers and peers");
        self.end_stale_peers(&step).await?;
        self.end_peers_without_builds(&step).await?;
        let started = self.network.supervisor.ensure_all(&services).await?;
        self.await_orderers(&step, ports).await?;
        let mut members = Vec::new();
        for organization in self.network.own_organizations() {
            members.push(self.await_member(&step, organization, ports).await?);
        }
        step.done(&said(services.len(), started));
        Ok(members)
    }

    /// What an organisation's peers fill their packages with.
    fn write_values(&self, organization: &Organization, ports: &Ports) -> Result<(), UpError> {
        let (_, client) = self.network.chaincode_tls(organization);
        let values = Values {
            address: node::loopback(ports, &chaincode_service(organization), LISTEN)?,
            root_cert: client.roots,
            client_cert: client.certificate,
            client_key: client.key,
        };
        Ok(peer::write_builder_values(&self.network.layout, organization, &values)?)
    }

    /// Demands that nodes which do not run can listen where they are told to.
    fn demand_addresses(&self, ports: &Ports, services: &[Service]) -> Result<(), UpError> {
        for service in services {
            if let Some(place) = ports.place(&service.name)
                && self.network.supervisor.running(&service.name).is_none()
            {
                ports::demand_free_at(&service.name, place.listens.values())?;
            }
        }
        Ok(())
    }

    /// Describes every orderer's and peer's process, as it shall be.
    pub(super) fn nodes(&self, ports: &Ports) -> Result<Vec<Service>, NodeError> {
        let Network { spec, layout, .. } = self.network;
        let mut services = Vec::new();
        for consenter in self.network.own_consenters() {
            services.push(orderer::prepare(&spec.orderer, consenter, layout, ports, &self.binaries)?);
        }
        let successors = self.successors(ports)?;
        for organization in self.network.own_organizations() {
            for peer in &organization.peers {
                services.push(peer::prepare(
                    organization,
                    peer,
                    &spec.peer,
                    layout,
                    ports,
                    &self.binaries,
                    &self.options.builder,
                    // Settled at its start, so that no peer that runs is started anew for it.
                    self.network
                        .supervisor
                        .running(&organization.host(peer))
                        .is_none()
                        .then_some(&successors),
                )?);
            }
        }
        Ok(services)
    }

    /// Orderers that left, while a peer that has been away, or that begins with the first block, knows no other.
    fn successors(&self, ports: &Ports) -> Result<Vec<Successor>, NodeError> {
        let service = &self.network.spec.orderer;
        let address = |host: &str| Ok::<_, NodeError>(node::public(ports, host)?.to_string());
        let hosts: Vec<String> = service.consenters.iter().map(|name| service.host(name)).collect();
        let Some(first) = hosts.first() else { return Ok(Vec::new()) };
        let to = address(first)?;
        let present: Vec<_> = hosts.iter().filter_map(|host| address(host).ok()).collect();
        let authority = Server::name(&service.domain);
        let mut gone = self.network.first_consenters();
        for name in ports.names() {
            let of_service = name.strip_suffix(&service.domain).is_some_and(|name| name.ends_with('.'));
            if of_service && !hosts.iter().any(|host| host == name) && *name != authority {
                // With its endpoint in the document its address went too, unless the first block names it.
                gone.extend(address(name).ok());
            }
        }
        let roots = self.network.orderer_tls_ca();
        let left = gone.into_iter().filter(|address| !present.contains(address));
        Ok(left.map(|gone| Successor::new(gone, to.clone(), roots.clone())).collect())
    }

    /// Ends the peers that ran on while the whole ordering service was away: their gateways would not dial it
    /// again for up to two minutes, and answer every submission until then with an error.
    async fn end_stale_peers(&self, step: &Step<'_>) -> Result<(), UpError> {
        let Network { spec, supervisor, .. } = self.network;
        let own = self.network.own_consenters();
        let mut consenters = own.iter().map(|consenter| spec.orderer.host(consenter));
        // Of orderers elsewhere nothing is known.
        if own.is_empty() || consenters.any(|host| supervisor.running(&host).is_some()) {
            return Ok(());
        }
        for organization in self.network.own_organizations() {
            for host in organization.peers.iter().map(|peer| organization.host(peer)) {
                if supervisor.running(&host).is_some() {
                    step.waiting(&format!(
                        "peer `{host}` to end: it is started anew with the ordering service"
                    ));
                    supervisor.stop(&host).await?;
                }
            }
        }
        Ok(())
    }

    /// Ends the peers whose builds were forgotten, in a step that was interrupted before it started them anew.
    async fn end_peers_without_builds(&self, step: &Step<'_>) -> Result<(), UpError> {
        let Network { supervisor, layout, .. } = self.network;
        for organization in self.network.own_organizations() {
            for host in organization.peers.iter().map(|peer| organization.host(peer)) {
                if supervisor.running(&host).is_some() && !peer::has_builds(layout, &host) {
                    step.waiting(&format!(
                        "peer `{host}` to end: it is started anew, and builds its packages"
                    ));
                    supervisor.stop(&host).await?;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn await_orderers(&self, step: &Step<'_>, ports: &Ports) -> Result<(), UpError> {
        let spec = &self.network.spec;
        let own = self.network.own_consenters();
        if own.is_empty() {
            return Ok(());
        }
        let operations = self.network.orderer_operations()?;
        for consenter in own {
            let host = spec.orderer.host(consenter);
            let admin = node::loopback(ports, &host, ADMIN)?;
            let what = format!("orderer `{host}` to answer on its admin endpoint");
            wait::until(step, &what, START_LIMIT, || async {
                self.network.supervisor.demand_alive(&host)?;
                let asked = operations.participation(&admin, &spec.channel.name).await;
                Ok::<_, UpError>(match asked {
                    Ok(_) => Look::Holds(()),
                    Err(error) => Look::NotYet(wait::chain(&error)),
                })
            })
            .await?;
        }
        Ok(())
    }

    /// Waits until an organisation's peers answer its admin.
    pub(super) async fn await_member(
        &self,
        step: &Step<'_>,
        organization: &Organization,
        ports: &Ports,
    ) -> Result<Member, UpError> {
        let mut peers = Vec::new();
        let mut gateway = None;
        for peer in &organization.peers {
            let host = organization.host(peer);
            let endpoint = self.network.peer_endpoint(organization, &host, ports)?;
            let credentials = self.network.admin(organization)?.into_credentials();
            let what = format!("peer `{host}` to answer");
            let endorser = wait::until(step, &what, START_LIMIT, || async {
                self.network.supervisor.demand_alive(&host)?;
                let asked = Endorser::connect(&endpoint, credentials.clone(), Deadlines::default()).await;
                Ok::<_, UpError>(match asked {
                    Ok(endorser) => Look::Holds(endorser),
                    Err(error) => Look::NotYet(wait::chain(&error)),
                })
            })
            .await?;
            if gateway.is_none() {
                gateway = Some(Gateway::connect(&endpoint, credentials, Deadlines::default()).await?);
            }
            peers.push((host, endorser));
        }
        let gateway = gateway.ok_or(NodeError::Port { host: organization.name.clone(), purpose: LISTEN })?;
        Ok(Member { msp_id: organization.msp_id.clone(), gateway, peers })
    }

    /// Waits until a node of the ordering service leads.
    pub(super) async fn await_leader(&self, ports: &Ports, among: &Network) -> Result<(), UpError> {
        let step = Step::begin(self.progress, "leader of the ordering service");
        self.leader(&step, ports, among).await?;
        step.done("there is one");
        Ok(())
    }

    pub(super) async fn leader(
        &self,
        step: &Step<'_>,
        ports: &Ports,
        among: &Network,
    ) -> Result<(), UpError> {
        let spec = &among.spec;
        let operations = self.network.orderer_operations()?;
        let mut addresses = Vec::new();
        for consenter in &spec.orderer.consenters {
            addresses.push(node::loopback(ports, &spec.orderer.host(consenter), OPERATIONS)?);
        }
        let channel = (spec.orderer.consensus, spec.channel.name.as_str());
        Ok(channel::await_leader(step, &operations, channel, &addresses).await?)
    }
}
