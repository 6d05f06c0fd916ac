//! Release, hospital to hospital: what a recipient asks, what a custodian answers, and how the version's
//! secret travels.

mod client;
mod encoding;
mod kem;
mod request;
mod wire;

pub use client::{ReleaseClient, ReleaseClientError};
pub use encoding::Base64Url;
pub use kem::{
    KemKey, KemKeyError, KemPublicKey, ReleaseBinding, UnwrapError, WrapError, WrappedSecret, unwrap, wrap,
};
pub use request::{ReleaseAsk, ReleaseRequest, RequestError, VerifiedRequest};
pub use wire::{RELEASES_PATH, ReleaseReply, blob_path};
