//! Which of its own staff a hospital authorises.

use caretrail_model::calls::{AuthorizePractitioner, GetStanding, SuspendPractitioner};
use caretrail_model::code::Code;
use caretrail_model::ids::Actor;
use caretrail_model::standing::Standing;
use hlf_chaincode::Failure;

use super::Handle;
use crate::failure::{refuse, require};
use crate::invocation::Invocation;
use crate::keys;

impl Handle for AuthorizePractitioner {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Standing, Failure> {
        require(
            !self.purposes.is_empty() && self.purposes.is_sorted_by(|a, b| a < b),
            Code::ArgumentOutOfBounds,
        )?;
        let actor = Actor { msp_id: invocation.msp_id().clone(), subject: self.subject };
        let mut reading = invocation.reading()?;
        let standing = reading.add(keys::standing(&actor)?);
        let (policy, mut facts) = reading.fetch().await?;
        let before = facts.take(standing)?;
        let at = facts.effective();
        require(
            at < self.until && self.until <= at.plus(policy.durations.standing_ms_max),
            Code::StandingPeriod,
        )?;
        let standing = Standing {
            sequence: before.map_or(0, |standing| standing.sequence) + 1,
            role: self.role,
            purposes: self.purposes,
            until: self.until,
            suspended: false,
            by: invocation.actor.clone(),
            at,
        };
        keep(invocation, &actor, standing)
    }
}

impl Handle for SuspendPractitioner {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Standing, Failure> {
        let actor = Actor { msp_id: invocation.msp_id().clone(), subject: self.subject };
        let mut reading = invocation.reading()?;
        let standing = reading.add(keys::standing(&actor)?);
        let (_, mut facts) = reading.fetch().await?;
        let before = facts.take(standing)?.ok_or_else(|| refuse(Code::StandingUnknown))?;
        let standing = Standing {
            sequence: before.sequence + 1,
            suspended: true,
            by: invocation.actor.clone(),
            at: facts.effective(),
            ..before
        };
        keep(invocation, &actor, standing)
    }
}

impl Handle for GetStanding {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<Standing, Failure> {
        let mut reading = invocation.reading()?;
        let standing = reading.add(keys::standing(&self.actor)?);
        let (_, mut facts) = reading.fetch().await?;
        facts.take(standing)?.ok_or_else(|| refuse(Code::StandingUnknown))
    }
}

/// Writes a standing, and the copy of its sequence number that decisions can be replayed from.
fn keep(invocation: &Invocation<'_>, actor: &Actor, standing: Standing) -> Result<Standing, Failure> {
    invocation.put(keys::standing(actor)?, &standing)?;
    invocation.put(keys::standing_of_sequence(actor, standing.sequence)?, &standing)?;
    Ok(standing)
}
