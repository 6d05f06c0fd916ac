//! A gateway in memory: it speaks Fabric's gateway and block services over gRPC, and lets a test peer
//! simulate and commit.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use hlf_gateway::protos::common::{
    ChannelHeader, Envelope, Header, Payload, SignatureHeader, Status as Delivered,
};
use hlf_gateway::protos::gateway::gateway_server::{Gateway, GatewayServer};
use hlf_gateway::protos::gateway::{
    ChaincodeEventsResponse, CommitStatusRequest, CommitStatusResponse, EndorseRequest, EndorseResponse,
    ErrorDetail, EvaluateRequest, EvaluateResponse, SignedChaincodeEventsRequest, SignedCommitStatusRequest,
    SubmitRequest, SubmitResponse,
};
use hlf_gateway::protos::google::rpc;
use hlf_gateway::protos::orderer::seek_position::Type as Position;
use hlf_gateway::protos::orderer::{SeekInfo, SeekPosition};
use hlf_gateway::protos::prost::{Message, Name as _};
use hlf_gateway::protos::prost_types::Any;
use hlf_gateway::protos::protos::deliver_response::Type as Delivery;
use hlf_gateway::protos::protos::deliver_server::{Deliver, DeliverServer};
use hlf_gateway::protos::protos::filtered_transaction::Data;
use hlf_gateway::protos::protos::{
    ChaincodeAction, ChaincodeActionPayload, ChaincodeEndorsedAction, ChaincodeEvent,
    ChaincodeHeaderExtension, ChaincodeInvocationSpec, ChaincodeProposalPayload, DeliverResponse,
    FilteredBlock, FilteredChaincodeAction, FilteredTransaction, FilteredTransactionActions, Proposal,
    ProposalResponsePayload, Response as ChaincodeResponse, SignedProposal, Transaction, TransactionAction,
    TxValidationCode,
};
use hlf_testpeer::{Outcome, TestPeer, Validity};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codegen::tokio_stream::{self as streams, Stream};
use tonic::{Code, Request, Response, Status, Streaming};

/// The one peer behind the gateway, with what was ordered.
#[derive(Clone)]
pub(crate) struct InMemoryGateway {
    shared: Arc<Shared>,
}

