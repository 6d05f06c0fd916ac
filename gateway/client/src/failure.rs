//! What a failed gateway call says.

use std::error::Error;
use std::fmt;

use hlf_protos::gateway::ErrorDetail;
use hlf_protos::google::rpc;
use hlf_protos::prost::Message as _;
use tonic::{Code, Status};

use crate::to_sign::is_expired;

/// How the gateway introduces a chaincode's own error, followed by status, comma, space and message.
const CHAINCODE_RESPONSE: &str = "chaincode response ";
const EVALUATE_PREFIX: &str = "evaluate call to endorser returned error: ";

/// How BFT orderers answer for a transaction that is in a block of theirs, or waits to be.
const ORDERED: [&str; 2] = [
    "failed to submit request: request already processed",
    "failed to submit request: request already exists",
];

/// A failed call: the gRPC status, and what each peer or orderer behind the gateway answered.
#[derive(Debug)]
pub struct CallFailure {
    code: Code,
    peers: Vec<PeerError>,
    status: Status,
    /// Whether the identity that asked is past its end, which peers of Fabric 2.5 do not say.
    is_identity_expired: bool,
}

/// What one endorser or orderer answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerError {
    /// Address of the node, `host:port`.
    pub address: String,
    /// Its organisation.
    pub msp_id: String,
    /// Its own message.
    pub message: String,
}

/// The status and message that a chaincode answered instead of succeeding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChaincodeResponse {
    /// 400 or more.
    pub status: i32,
    /// The chaincode's message, whole.
    pub message: String,
}

/// Why a call failed, as far as the words of peers and transport tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureCause {
    /// The peer has as many calls in hand as it takes at a time.
    Busy,
    /// No peer that was asked knows the chaincode on the channel: a name is wrong, the channel's perhaps, or the
    /// chaincode is not committed or not installed.
    UnknownChaincode,
    /// The peer is on no channel of that name. An endorsement is refused as of [`Self::UnknownChaincode`] then.
    UnknownChannel,
    /// Too few peers that the endorsement policy wants are known to each other, can be reached, or run the chaincode.
    /// The message says which are missing where the gateway knows: organisations that were asked for, or addresses
    /// that don't answer.
    TooFewEndorsers,
    /// The gateway can't reach a peer or an orderer; [`CallFailure::peers`] says which.
    NodeUnreachable,
    /// The identity's certificate is past its end.
    IdentityExpired,
    /// The identity is not one that the peer knows, or may not do this.
    IdentityRefused,
    /// The proposal's time is too far from the peer's.
    ClockOff,
    /// Endorsers computed different results.
    ResultsDiffer,
    /// The peer can't reach the chaincode's service.
    ChaincodeUnreachable,
    /// The chaincode's definition changed while the peer was about to run it: the next attempt meets the new one.
    DefinitionChanged,
    /// The transaction is in a block already.
    DuplicateTransaction,
    /// The peer demands a client certificate of its connections, and was shown none, or none that it trusts. With TLS 1.3
    /// a connection stands before the peer looks, so this may be told as [`Self::ConnectionClosed`].
    ClientCertificateMissing,
    /// The peer closed the connection before the call was sent.
    ConnectionClosed,
    /// A message is larger than its receiver takes: this client's limit is
    /// [`crate::Gateway::with_received_bytes_max`], the peer's is in its configuration.
    MessageTooLarge,
}

impl CallFailure {
    /// Why the call failed, if that is known; the chaincode's own words are never taken for a cause.
    pub fn cause(&self) -> Option<FailureCause> {
        known(self).map(|known| known.cause)
    }

    /// The gRPC status code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The gRPC status message.
    pub fn message(&self) -> &str {
        self.status.message()
    }

    /// What the nodes behind the gateway answered; empty when the gateway itself refused or was not reached.
    pub fn peers(&self) -> &[PeerError] {
        &self.peers
    }

    /// The chaincode's own error, when that is why the call failed.
    pub fn chaincode_response(&self) -> Option<ChaincodeResponse> {
        self.peers.iter().find_map(|peer| ChaincodeResponse::parse(&peer.message)).or_else(|| {
            let message = self.message();
            ChaincodeResponse::parse(message.strip_prefix(EVALUATE_PREFIX).unwrap_or(message))
        })
    }

    /// Whether the same call may succeed later without anything being changed: nodes down, busy or not ready.
    ///
    /// A transaction that was submitted isn't submitted again for this: ask for its commit status.
    pub fn is_retryable(&self) -> bool {
        if self.chaincode_response().is_some() {
            return false;
        }
        match known(self) {
            Some(known) => known.retryable,
            None => {
                matches!(
                    self.code(),
                    Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted
                )
            }
        }
    }

