//! What a program may count: every attempt of every call, by stage, peer and outcome.

use std::fmt;
use std::time::Duration;

use hlf_protos::protos::TxValidationCode;
use tonic::Code;

/// Takes what this client observes; see [`crate::Gateway::with_metrics`].
///
/// It is called between a call's end and its caller, so it must not block.
pub trait Metrics: Send + Sync {
    /// One attempt at one peer ended.
    fn observed(&self, observation: &Observation<'_>);
}

/// One attempt of a call at one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observation<'a> {
    /// What was asked for.
    pub operation: Operation,
    /// The peer's address, `host:port`.
    pub peer: &'a str,
    /// How the attempt ended.
    pub outcome: Outcome,
    /// How long it waited until the peer had room for it.
    pub queued: Duration,
    /// How long it took from then on; of a stream, until the peer took it.
    pub duration: Duration,
}

/// What a peer is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Running a call for its result.
    Evaluate,
    /// Gathering endorsements.
    Endorse,
    /// Handing a transaction to the orderers.
    Submit,
    /// Waiting for a transaction's block.
    CommitStatus,
    /// A call of the peer's own endorser, without its gateway.
    ProcessProposal,
    /// A stream of a chaincode's events.
    ChaincodeEvents,
    /// A stream of blocks.
    Deliver,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// As asked for.
    Answered,
    /// With a verdict on the transaction.
    Verdict(TxValidationCode),
    /// The peer, or somebody behind it, refused.
    Refused(Code),
    /// The peer refused because it runs as many calls as it takes; the call was not run.
    Busy,
    /// The connection broke or could not be made.
    Unreachable,
    /// No answer came in time.
    Late,
}

/// Observes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMetrics;

impl Metrics for NoMetrics {
    fn observed(&self, _: &Observation<'_>) {}
}

/// A time as spans have it.
pub(crate) fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Operation {
    /// Its name, fit for a label: `evaluate`, `endorse`, `submit`, `commit_status`, `process_proposal`,
    /// `chaincode_events`, `deliver`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Evaluate => "evaluate",
            Self::Endorse => "endorse",
            Self::Submit => "submit",
            Self::CommitStatus => "commit_status",
            Self::ProcessProposal => "process_proposal",
            Self::ChaincodeEvents => "chaincode_events",
            Self::Deliver => "deliver",
        }
    }

    /// The field of a transaction's span that holds how long it took, in microseconds.
    pub(crate) const fn span_field(self) -> Option<&'static str> {
        match self {
            Self::Evaluate => Some("evaluate_us"),
            Self::Endorse => Some("endorse_us"),
            Self::Submit => Some("submit_us"),
            Self::CommitStatus => Some("commit_status_us"),
            Self::ProcessProposal | Self::ChaincodeEvents | Self::Deliver => None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Outcome {
    /// Its name, fit for a label: `answered`, the verdict's name, `refused`, `busy`, `unreachable`, `late`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Verdict(code) => code.as_str_name(),
            Self::Refused(_) => "refused",
            Self::Busy => "busy",
            Self::Unreachable => "unreachable",
            Self::Late => "late",
        }
    }
}
