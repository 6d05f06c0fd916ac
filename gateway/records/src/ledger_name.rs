//! Naming a ledger.

use std::fmt;

use caretrail_model::ids::{ChaincodeName, ChannelName};

/// A chaincode on a channel: what every index, store and statement is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LedgerName {
    /// The channel.
    pub channel: ChannelName,
    /// The chaincode's name on it.
    pub chaincode: ChaincodeName,
}

impl fmt::Display for LedgerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.channel, self.chaincode)
    }
}
