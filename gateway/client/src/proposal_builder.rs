//! Making a proposal.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use hlf_protos::common::{ChannelHeader, Header, HeaderType, SignatureHeader};
use hlf_protos::prost::Message as _;
use hlf_protos::prost_types::Timestamp;
use hlf_protos::protos::{
    ChaincodeHeaderExtension, ChaincodeId, ChaincodeInput, ChaincodeInvocationSpec, ChaincodeProposalPayload,
    ChaincodeSpec,
};
use sha2::{Digest as _, Sha256};

use crate::Proposal;
use crate::proposal::span;
use crate::session::Session;
use crate::to_sign::ToSign;

/// Bytes of the nonce that makes a transaction's id unique.
const NONCE_BYTES: usize = 24;

/// Collects what a proposal says.
#[derive(Clone)]
#[must_use = "a proposal is made by `build`"]
pub struct ProposalBuilder {
    session: Arc<Session>,
    channel: String,
    chaincode: String,
    function: String,
    args: Vec<Vec<u8>>,
    transient: BTreeMap<String, Vec<u8>>,
    endorsing_organizations: Vec<String>,
    timestamp: Option<SystemTime>,
}

/// Why a proposal can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProposalError {
    /// A name is empty that the gateway needs.
    #[error("proposal names no {what}")]
    Missing {
        /// `channel` or `chaincode`.
        what: &'static str,
    },
    /// The operating system gives no random bytes for the nonce.
    #[error("no random bytes for the transaction's nonce")]
    Random(#[source] getrandom::Error),
    /// The time is before the year 1 or after 9999.
    #[error("proposal's time is outside of the years 1 to 9999")]
    Timestamp,
}

impl ProposalBuilder {
    pub(crate) fn new(session: Arc<Session>, channel: &str, chaincode: &str, function: String) -> Self {
        Self {
            session,
            channel: channel.to_owned(),
            chaincode: chaincode.to_owned(),
            function,
            args: Vec::new(),
            transient: BTreeMap::new(),
            endorsing_organizations: Vec::new(),
            timestamp: None,
        }
    }

    /// Appends an argument, text or bytes.
    pub fn arg(mut self, arg: impl Into<Vec<u8>>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Appends arguments.
    pub fn args<A: Into<Vec<u8>>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a transient value: seen by endorsers, part of neither the transaction nor the proposal's hash.
    pub fn transient(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.transient.insert(name.into(), value.into());
        self
    }

    /// Asks peers of exactly these organisations, by MSP id, to evaluate or endorse; else the gateway chooses.
    pub fn endorsing_organizations<O: Into<String>>(mut self, msp_ids: impl IntoIterator<Item = O>) -> Self {
        self.endorsing_organizations = msp_ids.into_iter().map(Into::into).collect();
        self
    }

    /// Says another time than this machine's clock.
    pub fn timestamp(mut self, time: SystemTime) -> Self {
        self.timestamp = Some(time);
        self
    }

    /// Makes the proposal with a fresh transaction id.
    pub fn build(self) -> Result<Proposal, ProposalError> {
        if self.channel.is_empty() {
            return Err(ProposalError::Missing { what: "channel" });
        }
        self.build_for_any_channel()
    }

    pub(crate) fn chaincode(&self) -> &str {
        &self.chaincode
    }

    /// As [`Self::build`], without a channel too: for calls that concern a peer as a whole.
    pub(crate) fn build_for_any_channel(self) -> Result<Proposal, ProposalError> {
        if self.chaincode.is_empty() {
            return Err(ProposalError::Missing { what: "chaincode" });
        }
        let mut nonce = vec![0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(ProposalError::Random)?;
        let tx_id = transaction_id(&nonce, &self.session.creator);
        let timestamp =
            timestamp(self.timestamp.unwrap_or_else(SystemTime::now)).ok_or(ProposalError::Timestamp)?;

        let span = span(&tx_id, &self.channel, &self.chaincode, &self.function, self.session.msp_id());
        let chaincode = ChaincodeId { name: self.chaincode.clone(), ..ChaincodeId::default() };
        let header = Header {
            channel_header: ChannelHeader {
                r#type: HeaderType::EndorserTransaction.into(),
                timestamp: Some(timestamp),
                channel_id: self.channel.clone(),
                tx_id: tx_id.clone(),
                extension: ChaincodeHeaderExtension { chaincode_id: Some(chaincode.clone()) }.encode_to_vec(),
                ..ChannelHeader::default()
            }
            .encode_to_vec(),
            signature_header: SignatureHeader { creator: self.session.creator.clone(), nonce }
                .encode_to_vec(),
        };
        let mut args = vec![self.function.into_bytes()];
        args.extend(self.args);
        let input = ChaincodeInvocationSpec {
            chaincode_spec: Some(ChaincodeSpec {
                chaincode_id: Some(chaincode),
                input: Some(ChaincodeInput { args, ..ChaincodeInput::default() }),
                ..ChaincodeSpec::default()
            }),
        }
        .encode_to_vec();
        let payload = ChaincodeProposalPayload { input: input.clone(), transient_map: self.transient };
        let proposal = hlf_protos::protos::Proposal {
            header: header.encode_to_vec(),
            payload: payload.encode_to_vec(),
            extension: Vec::new(),
        };
        let to_sign = ToSign::new(self.session.creator.clone(), proposal.encode_to_vec());
        Ok(Proposal {
            session: self.session,
            channel: self.channel,
            tx_id,
            chaincode: self.chaincode,
            header,
            input,
            span,
            endorsing_organizations: self.endorsing_organizations,
            to_sign,
        })
    }
}

/// Shows the function alone: arguments and transient values stay out of logs.
impl fmt::Debug for ProposalBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ProposalBuilder").field("function", &self.function).finish_non_exhaustive()
    }
}

/// A transaction's id: SHA-256 of nonce and creator in lower-case hex.
pub(crate) fn transaction_id(nonce: &[u8], creator: &[u8]) -> String {
    hex::encode(Sha256::new().chain_update(nonce).chain_update(creator).finalize())
}

/// A time as the wire has it, in the years that Fabric's own tools accept.
fn timestamp(time: SystemTime) -> Option<Timestamp> {
    const YEAR_1: i64 = -62_135_596_800;
    const YEAR_10000: i64 = 253_402_300_800;
    let timestamp = Timestamp::from(time);
    (YEAR_1..YEAR_10000).contains(&timestamp.seconds).then_some(timestamp)
}

/// This machine's time as the wire has it.
pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_id_is_the_hash_of_nonce_and_creator() {
        // Computed by `printf noncecreator | sha256sum`.
        let expected = "709184f9d24f6ade8fcd4d6521a6eef295fef6c2e67216c58b68ac15e8946492";
        assert_eq!(transaction_id(b"nonce", b"creator"), expected);
    }

    #[test]
    fn a_time_that_the_wire_cannot_carry_is_refused() {
        let far = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(253_402_300_800);
        assert_eq!(timestamp(far), None);
        let last = far - std::time::Duration::from_nanos(1);
        assert_eq!(timestamp(last).map(|time| time.nanos), Some(999_999_999));
    }
}
