//! Standing up one's own part, as far as the others have done theirs.

use hlf_gateway::{Credentials, Endpoint};

use super::super::apply::set_aside;
use super::super::joining;
use super::super::up::{Options, Stand, UpError};
use super::super::{ChangeError, Network};
use super::{Awaited, PartError, PartStanding};
use crate::change::{ChannelConfig, Consenter};
use crate::channel;
use crate::commands::typed;
use crate::files;
use crate::genesis;
use crate::layout::Layout;
use crate::lifecycle::Member;
use crate::node;
use crate::ordered::{self, Newest, OrderedError};
use crate::orderer;
use crate::ports::Ports;
use crate::progress::{Progress, Step};
use crate::wait;

impl Network {
    /// Stands up the organisation's own part: keys, nodes, channel, chaincode, as far as the others' steps allow.
    ///
    /// What is awaited from others is an answer, not an error; run again, it goes on from there.
    ///
    /// # Errors
    /// [`PartError`] names the step that failed here.
    pub async fn up_part(
        &self,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<PartStanding, PartError> {
        let (_lock, part) = self.take_up()?;
        let binaries = options.binaries.find(progress).await.map_err(UpError::from)?;
        genesis::demand_consensus(&self.spec, &binaries).map_err(UpError::from)?;
        let stand = Stand { network: self, options, progress, binaries };
        let ports = stand.prepare().await?;
        let description = self.own_description(part, &ports)?.digest();
        let waiting_for = stand.settle_part(&ports).await?;
        Ok(PartStanding {
            organization: part.organization.clone(),
            description,
            first_block: self.first_block_here()?,
            complete: waiting_for.is_empty(),
            waiting_for,
        })
    }

    /// The ordering service's nodes, as own clients reach them.
    pub(in crate::network) fn orderer_endpoints(&self) -> Result<Vec<Endpoint>, ChangeError> {
        let ports = self.ports()?;
        let roots = files::read(&self.orderer_tls_ca())?;
        let orderer = &self.spec.orderer;
        let all = orderer.consenters.iter().map(|consenter| {
            let address = node::public(&ports, &orderer.host(consenter))?;
            Ok(Endpoint::tls(address.to_string(), roots.clone()))
        });
        all.collect()
    }

    /// The channel as an orderer has it.
    pub(in crate::network) async fn ordered(&self) -> Result<Newest, ChangeError> {
        let credentials = self.reader_credentials()?;
        Ok(ordered::newest(&self.orderer_endpoints()?, &credentials, &self.spec.channel.name).await?)
    }

    /// The identity that reads the channel from orderers.
    pub(in crate::network) fn reader_credentials(&self) -> Result<Credentials, ChangeError> {
        Ok(match self.own_organizations().next() {
            Some(own) => self.admin_credentials(own)?,
            None => self.orderer_credentials()?,
        })
    }
}

impl Stand<'_> {
    /// Goes as far as it can, and says what is awaited.
    pub(in crate::network) async fn settle_part(&self, ports: &Ports) -> Result<Vec<Awaited>, PartError> {
        let network = self.network;
        let missing = network.undescribed()?;
        if !missing.is_empty() {
            return Ok(missing.iter().map(|name| awaited_description(name)).collect());
        }
        let channel = &network.spec.channel.name;
        if network.first_block_here()?.is_none() {
            let fix = format!(
                "when everybody has imported every description, one organisation makes it ({}) and gives the file to the \
                 others; then {} it",
                typed("genesis"),
                typed("import")
            );
            return Ok(vec![Awaited::new(
                "one organisation",
                format!("the first block of `{channel}`"),
                fix,
            )]);
        }
        genesis::demand_new_enough(&network.layout, self.binaries.version()).map_err(UpError::from)?;
        if !network.is_in_first_block()?
            && let Some(awaited) = self.await_membership().await?
        {
            return Ok(vec![awaited]);
        }
        self.network.demand_no_obstacle().map_err(UpError::from)?;
        let members = self.start_nodes(ports).await?;
        let lost = self.join(ports, &members).await?;
        let Some(member) = members.first() else {
            // The ordering organisation has no peers: nothing else is its own.
            let awaited = self.retire_orderers(ports).await?;
            joining::demand_none(&lost).map_err(UpError::from)?;
            return Ok(awaited.into_iter().collect());
        };
        if let Some(awaited) = network.undescribed_orderer()? {
            self.write_profiles(None)?;
            return Ok(vec![awaited]);
        }
        if let Some(awaited) = self.look_for_orderers(member).await? {
            self.write_profiles(None)?;
            return Ok(vec![awaited]);
        }
        let (packages, waiting_for) = self.deploy_part(ports, member).await?;
        self.write_profiles(packages.as_deref())?;
        Ok(waiting_for)
    }

