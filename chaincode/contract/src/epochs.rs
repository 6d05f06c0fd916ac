//! Which epoch each channel was in when it was last read: a guess about which keys to fetch together.
//!
//! Engines read different keys, and what a transaction read is endorsed with it, so builds of either age have to
//! read the same. The epoch is known only once the policy is read; fetching that alone first would cost a round trip
//! each time. So the keys of the newer engine are fetched along when the channel was in its epoch before, and after
//! the policy when not. Epochs only go up: what is read is the same in both cases, whatever was guessed.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

/// The newest epoch seen of each channel.
#[derive(Debug, Default)]
pub(crate) struct Epochs {
    seen: RwLock<BTreeMap<String, u32>>,
}

impl Epochs {
    /// The newest epoch seen of a channel; 1 before it was read.
    pub(crate) fn seen(&self, channel: &str) -> u32 {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.get(channel).copied().unwrap_or(1)
    }

    /// Notes the epoch that a channel is in.
    pub(crate) fn note(&self, channel: &str, epoch: u32) {
        if self.seen(channel) < epoch {
            let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
            seen.insert(channel.to_owned(), epoch);
        }
    }
}
