//! A client of the gateway that every Hyperledger Fabric peer runs.
//!
//! ```no_run
//! use hlf_gateway::{Deadlines, Endpoint, Gateway, MspFolder, TransactionError};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let folder = MspFolder::open("organizations/north/users/User1/msp", "NorthMSP")?;
//!     let roots = folder.tls_ca_certificates_pem().concat();
//!     let peer = Endpoint::tls("peer0.north.example.com:7051", roots);
//!     let gateway = Gateway::connect(&peer, folder.into_credentials(), Deadlines::default()).await?;
//!     let assets = gateway.contract("main", "assets");
//!
//!     let read = assets.proposal("Read").arg("asset1").build()?.evaluate().await?;
//!     println!("before: {}", String::from_utf8_lossy(&read));
//!
//!     let transfer = assets.proposal("Transfer").args(["asset1", "south"]).build()?;
//!     match assets.submit(transfer).await {
//!         Ok(done) => println!("{} is in block {}", done.tx_id, done.block_number),
//!         Err(TransactionError::Unknown { tx_id, .. }) => {
//!             // Never submit a second transaction for this: the first may still commit.
//!             let status = gateway.commit_status("main", &tx_id).await?;
//!             println!("{tx_id} is {}", status.code.as_str_name());
//!         }
//!         Err(error) => return Err(error.into()),
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # A transaction's stages
//!
//! [`Contract::submit`] goes the whole way. Its stages can be gone one by one; each has an error type of its
//! own, with the transaction id, the gRPC status and what every peer answered ([`CallFailure`]):
//!
//! | stage | call | success means | an error means |
//! |---|---|---|---|
//! | [`Proposal`] | [`Proposal::evaluate`] | one peer's answer; nothing written | no answer |
//! | | [`Proposal::endorse`] → [`Endorsed`] | enough peers signed the result | nothing was sent for ordering |
//! | [`Endorsed`] | [`Endorsed::submit`] → [`Submitted`] | an orderer took it | **unknown**: it may be ordered all the same |
//! | [`Submitted`] | [`Submitted::commit_status`] → [`CommitStatus`] | the verdict and its block | **unknown** |
//! | [`SignedTransaction`] | [`Gateway::settle`] → [`Committed`] | it's in a block and VALID | as for a submission |
//!
//! Only a verdict other than VALID is a no. A transaction takes three signatures: proposal, transaction, and
//! request for the commit status; with [`Gateway::following_commits`] two, since one stream tells all verdicts.
//!
//! # When the outcome got lost
//!
//! An unknown outcome comes with the transaction itself ([`TransactionError::Unknown`]), as [`SignedTransaction`]: kept
//! as bytes, it can be settled by any process at any time, because sending it again is the same transaction with the
//! same id. Never make a new one instead. [`Contract::submit_retrying`] does this, and makes a new transaction where
//! that is safe: nothing was sent, or the verdict is a conflict. With [`Retry::idempotent`] a call under one key has at
//! most one effect, crashes and concurrent calls included, as far as its store keeps what it took.
//!
//! A future that is dropped before the transaction is sent has submitted nothing; after that the outcome can be asked
//! for by the proposal's id.
//!
//! # Events and blocks, each once
//!
//! [`BlockStream`], [`FilteredBlockStream`], [`PrivateDataBlockStream`] and [`ChaincodeEventStream`] end when the
//! connection does, and say why. A [`Listener`] ([`Contract::listen`], [`Gateway::listen_to_blocks`],
//! [`Gateway::listen_to_filtered_blocks`], [`Gateway::listen_to_blocks_with_private_data`]) goes on where it was,
//! notices a stream that stands still, and hands over each item with a [`Checkpoint`]. Stored together with the item's
//! effect ([`Effect`]), in one transaction of your database, each effect is there exactly once; kept apart
//! ([`AtLeastOnce`], [`CheckpointFile`]), a crash may repeat the last item and loses none.
//!
//! Connect by address ([`Endpoint`]: TLS authorities, client certificate, host override) or with a channel of your
//! own ([`Gateway::on_channel`]). [`Deadlines`] hold for a gateway, and for single calls by `with_deadlines`.
//!
//! # Who signs
//!
//! [`Credentials`] are an identity and a [`Signer`], which may take its time:
//!
//! | key | signer |
//! |---|---|
//! | P-256, P-384 or Ed25519 in PEM or an MSP folder | [`KeySigner`], [`MspFolder`] |
//! | in a key service or another process | [`Callback`]: closures, sync or async, over messages or digests |
//! | in hardware | `Hsm` and `HsmSigner` by PKCS#11, with the feature `pkcs11` |
//! | not here at all | [`Credentials::without_signer`] |
//!
//! Peers want ECDSA over the SHA-256 digest on either curve, in DER with low S: what signers give is brought into that
//! form. Ed25519 is over the whole message, and channels accept it from capability `V3_0` on.
//!
//! # Signed elsewhere
//!
//! [`Proposal`], [`Endorsed`], [`Submitted`], [`BlockRequest`] and [`EventsRequest`] each have the `message` that is to
//! be signed and its `digest`, `to_bytes` for another process, which reads it with `from_bytes`, and `with_signature`.
//! The bytes are those of the official clients, so a transaction may go on in one that another began. A signature is
//! checked when it is attached, as a peer would. Commit status, blocks and events may be asked for by another identity
//! than the transaction's. [`Proposal`] shows the whole way.
//!
//! # What is checked here
//!
//! A gateway is a peer of somebody's, so what it returns to be signed must be the proposal that was sent, header
//! and input to the byte. What is read from bytes must not contradict itself. TLS is verified always; signatures have low S; block streams have no gaps.
//!
//! # Several peers, and busy ones
//!
//! [`Gateway::connect_any`] makes several peers serve as one: each call goes where it is safe at its stage. Every
//! peer is sent as many calls at once as it bears, and the others wait, in order and within their deadlines
//! ([`Concurrency`]). A gateway that gossip has told of too few endorsers is passed over, and asked again for
//! [`Deadlines::gossip`]. [`Proposal::evaluate_after`] reads at a peer that has what was written.
//!
//! # Why
//!
//! [`Gateway::explain`] tells what became of a transaction and why, from a peer's blocks; [`Proposal::compare`] tells
//! where endorsers differ. [`Endorser::ledger`], [`Endorser::channels`] and [`Endorser::lifecycle`] are the peer's
//! system chaincodes, typed.
//!
//! # Tracing and metrics
//!
//! Each transaction has a span `transaction` with `tx_id`, `channel`, `chaincode`, `call`, `msp_id`, the time of each
//! stage in microseconds (`evaluate_us`, `endorse_us`, `submit_us`, `commit_status_us`, tries at several peers and
//! waiting for room included; a stage that is gone through again is recorded again) and, at its end, once, `outcome`.
//! Within it, each attempt at a peer is an event at DEBUG with
//! `operation`, `peer` and `outcome`. Arguments, results, transient values, certificates and keys are never recorded.
//!
//! For OpenTelemetry, give your subscriber a layer of the crate `tracing-opentelemetry` with the tracer of your
//! exporter, as for anything else that uses `tracing`:
//! `registry().with(tracing_opentelemetry::layer().with_tracer(provider.tracer("orders")))`. Each transaction is then one
//! span with its attributes, below the span it was called in, and each attempt an event of it
//! (`tests/traces/an_exporter_gets_one_span.rs`).
//!
//! [`Gateway::with_metrics`] takes every attempt's operation, peer, outcome and time; the feature `prometheus` has an
//! implementation.
//!
//! # Further
//!
//! `examples/` in the repository has programs that run on any channel: `offline_signing`, `events_exactly_once` with the
//! checkpoint stored with the effect, `retries` with an idempotency key, and `several_gateways`. [`PARITY.md`][parity] is
//! function by function what the official clients have, what differs on purpose, and the test that shows each.
//!
//! [parity]: https://github.com/caretrail/caretrail/blob/main/gateway/client/PARITY.md

