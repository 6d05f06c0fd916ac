//! A Hyperledger Fabric peer in memory: it dials a chaincode service and speaks the real stream,
//! so that a contract is tested as it will run.
//!
//! The service may be written in any language. What is simulated follows Fabric: reads see the state
//! before the transaction, commits validate versions and scanned ranges, scans come a hundred at a
//! time, batches and multi-gets are negotiated.
//!
//! ```no_run
//! use hlf_testpeer::{Creator, Proposal, TestPeer, Validity};
//!
//! # async fn test(address: std::net::SocketAddr) -> Result<(), Box<dyn std::error::Error>> {
//! let peer = TestPeer::builder().chaincode("lots").run_twice().connect(address).await?;
//! let clerk = Creator::builder("NorthMSP").common_name("clerk").attribute("shop.role", "clerk").build()?;
//!
//! let register = Proposal::new(clerk.serialized(), "Register").arg(r#"{"id":"7","owner":"north"}"#);
//! let first = peer.invoke(&register).await?;
//! let second = peer.invoke(&register).await?;
//! assert_eq!(first.requests, ["GET_STATE", "WRITE_BATCH_STATE"], "{first}");
//! let (_block, validity) = peer.commit(&[first, second]);
//! assert_eq!(validity, [Validity::Valid, Validity::MvccReadConflict]);
//! # Ok(())
//! # }
//! ```
//!
//! | type | what it is for |
//! |---|---|
//! | [`TestPeer`], [`TestPeerBuilder`] | simulate, commit, set the clock, misbehave ([`Fault`]); wait for chaincode that dials ([`ListeningPeer`]) |
//! | [`Proposal`], [`Creator`] | who asks what, when, on which channel |
//! | [`Outcome`], [`ReadWriteSet`], [`Validity`] | what came of it, readable in a failed test |
//! | [`Ledger`] | committed state, shared by several peers or kept across streams |
//! | [`Wire`] | single messages, for scripts no real peer plays |
//! | [`PrivateCollection`], [`CollectionSet`] | who keeps private data, and what a transaction did to it |
//! | [`ChaincodeCall`], [`CallReply`] | other chaincode, played by the test |
//!
//! Key-level endorsement is checked at commit against [`Outcome::endorsed_by`]. Absent: signatures,
//! the chaincode's own endorsement policy, and what other chaincode would read and write.

mod builder;
mod calls;
mod collection;
mod connection;
mod creator;
mod cursor;
mod fault;
mod ledger;
mod listen;
mod outcome;
mod pace;
mod peer;
mod policy;
mod proposal;
mod rwset;
mod simulation;
mod wire;

pub use builder::TestPeerBuilder;
pub use calls::{CallReply, ChaincodeCall};
pub use collection::PrivateCollection;
pub use creator::{Creator, CreatorBuilder, CreatorError, serialized_identity};
pub use fault::Fault;
pub use ledger::{Ledger, Validity};
pub use listen::ListeningPeer;
pub use outcome::{Event, InvokeError, Outcome, Submitted};
pub use peer::TestPeer;
pub use proposal::Proposal;
pub use rwset::{CollectionSet, Metadata, PrivateWrite, RangeRead, ReadWriteSet, Version};
pub use wire::{ConnectError, Wire};

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
