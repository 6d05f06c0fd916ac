//! A peer that answers as its script says, in this process, on a free port.

use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt as _};
use hlf_gateway::protos::common::{Envelope, Header, Payload};
use hlf_gateway::protos::gateway::gateway_server::{Gateway, GatewayServer};
use hlf_gateway::protos::gateway::{
    ChaincodeEventsResponse, CommitStatusResponse, EndorseRequest, EndorseResponse, ErrorDetail,
    EvaluateRequest, EvaluateResponse, SignedChaincodeEventsRequest, SignedCommitStatusRequest,
    SubmitRequest, SubmitResponse,
};
use hlf_gateway::protos::google::rpc;
use hlf_gateway::protos::prost::Message as _;
use hlf_gateway::protos::prost_types::Any;
use hlf_gateway::protos::protos::deliver_server::{Deliver, DeliverServer};
use hlf_gateway::protos::protos::endorser_server::{Endorser, EndorserServer};
use hlf_gateway::protos::protos::{
    ChaincodeAction, ChaincodeActionPayload, ChaincodeEndorsedAction, ChaincodeProposalPayload,
    DeliverResponse, Endorsement, Proposal, ProposalResponse, ProposalResponsePayload, SignedProposal,
    Transaction, TransactionAction,
};
use hlf_gateway::{Credentials, Identity, KeySigner, SignError, Signer};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status, Streaming};

/// What a script does with one request.
pub(crate) enum Answer<T> {
    Reply(T),
    Refuse(Status),
    /// Answers once it is told to.
    Held(watch::Receiver<bool>, T),
    /// Never answers.
    Stall,
}

type Handler<Q, A> = Box<dyn FnMut(Q) -> Answer<A> + Send>;

/// The answers of one peer; whatever has none is refused as unimplemented.
pub(crate) struct Script {
    pub(crate) evaluate: Handler<EvaluateRequest, EvaluateResponse>,
    pub(crate) endorse: Handler<EndorseRequest, EndorseResponse>,
    pub(crate) submit: Handler<SubmitRequest, SubmitResponse>,
    pub(crate) commit_status: Handler<SignedCommitStatusRequest, CommitStatusResponse>,
    pub(crate) events: Handler<SignedChaincodeEventsRequest, Vec<ChaincodeEventsResponse>>,
    pub(crate) deliver: Handler<(Envelope, bool), Vec<DeliverResponse>>,
    pub(crate) process: Handler<SignedProposal, ProposalResponse>,
}

impl Default for Script {
    fn default() -> Self {
        fn unscripted<Q, A>() -> Handler<Q, A> {
            Box::new(|_| Answer::Refuse(Status::unimplemented("not in the script")))
        }
        Self {
            evaluate: unscripted(),
            endorse: unscripted(),
            submit: unscripted(),
            commit_status: unscripted(),
            events: unscripted(),
            deliver: unscripted(),
            process: unscripted(),
        }
    }
}

/// A running peer; it stops with this value.
pub(crate) struct ScriptedPeer {
    pub(crate) address: SocketAddr,
    /// Its own, so that it can vanish with all its connections; there until then.
    runtime: Option<Runtime>,
}

impl ScriptedPeer {
    pub(crate) async fn start(script: Script) -> Self {
        Self::start_with_tls(script, None).await
    }

    pub(crate) async fn start_with_tls(script: Script, tls: Option<ServerTlsConfig>) -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").unwrap(), script, tls)
    }

    /// Starts where another peer has vanished, as soon as that one's port is free.
    pub(crate) async fn start_at(address: SocketAddr, script: Script) -> Self {
        let free = async {
            loop {
                match TcpListener::bind(address) {
                    Ok(listener) => return listener,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        Self::serve(tokio::time::timeout(Duration::from_secs(60), free).await.unwrap(), script, None)
    }

    /// Drops all connections at once.
    pub(crate) fn vanish(self) {}

    fn serve(listener: TcpListener, script: Script, tls: Option<ServerTlsConfig>) -> Self {
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let incoming = {
            let _context = runtime.enter();
            TcpListenerStream::new(tokio::net::TcpListener::from_std(listener).unwrap())
        };
        let services = Services(Arc::new(Mutex::new(script)));
        let mut server = Server::builder();
        if let Some(tls) = tls {
            server = server.tls_config(tls).unwrap();
        }
        let served = server
            .add_service(GatewayServer::new(services.clone()))
            .add_service(DeliverServer::new(services.clone()))
            .add_service(EndorserServer::new(services))
            .serve_with_incoming(incoming);
        runtime.spawn(async move { served.await.expect("the scripted peer serves") });
        Self { address, runtime: Some(runtime) }
    }
}

impl Drop for ScriptedPeer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Clone)]
struct Services(Arc<Mutex<Script>>);

impl Services {
    /// Asks the script, without holding it while an answer is awaited.
    async fn ask<Q, A>(
        &self,
        message: Q,
        handler: impl FnOnce(&mut Script) -> &mut Handler<Q, A>,
    ) -> Result<Response<A>, Status> {
        let answer = {
            let mut script = self.0.lock().unwrap();
            handler(&mut script)(message)
        };
        match answer {
            Answer::Reply(reply) => Ok(Response::new(reply)),
            Answer::Refuse(status) => Err(status),
            Answer::Held(mut told, reply) => match told.wait_for(|told| *told).await {
                Ok(_) => Ok(Response::new(reply)),
                Err(_) => Err(Status::cancelled("nobody tells it to")),
            },
            Answer::Stall => std::future::pending().await,
        }
    }
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn stream<T: Send + 'static>(items: Response<Vec<T>>) -> Response<Responses<T>> {
    Response::new(futures_util::stream::iter(items.into_inner().into_iter().map(Ok)).boxed())
}