mod admission;
mod backoff;
mod block_range;
mod block_request;
mod blocks;
mod chaincode_events;
mod checkpoint;
mod commits;
mod contract;
mod deadlines;
mod durable;
mod effect;
mod endorsed;
mod endorser;
mod endpoint;
mod explain;
mod failure;
mod feed;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod gateways;
mod identity;
mod kept;
mod keys;
mod lane;
mod listener;
mod metrics;
mod msp_folder;
mod outcome;
mod peer;
#[cfg(feature = "pkcs11")]
mod pkcs11;
#[cfg(feature = "prometheus")]
mod prometheus;
mod proposal;
mod proposal_builder;
mod read_after;
mod responses;
mod retry;
mod route;
mod session;
mod signed;
mod signer;
mod span;
mod submitted;
mod system;
mod to_sign;
mod verdict;

// Who and where.
pub use deadlines::Deadlines;
pub use endpoint::{ConnectError, Endpoint};
pub use gateway::Gateway;
pub use identity::{Credentials, Identity};
pub use keys::{KeyError, KeyKind, KeySigner};
pub use msp_folder::{MspFolder, MspFolderError};
#[cfg(feature = "pkcs11")]
pub use pkcs11::{Hsm, HsmError, HsmKey, HsmSigner};
pub use signer::{Callback, SignError, Signer};

