//! One call: who makes it, what it reads, and what it writes in one write set.

use std::marker::PhantomData;

use caretrail_model::audit::{Act, AuditEntry};
use caretrail_model::code::Code;
use caretrail_model::ids::{Actor, Digest, MspId, PatientId, TxId};
use caretrail_model::policy::{ConsortiumPolicy, Terms};
use caretrail_model::role::{ROLE_ATTRIBUTE, Role, SUBJECT_ATTRIBUTE};
use caretrail_model::time::UnixMs;
use hlf_chaincode::{Failure, Origin, Transaction};

use crate::epochs::Epochs;
use crate::failure::{refuse, require};
use crate::keys::{self, Key};
use crate::policy::ENGINES;
use crate::stored::{PolicyInForce, Stored, decode, encode};

/// A call under way.
#[derive(Debug)]
pub(crate) struct Invocation<'t> {
    pub(crate) tx: &'t Transaction,
    pub(crate) tx_id: TxId,
    pub(crate) actor: Actor,
    pub(crate) role: Role,
    certificate_digest: Digest,
    timestamp: UnixMs,
    epochs: &'t Epochs,
    since_epoch: u32,
}

impl<'t> Invocation<'t> {
    /// Identifies the caller: MSP and certificate of the proposal's creator, never an argument.
    pub(crate) fn open(tx: &'t Transaction, epochs: &'t Epochs, since_epoch: u32) -> Result<Self, Failure> {
        require(tx.origin() == Origin::Client, Code::NotCalledDirectly)?;
        let invalid = || refuse(Code::IdentityInvalid);
        let identity = tx.client_identity().map_err(|error| invalid().caused_by(error))?;
        let subject = identity.attribute(SUBJECT_ATTRIBUTE).ok_or_else(invalid)?;
        require(identity.common_name() == Some(subject), Code::IdentityInvalid)?;
        let role =
            identity.attribute(ROLE_ATTRIBUTE).and_then(|role| role.parse().ok()).ok_or_else(invalid)?;
        let actor = Actor {
            msp_id: identity.msp_id().parse().map_err(|_| invalid())?,
            subject: subject.parse().map_err(|_| invalid())?,
        };
        let timestamp = u64::try_from(tx.timestamp_unix_ms())
            .ok()
            .and_then(UnixMs::new)
            .ok_or_else(|| refuse(Code::TimestampOutsideWindow))?;
        Ok(Self {
            tx,
            tx_id: tx.id().parse().map_err(|_| refuse(Code::ArgumentInvalid))?,
            actor,
            role,
            certificate_digest: Digest::from_bytes(identity.certificate_sha256()),
            timestamp,
            epochs,
            since_epoch,
        })
    }

    /// The caller's hospital.
    pub(crate) fn msp_id(&self) -> &MspId {
        &self.actor.msp_id
    }

    /// Whether a policy is for the channel and chaincode that the signed proposal names.
    pub(crate) fn is_named_by(&self, policy: &ConsortiumPolicy) -> bool {
        policy.channel.as_str() == self.tx.channel()
            && policy.chaincode.as_str() == self.tx.invoked_chaincode()
    }

    /// Refuses roles that the call is not for.
    pub(crate) fn for_roles(&self, roles: &[Role]) -> Result<(), Failure> {
        require(roles.contains(&self.role), Code::RoleNotAllowed)
    }

    /// Starts the one read that the call makes, with the policy in force in it.
    pub(crate) fn reading(&self) -> Result<Reading<'_>, Failure> {
        let mut reading = Reading { invocation: self, keys: Vec::new(), newer: Vec::new() };
        reading.add(keys::policy()?);
        Ok(reading)
    }

    /// Writes `value` with the call's other writes.
    pub(crate) fn put<T: Stored>(&self, key: Key<T>, value: &T) -> Result<(), Failure> {
        Ok(self.tx.put(key.into_text(), encode(value)?)?)
    }

    /// Writes the audit entry, in the same write set as the act, and names it as the transaction's event.
    pub(crate) fn audit(
        &self,
        policy: &ConsortiumPolicy,
        patient: &PatientId,
        at: UnixMs,
        act: Act,
    ) -> Result<(), Failure> {
        let entry = AuditEntry {
            epoch: policy.epoch,
            tx_id: self.tx_id,
            patient: *patient,
            actor: self.actor.clone(),
            role: self.role,
            certificate_digest: self.certificate_digest,
            at,
            act,
        };
        let bytes = encode(&entry)?;
        self.tx.put(keys::audit(patient, &self.tx_id)?.into_text(), bytes)?;
        let kind = entry.act.kind();
        let told = encode(&if policy.epoch > 1 { entry.told() } else { entry })?;
        self.tx.set_event(kind, told.get(1..).unwrap_or_default())?;
        Ok(())
    }
}

