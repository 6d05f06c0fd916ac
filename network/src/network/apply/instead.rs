//! An interrupted apply that is given up for another one.

use super::plan::{Plan, PlanError};
use super::{ApplyError, StepError, base, set_aside};
use crate::change::Consenter;
use crate::network::up::UpError;
use crate::network::{ChangeError, Network, chaincode_service};
use crate::node;
use crate::progress::{Progress, Step};
use crate::spec::Consortium;

/// The steps to a spec; what a given-up one may have changed of the channel's rules is written anew.
pub(super) fn plan(
    made: &Consortium,
    given_up: Option<&Consortium>,
    target: &Consortium,
) -> Result<Plan, PlanError> {
    let mut from = made.clone();
    if let Some(given_up) = given_up {
        from.channel.batch_timeout_ms = given_up.channel.batch_timeout_ms;
        from.channel.max_message_count = given_up.channel.max_message_count;
        from.channel.endorsement = given_up.channel.endorsement;
    }
    Plan::between(&from, target)
}

impl Network {
    /// Demands that nothing of a given-up apply is in force that neither this network nor the new target has, and ends
    /// what it started.
    pub(super) async fn give_up(
        &self,
        given_up: Consortium,
        target: &Consortium,
        progress: &dyn Progress,
    ) -> Result<(), ApplyError> {
        let step = Step::begin(progress, "give up what is half done");
        let left = self.with_spec(given_up);
        let present = self.channel_config().await.map_err(|error| base(error.into()))?;
        let read = |error| base(ChangeError::from(error).into());
        let mut channel = present.organizations().map_err(read)?;
        channel.extend(present.consenters().map_err(read)?.iter().map(Consenter::address));
        let (before, after) = (left.named(&self.spec)?, left.named(target)?);
        if let Some(name) = in_force(&channel, (&before, &left.named(&left.spec)?), &after) {
            return Err(PlanError::InForce(name).into());
        }
        let of = |spec: &Consortium| hosts(spec);
        let kept = [of(&self.spec), of(target)].concat();
        let mut ended = 0_usize;
        for host in of(&left.spec).into_iter().filter(|host| !kept.contains(host)) {
            let stopped = self.supervisor.stop(&host).await;
            ended = ended.saturating_add(usize::from(
                stopped.map_err(|error| base(StepError::Up(UpError::from(error))))?,
            ));
            // A node of the same name would otherwise take up what this one had.
            if left.spec.orderer.consenters.iter().any(|name| left.spec.orderer.host(name) == host) {
                set_aside(&self.layout, &host).map_err(|error| base(error.into()))?;
            }
        }
        step.done(&format!("{ended} processes of it ended"));
        Ok(())
    }

    /// A spec's members and ordering nodes, as the channel knows them.
    fn named(&self, spec: &Consortium) -> Result<Vec<String>, ApplyError> {
        let ports =
            self.with_spec(spec.clone()).ports().map_err(|error| base(UpError::from(error).into()))?;
        let mut names: Vec<String> = spec.organizations.iter().map(|member| member.msp_id.clone()).collect();
        // One that never got a port was never proposed.
        let hosts = spec.orderer.consenters.iter().map(|name| spec.orderer.host(name));
        names.extend(hosts.filter_map(|host| Some(node::public(&ports, &host).ok()?.to_string())));
        Ok(names)
    }
}

/// Whom the interrupted step of a given-up apply brought onto the channel, or took from it, against the new target.
fn in_force(
    channel: &[String],
    (made, given_up): (&[String], &[String]),
    target: &[String],
) -> Option<String> {
    let came = given_up.iter().filter(|name| !made.contains(name));
    let came = came.filter(|name| channel.contains(name) && !target.contains(name));
    let went = made.iter().filter(|name| !given_up.contains(name));
    let went = went.filter(|name| !channel.contains(name) && target.contains(name));
    came.map(|name| format!("`{name}` is in it"))
        .chain(went.map(|name| format!("`{name}` is in it no longer")))
        .next()
}

/// Every process that a spec names.
fn hosts(spec: &Consortium) -> Vec<String> {
    let mut hosts: Vec<String> = spec.orderer.consenters.iter().map(|name| spec.orderer.host(name)).collect();
    for member in &spec.organizations {
        hosts.extend(member.peers.iter().map(|peer| member.host(peer)));
        hosts.push(chaincode_service(member));
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::claim;
    use crate::spec::DEFAULT;

    fn spec() -> Consortium {
        Consortium::parse(DEFAULT).unwrap()
    }

    #[test]
    fn an_apply_that_cannot_succeed_is_given_up_by_an_option_that_is_named() {
        let home = tempfile::tempdir().unwrap();
        let network = Network::new(home.path(), spec()).unwrap();
        claim::claim(&network.layout, &spec()).unwrap();
        let (mut vain, mut other) = (spec(), spec());
        vain.set_organizations(&["north", "south", "east"]).unwrap();
        vain.channel.max_message_count = 7;
        other.organizations[0].peers.push("peer1".to_owned());
        claim::begin(&network.layout, &spec(), &vain).unwrap();

        let refused = network.plan(Some(&other)).unwrap_err();
        assert!(matches!(&refused, ApplyError::Plan(PlanError::Unfinished)));
        let told = std::error::Error::source(&refused).unwrap().to_string();
        assert!(told.contains("--instead"), "{told}");
        let words = |target: &Consortium| -> Vec<String> {
            let plan = network.plan_instead(target).unwrap();
            plan.changes.iter().map(|planned| planned.change.to_string()).collect()
        };
        // Blocks may have been changed already.
        let blocks = "a block waits 200 ms at most, and holds 500 transactions";
        assert_eq!(words(&other), [blocks, "`north` gets the peer `peer1`"]);
        assert_eq!(words(&spec()), [blocks]);

        let upgraded = Consortium::parse(&DEFAULT.replacen("3.1.1", "3.1.2", 1)).unwrap();
        claim::begin(&network.layout, &spec(), &upgraded).unwrap();
        let refused = network.plan_instead(&other).unwrap_err();
        assert!(matches!(refused, ApplyError::Plan(PlanError::Upgrading(_))), "{refused:?}");
    }

    #[test]
    fn what_is_in_force_already_is_not_given_up() {
        let list = |names: &str| -> Vec<String> { names.split(' ').map(str::to_owned).collect() };
        for (channel, given_up, target, expected) in [
            ("North South", "North South East", "North South", None),
            ("North South East", "North South East", "North South", Some("`East` is in it")),
            ("North South East", "North South East", "North East", None),
            ("North South", "North", "North South", None),
            ("North", "North", "North South", Some("`South` is in it no longer")),
            ("North", "North", "North", None),
        ] {
            let found = in_force(&list(channel), (&list("North South"), &list(given_up)), &list(target));
            assert_eq!(found.as_deref(), expected, "{channel}; {given_up}; {target}");
        }
    }
}
