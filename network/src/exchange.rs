//! What organisations hand to one another as files, before a channel stands: descriptions of themselves, and the
//! channel's first block.

mod certificates;
mod check;
mod description;
mod digest;
mod first_block;

pub use check::DescriptionError;
pub use description::{DescribedNode, Description, DescriptionFileError};
pub use digest::{Digest, DigestError};
pub use first_block::FirstBlockError;

pub(crate) use first_block::FirstBlock;

#[cfg(test)]
mod tests;