// Several peers, and what they bear.
pub use admission::{Concurrency, Load};
pub use gateways::NoGateway;
pub use metrics::{Metrics, NoMetrics, Observation, Operation, Outcome};
pub use peer::PeerStatus;
#[cfg(feature = "prometheus")]
pub use prometheus::PrometheusMetrics;
pub use read_after::After;

// A transaction, whole and by stages.
pub use contract::{Committed, Contract, Stage, TransactionError, UnknownCause};
pub use endorsed::{Endorsed, SubmitError};
pub use proposal::{EndorseError, EvaluateError, Proposal};
pub use proposal_builder::{ProposalBuilder, ProposalError};
pub use signed::{NotATransaction, SignedTransaction};
pub use submitted::{CommitStatus, CommitStatusError, Submitted};
pub use to_sign::{ImportError, SignatureError};

// Many transactions: followed together, tried again, kept.
pub use commits::{Commits, ExpectedCommit, Following};
pub use kept::{KeptInFolder, KeptInMemory, StoreError, TransactionStore};
pub use retry::{IdempotencyKey, Retried, Retry, RetryError};

// What others said.
pub use failure::{CallFailure, ChaincodeResponse, FailureCause, PeerError};

// Blocks and events.
pub use block_range::{BlockRange, Start, Stop};
pub use block_request::BlockRequest;
pub use blocks::{BlockStream, DeliverError, FilteredBlockStream, PrivateDataBlockStream};
pub use chaincode_events::{
    BlockEvents, ChaincodeEventStream, ChaincodeEventsError, EventsFrom, EventsRequest,
};

// Streams that heal.
pub use checkpoint::{
    Checkpoint, CheckpointError, CheckpointFile, CheckpointInMemory, Checkpointer, NotACheckpoint,
};
pub use effect::{AtLeastOnce, AtLeastOnceError, Effect};
pub use feed::StreamError;
pub use listener::{Delivered, ListenError, Listener, Listening, RunError};

// One endorser.
pub use endorser::{Endorser, EndorserCall, EndorserError};
pub use system::{
    ChaincodeDefinition, Channels, Ledger, Lifecycle, LifecycleTransactions, Package, SystemChaincodeError,
};

// Why a transaction is what it is.
pub use explain::{
    Cause, Change, Comparison, Conflict, Difference, EndorserAnswer, ExplainError, Explanation, InBlock, Key,
    Part, Party, Phantom, Position, UnmetPolicy, Winner,
};

/// Fabric's wire messages, of which blocks, events and validation codes are made.
pub use hlf_protos as protos;
/// gRPC status codes, as in [`CallFailure::code`].
pub use tonic::Code;
