//! Values of the state: one format byte, then JSON. The byte is none that JSON starts with, so that a
//! state database which understands JSON keeps the bytes as they are.

use caretrail_model::audit::AuditEntry;
use caretrail_model::calls::{CarriedStatement, Disclosure};
use caretrail_model::care::{BrokenGlass, Relationship};
use caretrail_model::code::Code;
use caretrail_model::consent::LiveConsents;
use caretrail_model::guardian::Guardians;
use caretrail_model::ids::{Actor, PatientId, TxId};
use caretrail_model::paper::Paper;
use caretrail_model::patient::{Patient, Recovery, Signer, StopSwitch};
use caretrail_model::policy::ConsortiumPolicy;
use caretrail_model::record::{Correction, Record, RecordVersion};
use caretrail_model::standing::Standing;
use caretrail_model::time::UnixMs;
use hlf_chaincode::Failure;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::failure::refuse;

/// JSON, first format. Every byte ever written stays readable.
const JSON_1: u8 = 0x01;

/// A value of the state: it knows when it was written, since no later act takes effect before.
pub(crate) trait Stored: Serialize + DeserializeOwned {
    /// Effective time of the transaction that wrote it.
    fn at(&self) -> UnixMs;
}

pub(crate) fn encode<T: Stored>(value: &T) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![JSON_1];
    serde_json::to_writer(&mut bytes, value)
        .map_err(|error| refuse(Code::StateUnreadable).caused_by(error))?;
    Ok(bytes)
}

pub(crate) fn decode<T: Stored>(bytes: &[u8]) -> Result<T, Failure> {
    match bytes.split_first() {
        Some((&JSON_1, json)) => {
            serde_json::from_slice(json).map_err(|error| refuse(Code::StateUnreadable).caused_by(error))
        }
        _ => Err(refuse(Code::StateUnreadable)),
    }
}

/// A policy since it came in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyInForce {
    pub(crate) policy: ConsortiumPolicy,
    pub(crate) at: UnixMs,
}

/// A proposed policy, exactly as it was proposed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProposedText {
    pub(crate) policy: String,
    pub(crate) by: Actor,
    pub(crate) at: UnixMs,
}

/// A hospital's approval of a proposed policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approval {
    pub(crate) by: Actor,
    pub(crate) at: UnixMs,
}

/// An item of a list whose content is in its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listed {
    pub(crate) at: UnixMs,
}

/// A decided request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Requested {
    pub(crate) patient: PatientId,
    pub(crate) decision: TxId,
    pub(crate) at: UnixMs,
}

macro_rules! stored {
    ($($type:ty),* $(,)?) => {
        $(impl Stored for $type {
            fn at(&self) -> UnixMs {
                self.at
            }
        })*
    };
}

stored!(
    Approval,
    AuditEntry,
    BrokenGlass,
    CarriedStatement,
    Correction,
    Disclosure,
    Guardians,
    Listed,
    LiveConsents,
    Paper,
    Patient,
    PolicyInForce,
    ProposedText,
    Record,
    RecordVersion,
    Recovery,
    Relationship,
    Requested,
    Signer,
    Standing,
    StopSwitch,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_format_byte_and_json() {
        let listed = Listed { at: UnixMs::new(7).unwrap() };
        let bytes = encode(&listed).unwrap();
        assert_eq!(bytes, b"\x01{\"at\":7}");
        assert_eq!(decode::<Listed>(&bytes).unwrap().at, listed.at);
    }

    #[test]
    fn an_unknown_format_is_an_error_and_never_absent() {
        for unreadable in [&b""[..], b"{\"at\":7}", b"\x02{\"at\":7}", b"\x01{\"at\":7,\"at\":8}", b"\x01{"] {
            assert_eq!(decode::<Listed>(unreadable).unwrap_err().code(), Code::StateUnreadable.as_str());
        }
    }
}
