//! The consortium's policy: proposed, approved by its members, in force.

use caretrail_model::calls::{ApprovePolicy, GetPolicy, PolicyApproval, ProposePolicy, ProposedPolicy};
use caretrail_model::code::Code;
use caretrail_model::ids::MspId;
use caretrail_model::json::from_one_shape;
use caretrail_model::policy::ConsortiumPolicy;
use hlf_chaincode::Failure;
use serde::Deserialize;

use super::Handle;
use crate::failure::{refuse, require};
use crate::invocation::Invocation;
use crate::keys;
use crate::policy::ENGINES;
use crate::stored::{Approval, PolicyInForce, ProposedText};

impl Handle for ProposePolicy {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<ProposedPolicy, Failure> {
        let policy = parse(&self.policy)?;
        require(invocation.is_named_by(&policy), Code::PolicyForeign)?;
        let digest = ConsortiumPolicy::digest_of_text(&self.policy);

        let mut reading = invocation.reading()?;
        let proposed = reading.add(keys::proposed_policy(&digest)?);
        let (in_force, mut facts) = reading.fetch_unconstituted().await?;
        let already_proposed = facts.take(proposed)?.is_some();
        let at = facts.effective();
        let in_force = in_force.map(|in_force| in_force.policy);
        let electorate = in_force.as_ref().unwrap_or(&policy);
        require(electorate.is_member(invocation.msp_id()), Code::NotAMember)?;
        require(follows(&policy, in_force.as_ref()), Code::PolicySequence)?;

        if !already_proposed {
            let text = ProposedText { policy: self.policy, by: invocation.actor.clone(), at };
            invocation.put(keys::proposed_policy(&digest)?, &text)?;
        }
        Ok(ProposedPolicy { digest })
    }
}

impl Handle for ApprovePolicy {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<PolicyApproval, Failure> {
        let mut reading = invocation.reading()?;
        let proposed = reading.add(keys::proposed_policy(&self.digest)?);
        let (in_force, mut facts) = reading.fetch_unconstituted().await?;
        let proposed = facts.take(proposed)?.ok_or_else(|| refuse(Code::PolicyUnknown))?;
        let policy = parse(&proposed.policy)?;
        require(invocation.is_named_by(&policy), Code::PolicyForeign)?;
        let in_force = in_force.map(|in_force| in_force.policy);
        require(follows(&policy, in_force.as_ref()), Code::PolicySequence)?;
        let electorate: Vec<MspId> =
            in_force.as_ref().unwrap_or(&policy).members.iter().map(|member| member.msp_id.clone()).collect();
        require(electorate.contains(invocation.msp_id()), Code::NotAMember)?;

        // Whose approvals to read follows from the first read.
        let mut reading = invocation.reading()?;
        let mut slots = Vec::with_capacity(electorate.len());
        for msp_id in &electorate {
            slots.push((msp_id, reading.add(keys::policy_approval(&self.digest, msp_id)?)));
        }
        let (_, mut approvals) = reading.fetch_unconstituted().await?;
        let (mut approved, mut missing) = (Vec::new(), Vec::new());
        for (msp_id, slot) in slots {
            let given = approvals.take(slot)?.is_some() || msp_id == invocation.msp_id();
            if given { &mut approved } else { &mut missing }.push(msp_id.clone());
        }
        let at = approvals.effective().max(facts.effective());

        let complete = match &in_force {
            None => missing.is_empty(),
            Some(_) => approved.len() * 2 > electorate.len(),
        };
        let approval = Approval { by: invocation.actor.clone(), at };
        invocation.put(keys::policy_approval(&self.digest, invocation.msp_id())?, &approval)?;
        if complete {
            let sequence = policy.sequence;
            let in_force = PolicyInForce { policy, at };
            invocation.put(keys::policy()?, &in_force)?;
            invocation.put(keys::policy_of_sequence(sequence)?, &in_force)?;
        }
        Ok(PolicyApproval { in_force: complete, approved, missing })
    }
}

impl Handle for GetPolicy {
    async fn handle(self, invocation: &Invocation<'_>) -> Result<ConsortiumPolicy, Failure> {
        let (policy, _) = invocation.reading()?.fetch().await?;
        Ok(policy)
    }
}

/// What is read of a policy of any age.
#[derive(Deserialize)]
struct Epoch {
    epoch: u32,
}

fn parse(text: &str) -> Result<ConsortiumPolicy, Failure> {
    // A policy for a newer engine may say what this build cannot read; that it is to be upgraded, it can tell.
    let newer = |named: &Epoch| ENGINES.iter().all(|engine| *engine < named.epoch);
    require(!serde_json::from_str(text).is_ok_and(|named| newer(&named)), Code::EngineUnknown)?;
    let invalid = |error: String| refuse(Code::PolicyInvalid).caused_by(error);
    let policy: ConsortiumPolicy = from_one_shape(text).map_err(|error| invalid(error.to_string()))?;
    policy.validate().map_err(|error| invalid(error.to_string()))?;
    Ok(policy)
}

/// Whether a policy is the next; the epoch never goes back, since older engines cannot read what newer ones wrote.
fn follows(policy: &ConsortiumPolicy, in_force: Option<&ConsortiumPolicy>) -> bool {
    policy.sequence == in_force.map_or(0, |policy| policy.sequence) + 1
        && in_force.is_none_or(|in_force| policy.epoch >= in_force.epoch)
}
