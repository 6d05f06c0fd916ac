//! A channel's first block that came from another organisation: held against what is known here, before any node
//! joins by it.

use hlf_protos::common::Block;
use hlf_protos::prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::digest::Digest;
use crate::change::{ChannelConfig, ConfigError, Difference};

/// Why a first block is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FirstBlockError {
    /// The bytes are no block with a configuration.
    #[error("this is no channel's first block: {0}")]
    Unreadable(String),
    /// It is a later block.
    #[error("this is block {0} of a channel; nodes join by the first one, number 0")]
    Later(u64),
    /// It is another channel's.
    #[error("this is the first block of channel `{found}`, and this consortium's channel is `{wanted}`")]
    Channel {
        /// Its channel.
        found: String,
        /// The consortium's.
        wanted: String,
    },
    /// Its configuration is not what the consortium's document and the descriptions lead to.
    #[error(
        "the first block is not what your consortium's document and the imported descriptions say; \
         it has, and should have:\n{0}\ncompare with whoever made it, before any node joins"
    )]
    Differs(String),
    /// Its configuration cannot be read.
    #[error("the first block's configuration cannot be read")]
    Config(#[from] ConfigError),
}

/// A block that is the first of a channel, as far as it can say so itself.
#[derive(Debug)]
pub(crate) struct FirstBlock {
    config: ChannelConfig,
    digest: Digest,
}

impl FirstBlock {
    /// Reads it, and checks what needs no other knowledge.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, FirstBlockError> {
        let unreadable = |what: &str| FirstBlockError::Unreadable(what.to_owned());
        let block = Block::decode(bytes).map_err(|error| FirstBlockError::Unreadable(error.to_string()))?;
        let header = block.header.as_ref().ok_or_else(|| unreadable("it has no header"))?;
        if header.number != 0 || !header.previous_hash.is_empty() {
            return Err(FirstBlockError::Later(header.number));
        }
        let data = block.data.as_ref().map(|data| data.data.as_slice()).unwrap_or_default();
        if data.len() != 1 {
            return Err(unreadable("it does not hold one configuration and nothing else"));
        }
        if header.data_hash != Sha256::digest(data.concat()).as_slice() {
            return Err(unreadable("its content does not match its own hash; it was damaged on the way"));
        }
        let config = ChannelConfig::of_block(&block)?;
        if config.sequence() != 0 {
            return Err(unreadable("its configuration was changed before"));
        }
        Ok(Self { config, digest: Digest::of(bytes) })
    }

    /// What people read to each other.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether an organisation is in it, member or ordering.
    pub(crate) fn has(&self, msp_id: &str) -> bool {
        self.config.msp(msp_id).is_ok()
    }

    /// Holds it against what this organisation would have made.
    ///
    /// An organisation that is in it wants all of it to be so. One that comes to a channel that has changed since
    /// wants those that are known to it to have the authorities that they described.
    pub(crate) fn check(&self, own: &Self, msp_id: &str) -> Result<(), FirstBlockError> {
        let own = &own.config;
        let (found, wanted) = (self.config.channel(), own.channel());
        if found != wanted {
            return Err(FirstBlockError::Channel { found: found.to_owned(), wanted: wanted.to_owned() });
        }
        if self.config.in_one_order()? == own.in_one_order()? {
            return Ok(());
        }
        let mut differences = Difference::between(&self.config, own)?;
        if !self.has(msp_id) {
            differences.retain(|difference| self.is_of_known_authority(own, &difference.what));
            if differences.is_empty() {
                return Ok(());
            }
        }
        let lines: Vec<String> = differences.iter().map(|difference| format!("  {difference}")).collect();
        Err(FirstBlockError::Differs(match lines.is_empty() {
            true => "  something that has no name".to_owned(),
            false => lines.join("\n"),
        }))
    }

    /// Whether a difference concerns the membership rules of an organisation that both have.
    fn is_of_known_authority(&self, own: &ChannelConfig, what: &str) -> bool {
        ["Application", "Orderer"].iter().any(|section| {
            let Some(rest) = what.strip_prefix(&format!("/Channel/{section}/")) else { return false };
            let Some((msp_id, rest)) = rest.split_once('/') else { return false };
            rest.starts_with("MSP") && self.has(msp_id) && own.msp(msp_id).is_ok()
        })
    }
}