    /// Whether an orderer answered that it has the submitted transaction already.
    ///
    /// With BFT ordering a gateway sends a transaction to all orderers. One that took part in ordering it before
    /// its own copy came says "request already processed", which gateways up to Fabric 3.1 count as a failure.
    /// One orderer's word is no proof, but reason enough to await the block.
    pub fn says_ordered(&self) -> bool {
        ORDERED.iter().any(|phrase| self.peers.iter().any(|peer| peer.message.ends_with(phrase)))
    }

    /// What to do about it, for failures whose cause is known.
    pub fn advice(&self) -> Option<&'static str> {
        known(self).map(|known| known.advice)
    }

    /// The failure of a call that this identity made (`msp.SerializedIdentity`, encoded).
    pub(crate) fn of_creator(self, creator: &[u8]) -> Self {
        let refused = self.cause() == Some(FailureCause::IdentityRefused);
        Self { is_identity_expired: refused && is_expired(creator), ..self }
    }

    /// Whether one of the causes that the transport gives has these words.
    fn transport_said(&self, phrase: &str) -> bool {
        let mut cause = self.status.source();
        while let Some(said) = cause {
            if said.to_string().contains(phrase) {
                return true;
            }
            cause = said.source();
        }
        false
    }

    fn said(&self, phrase: &str) -> bool {
        self.message().contains(phrase) || self.peers.iter().any(|peer| peer.message.contains(phrase))
    }
}

impl From<Status> for CallFailure {
    fn from(status: Status) -> Self {
        // Details that can't be read leave the status itself to go by.
        let details = rpc::Status::decode(status.details()).map(|status| status.details).unwrap_or_default();
        let peers = details
            .iter()
            .filter_map(|detail| detail.to_msg::<ErrorDetail>().ok())
            .map(PeerError::from)
            .collect();
        Self { code: code(&status), peers, status, is_identity_expired: false }
    }
}

impl From<ErrorDetail> for PeerError {
    fn from(detail: ErrorDetail) -> Self {
        Self { address: detail.address, msp_id: detail.msp_id, message: detail.message }
    }
}

impl fmt::Display for CallFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", code_name(self.code()), self.message())?;
        for peer in &self.peers {
            write!(formatter, "; {peer}")?;
        }
        match self.advice() {
            Some(advice) => write!(formatter, " ({advice})"),
            None => Ok(()),
        }
    }
}

impl Error for CallFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.status.source()
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({}): {}", self.address, self.msp_id, self.message)
    }
}

impl ChaincodeResponse {
    fn parse(message: &str) -> Option<Self> {
        let (status, message) = message.strip_prefix(CHAINCODE_RESPONSE)?.split_once(", ")?;
        Some(Self { status: status.parse().ok()?, message: message.to_owned() })
    }
}

impl fmt::Display for ChaincodeResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.status, self.message)
    }
}

/// A failure that peers report only in words.
struct Known {
    phrase: &'static str,
    cause: FailureCause,
    retryable: bool,
    advice: &'static str,
}

const UNREACHED: &str =
    "the gateway can't reach a peer or an orderer that it needs: check that it runs and listens there";

