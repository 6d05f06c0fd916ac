//! A peer with a ledger of its own, in this process: what is submitted gets into blocks, which streams deliver as
//! they are committed; faults on demand.

use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::Stream;
use hlf_gateway::protos::common::{
    self, Block, BlockData, BlockHeader, BlockMetadata, ChannelHeader, Envelope, Header, Payload,
};
use hlf_gateway::protos::gateway::gateway_server::{Gateway, GatewayServer};
use hlf_gateway::protos::gateway::{
    ChaincodeEventsRequest, ChaincodeEventsResponse, CommitStatusRequest, CommitStatusResponse,
    EndorseRequest, EndorseResponse, EvaluateRequest, EvaluateResponse, SignedChaincodeEventsRequest,
    SignedCommitStatusRequest, SubmitRequest, SubmitResponse,
};
use hlf_gateway::protos::orderer::seek_position::Type as Position;
use hlf_gateway::protos::orderer::{SeekInfo, SeekPosition};
use hlf_gateway::protos::prost::Message as _;
use hlf_gateway::protos::protos::deliver_response::Type as Delivered;
use hlf_gateway::protos::protos::deliver_server::{Deliver, DeliverServer};
use hlf_gateway::protos::protos::filtered_transaction::Data;
use hlf_gateway::protos::protos::{
    BlockAndPrivateData, ChaincodeEvent, DeliverResponse, FilteredBlock, FilteredChaincodeAction,
    FilteredTransaction, FilteredTransactionActions, TxValidationCode,
};
use hlf_gateway::protos::rwset::TxPvtReadWriteSet;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use crate::scripted::endorsed;

/// A transaction in a block.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Transaction {
    pub(crate) tx_id: String,
    pub(crate) code: TxValidationCode,
    /// Chaincode and payload of its event.
    pub(crate) event: Option<(String, Vec<u8>)>,
}

impl Transaction {
    pub(crate) fn valid(tx_id: impl Into<String>) -> Self {
        Self { tx_id: tx_id.into(), code: TxValidationCode::Valid, event: None }
    }

    /// Another's envelope that carries a transaction's id.
    pub(crate) fn anothers(tx_id: impl Into<String>) -> Self {
        Self { code: TxValidationCode::BadProposalTxid, ..Self::valid(tx_id) }
    }

    /// An envelope that can't be decoded: a peer can't reduce its block.
    pub(crate) fn malformed() -> Self {
        Self { code: TxValidationCode::BadPayload, ..Self::valid(MALFORMED) }
    }

    pub(crate) fn event(tx_id: impl Into<String>, chaincode: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self { event: Some((chaincode.to_owned(), payload.into())), ..Self::valid(tx_id) }
    }
}

const MALFORMED: &str = "malformed";

/// What becomes of a submission.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// Into a block, and the caller is told so.
    Commit,
    /// Into a block, but the caller is told of a failure.
    CommitAndFail(Status),
    /// Into a block, but the caller is told nothing.
    CommitAndStall,
    /// Lost, and the caller is told of a failure.
    LoseAndFail(Status),
    /// Lost, but the caller is told that all is well.
    LoseAndSucceed,
}

/// How all streams end at once.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// Closed as if all was sent.
    HalfClose,
    /// Broken.
    Break,
    /// By a status as a message.
    Told(common::Status),
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) blocks: Vec<Vec<Transaction>>,
    /// Block and verdict of the first under an id.
    pub(crate) verdicts: HashMap<String, (u64, TxValidationCode)>,
    /// What is asked of this peer, in order.
    pub(crate) calls: Vec<&'static str>,
    pub(crate) submitted: Vec<SubmitRequest>,
    pub(crate) fates: VecDeque<Fate>,
    /// What becomes of submissions without a fate of their own.
    pub(crate) usual_fate: Option<Fate>,
    /// Verdicts of the next committed transactions, else VALID.
    pub(crate) codes: VecDeque<TxValidationCode>,
    /// Whether another's envelope under the same id is before each transaction in its block.
    pub(crate) forged: bool,
    /// Whether an envelope that can't be decoded is behind each transaction in its block.
    pub(crate) spoilt: bool,
    pub(crate) endorse_refusals: VecDeque<Status>,
    pub(crate) commit_status_refusal: Option<Status>,
    pub(crate) deliver_refusal: Option<common::Status>,
    /// Of filtered blocks alone.
    pub(crate) filtered_refusal: Option<common::Status>,
    /// Calls of this kind are never answered.
    pub(crate) stalled_call: Option<&'static str>,
    /// Streams up to this one send nothing.
    standing_still: u64,
    /// Block number before which the next streams break, each once.
    pub(crate) breaks: VecDeque<u64>,
    streams_opened: u64,
    end: Option<(u64, End)>,
}

