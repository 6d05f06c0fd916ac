//! Typed record, consent, access and audit calls over a Fabric channel; sealing, vault and index.
//!
//! | module | holds |
//! |---|---|
//! | [`document`], [`seal`], [`secret`] | a document, its sealed blob, and the secret that opens it |
//! | [`vault`] | where sealed blobs are kept |

pub mod document;
pub mod seal;
pub mod secret;
pub mod vault;

mod disk;
mod version;

pub use disk::KeyFileError;
pub use version::VersionId;