/// Phrases of Fabric 2.5 and 3.1, and of the transport.
const KNOWN: [Known; 21] = [
    Known {
        phrase: "exceeding concurrency limit",
        cause: FailureCause::Busy,
        retryable: true,
        advice: "the peer is busy: try again later, or raise its `peer.limits.concurrency`",
    },
    Known {
        phrase: "No metadata was found for chaincode",
        cause: FailureCause::UnknownChaincode,
        retryable: true,
        advice: "the peers know no such chaincode on this channel: check both names and that it is committed; \
                 right after a start, wait for gossip",
    },
    Known {
        phrase: "no combination of peers can be derived which satisfy the endorsement policy",
        cause: FailureCause::TooFewEndorsers,
        retryable: true,
        advice: "too few peers know of each other or run the chaincode: wait for gossip, then check the peers",
    },
    Known {
        phrase: "due to unavailability of peers",
        cause: FailureCause::TooFewEndorsers,
        retryable: true,
        advice: "the gateway can't reach the peers that it names: check that they run and listen there",
    },
    Known {
        phrase: "no peers available to evaluate chaincode",
        cause: FailureCause::UnknownChaincode,
        retryable: true,
        advice: "no peer of the asked organisations runs such a chaincode: check its name, and that it is installed and committed",
    },
    Known {
        phrase: "failed to find any endorsing peers for org",
        cause: FailureCause::TooFewEndorsers,
        retryable: true,
        advice: "no peer of that organisation is known to the gateway: check that it runs and has anchor peers",
    },
    Known {
        phrase: "client identity expired",
        cause: FailureCause::IdentityExpired,
        retryable: false,
        advice: "the identity's certificate has expired: enrol again",
    },
    Known {
        phrase: "due to incorrect timestamp",
        cause: FailureCause::ClockOff,
        retryable: false,
        advice: "the proposal's time is too far from the peer's: set this machine's clock",
    },
    Known {
        phrase: "access denied",
        cause: FailureCause::IdentityRefused,
        retryable: false,
        advice: "the peer refuses this identity: check that certificate and MSP id belong together, that the \
                 organisation is a member of the channel, and that the certificate is not revoked",
    },
    Known {
        phrase: "failed to get config for channel",
        cause: FailureCause::UnknownChannel,
        retryable: false,
        advice: "the peer is not on this channel: check the channel's name, and join the peer",
    },
    Known {
        phrase: "ProposalResponsePayloads do not match",
        cause: FailureCause::ResultsDiffer,
        retryable: false,
        advice: "endorsers computed different results: the chaincode is not deterministic, or its versions differ",
    },
    Known {
        phrase: "could not launch chaincode",
        cause: FailureCause::ChaincodeUnreachable,
        retryable: true,
        advice: "the peer can't reach the chaincode: check that its service runs and where it listens",
    },
    Known {
        phrase: "changed during invoke",
        cause: FailureCause::DefinitionChanged,
        retryable: true,
        advice: "the chaincode was upgraded at this very moment: try again",
    },
    Known {
        phrase: "duplicate transaction found",
        cause: FailureCause::DuplicateTransaction,
        retryable: false,
        advice: "a transaction of this id is already in a block: ask for its commit status",
    },
    Known {
        phrase: "decoded message length too large",
        cause: FailureCause::MessageTooLarge,
        retryable: false,
        advice: "the answer is larger than this client takes: raise its limit with `with_received_bytes_max`",
    },
    Known {
        phrase: "Failed to get policy manager for channel",
        cause: FailureCause::UnknownChannel,
        retryable: false,
        advice: "the peer is not on this channel: check the channel's name, and join the peer",
    },
    Known {
        phrase: "exceeds maximum allowed",
        cause: FailureCause::MessageTooLarge,
        retryable: false,
        advice: "the transaction is larger than the orderers take: make it smaller, or raise the channel's \
                 `AbsoluteMaxBytes`",
    },
    Known {
        phrase: "received message larger than max",
        cause: FailureCause::MessageTooLarge,
        retryable: false,
        advice: "the message is larger than its receiver takes: make it smaller, or raise the node's gRPC limit",
    },
    Known {
        phrase: "operation was canceled",
        cause: FailureCause::ConnectionClosed,
        retryable: true,
        advice: "the peer closed the connection before the call was sent: it is going down, or it demands a client \
                 certificate of an authority that it trusts, which the endpoint's `client_tls` shows",
    },
    Known {
        phrase: "rpc error: code = Unavailable",
        cause: FailureCause::NodeUnreachable,
        retryable: true,
        advice: UNREACHED,
    },
    // A gateway drops its connection to an endorser that one call found dead, under every other call to it.
    Known {
        phrase: "the client connection is closing",
        cause: FailureCause::NodeUnreachable,
        retryable: true,
        advice: UNREACHED,
    },
];

/// With what alert a peer ends the connection of whoever shows no client certificate that it trusts. HTTP/2 passes it on
/// in words alone.
const WANTS_CLIENT_CERTIFICATE: [&str; 3] = [
    "received fatal alert: CertificateRequired",
    "received fatal alert: BadCertificate",
    "received fatal alert: UnknownCA",
];

const CLIENT_CERTIFICATE: Known = Known {
    phrase: "",
    cause: FailureCause::ClientCertificateMissing,
    retryable: false,
    advice: "the peer demands a client certificate and trusts none that it was shown: give the endpoint one of an \
             authority that the peer trusts, with `client_tls`",
};

/// The failure's cause, if it is one of the known; a chaincode's own words don't count.
fn known(failure: &CallFailure) -> Option<&'static Known> {
    if failure.chaincode_response().is_some() {
        return None;
    }
    if WANTS_CLIENT_CERTIFICATE.iter().any(|alert| failure.transport_said(alert)) {
        return Some(&CLIENT_CERTIFICATE);
    }
    let known = KNOWN.iter().find(|known| failure.said(known.phrase))?;
    match known.cause {
        FailureCause::IdentityRefused if failure.is_identity_expired => {
            KNOWN.iter().find(|known| known.cause == FailureCause::IdentityExpired)
        }
        _ => Some(known),
    }
}

