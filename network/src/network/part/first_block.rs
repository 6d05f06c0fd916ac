//! The channel's first block: made by one organisation, judged by the others.

use std::collections::BTreeSet;

use hlf_protos::common::Block;
use hlf_protos::prost::Message as _;

use super::super::read_bytes;
use super::super::up::{Options, Stand, UpError};
use super::import::ImportError;
use super::{Network, PartError};
use crate::change::{ChannelConfig, Consenter};
use crate::exchange::{Digest, FirstBlock};
use crate::files::{self, FileError};
use crate::genesis::{self, GenesisError};
use crate::progress::Progress;

/// The folder in which an own draft is made, to compare with.
const DRAFT: &str = ".own";

impl Network {
    /// Makes the channel's first block from own keys and the imported descriptions, once, and returns it: one
    /// organisation does, and gives it to the others, who import it.
    ///
    /// # Errors
    /// [`PartError::Missing`] before all descriptions are here.
    pub async fn first_block(
        &self,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<(Vec<u8>, Digest), PartError> {
        let (_lock, _) = self.take_up()?;
        let path = self.layout.genesis_block(&self.spec.channel.name);
        if !path.exists() {
            let missing = self.undescribed()?;
            if !missing.is_empty() {
                return Err(PartError::Missing(missing.join(", ")));
            }
            let binaries = options.binaries.find(progress).await.map_err(UpError::from)?;
            genesis::demand_consensus(&self.spec, &binaries).map_err(UpError::from)?;
            let stand = Stand { network: self, options, progress, binaries };
            let ports = stand.prepare().await?;
            stand.make_genesis(&ports)?;
        }
        let bytes = read_bytes(&path)?;
        let digest = Digest::of(&bytes);
        Ok((bytes, digest))
    }

    /// Addresses of the ordering nodes that the channel began with; none before its first block is here.
    pub(in crate::network) fn first_consenters(&self) -> BTreeSet<String> {
        let path = self.layout.genesis_block(&self.spec.channel.name);
        let consenters = || {
            let block = Block::decode(read_bytes(&path).ok()?.as_slice()).ok()?;
            ChannelConfig::of_block(&block).ok()?.consenters().ok()
        };
        consenters().unwrap_or_default().iter().map(Consenter::address).collect()
    }

    /// The digest of the first block that is here.
    pub(super) fn first_block_here(&self) -> Result<Option<Digest>, FileError> {
        let path = self.layout.genesis_block(&self.spec.channel.name);
        if !path.exists() {
            return Ok(None);
        }
        Ok(Some(Digest::of(&read_bytes(&path)?)))
    }

    /// Whether own nodes may have joined the channel: they have begun a ledger.
    pub(super) fn has_joined(&self) -> bool {
        let orderer = &self.spec.orderer;
        let orderers = self.own_consenters().iter().map(|name| orderer.host(name));
        let peers = self.own_organizations().flat_map(|own| own.peers.iter().map(|name| own.host(name)));
        orderers.chain(peers).any(|host| self.layout.node(&host).join("data").exists())
    }

    /// Holds a first block against the one that would have been made here.
    pub(super) async fn judge(
        &self,
        block: &FirstBlock,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<(), ImportError> {
        let binaries = options.binaries.find(progress).await.map_err(UpError::from)?;
        genesis::demand_consensus(&self.spec, &binaries).map_err(UpError::from)?;
        let stand = Stand { network: self, options, progress, binaries };
        let ports = stand.prepare().await?;
        let folder = self.layout.channel().join(DRAFT);
        let draft = folder.join("own.block");
        let made = genesis::make(
            &self.spec,
            &self.layout,
            &ports,
            &stand.binaries,
            (&folder, &draft),
            self.spec.fabric,
        );
        let bytes = made.map_err(UpError::from).and_then(|()| Ok(read_bytes(&draft)?));
        let removed = std::fs::remove_dir_all(&folder).map_err(|e| FileError::new(&folder, "removed", e));
        let own = FirstBlock::parse(&bytes?)?;
        removed?;
        Ok(block.check(&own, self.own_msp_id())?)
    }

    /// Gives a block that was judged its place.
    pub(super) fn take_first_block(&self, bytes: &[u8]) -> Result<(), GenesisError> {
        let draft = self.layout.channel().join(".genesis.draft");
        files::replace(&draft, files::PUBLIC, bytes)?;
        genesis::take(&self.spec.channel.name, &self.layout, self.spec.fabric, &draft)
    }

    /// Whether the organisation is in the first block; one that is not comes to a channel that runs.
    pub(super) fn is_in_first_block(&self) -> Result<bool, PartError> {
        let bytes = read_bytes(&self.layout.genesis_block(&self.spec.channel.name))?;
        let block = FirstBlock::parse(&bytes)?;
        Ok(block.has(self.own_msp_id()))
    }
}
