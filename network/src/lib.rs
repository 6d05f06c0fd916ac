//! A Hyperledger Fabric consortium as data, and the idempotent steps that make it real without Docker.
//!
//! ```no_run
//! use std::collections::BTreeMap;
//!
//! use hlf_network::builder::BuilderProgram;
//! use hlf_network::fabric::Search;
//! use hlf_network::network::{Network, Options};
//! use hlf_network::{Event, spec};
//!
//! # async fn stand_up() -> Result<(), Box<dyn std::error::Error>> {
//! let consortium = spec::Consortium::parse(spec::DEFAULT)?;
//! let options = Options {
//!     binaries: Search::from_environment(consortium.fabric, "/home/me/.cache/fabric-networks"),
//!     builder: BuilderProgram { program: "/usr/bin/my-tool".into(), args: vec!["builder".into()] },
//!     chaincode: None,
//!     chaincode_of: BTreeMap::new(),
//! };
//! let network = Network::new("state".as_ref(), consortium)?;
//! network.up(&options, &|event: &Event<'_>| eprintln!("{event:?}")).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it does
//!
//! [`network::Network::up`] looks at what is true and makes true what is not: Fabric's programs, keys and
//! certificates, ports, the channel's first block, orderers and peers as native processes, their joining, and an
//! external chaincode service of each organisation with mutual TLS. It can be interrupted anywhere and run again.
//! `down` finds by [`process::MARKER`] exactly what `up` started, whatever became of the program that did.
//!
//! [`network::Network::apply`] makes a running network into that of another spec: organisations, peers and ordering nodes
//! come and go, one change after the other, signed by the admins whose keys are here. [`network::Network::certificates`]
//! says what ends when; renewal and revocation are carried through to every node.
//!
//! The ordering service is Raft of one or more consenters, or, with Fabric 3, BFT of four or more, whose dead leader is
//! replaced within 15 seconds. Organisations may have several peers each, agree on an endorsement policy and on private
//! data collections, and run programs of their own under one chaincode definition.
//! [`network::Network::peer_environment`] makes Fabric's own command line work on all of it.
//!
//! # What it is not
//!
//! The built-in CA keeps its keys beside what it issues: it is for development. All nodes run on this machine, on
//! 127.0.0.1. It needs Linux: processes are known by `/proc`.

#[cfg(not(target_os = "linux"))]
compile_error!("hlf-network runs on Linux only: it knows its processes by /proc and stops them by pidfd");

pub mod builder;
pub mod ca;
pub mod change;
pub mod connection;
pub mod exchange;
pub mod export;
pub mod fabric;
pub mod network;
pub mod package;
pub mod process;
pub mod profile;
pub mod spec;

mod channel;
mod files;
mod genesis;
mod layout;
mod lifecycle;
mod lock;
mod node;
mod operations;
mod ordered;
mod orderer;
mod overlay;
mod peer;
mod ports;
mod progress;
mod wait;

pub use channel::ChannelError;
pub use files::FileError;
pub use genesis::GenesisError;
pub use layout::Layout;
pub use lifecycle::LifecycleError;
pub use lock::LockError;
pub use node::NodeError;
pub use operations::OperationsError;
pub use ordered::OrderedError;
pub use overlay::OverlayError;
pub use ports::{Holder, PortError};
pub use progress::{Event, Progress, Quiet};
pub use wait::WaitError;
