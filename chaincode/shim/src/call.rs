//! Calls to other chaincode within a transaction.

use hlf_protos::protos::chaincode_message::Type;
use hlf_protos::protos::{self, ChaincodeId, ChaincodeInput, ChaincodeMessage, ChaincodeSpec};
use prost::Message;

use crate::ledger::{LedgerError, Line};
use crate::response::Response;
use crate::state::undecodable;

/// Stands between chaincode and channel on the wire.
const CHANNEL_SEPARATOR: char = '/';

/// An empty channel is the transaction's own.
pub(crate) async fn call<A: AsRef<[u8]>>(
    line: &Line,
    chaincode: &str,
    channel: &str,
    args: &[A],
) -> Result<Response, LedgerError> {
    if chaincode.is_empty() || chaincode.contains(CHANNEL_SEPARATOR) || channel.contains(CHANNEL_SEPARATOR) {
        return Err(LedgerError::CalleeInvalid);
    }
    let name = match channel {
        "" => chaincode.to_owned(),
        channel => format!("{chaincode}{CHANNEL_SEPARATOR}{channel}"),
    };
    let input = ChaincodeInput {
        args: args.iter().map(|arg| arg.as_ref().to_vec()).collect(),
        ..ChaincodeInput::default()
    };
    let spec = ChaincodeSpec {
        chaincode_id: Some(ChaincodeId { name, ..ChaincodeId::default() }),
        input: Some(input),
        ..ChaincodeSpec::default()
    };
    let payload = line.ask(Type::InvokeChaincode, &spec).await?;
    decode(&payload)
}

/// The answer holds the message that the called chaincode ended with.
fn decode(payload: &[u8]) -> Result<Response, LedgerError> {
    let invalid = || undecodable(Type::InvokeChaincode);
    let ended = ChaincodeMessage::decode(payload).map_err(|_| invalid())?;
    let request = Type::InvokeChaincode.as_str_name();
    match Type::try_from(ended.r#type) {
        Ok(Type::Completed) => {
            let response = protos::Response::decode(ended.payload.as_slice()).map_err(|_| invalid())?;
            Ok(Response::from_wire(response))
        }
        Ok(Type::Error) => Err(LedgerError::Refused {
            request,
            reason: String::from_utf8_lossy(&ended.payload).into_owned(),
        }),
        _ => Err(LedgerError::ReplyInvalid { request, reason: "the called chaincode did not complete" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_chaincode_ended_with_is_told_apart() {
        let ended = |kind: Type, payload: Vec<u8>| {
            decode(&ChaincodeMessage { r#type: kind.into(), payload, ..Default::default() }.encode_to_vec())
        };
        let failed = protos::Response { status: 404, message: "ABSENT".into(), payload: b"x".to_vec() };
        let response = ended(Type::Completed, failed.encode_to_vec()).unwrap();
        assert_eq!((response.status(), response.message(), response.payload()), (404, "ABSENT", &b"x"[..]));
        assert!(matches!(ended(Type::Error, b"gone".to_vec()), Err(LedgerError::Refused { .. })));
        assert!(matches!(ended(Type::Ready, Vec::new()), Err(LedgerError::ReplyInvalid { .. })));
        assert!(matches!(ended(Type::Completed, vec![0xff]), Err(LedgerError::ReplyInvalid { .. })));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_a_panic(payload in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = decode(&payload);
        }
    }
}
