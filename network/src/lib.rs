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
//! [`network::Network::back_up`] and [`network::Network::restore`] keep ledgers and keys, verified block by block;
//! [`network::Network::upgrade`] brings a running network to another release of Fabric, node by node; peers join by
//! [`network::Network::make_snapshot`]'s snapshots.
//!
//! The ordering service is Raft of one or more consenters, or, with Fabric 3, BFT of four or more, whose dead leader is
//! replaced within 15 seconds. Organisations may have several peers each, agree on an endorsement policy and on private
//! data collections, and run programs of their own under one chaincode definition.
//! [`network::Network::peer_environment`] makes Fabric's own command line work on all of it.
//!
//! [`network::Network::doctor`] looks for every failure that is known ([`network::Code`]) and names cause and fix;
//! [`network::Network::await_ready`] asks the network to be used; [`network::Network::logs`] merges what all processes
//! said; [`network::Network::metrics`] tells monitoring what Fabric has no metric of.
//!
//! [`network::Network::new_part`] is one organisation's own part, with its own keys alone, on its own machine:
//! [`network::Network::describe`] says what the others must know, [`network::Network::import`] takes over what they say,
//! [`network::Network::first_block`] makes the channel's first block for all, which the others judge before they take it, and
//! [`network::Network::up_part`] goes as far as they have come, and says what is awaited from whom.
//!
//! # What it is not
//!
//! The built-in CA keeps its keys beside what it issues: it is for development. It starts nodes on this machine alone; those
//! on others are their operators'. It needs Linux: processes are known by `/proc`.

#[cfg(not(target_os = "linux"))]
compile_error!("hlf-network runs on Linux only: it knows its processes by /proc and stops them by pidfd");

pub mod builder;
pub mod ca;
pub mod change;
pub mod connection;
pub mod exchange;
pub mod export;
pub mod fabric;
pub mod fabric_ca;
pub mod logs;
pub mod network;
pub mod package;
pub mod process;
pub mod profile;
pub mod spec;

mod archive;
mod block_files;
mod channel;
mod commands;
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

pub use archive::{ArchiveError, ArchivedFile};
pub use block_files::BlockFileError;
pub use channel::ChannelError;
pub use commands::name_commands;
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
