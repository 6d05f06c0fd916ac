//! A Hyperledger Fabric chaincode shim: write a contract as ordinary async functions, run it as an
//! external service that peers dial, or let the peer launch it.
//!
//! ```no_run
//! use hlf_chaincode::{Config, Failure, Router, Service, Transaction, stop_signal};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Lot {
//!     id: String,
//!     owner: String,
//! }
//!
//! async fn register(tx: &Transaction, lot: Lot) -> Result<Lot, Failure> {
//!     if tx.state(&lot.id).await?.is_some() {
//!         return Err(Failure::new(409, "LOT_EXISTS"));
//!     }
//!     let bytes = serde_json::to_vec(&lot).map_err(|e| Failure::new(500, "LOT_UNENCODABLE").caused_by(e))?;
//!     tx.put(&lot.id, bytes.clone())?;
//!     tx.set_event("registered", bytes)?;
//!     Ok(lot)
//! }
//!
//! async fn read(tx: &Transaction, id: String) -> Result<Lot, Failure> {
//!     let bytes = tx.state(&id).await?.ok_or(Failure::new(404, "LOT_UNKNOWN"))?;
//!     serde_json::from_slice(&bytes).map_err(|e| Failure::new(500, "LOT_UNREADABLE").caused_by(e))
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let contract = Router::builder("lots", "1.0").submit("Register", register).evaluate("Read", read).build()?;
//!     Service::new(Config::from_env()?, contract).bind().await?.serve(stop_signal()).await?;
//!     Ok(())
//! }
//! ```
//!
//! One thread serves more than a peer asks for, at the least cost. A contract that computes for
//! milliseconds at a time takes tokio's default runtime instead, so that it keeps no other transaction waiting.
//!
//! | module or type | what it is for |
//! |---|---|
//! | [`Router`], [`Function`], [`Failure`] | a contract from functions: JSON in, JSON out, stable codes; hooks before, after, for `Init` and unknown functions ([`Handle`]) |
//! | [`Contract`], [`Response`], [`code`] | a contract from scratch: bytes in, bytes out |
//! | [`Transaction`], [`LedgerError`] | the caller, the state, scans, the event |
//! | [`composite_key`], [`split_composite_key`] | keys of many parts |
//! | [`Collection`] | private data: values, hashes, purge, scans |
//! | [`SignaturePolicy`], [`Role`] | endorsement policies of single keys |
//! | [`ClientIdentity`] | MSP id and certificate of the caller |
//! | [`Config`], [`Service`], [`Listening`] | address, TLS, limits; serving and stopping, gRPC health |
//! | [`TlsFiles`], [`Certificates`], [`Metrics`] | new certificates without a restart; figures for Prometheus |
//! | [`dial`], [`DialConfig`], [`Dialled`] | chaincode that dials its peer: launched by it, or in development mode |
//!
//! # What to rely on
//! - A failure or a panic is a completed transaction with a status of 400 or more and a code as its
//!   message. It is never an ERROR on the stream, which a peer's gateway would count as the peer's
//!   fault and try elsewhere; but for a failed `Init`, of which peers may read nothing else. It leaves
//!   every other transaction running.
//! - Writes wait until the contract has succeeded. They are sent in the contract's order, the last
//!   one to a key wins; in batches where the peer takes them (Fabric 3.1), else one by one.
//! - A read sees the state before the transaction, never its own writes. In strict mode
//!   ([`Config::strict`]) reading a key that was written before is an error: use it in tests.
//! - Peers refuse writes beside pages and scans of private data. Since writes wait, the shim refuses
//!   the second of them at once, whichever it is.
//! - A multi-get answered with fewer values than keys is an error, since peers answer so when their
//!   database fails. Bookmarks are checked against their range, which peers don't do.
//! - A scan closes itself wherever it is dropped, and reads ahead as the Go shim's do: what a peer has read
//!   is endorsed, so peers may run either.
//! - When a stream is lost, what waits on it fails at once and its transactions are dropped. Streams
//!   share no state, so one service may serve many peers.
//!
//! # What is absent
//! CouchDB's query language is passed through unread. Pages of private data, which Fabric has not.

mod call;
mod collection;
mod config;
mod dial;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod identity;
mod key;
mod ledger;
mod metadata;
mod metrics;
mod policy;
mod proposal;
mod reload;
mod response;
mod router;
mod scan;
mod service;
mod state;
mod stream;
mod tls;
mod transaction;
mod turn;
mod writes;

pub use collection::Collection;
pub use config::{Config, ConfigError, Limits, Tls, TlsFiles, env, peer_msp_id};
pub use dial::{DialConfig, DialError, DialTls, Dialled, dial};
pub use identity::{ClientIdentity, IdentityError};
pub use key::{KeyError, composite_key, split_composite_key};
pub use ledger::LedgerError;
pub use metrics::Metrics;
pub use policy::{PolicyError, Role, SignaturePolicy};
pub use response::{Failure, Response, code};
pub use router::{BoxFuture, Call, Function, Handle, Kind, Router, RouterBuilder, RouterError};
pub use scan::{Entry, EntryPage, Modification, Page, Scan, ScanItem};
pub use service::{Contract, Drained, Listening, ServeError, Service, stop_signal};
pub use tls::{Certificates, TlsError};
pub use transaction::{Origin, SignedProposal, Transaction};

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
