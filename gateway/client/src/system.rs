//! The system chaincodes of a peer, as typed calls to its endorser.
//!
//! Each says what the peer itself holds, so it is asked of one [`Endorser`]: `qscc` for blocks and transactions,
//! `cscc` for channels, `_lifecycle` for chaincodes.

mod cscc;
mod lifecycle;
mod qscc;

use hlf_protos::prost::{DecodeError, Message};

pub use cscc::Channels;
pub use lifecycle::{ChaincodeDefinition, Lifecycle, LifecycleTransactions, Package};
pub use qscc::Ledger;

use crate::{ChaincodeResponse, Endorser, EndorserError};

/// Why a system chaincode gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum SystemChaincodeError {
    /// The peer refused, or could not be asked.
    #[error("`{function}` was not answered")]
    Call {
        /// The function that was called.
        function: &'static str,
        /// What the peer said.
        source: EndorserError,
    },
    /// The answer is not the message that it should be.
    #[error("`{function}` was answered with something else than Fabric answers")]
    Answer {
        /// The function that was called.
        function: &'static str,
        /// What is wrong with it.
        source: DecodeError,
    },
}

impl SystemChaincodeError {
    /// What the system chaincode answered, when it refused.
    pub fn response(&self) -> Option<&ChaincodeResponse> {
        match self {
            Self::Call { source, .. } => source.chaincode_response(),
            Self::Answer { .. } => None,
        }
    }

    /// Whether the peer keeps this identity from asking: the channel's ACLs name who may.
    pub fn is_denied(&self) -> bool {
        self.response().is_some_and(|response| response.message.contains("access denied"))
    }

    /// Whether what was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        self.response().is_some_and(|response| {
            response.status == 404 || NOT_FOUND.iter().any(|phrase| response.message.contains(phrase))
        })
    }
}

/// What Fabric 2.5 and 3.1 say of what is not there.
const NOT_FOUND: [&str; 7] = [
    "is not defined",
    "could not fetch approved chaincode definition",
    "could not find chaincode with package id",
    "chaincode install package '",
    "no such transaction ID",
    "no such block number",
    "no such block hash",
];

/// Calls a system chaincode whose answer is a message.
async fn ask<R: Message + Default>(
    endorser: &Endorser,
    (channel, chaincode): (&str, &str),
    function: &'static str,
    args: impl IntoIterator<Item = Vec<u8>>,
) -> Result<R, SystemChaincodeError> {
    let answer = tell(endorser, (channel, chaincode), function, args).await?;
    R::decode(answer.as_slice()).map_err(|source| SystemChaincodeError::Answer { function, source })
}

/// Calls a system chaincode.
async fn tell(
    endorser: &Endorser,
    (channel, chaincode): (&str, &str),
    function: &'static str,
    args: impl IntoIterator<Item = Vec<u8>>,
) -> Result<Vec<u8>, SystemChaincodeError> {
    let call = endorser.call(channel, chaincode, function).args(args);
    call.send().await.map_err(|source| SystemChaincodeError::Call { function, source })
}
