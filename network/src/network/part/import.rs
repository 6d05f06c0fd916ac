//! What others hand over: looked at, held against what is known, kept.

use std::path::PathBuf;

use serde::Serialize;

use super::super::up::{Options, UpError};
use super::{Network, PartError};
use crate::commands::typed;
use crate::exchange::{
    Description, DescriptionError, DescriptionFileError, Digest, FirstBlock, FirstBlockError,
};
use crate::files::{self, FileError};
use crate::progress::Progress;
use crate::spec::ORDERING;

/// The most bytes of a file that is looked at.
const BYTES_MAX: usize = 8 << 20;

/// Why a file was not imported; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The part itself is not well.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The file is too large to be what it should be.
    #[error("the file has {0} bytes, which neither a description nor a first block has")]
    TooLarge(usize),
    /// Its digest is another than the one that was read aloud.
    #[error(
        "the file's digest is {found}, and {wanted} was read to you: it is not the file that they meant; \
         ask for it again"
    )]
    Digest {
        /// The file's.
        found: Digest,
        /// The one that was given.
        wanted: Digest,
    },
    /// It is this organisation's own description, and not what is here.
    #[error(
        "this is a description of `{0}`, which is this folder's own organisation, and it is not its present one"
    )]
    Own(String),
    /// The description does not fit.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// Another description of the organisation was imported before.
    #[error(
        "`{organization}` described itself otherwise before, with digest {known}, and now {found}; ask them which one \
         holds, then import that one with leave to replace the other"
    )]
    Changed {
        /// The organisation.
        organization: String,
        /// The one that is here.
        known: Digest,
        /// The one of the file.
        found: Digest,
    },
    /// A description with other authorities of the organisation is part of a channel that exists.
    #[error(
        "`{organization}` is on the channel by its description with digest {known}, and this one is {found}; what the \
         channel knows of it changes by proposals: {propose}, then `sign` and `submit`",
        propose = typed("change propose")
    )]
    Running {
        /// The organisation.
        organization: String,
        /// The one that is here.
        known: Digest,
        /// The one of the file.
        found: Digest,
    },
    /// The first block cannot be judged yet.
    #[error(
        "the first block cannot be looked at before all descriptions are here; missing: {0}. \
         Ask them for their `NAME.organization.json` and import those first"
    )]
    Undescribed(String),
    /// The first block does not fit.
    #[error(transparent)]
    FirstBlock(#[from] FirstBlockError),
    /// There is another first block.
    #[error(
        "there is a first block here with digest {known}, and this one is {found}; only one may be made, so agree on \
         one of them, then import that one with leave to replace the other, before any node joins"
    )]
    OtherBlock {
        /// The one that is here.
        known: Digest,
        /// The one of the file.
        found: Digest,
    },
    /// Nodes live by another first block.
    #[error(
        "own nodes have joined by the first block with digest {known}, and this one is {found}: another channel"
    )]
    Joined {
        /// The one that is here.
        known: Digest,
        /// The one of the file.
        found: Digest,
    },
}

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Imported {
    /// `description of NAME`, or `first block of CHANNEL`.
    pub what: String,
    /// To be read to whoever gave it.
    pub digest: Digest,
    /// Whether it was not here before.
    pub new: bool,
    /// Organisations whose descriptions are still missing.
    pub missing: Vec<String>,
}

impl From<FileError> for ImportError {
    fn from(error: FileError) -> Self {
        Self::Part(error.into())
    }
}

impl From<DescriptionFileError> for ImportError {
    fn from(error: DescriptionFileError) -> Self {
        Self::Part(error.into())
    }
}

impl From<UpError> for ImportError {
    fn from(error: UpError) -> Self {
        Self::Part(error.into())
    }
}