impl State {
    pub(crate) fn count(&self, call: &str) -> usize {
        self.calls.iter().filter(|made| **made == call).count()
    }

    pub(crate) fn valid(&self) -> usize {
        self.verdicts.values().filter(|(_, code)| *code == TxValidationCode::Valid).count()
    }

    pub(crate) fn append(&mut self, mut transactions: Vec<Transaction>) {
        let number = self.blocks.len() as u64;
        for transaction in &mut transactions {
            let anothers = transaction.code == TxValidationCode::BadProposalTxid;
            // An id is taken by what is in an earlier block, and by all but another's in the same one.
            let taken = self
                .verdicts
                .get(&transaction.tx_id)
                .is_some_and(|(block, code)| *block < number || *code != TxValidationCode::BadProposalTxid);
            if taken && !anothers {
                transaction.code = TxValidationCode::DuplicateTxid;
            }
            self.verdicts.entry(transaction.tx_id.clone()).or_insert((number, transaction.code));
        }
        self.blocks.push(transactions);
    }

    fn order(&mut self, tx_id: &str) {
        let code = self.codes.pop_front().unwrap_or(TxValidationCode::Valid);
        let mut block = vec![Transaction { code, ..Transaction::valid(tx_id) }];
        if self.forged {
            block.insert(0, Transaction::anothers(tx_id));
        }
        if self.spoilt {
            block.push(Transaction::malformed());
        }
        self.append(block);
    }
}

/// A running peer; it stops with this value.
pub(crate) struct Ledger {
    pub(crate) address: SocketAddr,
    peer: Peer,
    runtime: Option<Runtime>,
}