/// What the second engine's policy says.
pub(crate) fn terms(policy: &ConsortiumPolicy) -> Result<&Terms, Failure> {
    policy.terms.as_ref().ok_or_else(|| refuse(Code::EpochTooOld))
}

/// The keys that one read fetches together.
#[derive(Debug)]
pub(crate) struct Reading<'i> {
    invocation: &'i Invocation<'i>,
    keys: Vec<String>,
    /// Keys that only engines after the first read.
    newer: Vec<String>,
}

/// Where a value of a [`Reading`] will be.
#[derive(Debug)]
pub(crate) struct Slot<T> {
    place: Place,
    holds: PhantomData<fn() -> T>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Always(usize),
    Newer(usize),
}

impl Reading<'_> {
    /// Adds a key.
    pub(crate) fn add<T: Stored>(&mut self, key: Key<T>) -> Slot<T> {
        self.keys.push(key.into_text());
        Slot { place: Place::Always(self.keys.len() - 1), holds: PhantomData }
    }

    /// Adds a key that is read from epoch 2 on only; before, it counts as absent.
    pub(crate) fn add_newer<T: Stored>(&mut self, key: Key<T>) -> Slot<T> {
        self.newer.push(key.into_text());
        Slot { place: Place::Newer(self.newer.len() - 1), holds: PhantomData }
    }

    /// Reads them all. Refuses when no policy is in force, and when the caller's hospital is no member of it.
    pub(crate) async fn fetch(self) -> Result<(ConsortiumPolicy, Facts), Failure> {
        let invocation = self.invocation;
        let (in_force, facts) = self.fetch_unconstituted().await?;
        let policy = in_force.ok_or_else(|| refuse(Code::NoPolicy))?.policy;
        require(policy.is_member(invocation.msp_id()), Code::NotAMember)?;
        require(policy.epoch >= invocation.since_epoch, Code::EpochTooOld)?;
        Ok((policy, facts))
    }

    /// Reads them all, also where no policy is in force yet. Refuses when the one in force fixes another
    /// channel or chaincode name than the proposal's, or an engine that this build does not have.
    pub(crate) async fn fetch_unconstituted(mut self) -> Result<(Option<PolicyInForce>, Facts), Failure> {
        let Invocation { tx, epochs, timestamp, .. } = self.invocation;
        let always = self.keys.len();
        let expects_newer = epochs.seen(tx.channel()) > 1;
        if expects_newer {
            self.keys.append(&mut self.newer);
        }
        let mut values = tx.states(&self.keys).await?;
        let newer = values.split_off(always.min(values.len()));
        let mut facts = Facts { values, newer, effective: *timestamp };
        let in_force: Option<PolicyInForce> =
            facts.take(Slot { place: Place::Always(0), holds: PhantomData })?;
        if let Some(PolicyInForce { policy, .. }) = &in_force {
            require(self.invocation.is_named_by(policy), Code::ForeignChaincode)?;
            require(ENGINES.contains(&policy.epoch), Code::EngineUnknown)?;
            epochs.note(tx.channel(), policy.epoch);
            if policy.epoch > 1 && !self.newer.is_empty() {
                facts.newer = tx.states(&self.newer).await?;
            }
        }
        Ok((in_force, facts))
    }
}

/// What a [`Reading`] fetched.
#[derive(Debug)]
pub(crate) struct Facts {
    values: Vec<Option<Vec<u8>>>,
    newer: Vec<Option<Vec<u8>>>,
    effective: UnixMs,
}

impl Facts {
    /// Takes a value out; `None` when the key is absent.
    pub(crate) fn take<T: Stored>(&mut self, slot: Slot<T>) -> Result<Option<T>, Failure> {
        let held = match slot.place {
            Place::Always(index) => self.values.get_mut(index),
            Place::Newer(index) => self.newer.get_mut(index),
        };
        let Some(bytes) = held.and_then(Option::take) else { return Ok(None) };
        let value: T = decode(&bytes)?;
        self.effective = self.effective.max(value.at());
        Ok(Some(value))
    }

    /// Effective time: the latest of the transaction's timestamp and the times of all facts taken. It ends the
    /// taking, so that none is left out.
    pub(crate) fn effective(self) -> UnixMs {
        self.effective
    }
}