impl Network {
    /// Takes over a file of another organisation: its description, or the channel's first block.
    ///
    /// A digest that was read aloud is demanded; `replace` gives leave to exchange what was imported before, as long as
    /// no node lives by it.
    ///
    /// # Errors
    /// [`ImportError`]; nothing was changed.
    pub async fn import(
        &self,
        file: &[u8],
        wanted: Option<Digest>,
        replace: bool,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<Imported, ImportError> {
        if file.len() > BYTES_MAX {
            return Err(ImportError::TooLarge(file.len()));
        }
        let (_lock, _) = self.take_up()?;
        let text = std::str::from_utf8(file).ok().filter(|text| text.trim_start().starts_with('{'));
        match text {
            Some(text) => self.import_description(&Description::parse(text)?, wanted, replace),
            None => self.import_first_block(file, wanted, replace, options, progress).await,
        }
    }

    fn import_description(
        &self,
        description: &Description,
        wanted: Option<Digest>,
        replace: bool,
    ) -> Result<Imported, ImportError> {
        let found = description.digest();
        demand(found, wanted)?;
        let name = description.organization.as_str();
        let known = Description::read_all(&self.layout.imports())?;
        if self.holds(name) {
            return self.import_own(description);
        }
        description.check(&self.spec, &known)?;
        let mut new = true;
        if let Some(before) = known.iter().find(|before| before.organization == name) {
            let known = before.digest();
            new = known != found;
            let organization = name.to_owned();
            // Nodes come and go, and the channel has a say in who may order; authorities it knows already.
            let is_known = before.msp == description.msp;
            if new && !is_known && self.layout.genesis_block(&self.spec.channel.name).exists() {
                return Err(ImportError::Running { organization, known, found });
            }
            if new && !replace {
                return Err(ImportError::Changed { organization, known, found });
            }
        }
        let home = self.home_of(name);
        let kept = self.layout.imports().join(format!("{name}.json"));
        // What is among the imports is laid out, whenever this is interrupted: it goes first, and comes last.
        if new && kept.exists() {
            std::fs::remove_file(&kept).map_err(|e| FileError::new(&kept, "removed", e))?;
        }
        if new && home.exists() {
            std::fs::remove_dir_all(&home).map_err(|e| FileError::new(&home, "removed", e))?;
        }
        description.lay_out(&home)?;
        files::replace(&kept, files::PUBLIC, description.to_text().as_bytes())?;
        let missing = self.undescribed()?;
        Ok(Imported { what: format!("description of {name}"), digest: found, new, missing })
    }

    /// One's own description came back: fine, when it is the present one.
    fn import_own(&self, description: &Description) -> Result<Imported, ImportError> {
        let own = || ImportError::Own(description.organization.clone());
        let part = self.part.as_ref().ok_or_else(own)?;
        let ports = self.ports().map_err(UpError::from)?;
        let present = self.own_description(part, &ports).map_err(|_| own())?;
        if present != *description {
            return Err(own());
        }
        let what = format!("description of {}", description.organization);
        Ok(Imported { what, digest: description.digest(), new: false, missing: self.undescribed()? })
    }

    async fn import_first_block(
        &self,
        file: &[u8],
        wanted: Option<Digest>,
        replace: bool,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<Imported, ImportError> {
        let block = FirstBlock::parse(file)?;
        let found = block.digest();
        demand(found, wanted)?;
        let missing = self.undescribed()?;
        if !missing.is_empty() {
            return Err(ImportError::Undescribed(missing.join(", ")));
        }
        let channel = &self.spec.channel.name;
        let what = format!("first block of {channel}");
        let known = self.first_block_here().map_err(PartError::from)?;
        if let Some(known) = known {
            if known == found {
                return Ok(Imported { what, digest: found, new: false, missing });
            }
            if self.has_joined() {
                return Err(ImportError::Joined { known, found });
            }
            if !replace {
                return Err(ImportError::OtherBlock { known, found });
            }
        }
        self.judge(&block, options, progress).await?;
        self.take_first_block(file).map_err(UpError::from)?;
        Ok(Imported { what, digest: found, new: true, missing })
    }

    /// The folder of another organisation's certificates.
    fn home_of(&self, name: &str) -> PathBuf {
        let orderer = &self.spec.orderer;
        let member = self.spec.organizations.iter().find(|member| member.name == name);
        match member.filter(|_| name != ORDERING) {
            Some(member) => self.layout.organization(member),
            None => self.layout.ordering_organization(orderer),
        }
    }
}

fn demand(found: Digest, wanted: Option<Digest>) -> Result<(), ImportError> {
    match wanted {
        Some(wanted) if wanted != found => Err(ImportError::Digest { found, wanted }),
        _ => Ok(()),
    }
}