    /// Of an organisation that comes to a channel that runs: whether the members have let it in. Peers that joined
    /// before would be refused by the orderers, and ask more and more seldom.
    async fn await_membership(&self) -> Result<Option<Awaited>, PartError> {
        let network = self.network;
        let channel = &network.spec.channel.name;
        let own = network.own_msp_id();
        let step = Step::begin(self.progress, format!("membership of channel `{channel}`"));
        let stranger = || {
            let what = format!("that they let `{own}` into channel `{channel}`");
            let fix = format!(
                "give them your description; one of them proposes it ({}), as many as the channel's policy asks for sign, \
                 and one submits",
                typed("change propose PROPOSAL --title TEXT --add-organization FILE")
            );
            Some(Awaited::new("the members", what, fix))
        };
        match network.ordered().await {
            Ok(newest) => {
                let config = ChannelConfig::of_block(&newest.config).map_err(ChangeError::from)?;
                let member =
                    config.organizations().map_err(ChangeError::from)?.iter().any(|known| known == own);
                step.done(if member { "it is a member" } else { "it is no member yet" });
                Ok(if member { None } else { stranger() })
            }
            Err(ChangeError::Ordered(error)) if error.is_stranger() => {
                step.done("it is no member yet");
                Ok(stranger())
            }
            Err(ChangeError::Ordered(error)) => {
                step.done("the ordering service does not answer");
                Ok(Some(self.awaited_orderers(&error)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Chaincode is agreed on by transactions: somebody has to order them, and own peers have to know what was ordered
    /// before, or they take what others agreed on for still to be done.
    async fn look_for_orderers(&self, member: &Member) -> Result<Option<Awaited>, PartError> {
        let newest = match self.network.ordered().await {
            Ok(newest) => newest,
            Err(ChangeError::Ordered(error)) => return Ok(Some(self.awaited_orderers(&error))),
            Err(error) => return Err(error.into()),
        };
        let channel = self.network.spec.channel.name.as_str();
        let step = Step::begin(self.progress, format!("blocks of channel `{channel}`"));
        for (host, endorser) in &member.peers {
            let level = channel::await_height(&step, endorser, host, (channel, newest.height)).await;
            level.map_err(UpError::from)?;
        }
        step.done(&format!("own peers have all {}", newest.height));
        Ok(None)
    }

    /// Ends ordering nodes that the consortium's document names no longer, once the channel has let them go.
    async fn retire_orderers(&self, ports: &Ports) -> Result<Option<Awaited>, PartError> {
        let network = self.network;
        let service = &network.spec.orderer;
        let kept: Vec<String> = service.consenters.iter().map(|consenter| service.host(consenter)).collect();
        let gone = ordering_nodes_beside(&kept, network.supervisor.started(), &network.layout);
        if gone.is_empty() {
            return Ok(None);
        }
        let newest = match network.ordered().await {
            Ok(newest) => newest,
            Err(ChangeError::Ordered(error)) => return Ok(Some(self.awaited_orderers(&error))),
            Err(error) => return Err(error.into()),
        };
        let mut addresses = Vec::new();
        for host in &kept {
            addresses.push(node::public(ports, host).map_err(UpError::from)?.to_string());
        }
        let config = ChannelConfig::of_block(&newest.config).map_err(ChangeError::from)?;
        let consenters = config.consenters().map_err(ChangeError::from)?;
        let stays = consenters.iter().map(Consenter::address).find(|address| !addresses.contains(address));
        if let Some(address) = stays {
            let what = format!("that the channel lets {address} go, which the document names no longer");
            let fix = format!(
                "propose it ({}), sign and submit it; then run {} again",
                typed(&format!("change propose PROPOSAL --title TEXT --remove-orderer {address}")),
                typed("up")
            );
            return Ok(Some(Awaited::new(crate::spec::ORDERING, what, fix)));
        }
        for host in &gone {
            let step = Step::begin(self.progress, format!("`{host}` leaves"));
            network.supervisor.stop(host).await.map_err(UpError::from)?;
            // A node of the same name would otherwise take up its old number among the consenters.
            set_aside(&network.layout, host)?;
            step.done("stopped, and what it had is in `left`");
        }
        Ok(None)
    }

    fn awaited_orderers(&self, error: &OrderedError) -> Awaited {
        let nodes = self.network.orderer_endpoints().unwrap_or_default();
        let at: Vec<&str> = nodes.iter().map(Endpoint::address).collect();
        let what = format!("the ordering service to answer at {} ({})", at.join(", "), wait::chain(error));
        let fix = format!("they run {}; then run it here again", typed("up"));
        Awaited::new(crate::spec::ORDERING, what, fix)
    }
}

/// Of what was started here, the ordering nodes that are not among those to keep; further services are none.
fn ordering_nodes_beside(kept: &[String], mut started: Vec<String>, layout: &Layout) -> Vec<String> {
    started.retain(|name| !kept.contains(name) && layout.node(name).join(orderer::CONFIG).is_file());
    started
}

fn awaited_description(name: &str) -> Awaited {
    let fix = format!("ask them for `{name}.organization.json`, then {} it", typed("import"));
    Awaited::new(name, format!("{name}'s description"), fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ordering_nodes_are_let_go() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path().to_owned());
        for (name, file) in [("stays", orderer::CONFIG), ("goes", orderer::CONFIG), ("daemon", "daemon.toml")]
        {
            std::fs::create_dir_all(layout.node(name)).unwrap();
            std::fs::write(layout.node(name).join(file), "").unwrap();
        }
        let started = ["stays", "goes", "daemon", "nowhere"].map(str::to_owned).to_vec();
        assert_eq!(ordering_nodes_beside(&["stays".to_owned()], started, &layout), ["goes"]);
    }
}
