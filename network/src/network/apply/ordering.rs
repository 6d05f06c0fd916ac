//! Nodes of the ordering service that come and go, one at a time.

use std::time::Duration;

use super::{StepError, Work, set_aside};
use crate::change::{ConsenterCertificates, ConsenterEdit, Edit, NewConsenter};
use crate::files;
use crate::network::up::{START_LIMIT, UpError};
use crate::network::{ChangeError, Network};
use crate::node::{self, ADMIN};
use crate::operations::{Operations, Participation};
use crate::orderer;
use crate::ports::Ports;
use crate::progress::Step;
use crate::wait::{self, Look};

/// How long a node may take to fetch the ledger, or to hear that it is a consenter now: followers look for news every
/// ten seconds when there are none.
const TAKE_PART_LIMIT: Duration = Duration::from_secs(120);

impl Work<'_> {
    /// A new node fetches the ledger first, as a follower, so that it never counts towards a quorum before it can.
    pub(super) async fn add_consenter(&self, consenter: &str) -> Result<(), StepError> {
        let spec = &self.after.spec;
        let channel = &spec.channel.name;
        let stand = self.stand();
        let ports = self.after.keep_ports(stand.wanted_ports()).map_err(UpError::from)?;
        stand.issue(&ports).await?;
        let host = spec.orderer.host(consenter);
        let service = orderer::prepare(&spec.orderer, consenter, &self.after.layout, &ports, &self.binaries)
            .map_err(UpError::from)?;
        let operations = self.after.orderer_operations().map_err(UpError::from)?;
        let admin = node::loopback(&ports, &host, ADMIN).map_err(UpError::from)?;

        let step = Step::begin(self.progress, format!("orderer `{host}` fetches the ledger"));
        self.after.supervisor.ensure(&service).await.map_err(UpError::from)?;
        wait::until(&step, "it to answer", START_LIMIT, || async {
            self.after.supervisor.demand_alive(&host).map_err(UpError::from)?;
            let asked = operations.participation(&admin, channel).await;
            Ok::<_, StepError>(match asked {
                Ok(_) => Look::Holds(()),
                Err(error) => Look::NotYet(wait::chain(&error)),
            })
        })
        .await?;
        // The newest configuration names orderers that are there; those of the first block may all be gone.
        let block = self.at.channel_config_block().await?;
        stand.join_by_newest(&operations, (&host, &admin), &ports, &block).await?;
        let height = self.height(&operations, &ports).await?;
        self.await_participation(&step, &operations, (&host, &admin), |node| node.height >= height).await?;
        step.done(&format!("{height} blocks"));

        self.await_level(self.at).await?;
        let new = self.definition(consenter, &ports)?;
        let address = format!("{}:{}", new.host, new.port);
        self.change(self.at, &format!("`{host}` becomes a consenter"), |present| {
            let known = present.consenters().map_err(ChangeError::from)?;
            let there = known.iter().any(|known| known.address() == address);
            let edit = Edit::Consenter(ConsenterEdit::Add(new.clone()));
            Ok(if there { Vec::new() } else { vec![edit] })
        })
        .await?;

        let step = Step::begin(self.progress, format!("orderer `{host}` takes part"));
        let height = self.height(&operations, &ports).await?;
        self.await_participation(&step, &operations, (&host, &admin), |node| {
            node.consensus_relation == "consenter" && node.status == "active" && node.height >= height
        })
        .await?;
        step.done("it is a consenter");
        Ok(())
    }

    /// A node leaves the channel's consenters, and then its process ends. It need not be alive.
    pub(super) async fn remove_consenter(&self, consenter: &str) -> Result<(), StepError> {
        let host = self.at.spec.orderer.host(consenter);
        let ports = self.at.ports().map_err(UpError::from)?;
        let address = node::public(&ports, &host).map_err(UpError::from)?;
        let address = format!("{}:{}", address.host, address.port);
        self.await_level(self.after).await?;
        self.change(self.after, &format!("`{host}` is a consenter no longer"), |present| {
            let known = present.consenters().map_err(ChangeError::from)?;
            let there = known.iter().any(|known| known.address() == address);
            let edit = Edit::Consenter(ConsenterEdit::Remove { address: address.clone() });
            Ok(if there { vec![edit] } else { Vec::new() })
        })
        .await?;
        // It may have led; nobody misses it once another does.
        self.stand().await_leader(&ports, self.after).await?;
        self.at.supervisor.stop(&host).await.map_err(UpError::from)?;
        // A node of the same name would otherwise take up its old number among the consenters.
        Ok(set_aside(&self.at.layout, &host)?)
    }

    /// Waits until every node of a network's ordering service has the blocks that one of them has: one that is behind
    /// would be missed when the next one is away.
    pub(in crate::network) async fn await_level(&self, network: &Network) -> Result<(), StepError> {
        if !network.holds_ordering() {
            // They are others', who see to it.
            return Ok(());
        }
        let step = Step::begin(self.progress, "the ordering service's nodes are level");
        let ports = network.ports().map_err(UpError::from)?;
        let operations = network.orderer_operations().map_err(UpError::from)?;
        let height = self.height(&operations, &ports).await?;
        for consenter in &network.spec.orderer.consenters {
            let host = network.spec.orderer.host(consenter);
            let admin = node::loopback(&ports, &host, ADMIN).map_err(UpError::from)?;
            if self.leaving.contains(&host)
                && !matches!(operations.participation(&admin, &network.spec.channel.name).await, Ok(Some(_)))
            {
                // It has lost its ledger, or lives no longer, and will never be level.
                continue;
            }
            self.await_participation(&step, &operations, (&host, &admin), |node| node.height >= height)
                .await?;
        }
        step.done(&format!("each has {height} blocks"));
        Ok(())
    }

    /// What the channel must know of a node.
    fn definition(&self, consenter: &str, ports: &Ports) -> Result<NewConsenter, StepError> {
        let service = &self.after.spec.orderer;
        let host = service.host(consenter);
        let home = orderer::folder(&self.after.layout, service, &host);
        let certificate = files::read(&home.join("tls/server.crt"))?.into_bytes();
        let identity = files::read(&home.join(format!("msp/signcerts/{host}-cert.pem")))?;
        let address = node::public(ports, &host).map_err(UpError::from)?;
        Ok(NewConsenter {
            host: address.host,
            port: address.port,
            msp_id: service.msp_id.clone(),
            certificates: ConsenterCertificates { server: certificate.clone(), client: certificate },
            identity_pem: Some(identity.into_bytes()),
        })
    }

    /// The most blocks that one of the nodes before the change has.
    async fn height(&self, operations: &Operations, ports: &Ports) -> Result<u64, StepError> {
        let spec = &self.at.spec;
        let mut highest = 0;
        for consenter in &spec.orderer.consenters {
            let admin = node::loopback(ports, &spec.orderer.host(consenter), ADMIN).map_err(UpError::from)?;
            if let Ok(Some(node)) = operations.participation(&admin, &spec.channel.name).await {
                highest = highest.max(node.height);
            }
        }
        Ok(highest)
    }

    async fn await_participation(
        &self,
        step: &Step<'_>,
        operations: &Operations,
        (host, admin): (&str, &str),
        holds: impl Fn(&Participation) -> bool,
    ) -> Result<(), StepError> {
        let channel = &self.after.spec.channel.name;
        wait::until(step, &format!("`{host}` to be level with the others"), TAKE_PART_LIMIT, || async {
            self.after.supervisor.demand_alive(host).map_err(UpError::from)?;
            Ok(match operations.participation(admin, channel).await {
                Ok(Some(node)) if holds(&node) => Look::Holds(()),
                Ok(node) => Look::NotYet(format!("{node:?}")),
                Err(error) => Look::NotYet(wait::chain(&error)),
            })
        })
        .await
    }
}