/// The code of a status, with broken connections as UNAVAILABLE: the transport calls them UNKNOWN, as gateways
/// call a chaincode's errors, and CANCELLED when the call was not sent yet.
fn code(status: &Status) -> Code {
    match status.code() {
        Code::Unknown | Code::Cancelled if status.source().is_some() => Code::Unavailable,
        code => code,
    }
}

/// A gRPC status code by its official name.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use hlf_protos::prost_types::Any;

    use super::*;

    fn failure(code: Code, message: &str, peers: &[&str]) -> CallFailure {
        let details = peers.iter().map(|message| {
            let detail = ErrorDetail {
                address: "peer0:7051".into(),
                msp_id: "NorthMSP".into(),
                message: (*message).into(),
            };
            Any::from_msg(&detail).unwrap()
        });
        let status = rpc::Status { code: code.into(), message: message.into(), details: details.collect() };
        Status::with_details(code, message, status.encode_to_vec().into()).into()
    }

    #[test]
    fn a_connection_that_ends_for_want_of_a_client_certificate_says_so() {
        let failed = |words: &str| {
            let transport = std::io::Error::other(std::io::Error::other(words.to_owned()));
            CallFailure::from(Status::from_error(Box::new(transport)))
        };
        for alert in ["CertificateRequired", "BadCertificate", "UnknownCA"] {
            let failure = failed(&format!("connection error: received fatal alert: {alert}"));
            assert_eq!(failure.cause(), Some(FailureCause::ClientCertificateMissing), "{failure}");
            assert_eq!((failure.code(), failure.is_retryable()), (Code::Unavailable, false));
            assert!(failure.advice().unwrap().contains("client_tls"), "{failure}");
        }
        assert_eq!(failed("connection reset by peer").cause(), None);
        // As the transport says it of a call that it did not send.
        let closed = CallFailure::from(Status::cancelled("operation was canceled"));
        assert_eq!(closed.cause(), Some(FailureCause::ConnectionClosed));
        assert!(closed.is_retryable() && closed.advice().unwrap().contains("client_tls"), "{closed}");
    }

    #[test]
    fn details_that_cannot_be_read_leave_the_status() {
        let foreign =
            Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".into(), value: b"\xff".to_vec() };
        let mistyped =
            Any { type_url: "type.googleapis.com/gateway.ErrorDetail".into(), value: b"\xff".to_vec() };
        let status = rpc::Status { details: vec![foreign, mistyped], ..rpc::Status::default() };
        for details in [b"\xff\xff".to_vec(), Vec::new(), status.encode_to_vec()] {
            let failure = CallFailure::from(Status::with_details(Code::Aborted, "refused", details.into()));
            assert_eq!(failure.peers(), []);
            assert_eq!(failure.to_string(), "ABORTED: refused");
        }
    }

    #[test]
    fn only_a_whole_chaincode_response_is_one() {
        for message in [
            "",
            "chaincode response",
            "chaincode response 500",
            "chaincode response x, y",
            "a chaincode response 500, y",
        ] {
            assert_eq!(failure(Code::Aborted, "refused", &[message]).chaincode_response(), None, "{message}");
        }
        let response = failure(Code::Aborted, "refused", &["peer is down", "chaincode response 404, "])
            .chaincode_response();
        assert_eq!(response, Some(ChaincodeResponse { status: 404, message: String::new() }));
    }

    #[test]
    fn a_chaincodes_words_are_not_taken_for_the_peers() {
        let failure =
            failure(Code::Aborted, "refused", &["chaincode response 500, exceeding concurrency limit"]);
        assert_eq!(failure.advice(), None);
        assert!(!failure.is_retryable());
    }

    #[test]
    fn a_call_that_meets_an_upgrade_may_be_made_again() {
        let words = "make sure the chaincode bench has been successfully defined on channel consortium and try again: chaincode \
                     cache at sequence 2 but current sequence is 1, chaincode definition for 'bench' changed during invoke";
        let failure = failure(Code::Aborted, "failed to endorse transaction", &[words]);
        assert_eq!(failure.cause(), Some(FailureCause::DefinitionChanged));
        assert!(failure.is_retryable());
    }

    #[test]
    fn unknown_failures_are_retryable_by_their_code() {
        assert!(failure(Code::Unavailable, "down", &[]).is_retryable());
        assert!(failure(Code::DeadlineExceeded, "late", &[]).is_retryable());
        assert!(!failure(Code::InvalidArgument, "bad", &[]).is_retryable());
        assert!(!failure(Code::PermissionDenied, "no", &[]).is_retryable());
    }
}
