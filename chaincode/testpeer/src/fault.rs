//! What a peer that misbehaves does with the chaincode's requests.

use std::time::Duration;

use hlf_protos::protos::chaincode_message::Type;
use hlf_protos::protos::{ChaincodeMessage, GetStateMultipleResult};
use prost::Message;

/// A way to misbehave, from the next request on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It answers no request.
    Silence,
    /// It answers each with an ERROR of these words.
    Refuse(String),
    /// It answers requests of one kind with an ERROR.
    RefuseOnly {
        /// The kind's name in Fabric's `chaincode_shim.proto`.
        request: String,
        /// The words of the ERROR.
        words: String,
    },
    /// It answers a multi-get with no values, as real peers do when their state database fails.
    ShortMultiGet,
    /// It leaves out that many of the last values of a multi-get.
    FewerValues(usize),
    /// It answers with that many bytes.
    Oversized(usize),
    /// It answers that much later.
    Delay(Duration),
    /// It keeps answers back until it has so many, then sends the last one first. Another fault, or none,
    /// lets go of what it keeps.
    Reorder(usize),
    /// It gives up on a transaction at its next request, as when the execute timeout has passed: its caller
    /// gets [`InvokeError::TimedOut`](crate::InvokeError::TimedOut), the chaincode hears nothing of it, and
    /// what it asks from then on is refused with `no ledger context`.
    ExecuteTimeout,
    /// It ends the stream at the next request.
    DropStream,
}

/// What becomes of an answer.
#[derive(Debug)]
pub(crate) enum Step {
    /// There is none.
    Nothing,
    /// It is sent after this time.
    Send(Box<ChaincodeMessage>, Duration),
    /// These are sent now, in this order.
    Release(Vec<ChaincodeMessage>),
    /// The stream ends.
    End,
}

/// The fault that is in force, and what it keeps back.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) fault: Option<Fault>,
    kept: Vec<ChaincodeMessage>,
}

impl Faults {
    /// Puts another fault in force; answers with what the earlier one has kept.
    pub(crate) fn replace(&mut self, fault: Option<Fault>) -> Vec<ChaincodeMessage> {
        self.fault = fault;
        self.release()
    }

    /// What becomes of an answer that is ready.
    pub(crate) fn pass(&mut self, answer: ChaincodeMessage) -> Step {
        match self.fault {
            Some(Fault::Delay(by)) => Step::Send(Box::new(answer), by),
            Some(Fault::Reorder(count)) => {
                self.kept.push(answer);
                if self.kept.len() < count { Step::Nothing } else { Step::Release(self.release()) }
            }
            _ => Step::Send(Box::new(answer), Duration::ZERO),
        }
    }

    fn release(&mut self) -> Vec<ChaincodeMessage> {
        let mut kept = std::mem::take(&mut self.kept);
        kept.reverse();
        kept
    }
}

/// The payload of an answer as a fault leaves it.
pub(crate) fn distort(fault: Option<&Fault>, request: Type, payload: Vec<u8>) -> Vec<u8> {
    match (fault, request) {
        (Some(Fault::ShortMultiGet), Type::GetStateMultiple) => Vec::new(),
        (Some(Fault::FewerValues(count)), Type::GetStateMultiple) => {
            let mut result = GetStateMultipleResult::decode(payload.as_slice()).unwrap_or_default();
            result.values.truncate(result.values.len().saturating_sub(*count));
            result.encode_to_vec()
        }
        (Some(Fault::Oversized(bytes)), _) => vec![0; *bytes],
        _ => payload,
    }
}