impl Ledger {
    /// With a first block that holds nothing.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let incoming = {
            let _context = runtime.enter();
            TcpListenerStream::new(tokio::net::TcpListener::from_std(listener).unwrap())
        };
        let state = State { blocks: vec![Vec::new()], ..State::default() };
        let peer = Peer { state: Arc::new(Mutex::new(state)), changed: watch::channel(()).0 };
        let served = Server::builder()
            .add_service(GatewayServer::new(peer.clone()))
            .add_service(DeliverServer::new(peer.clone()))
            .serve_with_incoming(incoming);
        runtime.spawn(async move { served.await.expect("the peer serves") });
        Self { address, peer, runtime: Some(runtime) }
    }

    /// Looks at the state.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.peer.state.lock().unwrap()
    }

    /// Changes the state, and has the streams see it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        self.peer.change(change)
    }

    /// Commits a block.
    pub(crate) fn append(&self, transactions: Vec<Transaction>) {
        self.change(|state| state.append(transactions));
    }

    /// Ends all streams that are open.
    pub(crate) fn end_streams(&self, end: End) {
        self.change(|state| state.end = Some((state.streams_opened, end)));
    }

    /// Has all streams that are open send nothing, or go on.
    pub(crate) fn stand_still(&self, still: bool) {
        self.change(|state| state.standing_still = if still { state.streams_opened } else { 0 });
    }

    /// Waits until the state is as wanted.
    pub(crate) async fn until(&self, mut wanted: impl FnMut(&State) -> bool) {
        let mut changed = self.peer.changed.subscribe();
        let reached = async {
            while !wanted(&self.state()) {
                changed.changed().await.unwrap();
            }
        };
        let limit = std::time::Duration::from_secs(60);
        tokio::time::timeout(limit, reached).await.expect("the peer gets to that state");
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Clone)]
struct Peer {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<()>,
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What a stream does next.
enum Step<T> {
    Send(T),
    Skip,
    Wait,
    End(Option<Result<T, Status>>),
}

impl Peer {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state.lock().unwrap());
        self.changed.send_replace(());
        changed
    }

    /// Notes a call; those that are to stall do.
    async fn called(&self, call: &'static str) {
        let stalled = self.change(|state| {
            state.calls.push(call);
            state.stalled_call == Some(call)
        });
        if stalled {
            std::future::pending::<()>().await;
        }
    }

    /// Streams blocks from a position on.
    fn stream<T: Send + 'static>(
        &self,
        start: Option<SeekPosition>,
        stop: u64,
        item: impl Fn(u64, &[Transaction]) -> Option<T> + Send + 'static,
        told: impl Fn(common::Status) -> Option<T> + Send + 'static,
    ) -> Response<Responses<T>> {
        let (sender, receiver) = mpsc::channel(1);
        let peer = self.clone();
        let (mut next, opened) = self.change(|state| {
            state.streams_opened += 1;
            let height = state.blocks.len() as u64;
            let next = match start.and_then(|start| start.r#type) {
                Some(Position::Specified(start)) => start.number,
                Some(Position::Oldest(_)) => 0,
                Some(Position::Newest(_)) => height - 1,
                _ => height,
            };
            (next, state.streams_opened)
        });
        let stop = if stop == NEWEST { self.state.lock().unwrap().blocks.len() as u64 - 1 } else { stop };
        let mut changed = self.changed.subscribe();
        tokio::spawn(async move {
            loop {
                changed.mark_unchanged();
                let step = {
                    let mut state = peer.state.lock().unwrap();
                    match &state.end {
                        Some((until, end)) if opened <= *until => Step::End(match end {
                            End::HalfClose => None,
                            End::Break => Some(Err(Status::unavailable("broken"))),
                            End::Told(status) => told(*status).map(Ok),
                        }),
                        _ if opened <= state.standing_still => Step::Wait,
                        _ if next > stop => Step::End(told(common::Status::Success).map(Ok)),
                        _ if state.breaks.front() == Some(&next) => {
                            state.breaks.pop_front();
                            Step::End(Some(Err(Status::unavailable("broken here"))))
                        }
                        _ => match state.blocks.get(next as usize) {
                            None => Step::Wait,
                            Some(block) => item(next, block).map_or(Step::Skip, Step::Send),
                        },
                    }
                };
                let sent = match step {
                    Step::Wait => {
                        tokio::select! {
                            _ = changed.changed() => continue,
                            () = sender.closed() => return,
                        }
                    }
                    Step::Skip => {
                        next += 1;
                        continue;
                    }
                    Step::Send(item) => sender.send(Ok(item)).await,
                    Step::End(last) => {
                        if let Some(last) = last {
                            let _ = sender.send(last).await;
                        }
                        return;
                    }
                };
                if sent.is_err() {
                    return;
                }
                next += 1;
            }
        });
        Response::new(Box::pin(ReceiverStream::new(receiver)))
    }

    async fn delivered(
        &self,
        call: &'static str,
        request: Request<Streaming<Envelope>>,
        item: impl Fn(u64, &[Transaction]) -> Delivered + Send + 'static,
    ) -> Result<Response<Responses<DeliverResponse>>, Status> {
        let envelope = request.into_inner().message().await?.unwrap_or_default();
        self.called(call).await;
        let payload = Payload::decode(envelope.payload.as_slice()).unwrap();
        let seek = SeekInfo::decode(payload.data.as_slice()).unwrap();
        let refusal = {
            let state = self.state.lock().unwrap();
            state.deliver_refusal.or(state.filtered_refusal.filter(|_| call == "filtered blocks"))
        };
        let told =
            |status: common::Status| Some(DeliverResponse { r#type: Some(Delivered::Status(status.into())) });
        if let Some(refusal) = refusal {
            let only = futures_util::stream::iter(told(refusal).map(Ok));
            return Ok(Response::new(Box::pin(only)));
        }
        let stop = match seek.stop.and_then(|stop| stop.r#type) {
            Some(Position::Specified(stop)) => stop.number,
            _ => NEWEST,
        };
        let item =
            move |number, block: &[Transaction]| Some(DeliverResponse { r#type: Some(item(number, block)) });
        Ok(self.stream(seek.start, stop, item, told))
    }
}

const NEWEST: u64 = u64::MAX - 1;

#[tonic::async_trait]
impl Gateway for Peer {
    async fn endorse(&self, request: Request<EndorseRequest>) -> Result<Response<EndorseResponse>, Status> {
        self.called("endorse").await;
        match self.change(|state| state.endorse_refusals.pop_front()) {
            Some(refusal) => Err(refusal),
            None => Ok(Response::new(endorsed(&request.into_inner(), b"done"))),
        }
    }

    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        let request = request.into_inner();
        let tx_id = request.transaction_id.clone();
        let fate = self.change(|state| {
            state.submitted.push(request);
            let usual = state.usual_fate.clone().unwrap_or(Fate::Commit);
            let fate = state.fates.pop_front().unwrap_or(usual);
            if matches!(fate, Fate::Commit | Fate::CommitAndFail(_) | Fate::CommitAndStall) {
                state.order(&tx_id);
            }
            fate
        });
        self.called("submit").await;
        match fate {
            Fate::Commit | Fate::LoseAndSucceed => Ok(Response::new(SubmitResponse {})),
            Fate::CommitAndFail(status) | Fate::LoseAndFail(status) => Err(status),
            Fate::CommitAndStall => std::future::pending().await,
        }
    }

    async fn commit_status(
        &self,
        request: Request<SignedCommitStatusRequest>,
    ) -> Result<Response<CommitStatusResponse>, Status> {
        self.called("commit status").await;
        let request = CommitStatusRequest::decode(request.into_inner().request.as_slice()).unwrap();
        let mut changed = self.changed.subscribe();
        loop {
            {
                let state = self.state.lock().unwrap();
                if let Some(refusal) = &state.commit_status_refusal {
                    return Err(refusal.clone());
                }
                if let Some((block_number, code)) = state.verdicts.get(&request.transaction_id) {
                    let (block_number, result) = (*block_number, (*code).into());
                    return Ok(Response::new(CommitStatusResponse { block_number, result }));
                }
            }
            changed.changed().await.map_err(|_| Status::unavailable("going down"))?;
        }
    }

    async fn evaluate(&self, _: Request<EvaluateRequest>) -> Result<Response<EvaluateResponse>, Status> {
        Err(Status::unimplemented("nothing is evaluated here"))
    }

    type ChaincodeEventsStream = Responses<ChaincodeEventsResponse>;

    async fn chaincode_events(
        &self,
        request: Request<SignedChaincodeEventsRequest>,
    ) -> Result<Response<Self::ChaincodeEventsStream>, Status> {
        self.called("events").await;
        let request = ChaincodeEventsRequest::decode(request.into_inner().request.as_slice()).unwrap();
        if self.state.lock().unwrap().deliver_refusal.is_some() {
            return Err(Status::permission_denied("no reader"));
        }
        let item = move |block_number, block: &[Transaction]| {
            let events: Vec<_> = block
                .iter()
                .filter(|transaction| transaction.code == TxValidationCode::Valid)
                .filter_map(|transaction| {
                    let (chaincode, payload) = transaction.event.clone()?;
                    Some(ChaincodeEvent {
                        chaincode_id: chaincode,
                        tx_id: transaction.tx_id.clone(),
                        event_name: "done".into(),
                        payload,
                    })
                })
                .filter(|event| event.chaincode_id == request.chaincode_id)
                .collect();
            (!events.is_empty()).then_some(ChaincodeEventsResponse { events, block_number })
        };
        Ok(self.stream(request.start_position, u64::MAX, item, |_| None))
    }
}

#[tonic::async_trait]
impl Deliver for Peer {
    type DeliverStream = Responses<DeliverResponse>;
    type DeliverFilteredStream = Responses<DeliverResponse>;
    type DeliverWithPrivateDataStream = Responses<DeliverResponse>;

    async fn deliver(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Self::DeliverStream>, Status> {
        self.delivered("blocks", request, |number, block| Delivered::Block(whole(number, block))).await
    }

    async fn deliver_filtered(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Self::DeliverFilteredStream>, Status> {
        let filtered = |number, block: &[Transaction]| {
            if block.iter().any(|transaction| transaction.tx_id == MALFORMED) {
                return Delivered::Status(common::Status::BadRequest.into());
            }
            let transactions = block.iter().map(|transaction| {
                let event = transaction.event.as_ref().map(|(chaincode, _)| ChaincodeEvent {
                    chaincode_id: chaincode.clone(),
                    tx_id: transaction.tx_id.clone(),
                    event_name: "done".into(),
                    payload: Vec::new(),
                });
                let actions = FilteredTransactionActions {
                    chaincode_actions: vec![FilteredChaincodeAction { chaincode_event: event }],
                };
                FilteredTransaction {
                    txid: transaction.tx_id.clone(),
                    tx_validation_code: transaction.code.into(),
                    data: Some(Data::TransactionActions(actions)),
                    ..FilteredTransaction::default()
                }
            });
            Delivered::FilteredBlock(FilteredBlock {
                channel_id: "main".into(),
                number,
                filtered_transactions: transactions.collect(),
            })
        };
        self.delivered("filtered blocks", request, filtered).await
    }

    async fn deliver_with_private_data(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Self::DeliverWithPrivateDataStream>, Status> {
        let private = |number, block: &[Transaction]| {
            let of_transaction = |index| (index, TxPvtReadWriteSet::default());
            Delivered::BlockAndPrivateData(BlockAndPrivateData {
                block: Some(whole(number, block)),
                private_data_map: (0..block.len() as u64).map(of_transaction).collect(),
            })
        };
        self.delivered("blocks with private data", request, private).await
    }
}

fn whole(number: u64, block: &[Transaction]) -> Block {
    let envelope = |transaction: &Transaction| {
        let header = ChannelHeader { tx_id: transaction.tx_id.clone(), ..ChannelHeader::default() };
        let header = Header { channel_header: header.encode_to_vec(), ..Header::default() };
        let payload = Payload { header: Some(header), data: Vec::new() }.encode_to_vec();
        Envelope { payload, signature: Vec::new() }.encode_to_vec()
    };
    let codes = block.iter().map(|transaction| transaction.code as u8).collect();
    Block {
        header: Some(BlockHeader { number, ..BlockHeader::default() }),
        data: Some(BlockData { data: block.iter().map(envelope).collect() }),
        metadata: Some(BlockMetadata { metadata: vec![Vec::new(), Vec::new(), codes] }),
    }
}
