//! Sealed blobs: a document encrypted under its version's secret, chunk by chunk.
//!
//! `FORMATS.md` of the model describes every byte. In short: a header of 20 bytes names the format, the
//! chunk size and a nonce prefix, and is additional data of every chunk; each chunk is AES-256-GCM under
//! the version's data key with the nonce prefix ‖ counter ‖ last flag, so that chunks can't be reordered,
//! dropped or cut off. Inside are the document's length, its media type, the document, and zeros up to a
//! size class.

mod format;
mod opening;
mod padding;
mod sealing;
#[cfg(test)]
mod tests;

pub use opening::{Misfit, OpenError, Opened, Place, open};
pub use sealing::{SealError, Sealed, seal};
