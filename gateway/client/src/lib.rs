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
//!
//! Only a verdict other than VALID is a no. A transaction takes three signatures: proposal, transaction, and
//! request for the commit status.
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
//! # Tracing
//!
//! Each transaction has a span `transaction` with `tx_id`, `channel`, `chaincode`, `call`, `msp_id` and, at its
//! end, `outcome`. Arguments, results, certificates and keys are never recorded.

mod block_range;
mod block_request;
mod blocks;
mod chaincode_events;
mod contract;
mod deadlines;
mod endorsed;
mod endorser;
mod endpoint;
mod failure;
mod gateway;
mod identity;
mod keys;
mod msp_folder;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod proposal;
mod proposal_builder;
mod responses;
mod session;
mod signer;
mod submitted;
mod to_sign;

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

// A transaction, whole and by stages.
pub use contract::{Committed, Contract, Stage, TransactionError, UnknownCause};
pub use endorsed::{Endorsed, SubmitError};
pub use proposal::{EndorseError, EvaluateError, Proposal};
pub use proposal_builder::{ProposalBuilder, ProposalError};
pub use submitted::{CommitStatus, CommitStatusError, Submitted};
pub use to_sign::{ImportError, SignatureError};

// What others said.
pub use failure::{CallFailure, ChaincodeResponse, FailureCause, PeerError};

// Blocks and events.
pub use block_range::{BlockRange, Start, Stop};
pub use block_request::BlockRequest;
pub use blocks::{BlockStream, DeliverError, FilteredBlockStream, PrivateDataBlockStream};
pub use chaincode_events::{
    BlockEvents, ChaincodeEventStream, ChaincodeEventsError, EventsFrom, EventsRequest,
};

// One endorser.
pub use endorser::{Endorser, EndorserCall, EndorserError};

/// Fabric's wire messages, of which blocks, events and validation codes are made.
pub use hlf_protos as protos;
/// gRPC status codes, as in [`CallFailure::code`].
pub use tonic::Code;