#[tonic::async_trait]
impl Gateway for Services {
    async fn endorse(&self, request: Request<EndorseRequest>) -> Result<Response<EndorseResponse>, Status> {
        self.ask(request.into_inner(), |script| &mut script.endorse).await
    }

    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        self.ask(request.into_inner(), |script| &mut script.submit).await
    }

    async fn commit_status(
        &self,
        request: Request<SignedCommitStatusRequest>,
    ) -> Result<Response<CommitStatusResponse>, Status> {
        self.ask(request.into_inner(), |script| &mut script.commit_status).await
    }

    async fn evaluate(
        &self,
        request: Request<EvaluateRequest>,
    ) -> Result<Response<EvaluateResponse>, Status> {
        self.ask(request.into_inner(), |script| &mut script.evaluate).await
    }

    type ChaincodeEventsStream = Responses<ChaincodeEventsResponse>;

    async fn chaincode_events(
        &self,
        request: Request<SignedChaincodeEventsRequest>,
    ) -> Result<Response<Self::ChaincodeEventsStream>, Status> {
        self.ask(request.into_inner(), |script| &mut script.events).await.map(stream)
    }
}

#[tonic::async_trait]
impl Deliver for Services {
    type DeliverStream = Responses<DeliverResponse>;
    type DeliverFilteredStream = Responses<DeliverResponse>;
    type DeliverWithPrivateDataStream = Responses<DeliverResponse>;

    async fn deliver(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Self::DeliverStream>, Status> {
        let envelope = request.into_inner().message().await?.unwrap_or_default();
        self.ask((envelope, false), |script| &mut script.deliver).await.map(stream)
    }

    async fn deliver_filtered(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Self::DeliverFilteredStream>, Status> {
        let envelope = request.into_inner().message().await?.unwrap_or_default();
        self.ask((envelope, true), |script| &mut script.deliver).await.map(stream)
    }

    async fn deliver_with_private_data(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Self::DeliverWithPrivateDataStream>, Status> {
        let envelope = request.into_inner().message().await?.unwrap_or_default();
        self.ask((envelope, false), |script| &mut script.deliver).await.map(stream)
    }
}

#[tonic::async_trait]
impl Endorser for Services {
    async fn process_proposal(
        &self,
        request: Request<SignedProposal>,
    ) -> Result<Response<ProposalResponse>, Status> {
        self.ask(request.into_inner(), |script| &mut script.process).await
    }
}

/// A status with the details that a gateway attaches.
pub(crate) fn refusal(code: Code, message: &str, peers: &[(&str, &str, &str)]) -> Status {
    let details = peers.iter().map(|(address, msp_id, message)| {
        let detail =
            ErrorDetail { address: (*address).into(), msp_id: (*msp_id).into(), message: (*message).into() };
        Any::from_msg(&detail).unwrap()
    });
    let status = rpc::Status { code: code.into(), message: message.into(), details: details.collect() };
    Status::with_details(code, message, status.encode_to_vec().into())
}

/// The transaction that an honest gateway makes of a proposal.
pub(crate) fn endorsed(request: &EndorseRequest, result: &[u8]) -> EndorseResponse {
    let proposal = request.proposed_transaction.as_ref().unwrap().proposal_bytes.as_slice();
    let proposal = Proposal::decode(proposal).unwrap();
    let header = Header::decode(proposal.header.as_slice()).unwrap();
    let call = ChaincodeProposalPayload::decode(proposal.payload.as_slice()).unwrap();
    let call = ChaincodeProposalPayload { input: call.input, ..Default::default() }.encode_to_vec();
    let response =
        hlf_gateway::protos::protos::Response { status: 200, payload: result.to_vec(), ..Default::default() };
    let hash = Sha256::new()
        .chain_update(&header.channel_header)
        .chain_update(&header.signature_header)
        .chain_update(&call)
        .finalize();
    let response = ProposalResponsePayload {
        proposal_hash: hash.to_vec(),
        extension: ChaincodeAction { response: Some(response), ..Default::default() }.encode_to_vec(),
    };
    let action = ChaincodeActionPayload {
        chaincode_proposal_payload: call,
        action: Some(ChaincodeEndorsedAction {
            proposal_response_payload: response.encode_to_vec(),
            endorsements: vec![Endorsement {
                endorser: b"endorser".to_vec(),
                signature: b"signature".to_vec(),
            }],
        }),
    };
    let action =
        TransactionAction { header: header.signature_header.clone(), payload: action.encode_to_vec() };
    let transaction = Transaction { actions: vec![action] };
    let payload = Payload { header: Some(header), data: transaction.encode_to_vec() }.encode_to_vec();
    EndorseResponse { prepared_transaction: Some(Envelope { payload, signature: Vec::new() }) }
}

/// A fresh P-256 identity: certificate and private key in PEM.
pub(crate) fn enrolment(common_name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// Credentials whose signatures are counted.
pub(crate) fn counted_credentials() -> (Credentials, Arc<AtomicUsize>) {
    let (certificate_pem, key_pem) = enrolment("user1");
    let signatures = Arc::new(AtomicUsize::new(0));
    let signer =
        CountingSigner { signer: KeySigner::from_pem(&key_pem).unwrap(), count: Arc::clone(&signatures) };
    (Credentials::new(Identity { msp_id: "NorthMSP".into(), certificate_pem }, signer), signatures)
}

pub(crate) fn credentials() -> Credentials {
    counted_credentials().0
}

struct CountingSigner {
    signer: KeySigner,
    count: Arc<AtomicUsize>,
}

impl Signer for CountingSigner {
    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>> {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.signer.sign(message)
    }
}

/// An error with all its causes, as a program would print it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