struct Shared {
    peer: TestPeer,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    endorsed: HashMap<String, Outcome>,
    statuses: BTreeMap<String, (TxValidationCode, u64)>,
    blocks: Vec<FilteredBlock>,
    /// The first block that is delivered: of a peer that joined by a snapshot, the one after it.
    first_block: u64,
    /// Organisations that evaluations were limited to.
    targets: Vec<Vec<String>>,
    /// How many submissions are ordered without the client learning of it.
    replies_to_lose: u32,
    /// Whether commit statuses are not told.
    mute: bool,
    /// Whether evaluations are not answered.
    deaf: bool,
    /// Words with which the next evaluations fail, whatever the contract says: the caller's organisation, the
    /// function and the message.
    failing_evaluations: Vec<(&'static str, &'static str, &'static str)>,
    /// Words with which the next endorsements fail, whatever the contract says: organisation and message.
    failing_endorsements: Vec<(&'static str, &'static str)>,
}

impl InMemoryGateway {
    /// Serves on a free port, for as long as the runtime lives.
    pub(crate) async fn serve(peer: TestPeer) -> (Self, SocketAddr) {
        let gateway = Self { shared: Arc::new(Shared { peer, state: Mutex::default() }) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tonic::transport::Server::builder()
            .add_service(GatewayServer::new(gateway.clone()))
            .add_service(DeliverServer::new(gateway.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(serving);
        (gateway, address)
    }

    /// Orders the next submission, and tells nobody until [`Self::speak`].
    pub(crate) fn lose_next_reply(&self) {
        let mut state = self.shared.state.lock().unwrap();
        state.replies_to_lose = 1;
        state.mute = true;
    }

    /// Adds a block that changes the channel's configuration, whose transaction has no id.
    pub(crate) fn configure(&self) {
        let mut state = self.shared.state.lock().unwrap();
        let number = state.blocks.len() as u64;
        let filtered_transactions = vec![FilteredTransaction::default()];
        state.blocks.push(FilteredBlock { number, filtered_transactions, ..Default::default() });
    }

    /// Lacks every block that there is by now, as if the peer had joined by a snapshot just now.
    pub(crate) fn join_by_a_snapshot(&self) -> u64 {
        let mut state = self.shared.state.lock().unwrap();
        state.first_block = state.blocks.len() as u64;
        state.first_block
    }

    /// Has another ledger from here on: the newest block with a transaction id holds another one.
    pub(crate) fn fork(&self) {
        let mut state = self.shared.state.lock().unwrap();
        let mut transactions = state.blocks.iter_mut().flat_map(|block| &mut block.filtered_transactions);
        transactions.rfind(|transaction| !transaction.txid.is_empty()).unwrap().txid = "ab".repeat(32);
    }

    /// Answers no evaluation any more.
    pub(crate) fn go_deaf(&self) {
        self.shared.state.lock().unwrap().deaf = true;
    }

    /// Answers evaluations again.
    pub(crate) fn listen(&self) {
        self.shared.state.lock().unwrap().deaf = false;
    }

    /// Fails the next evaluation of each function by a caller of an organisation, with the peer's words.
    pub(crate) fn fail_evaluations(&self, failures: &[(&'static str, &'static str, &'static str)]) {
        self.shared.state.lock().unwrap().failing_evaluations = failures.to_vec();
    }

    /// Whether every evaluation failed that was to.
    pub(crate) fn failed_all_evaluations(&self) -> bool {
        self.shared.state.lock().unwrap().failing_evaluations.is_empty()
    }

    /// Fails the next endorsements, each with the words of a peer of an organisation.
    pub(crate) fn fail_endorsements(&self, failures: &[(&'static str, &'static str)]) {
        self.shared.state.lock().unwrap().failing_endorsements = failures.to_vec();
    }

    /// Whether every failure that was asked for happened.
    pub(crate) fn failed_all_endorsements(&self) -> bool {
        self.shared.state.lock().unwrap().failing_endorsements.is_empty()
    }

    /// Tells commit statuses again.
    pub(crate) fn speak(&self) {
        self.shared.state.lock().unwrap().mute = false;
    }

    /// The number of blocks that hold a VALID transaction with this event.
    pub(crate) fn committed(&self, event: &str) -> usize {
        let state = self.shared.state.lock().unwrap();
        let transactions = state.blocks.iter().flat_map(|block| &block.filtered_transactions);
        transactions
            .filter(|transaction| transaction.tx_validation_code == i32::from(TxValidationCode::Valid))
            .filter(|transaction| match &transaction.data {
                Some(Data::TransactionActions(actions)) => {
                    let mut events =
                        actions.chaincode_actions.iter().flat_map(|action| &action.chaincode_event);
                    events.any(|found| found.event_name == event)
                }
                None => false,
            })
            .count()
    }

    /// Every list of organisations that an evaluation was limited to.
    pub(crate) fn targets(&self) -> Vec<Vec<String>> {
        self.shared.state.lock().unwrap().targets.clone()
    }

    async fn simulate(&self, signed: &SignedProposal) -> Result<(Call, Outcome), Status> {
        let call = Call::read(signed).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let mut proposal = hlf_testpeer::Proposal::new(call.creator.clone(), call.function.clone())
            .channel(&call.channel)
            .chaincode(&call.chaincode)
            .timestamp_unix_ms(call.timestamp_unix_ms)
            .nonce(call.nonce.clone());
        for arg in &call.args {
            proposal = proposal.arg(arg.clone());
        }
        let outcome =
            self.shared.peer.invoke(&proposal).await.map_err(|error| Status::internal(error.to_string()))?;
        assert_eq!(outcome.tx_id, call.tx_id);
        Ok((call, outcome))
    }
}

/// What a signed proposal says.
struct Call {
    header: Header,
    input: Vec<u8>,
    creator: Vec<u8>,
    nonce: Vec<u8>,
    channel: String,
    chaincode: String,
    tx_id: String,
    timestamp_unix_ms: i64,
    function: Vec<u8>,
    args: Vec<Vec<u8>>,
}

impl Call {
    fn read(signed: &SignedProposal) -> Result<Self, hlf_gateway::protos::prost::DecodeError> {
        let proposal = Proposal::decode(signed.proposal_bytes.as_slice())?;
        let header = Header::decode(proposal.header.as_slice())?;
        let channel = ChannelHeader::decode(header.channel_header.as_slice())?;
        let signature = SignatureHeader::decode(header.signature_header.as_slice())?;
        let extension = ChaincodeHeaderExtension::decode(channel.extension.as_slice())?;
        let payload = ChaincodeProposalPayload::decode(proposal.payload.as_slice())?;
        let spec = ChaincodeInvocationSpec::decode(payload.input.as_slice())?;
        let mut args = spec.chaincode_spec.and_then(|spec| spec.input).unwrap_or_default().args.into_iter();
        let timestamp = channel.timestamp.unwrap_or_default();
        Ok(Self {
            header,
            input: payload.input,
            creator: signature.creator,
            nonce: signature.nonce,
            channel: channel.channel_id,
            chaincode: extension.chaincode_id.unwrap_or_default().name,
            tx_id: channel.tx_id,
            timestamp_unix_ms: timestamp.seconds * 1_000 + i64::from(timestamp.nanos / 1_000_000),
            function: args.next().unwrap_or_default(),
            args: args.collect(),
        })
    }

    /// The organisation whose identity made it.
    fn organization(&self) -> String {
        hlf_gateway::protos::msp::SerializedIdentity::decode(self.creator.as_slice()).unwrap().mspid
    }

    /// The transaction that carries this call and its outcome.
    fn transaction(self, outcome: &Outcome) -> Envelope {
        let payload = ChaincodeProposalPayload { input: self.input, ..Default::default() }.encode_to_vec();
        let hash = Sha256::new()
            .chain_update(&self.header.channel_header)
            .chain_update(&self.header.signature_header)
            .chain_update(&payload)
            .finalize();
        let response = ChaincodeResponse {
            status: outcome.status,
            message: outcome.message.clone(),
            payload: outcome.payload.clone(),
        };
        let action = ChaincodeAction { response: Some(response), ..Default::default() };
        let endorsed =
            ProposalResponsePayload { proposal_hash: hash.to_vec(), extension: action.encode_to_vec() };
        let action = ChaincodeActionPayload {
            chaincode_proposal_payload: payload,
            action: Some(ChaincodeEndorsedAction {
                proposal_response_payload: endorsed.encode_to_vec(),
                ..Default::default()
            }),
        };
        let action = TransactionAction {
            header: self.header.signature_header.clone(),
            payload: action.encode_to_vec(),
        };
        let transaction = Transaction { actions: vec![action] };
        let payload = Payload { header: Some(self.header), data: transaction.encode_to_vec() };
        Envelope { payload: payload.encode_to_vec(), signature: Vec::new() }
    }
}

#[tonic::async_trait]
impl Gateway for InMemoryGateway {
    type ChaincodeEventsStream = streams::Empty<Result<ChaincodeEventsResponse, Status>>;

    async fn evaluate(
        &self,
        request: Request<EvaluateRequest>,
    ) -> Result<Response<EvaluateResponse>, Status> {
        let request = request.into_inner();
        {
            let mut state = self.shared.state.lock().unwrap();
            if state.deaf {
                return Err(Status::unavailable("no peers available to evaluate chaincode"));
            }
            state.targets.push(request.target_organizations);
        }
        let (call, outcome) = self.simulate(&request.proposed_transaction.unwrap_or_default()).await?;
        let caller = call.organization();
        let failing = {
            let failures = &mut self.shared.state.lock().unwrap().failing_evaluations;
            let fails = |(msp_id, function, _): &(&str, &str, _)| {
                *msp_id == caller && function.as_bytes() == call.function
            };
            failures.iter().position(fails).map(|at| failures.remove(at))
        };
        if let Some((_, _, message)) = failing {
            return Err(Status::unknown(format!("evaluate call to endorser returned error: {message}")));
        }
        if !outcome.is_ok() {
            let words = format!(
                "evaluate call to endorser returned error: chaincode response {}, {}",
                outcome.status, outcome.message
            );
            return Err(Status::unknown(words));
        }
        let result = ChaincodeResponse { status: 200, message: String::new(), payload: outcome.payload };
        Ok(Response::new(EvaluateResponse { result: Some(result) }))
    }

    async fn endorse(&self, request: Request<EndorseRequest>) -> Result<Response<EndorseResponse>, Status> {
        let request = request.into_inner();
        let (call, outcome) = self.simulate(&request.proposed_transaction.unwrap_or_default()).await?;
        if !outcome.is_ok() {
            // Every peer refuses, that of the caller's own hospital included.
            let message = format!("chaincode response {}, {}", outcome.status, outcome.message);
            return Err(not_endorsed(&call.organization(), message));
        }
        let failing = {
            let mut state = self.shared.state.lock().unwrap();
            (!state.failing_endorsements.is_empty()).then(|| state.failing_endorsements.remove(0))
        };
        if let Some((msp_id, message)) = failing {
            return Err(not_endorsed(msp_id, message.to_owned()));
        }
        let prepared_transaction = Some(call.transaction(&outcome));
        self.shared.state.lock().unwrap().endorsed.insert(outcome.tx_id.clone(), outcome);
        Ok(Response::new(EndorseResponse { prepared_transaction }))
    }

    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        let mut state = self.shared.state.lock().unwrap();
        let tx_id = request.into_inner().transaction_id;
        let outcome = state.endorsed.remove(&tx_id).ok_or_else(|| Status::not_found("not endorsed"))?;
        let (number, validity) = self.shared.peer.commit(std::slice::from_ref(&outcome));
        let code = match validity[0] {
            Validity::Valid => TxValidationCode::Valid,
            Validity::MvccReadConflict => TxValidationCode::MvccReadConflict,
            Validity::PhantomReadConflict => TxValidationCode::PhantomReadConflict,
            Validity::EndorsementPolicyFailure => TxValidationCode::EndorsementPolicyFailure,
        };
        // After blocks of configuration, which the peer does not count.
        let number = number.max(state.blocks.len() as u64);
        while (state.blocks.len() as u64) < number {
            // Blocks before the first transaction: the channel's configuration.
            let number = state.blocks.len() as u64;
            state.blocks.push(FilteredBlock { number, ..Default::default() });
        }
        state.blocks.push(filtered(number, &outcome, code));
        state.statuses.insert(tx_id, (code, number));
        if state.replies_to_lose > 0 {
            state.replies_to_lose -= 1;
            return Err(Status::unavailable("the connection to the orderer broke"));
        }
        Ok(Response::new(SubmitResponse {}))
    }

    async fn commit_status(
        &self,
        request: Request<SignedCommitStatusRequest>,
    ) -> Result<Response<CommitStatusResponse>, Status> {
        let request = CommitStatusRequest::decode(request.into_inner().request.as_slice()).unwrap();
        let state = self.shared.state.lock().unwrap();
        match state.statuses.get(&request.transaction_id) {
            Some((code, block_number)) if !state.mute => Ok(Response::new(CommitStatusResponse {
                result: (*code).into(),
                block_number: *block_number,
            })),
            _ => Err(Status::unavailable("no block holds it yet")),
        }
    }

    async fn chaincode_events(
        &self,
        _: Request<SignedChaincodeEventsRequest>,
    ) -> Result<Response<Self::ChaincodeEventsStream>, Status> {
        Err(Status::unimplemented("no test asks for them"))
    }
}

/// What a gateway answers when a peer of an organisation does not endorse.
fn not_endorsed(msp_id: &str, message: String) -> Status {
    let detail =
        ErrorDetail { address: "peer0.example.com:7051".to_owned(), msp_id: msp_id.to_owned(), message };
    let any = Any {
        type_url: format!("type.googleapis.com/{}", ErrorDetail::full_name()),
        value: detail.encode_to_vec(),
    };
    let message = "failed to endorse transaction, see attached details for more info";
    let status = rpc::Status { code: 10, message: message.to_owned(), details: vec![any] };
    Status::with_details(Code::Aborted, message, status.encode_to_vec().into())
}

fn filtered(number: u64, outcome: &Outcome, code: TxValidationCode) -> FilteredBlock {
    let event = outcome.event.as_ref().map(|event| ChaincodeEvent {
        chaincode_id: crate::consortium::CHAINCODE.to_owned(),
        tx_id: outcome.tx_id.clone(),
        event_name: event.name.clone(),
        ..Default::default()
    });
    let action = FilteredChaincodeAction { chaincode_event: event };
    let transaction = FilteredTransaction {
        txid: outcome.tx_id.clone(),
        tx_validation_code: code.into(),
        data: Some(Data::TransactionActions(FilteredTransactionActions { chaincode_actions: vec![action] })),
        ..Default::default()
    };
    FilteredBlock { channel_id: outcome.channel.clone(), number, filtered_transactions: vec![transaction] }
}

type Deliveries = Pin<Box<dyn Stream<Item = Result<DeliverResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Deliver for InMemoryGateway {
    type DeliverStream = Deliveries;
    type DeliverFilteredStream = Deliveries;
    type DeliverWithPrivateDataStream = Deliveries;

    async fn deliver(&self, _: Request<Streaming<Envelope>>) -> Result<Response<Deliveries>, Status> {
        Err(Status::unimplemented("no test asks for whole blocks"))
    }

    async fn deliver_filtered(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Deliveries>, Status> {
        let envelope = request.into_inner().message().await?.unwrap_or_default();
        let payload = Payload::decode(envelope.payload.as_slice()).unwrap();
        let seek = SeekInfo::decode(payload.data.as_slice()).unwrap();
        let (blocks, first_block) = {
            let state = self.shared.state.lock().unwrap();
            (state.blocks.clone(), state.first_block)
        };
        let newest = blocks.len() as u64 - 1;
        let number = |position: Option<SeekPosition>| match position.and_then(|position| position.r#type) {
            Some(Position::Specified(specified)) => specified.number,
            Some(Position::Newest(_)) => newest,
            other => panic!("no test asks for {other:?}"),
        };
        let asked = number(seek.start)..=number(seek.stop);
        let delivery = |delivery| Ok(DeliverResponse { r#type: Some(delivery) });
        // As Fabric's `blkstorage` and `deliver.go`: no word of which block would be the first.
        if *asked.start() < first_block {
            let lacking = delivery(Delivery::Status(Delivered::NotFound.into()));
            return Ok(Response::new(Box::pin(streams::iter([lacking]))));
        }
        let end = delivery(Delivery::Status(Delivered::Success.into()));
        let blocks = blocks.into_iter().filter(move |block| asked.contains(&block.number));
        let deliveries: Vec<_> =
            blocks.map(|block| delivery(Delivery::FilteredBlock(block))).chain([end]).collect();
        Ok(Response::new(Box::pin(streams::iter(deliveries))))
    }

    async fn deliver_with_private_data(
        &self,
        _: Request<Streaming<Envelope>>,
    ) -> Result<Response<Deliveries>, Status> {
        Err(Status::unimplemented("no test asks for private data"))
    }
}
