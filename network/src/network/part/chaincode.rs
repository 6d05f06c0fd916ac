//! The chaincode, as far as one organisation brings it onto the channel: its own service, its own peers, its own
//! approval, and the commit when enough have approved.

use std::time::Duration;

use super::super::package_file;
use super::super::up::{Stand, UpError};
use super::{Awaited, PartError};
use crate::commands::typed;
use crate::files;
use crate::lifecycle::{Definition, LifecycleError, Member, Terms};
use crate::package::Package;
use crate::ports::Ports;
use crate::progress::Step;
use crate::spec::Endorsement;
use crate::wait::{self, Look};

/// How long a definition that somebody else committed may take to reach the own peer.
const COMMIT_LIMIT: Duration = Duration::from_secs(20);

impl Stand<'_> {
    /// Returns the own package, and what is awaited from others.
    pub(super) async fn deploy_part(
        &self,
        ports: &Ports,
        member: &Member,
    ) -> Result<(Option<Vec<Package>>, Vec<Awaited>), PartError> {
        let network = self.network;
        let spec = &network.spec;
        let (Some(chaincode), Some(program)) = (&spec.chaincode, &self.options.chaincode) else {
            self.skipped("chaincode", "the network has none");
            return Ok((None, Vec::new()));
        };
        let terms = Terms::of(chaincode, &spec.organizations);
        let definition = Definition { channel: &spec.channel.name, chaincode, terms };
        let committed = definition.demand_next(member).await.map_err(UpError::from)?;
        let mut packages = Vec::new();
        for own in network.own_organizations() {
            let package = Package::of_service(chaincode.label_of(&own.name)).map_err(UpError::Package)?;
            files::replace(&package_file(&network.layout, package.label()), files::PUBLIC, package.bytes())?;
            packages.push(package);
        }
        let upgraded = committed > 0 && committed != i64::from(chaincode.sequence);
        let served = self.serve(ports, &packages, program, upgraded).await?;
        let members = std::slice::from_ref(member);
        self.install(members, &packages).await?;
        self.aim(&packages, &served).map_err(UpError::from)?;
        let Some(package) = packages.first() else { return Ok((None, Vec::new())) };
        let awaited = match self.agree(&definition, member, &package.id(), committed).await {
            Ok(awaited) => awaited,
            // Whatever is not there in time is others' to do: orderers without a leader, peers that are down.
            Err(LifecycleError::Wait(error)) => vec![Awaited::new(
                "the others",
                error.to_string(),
                format!("see which of their nodes are down; then run {} again", typed("up")),
            )],
            Err(error) => return Err(UpError::from(error).into()),
        };
        // Until it is in force the service of before is asked.
        let in_force = definition.committed_sequence(member).await.map_err(UpError::from)?;
        if in_force == i64::from(chaincode.sequence) {
            self.hand_over(members, &definition, &served).await?;
        }
        Ok((Some(packages), awaited))
    }

    async fn agree(
        &self,
        definition: &Definition<'_>,
        member: &Member,
        package_id: &str,
        committed: i64,
    ) -> Result<Vec<Awaited>, LifecycleError> {
        let chaincode = definition.chaincode;
        let (name, sequence) = (&chaincode.name, chaincode.sequence);
        let step = Step::begin(self.progress, format!("chaincode `{name}` on the channel"));
        definition.approve(&step, member, package_id).await?;
        let wanted = i64::from(sequence);
        // Another organisation may have committed it since.
        if committed != wanted && definition.committed_sequence(member).await? != wanted {
            let approvals = definition.approvals(member).await?;
            let (ready, missing): (Vec<_>, Vec<_>) = approvals.iter().partition(|(_, approved)| **approved);
            let ready: Vec<String> = ready.into_iter().map(|(msp_id, _)| msp_id.clone()).collect();
            let needed = match self.network.spec.channel.endorsement {
                Endorsement::Any => 1,
                Endorsement::Majority => approvals.len() / 2 + 1,
                Endorsement::All => approvals.len(),
            };
            if ready.len() < needed {
                step.done(&format!(
                    "sequence {sequence} is approved by {}; {needed} of {} must",
                    ready.join(", "),
                    approvals.len()
                ));
                return Ok(missing
                    .into_iter()
                    .map(|(msp_id, _)| self.awaited_approval(msp_id, definition))
                    .collect());
            }
            self.commit_or_see(&step, definition, member, &ready).await?;
        }
        match definition.await_answer(&step, std::slice::from_ref(member)).await {
            Ok(()) => {
                step.done(&format!(
                    "sequence {sequence} is in force, and it answers through the own gateway"
                ));
                Ok(Vec::new())
            }
            Err(LifecycleError::Wait(error)) => {
                step.done(&format!(
                    "sequence {sequence} is in force, and too few organisations' peers answer"
                ));
                let fix = format!(
                    "they run {}, and every own peer must reach theirs; then run it here again",
                    typed("up")
                );
                Ok(vec![Awaited::new("the others", format!("enough endorsements: {error}"), fix)])
            }
            Err(error) => Err(error),
        }
    }

    /// Commits, or sees that somebody else did meanwhile.
    async fn commit_or_see(
        &self,
        step: &Step<'_>,
        definition: &Definition<'_>,
        member: &Member,
        ready: &[String],
    ) -> Result<(), LifecycleError> {
        let wanted = i64::from(definition.chaincode.sequence);
        let refused = match definition.commit_as(step, member, ready).await {
            Err(error @ LifecycleError::Transaction { .. }) => error,
            other => return other,
        };
        let seen = wait::until(step, "another organisation's commit to arrive", COMMIT_LIMIT, || async {
            Ok::<_, LifecycleError>(match definition.committed_sequence(member).await? {
                sequence if sequence == wanted => Look::Holds(()),
                sequence => Look::NotYet(format!("sequence {sequence} is in force")),
            })
        });
        seen.await.map_err(|_| refused)
    }

    fn awaited_approval(&self, msp_id: &str, definition: &Definition<'_>) -> Awaited {
        let spec = &self.network.spec;
        let name = spec.organization(msp_id).map_or(msp_id, |known| known.name.as_str());
        let chaincode = definition.chaincode;
        let what =
            format!("{name}'s approval of chaincode `{}`, sequence {}", chaincode.name, chaincode.sequence);
        let fix = format!("they run {}, with the same `chaincode` in the consortium's document", typed("up"));
        Awaited::new(name, what, fix)
    }
}
