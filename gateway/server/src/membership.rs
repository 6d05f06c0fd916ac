//! Whom the daemon trusts now: the members of the consortium's policy, which is read again and again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use caretrail_model::calls::GetPolicy;
use caretrail_model::code::Code;
use caretrail_model::ids::MspId;
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_records::{Failure, Records};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::time::MissedTickBehavior;

use crate::serving::ServeError;
use crate::tls::OwnTls;
use crate::trust::Trust;

/// The consortium's members, as the policy in force names them.
///
/// A policy that no longer names this hospital, or whose members' authorities are not at hand, leaves nobody to
/// trust. A policy that cannot be read says nothing: those of the last one stay.
pub(crate) struct Membership {
    records: Records,
    tls: OwnTls,
    current: RwLock<Arc<Current>>,
    /// Whether the policy could not be read when it was last asked for.
    unread: AtomicBool,
}

/// Whom one policy lets in.
pub(crate) struct Current {
    /// The policy's sequence.
    sequence: u64,
    /// Nothing when nobody is trusted.
    trusted: Option<Trusted>,
}

struct Trusted {
    trust: Trust,
    config: Arc<ServerConfig>,
}

impl Membership {
    /// Reads the policy in force.
    ///
    /// # Errors
    /// When it cannot be read, or does not fit this hospital, its certificate or the authorities at hand.
    pub(crate) async fn read(records: Records, tls: OwnTls) -> Result<Self, ServeError> {
        let policy = records.policy(&GetPolicy {}).await?;
        Trust::refuse_unknown(&policy, &tls.authorities)?;
        let trusted = Trusted::new(&policy, &records.actor().msp_id, &tls)?;
        let current = Current { sequence: policy.sequence, trusted: Some(trusted) };
        Ok(Self { records, tls, current: RwLock::new(Arc::new(current)), unread: AtomicBool::new(false) })
    }

    /// Reads the policy again and again, for as long as it is polled.
    pub(crate) async fn keep_fresh(self: Arc<Self>, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            self.refresh().await;
        }
    }

    /// Whom the daemon trusts now.
    pub(crate) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What keeps the daemon from trusting the members of the policy in force.
    pub(crate) fn problem(&self) -> Option<Failure> {
        if self.current().trusted.is_none() {
            let fix = "have the consortium's policy name this hospital and the TLS authorities that its daemon is given";
            return Some(Failure::new("TRUSTS_NOBODY", "ready", fix));
        }
        self.unread.load(Ordering::Relaxed).then(|| {
            let fix = "check the hospital's peer and chaincode service: the members of the policy read last are trusted";
            Failure::new("POLICY_UNREADABLE", "ready", fix).retryable()
        })
    }

    async fn refresh(&self) {
        let policy = self.records.policy(&GetPolicy {}).await;
        // The contract tells the policy to members alone.
        let expelled = matches!(&policy, Err(error) if error.code() == Some(Code::NotAMember));
        self.unread.store(policy.is_err() && !expelled, Ordering::Relaxed);
        match policy {
            Ok(policy) => self.follow(&policy),
            Err(error) if expelled => {
                tracing::error!(%error, "nobody is trusted any more");
                let sequence = self.current().sequence;
                self.replace(Current { sequence, trusted: None });
            }
            Err(error) => tracing::warn!(%error, "the consortium's policy cannot be read again"),
        }
    }

    /// Trusts the members of a policy, unless it is an earlier one of a peer that is behind.
    fn follow(&self, policy: &ConsortiumPolicy) {
        let current = self.current();
        let known = policy.sequence == current.sequence && current.trusted.is_some();
        if known || policy.sequence < current.sequence {
            return;
        }
        let sequence = policy.sequence;
        let trusted = match Trusted::new(policy, &self.records.actor().msp_id, &self.tls) {
            Ok(trusted) => {
                tracing::info!(sequence, "the members of another policy are trusted");
                Some(trusted)
            }
            Err(error) => {
                tracing::error!(sequence, %error, "nobody is trusted under the policy in force");
                None
            }
        };
        self.replace(Current { sequence, trusted });
    }

    fn replace(&self, current: Current) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(current);
    }
}

impl Current {
    /// TLS with those who are trusted.
    pub(crate) fn config(&self) -> Option<&Arc<ServerConfig>> {
        self.trusted.as_ref().map(|trusted| &trusted.config)
    }

    /// The hospitals whose authority vouches for a certificate chain; more than one if they share it.
    pub(crate) fn hospitals(&self, chain: &[CertificateDer<'_>]) -> Vec<MspId> {
        self.trusted.as_ref().map(|trusted| trusted.trust.hospitals(chain)).unwrap_or_default()
    }
}

impl Trusted {
    fn new(policy: &ConsortiumPolicy, msp_id: &MspId, tls: &OwnTls) -> Result<Self, ServeError> {
        Trust::check_own(policy, msp_id, &tls.authorities, &tls.chain, &tls.provider)?;
        let trust = Trust::new(policy, &tls.authorities, &tls.provider)?;
        Ok(Self { config: tls.config(&trust)?, trust })
    }
}
