//! What comes of a proposal.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::calls::ChaincodeCall;
use crate::ledger::Validity;
use crate::rwset::ReadWriteSet;

/// Why a proposal has no outcome.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// The stream to the chaincode has ended.
    #[error("the stream to the chaincode has ended")]
    StreamLost,
    /// The chaincode did not complete in time; it is not told.
    #[error("the chaincode did not complete within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The chaincode answered ERROR, which peers count as a fault of their own.
    #[error("the chaincode answered ERROR: {0}")]
    ErrorMessage(String),
    /// The chaincode's response does not decode.
    #[error("the chaincode's response does not decode")]
    Undecodable(#[from] prost::DecodeError),
    /// The same transaction is still running.
    #[error("a transaction with this id is still running")]
    Running,
    /// Two runs on one state differ, so that two peers could not agree.
    #[error("two runs of one transaction differ\nfirst:\n{first}second:\n{second}")]
    NotDeterministic {
        /// What the first run gave.
        first: Box<Outcome>,
        /// What the second run gave.
        second: Box<Outcome>,
    },
}

/// An event that a transaction emits when it commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// What a chaincode did with a proposal: everything that would be endorsed, and how it got there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The transaction id, 64 lower-case hex characters.
    pub tx_id: String,
    /// The channel it ran on.
    pub channel: String,
    /// The timestamp of the proposal, Unix milliseconds.
    pub timestamp_unix_ms: i64,
    /// 200 for a success; from 400 on no peer endorses it.
    pub status: i32,
    /// The response's message: the code of a failure.
    pub message: String,
    /// The response's payload.
    pub payload: Vec<u8>,
    /// The event, if it set one.
    pub event: Option<Event>,
    /// What it read and wrote.
    pub rwset: ReadWriteSet,
    /// Calls to other chaincode, in order.
    pub calls: Vec<ChaincodeCall>,
    /// MSP ids of the organisations that endorsed it; `None` stands for all of them.
    pub endorsers: Option<Vec<String>>,
    /// Requests it sent, in order, by their names in Fabric's `chaincode_shim.proto`.
    pub requests: Vec<&'static str>,
    /// All messages that it sent, requests and COMPLETED, each a serialised `protos.ChaincodeMessage`.
    /// Empty unless the peer [records them](crate::TestPeerBuilder::record_messages).
    pub messages: Vec<Vec<u8>>,
}

impl Outcome {
    /// Whether a peer would endorse it.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.status < 400
    }

    /// The same outcome, endorsed by one peer of each of these organisations only.
    ///
    /// At commit, every key that it writes and that has an endorsement policy of its own is checked
    /// against them. The policy of the chaincode itself is not looked at.
    #[must_use]
    pub fn endorsed_by<M: Into<String>>(mut self, msp_ids: impl IntoIterator<Item = M>) -> Self {
        self.endorsers = Some(msp_ids.into_iter().map(Into::into).collect());
        self
    }

    /// Requests that it sent and waited for.
    #[must_use]
    pub fn round_trips(&self) -> usize {
        self.requests.len()
    }

    /// The payload as JSON of a type.
    ///
    /// # Errors
    /// If it is none.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.payload)
    }

    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        self.status == other.status
            && self.message == other.message
            && self.payload == other.payload
            && self.event == other.event
            && self.calls == other.calls
            && self.rwset.endorsed_bytes("") == other.rwset.endorsed_bytes("")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "status {} {}", self.status, self.message)?;
        writeln!(f, "reply  {}", self.payload.escape_ascii())?;
        if let Some(event) = &self.event {
            writeln!(f, "event  {} {}", event.name, event.payload.escape_ascii())?;
        }
        writeln!(f, "asked  {}", self.requests.join(", "))?;
        self.rwset.fmt(f)
    }
}

/// An outcome and what became of it in its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// What the simulation gave.
    pub outcome: Outcome,
    /// `None` if the response was not endorsed, so nothing reached a block.
    pub validity: Option<Validity>,
    /// The block, unless it was not endorsed.
    pub block: Option<u64>,
}

impl Submitted {
    /// Whether it changed the state.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.validity == Some(Validity::Valid)
    }
}
