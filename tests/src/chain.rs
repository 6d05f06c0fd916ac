//! Whole blocks, decoded message by message with the wire's schema alone.

use hlf_gateway::{BlockRange, Gateway, Start};
use hlf_protos::common::{
    Block, BlockMetadataIndex, ChannelHeader, Envelope, Header, HeaderType, Payload, SignatureHeader,
};
use hlf_protos::prost::Message;
use hlf_protos::protos::{
    ChaincodeAction, ChaincodeActionPayload, ChaincodeEvent, ChaincodeHeaderExtension,
    ChaincodeInvocationSpec, ChaincodeProposalPayload, ProposalResponsePayload, Transaction as Actions,
    TxValidationCode,
};
use serde_json::Value;

/// The blocks of a channel from its first on.
#[derive(Clone, Debug)]
pub struct Chain {
    blocks: Vec<Block>,
}

/// An endorsed transaction in a block, every message of it decoded.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the wire's messages, by their names")]
pub struct Transaction {
    pub block: u64,
    pub position: u32,
    pub code: TxValidationCode,
    pub envelope: Envelope,
    pub header: Header,
    pub channel_header: ChannelHeader,
    pub signature_header: SignatureHeader,
    pub actions: Actions,
    pub action: ChaincodeActionPayload,
    pub call: ChaincodeProposalPayload,
    pub spec: ChaincodeInvocationSpec,
    pub response: ProposalResponsePayload,
    pub result: ChaincodeAction,
    pub chaincode: String,
    pub event: Option<ChaincodeEvent>,
}

/// What a VALID transaction of a chaincode says that it did: its event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields speak by their names")]
pub struct Told {
    pub block: u64,
    pub position: u32,
    pub tx_id: String,
    pub event: String,
    pub entry: Value,
}

impl Chain {
    /// Every block of a channel that a peer has now, as it gives them to an admin.
    ///
    /// # Panics
    /// When the stream ends early, or a block is missing.
    pub async fn read(gateway: &Gateway, channel: &str) -> Self {
        let range = BlockRange::to_newest(Start::Oldest);
        let mut stream = gateway.blocks(channel, range).await.expect("a stream of blocks");
        let mut blocks = Vec::new();
        while let Some(block) = stream.next().await.expect("a block") {
            blocks.push(block);
        }
        Self::new(blocks)
    }

    fn new(blocks: Vec<Block>) -> Self {
        for (number, block) in blocks.iter().enumerate() {
            assert_eq!(block.header.as_ref().map(|header| header.number), Some(number as u64));
        }
        Self { blocks }
    }

    /// The blocks, in order.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Every endorsed transaction, VALID or not, in the order of the chain.
    ///
    /// # Panics
    /// When a message does not encode again to the very bytes that it was decoded from.
    pub fn transactions(&self) -> Vec<Transaction> {
        self.blocks.iter().flat_map(Transaction::in_block).collect()
    }

    /// What the VALID transactions of a chaincode told by events, in the order of the chain.
    ///
    /// # Panics
    /// When an event's payload is no JSON.
    pub fn told(&self, chaincode: &str) -> Vec<Told> {
        self.transactions()
            .into_iter()
            .filter(|transaction| {
                transaction.chaincode == chaincode && transaction.code == TxValidationCode::Valid
            })
            .filter_map(|transaction| {
                let event = transaction.event?;
                assert_eq!(event.tx_id, transaction.channel_header.tx_id);
                Some(Told {
                    block: transaction.block,
                    position: transaction.position,
                    tx_id: event.tx_id,
                    event: event.event_name,
                    entry: serde_json::from_slice(&event.payload).expect("an entry in JSON"),
                })
            })
            .collect()
    }
}

impl Transaction {
    /// The endorsed transactions of a block, VALID or not, in its order.
    ///
    /// # Panics
    /// When a message does not encode again to the very bytes that it was decoded from.
    pub fn in_block(block: &Block) -> Vec<Self> {
        let mut transactions = Vec::new();
        for (position, (envelope, code)) in envelopes(block).into_iter().enumerate() {
            let payload: Payload = exactly(&envelope.payload);
            let header = payload.header.clone().expect("a header");
            let channel_header: ChannelHeader = exactly(&header.channel_header);
            if channel_header.r#type != i32::from(HeaderType::EndorserTransaction) {
                continue;
            }
            let block = block.header.as_ref().expect("a header").number;
            let position = u32::try_from(position).expect("few transactions");
            transactions.push(Self::decode(
                block,
                position,
                code,
                envelope,
                &payload,
                header,
                channel_header,
            ));
        }
        transactions
    }

    fn decode(
        block: u64,
        position: u32,
        code: TxValidationCode,
        envelope: Envelope,
        payload: &Payload,
        header: Header,
        channel_header: ChannelHeader,
    ) -> Self {
        let signature_header = exactly(&header.signature_header);
        let extension: ChaincodeHeaderExtension = exactly(&channel_header.extension);
        let actions: Actions = exactly(&payload.data);
        assert_eq!(actions.actions.len(), 1, "a transaction of one action");
        let action: ChaincodeActionPayload = exactly(&actions.actions[0].payload);
        let call: ChaincodeProposalPayload = exactly(&action.chaincode_proposal_payload);
        let spec = exactly(&call.input);
        let endorsed = action.action.clone().expect("an endorsed action");
        let response: ProposalResponsePayload = exactly(&endorsed.proposal_response_payload);
        let result: ChaincodeAction = exactly(&response.extension);
        let event = (!result.events.is_empty()).then(|| exactly(&result.events));
        let chaincode = extension.chaincode_id.expect("a chaincode's name").name;
        Self {
            block,
            position,
            code,
            envelope,
            header,
            channel_header,
            signature_header,
            actions,
            action,
            call,
            spec,
            response,
            result,
            chaincode,
            event,
        }
    }

    /// The function that was called.
    ///
    /// # Panics
    /// When the call names none.
    pub fn function(&self) -> String {
        String::from_utf8(self.arg(0).to_vec()).expect("a name")
    }

    /// An argument of the call; the first, 0, is the function.
    ///
    /// # Panics
    /// When the call has no such argument.
    pub fn arg(&self, index: usize) -> &[u8] {
        let input = self.spec.chaincode_spec.as_ref().and_then(|spec| spec.input.as_ref()).expect("an input");
        input.args.get(index).expect("an argument")
    }
}

/// The envelopes of a block, each with the peer's verdict.
///
/// # Panics
/// When there are not as many verdicts as envelopes.
pub fn envelopes(block: &Block) -> Vec<(Envelope, TxValidationCode)> {
    let data = &block.data.as_ref().expect("data").data;
    let filter = BlockMetadataIndex::TransactionsFilter as usize;
    let codes = block.metadata.as_ref().and_then(|metadata| metadata.metadata.get(filter)).expect("verdicts");
    assert_eq!(codes.len(), data.len());
    let envelope = |(envelope, code): (&Vec<u8>, &u8)| {
        let code = TxValidationCode::try_from(i32::from(*code)).expect("a known verdict");
        (exactly::<Envelope>(envelope), code)
    };
    data.iter().zip(codes).map(envelope).collect()
}

/// Decodes a message that must encode again to the very same bytes.
///
/// # Panics
/// When it does not.
#[track_caller]
pub fn exactly<M: Message + Default>(bytes: &[u8]) -> M {
    let message = M::decode(bytes).expect("a message of this schema");
    assert_eq!(message.encode_to_vec(), bytes, "the message encodes to other bytes");
    message
}
