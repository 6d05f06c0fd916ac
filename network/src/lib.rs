//! A Hyperledger Fabric consortium as data, and the idempotent steps that make it real without Docker.

pub mod ca;
pub mod fabric;
pub mod process;
pub mod spec;

mod files;
mod layout;
mod lock;
mod overlay;
mod ports;
mod progress;

pub use files::FileError;
pub use layout::Layout;
pub use lock::LockError;
pub use overlay::OverlayError;
pub use ports::{Holder, PortError};
pub use progress::{Event, Progress, Quiet};
