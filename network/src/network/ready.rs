//! Whether a network can be used, by asking it to be used.

use std::time::Duration;

use hlf_gateway::{Deadlines, EvaluateError, Gateway};
use serde::Serialize;

use super::Network;
use super::vitals::{OrdererVitals, Vitals};
use crate::lifecycle::METADATA;
use crate::ports::{PortError, Ports};
use crate::progress::{Progress, Step};
use crate::spec::Organization;
use crate::wait::{self, Look, WaitError};

/// How long a gateway may take to answer a test evaluation.
const EVALUATE_LIMIT: Duration = Duration::from_secs(10);

/// Something that is not as it has to be yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unmet {
    /// Whom it concerns: a node, a service or an organisation.
    pub node: String,
    /// What has to hold: `runs`, `answers`, `joined`, `level`, `leader`, `membership`, `chaincode`, `evaluates`.
    pub condition: &'static str,
    /// What was seen instead.
    pub seen: String,
}

/// Whether a network is ready, and what is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Readiness {
    /// Whether nothing is missing.
    pub ready: bool,
    /// What is.
    pub unmet: Vec<Unmet>,
}

/// Why it is not known whether a network is ready, or it did not become so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadyError {
    /// The file of ports is damaged.
    #[error("the network's ports cannot be read")]
    Port(#[from] PortError),
    /// It did not become ready in time.
    #[error("the network is not ready")]
    Wait(#[from] WaitError),
}

impl Network {
    /// Asks every process, and the chaincode through every peer and every organisation's gateway.
    ///
    /// Ready is a network whose processes run and answer, whose nodes have joined the channel and have the same number
    /// of blocks, whose ordering service has a leader, whose peers know each other, and whose chaincode answers.
    ///
    /// # Errors
    /// [`ReadyError::Port`] when the file of ports is damaged.
    pub async fn readiness(&self) -> Result<Readiness, ReadyError> {
        let ports = self.ports()?;
        let vitals = Vitals::of(self, &ports).await;
        let mut unmet = Vec::new();
        let mut add = |node: &str, condition, seen: String| {
            unmet.push(Unmet { node: node.to_owned(), condition, seen });
        };
        let highest = vitals.height().unwrap_or_default();
        let level = |height: u64| format!("it has {height} blocks of {highest}");
        for orderer in &vitals.orderers {
            let host = orderer.host.as_str();
            match (&orderer.channel, orderer.participation()) {
                (None, _) => add(host, "runs", "it does not run".to_owned()),
                (Some(Err(error)), _) => add(host, "answers", error.clone()),
                (_, None) => add(host, "joined", "it has not joined the channel".to_owned()),
                (_, Some(channel)) if channel.status != "active" => {
                    add(host, "joined", format!("its channel is `{}`", channel.status));
                }
                (_, Some(channel)) if channel.height < highest => add(host, "level", level(channel.height)),
                _ => {}
            }
        }
        if let Some(first) = vitals.unordered() {
            let cause = first.height.as_ref().err().map_or("", String::as_str);
            add(&self.spec.orderer.domain, "answers", format!("no ordering node is reached: {cause}"));
        }
        // Who holds no orderer hears of a leader by the others' answers alone.
        if !vitals.orderers.is_empty() && !vitals.orderers.iter().any(OrdererVitals::has_leader) {
            add(&self.spec.orderer.domain, "leader", "no orderer says that it leads".to_owned());
        }
        let others = u64::try_from(vitals.peers.len().saturating_sub(1)).unwrap_or(u64::MAX);
        for peer in &vitals.peers {
            let host = peer.host.as_str();
            let answers = match &peer.answers {
                None => {
                    add(host, "runs", "it does not run".to_owned());
                    continue;
                }
                Some(Err(error)) => {
                    add(host, "answers", error.clone());
                    continue;
                }
                Some(Ok(answers)) => answers,
            };
            match answers.height {
                None => add(host, "joined", "it has not joined the channel".to_owned()),
                Some(height) if height < highest => add(host, "level", level(height)),
                Some(_) => {}
            }
            match (peer.known_peers, &peer.operations) {
                (Some(known), _) if known >= others => {}
                (Some(known), _) => add(host, "membership", format!("it knows {known} peers of {others}")),
                (None, Some(Err(error))) => add(host, "membership", error.clone()),
                (None, _) => add(host, "membership", "it does not say whom it knows".to_owned()),
            }
            match &answers.chaincode {
                Some(Err(error)) => add(host, "chaincode", error.clone()),
                None if self.spec.chaincode.is_some() => {
                    add(host, "chaincode", "it is not on the channel".to_owned());
                }
                _ => {}
            }
        }
        for service in vitals.services.iter().filter(|service| service.pid.is_none()) {
            add(&service.name, "runs", "it does not run".to_owned());
        }
        // Last, and only when the peers are as they have to be: a gateway needs all of it.
        if unmet.is_empty() {
            for organization in self.own_organizations() {
                if let Err(seen) = self.test_evaluation(organization, &ports).await {
                    let (node, condition) = (organization.name.clone(), "evaluates");
                    unmet.push(Unmet { node, condition, seen });
                }
            }
        }
        Ok(Readiness { ready: unmet.is_empty(), unmet })
    }

    /// Waits until the network is ready, and says what it waits for.
    ///
    /// # Errors
    /// [`ReadyError::Wait`] with what was still missing.
    pub async fn await_ready(&self, limit: Duration, progress: &dyn Progress) -> Result<(), ReadyError> {
        let step = Step::begin(progress, "readiness");
        wait::until(&step, "the network to be ready", limit, || async {
            let readiness = self.readiness().await?;
            Ok::<_, ReadyError>(match readiness.unmet.first() {
                None => Look::Holds(()),
                Some(first) => {
                    let more = match readiness.unmet.len().saturating_sub(1) {
                        0 => String::new(),
                        more => format!(", and {more} more"),
                    };
                    let last = format!("`{}` {}: {}{more}", first.node, first.condition, first.seen);
                    step.waiting(&last);
                    Look::NotYet(last)
                }
            })
        })
        .await?;
        step.done("processes, heights, membership, chaincode and every gateway's answer");
        Ok(())
    }

    /// Evaluates a call through an organisation's gateway, which answers or refuses it.
    async fn test_evaluation(&self, organization: &Organization, ports: &Ports) -> Result<(), String> {
        let Some(chaincode) = &self.spec.chaincode else { return Ok(()) };
        let Some(peer) = organization.peers.first() else { return Ok(()) };
        let told = |error: &dyn std::error::Error| wait::chain(error);
        let endpoint =
            self.peer_endpoint(organization, &organization.host(peer), ports).map_err(|e| told(&e))?;
        let credentials = self.admin(organization).map_err(|e| told(&e))?.into_credentials();
        let deadlines = Deadlines { evaluate: EVALUATE_LIMIT, ..Deadlines::default() };
        let gateway = Gateway::connect(&endpoint, credentials, deadlines).await.map_err(|e| told(&e))?;
        let contract = gateway.contract(&self.spec.channel.name, &chaincode.name);
        let proposal = contract.proposal(METADATA).build().map_err(|e| told(&e))?;
        match proposal.evaluate().await {
            Ok(_) => Ok(()),
            Err(error) if refused_by_chaincode(&error) => Ok(()),
            Err(error) => Err(told(&error)),
        }
    }
}

/// Whether the chaincode itself answered, if only to say that it has no such call.
fn refused_by_chaincode(error: &EvaluateError) -> bool {
    error
        .chaincode_response()
        .is_some_and(|response| !super::vitals::NOT_RUN.iter().any(|words| response.message.contains(words)))
}
