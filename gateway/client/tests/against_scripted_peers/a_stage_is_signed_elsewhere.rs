//! Stages that go from process to process as bytes, and are signed where the key is.

use std::sync::{Arc, Mutex};

use hlf_gateway::protos::common::{Block, BlockHeader, Envelope, Payload, Status};
use hlf_gateway::protos::gateway::{
    ChaincodeEventsResponse, CommitStatusRequest, CommitStatusResponse, EvaluateResponse,
    PreparedTransaction, ProposedTransaction, SignedChaincodeEventsRequest, SignedCommitStatusRequest,
    SubmitResponse,
};
use hlf_gateway::protos::msp::SerializedIdentity;
use hlf_gateway::protos::orderer::SeekInfo;
use hlf_gateway::protos::prost::Message as _;
use hlf_gateway::protos::protos::deliver_response::Type as Delivered;
use hlf_gateway::protos::protos::{
    BlockAndPrivateData, ChaincodeInvocationSpec, ChaincodeProposalPayload, DeliverResponse, Response,
};
use hlf_gateway::protos::rwset::TxPvtReadWriteSet;
use hlf_gateway::{
    BlockRequest, Callback, CommitStatusError, Credentials, Deadlines, DeliverError, EndorseError, Endorsed,
    Endpoint, EventsFrom, EventsRequest, Gateway, Identity, ImportError, KeyKind, KeySigner, Proposal,
    SignError, SignatureError, Signer as _, SubmitError, Submitted,
};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::pkcs8::DecodePrivateKey as _;
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    SignatureAlgorithm,
};
use sha2::{Digest as _, Sha256};

use crate::scripted::{Answer, Script, ScriptedPeer, chain, credentials, endorsed};

/// An identity, and its key in PEM, which the gateways never see.
fn identity(algorithm: &'static SignatureAlgorithm) -> (Identity, String) {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let certificate_pem = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem();
    (Identity { msp_id: "NorthMSP".into(), certificate_pem }, key.serialize_pem())
}

async fn connected(peer: &ScriptedPeer, credentials: Credentials) -> Gateway {
    let endpoint = Endpoint::plaintext(peer.address.to_string());
    Gateway::connect(&endpoint, credentials, Deadlines::default()).await.unwrap()
}

type Seen = Arc<Mutex<Vec<(&'static str, Vec<u8>, Vec<u8>)>>>;

/// A gateway on which everything succeeds, and every message with its signature that it saw.
fn honest() -> (Script, Seen) {
    let seen = Seen::default();
    let note = |what: &'static str| {
        let seen = Arc::clone(&seen);
        move |message: &[u8], signature: &[u8]| {
            seen.lock().unwrap().push((what, message.to_vec(), signature.to_vec()));
        }
    };
    let (evaluate, endorse, submit) = (note("evaluate"), note("endorse"), note("submit"));
    let (status, events, deliver) = (note("status"), note("events"), note("deliver"));
    let script = Script {
        evaluate: Box::new(move |request| {
            let proposal = request.proposed_transaction.unwrap();
            evaluate(&proposal.proposal_bytes, &proposal.signature);
            let result = Response { payload: b"value".to_vec(), ..Response::default() };
            Answer::Reply(EvaluateResponse { result: Some(result) })
        }),
        endorse: Box::new(move |request| {
            let proposal = request.proposed_transaction.as_ref().unwrap();
            endorse(&proposal.proposal_bytes, &proposal.signature);
            Answer::Reply(endorsed(&request, b"done"))
        }),
        submit: Box::new(move |request| {
            let envelope = request.prepared_transaction.unwrap();
            submit(&envelope.payload, &envelope.signature);
            Answer::Reply(SubmitResponse {})
        }),
        commit_status: Box::new(move |request| {
            status(&request.request, &request.signature);
            Answer::Reply(CommitStatusResponse { result: 0, block_number: 7 })
        }),
        events: Box::new(move |request| {
            events(&request.request, &request.signature);
            Answer::Reply(vec![ChaincodeEventsResponse { block_number: 9, ..Default::default() }])
        }),
        deliver: Box::new(move |(envelope, _)| {
            deliver(&envelope.payload, &envelope.signature);
            let block =
                Block { header: Some(BlockHeader { number: 3, ..Default::default() }), ..Default::default() };
            let private_data_map = [(0, TxPvtReadWriteSet::default())].into();
            let both = BlockAndPrivateData { block: Some(block), private_data_map };
            Answer::Reply(vec![
                DeliverResponse { r#type: Some(Delivered::BlockAndPrivateData(both)) },
                DeliverResponse { r#type: Some(Delivered::Status(Status::Success.into())) },
            ])
        }),
        ..Script::default()
    };
    (script, seen)
}

#[tokio::test]
async fn every_stage_goes_through_other_processes_for_its_signature() {
    for (algorithm, kind) in [
        (&PKCS_ECDSA_P256_SHA256, KeyKind::P256),
        (&PKCS_ECDSA_P384_SHA384, KeyKind::P384),
        (&PKCS_ED25519, KeyKind::Ed25519),
    ] {
        let (script, seen) = honest();
        let peer = ScriptedPeer::start(script).await;
        let (identity, key) = identity(algorithm);
        let key = KeySigner::from_pem(&key).unwrap();
        assert_eq!(key.kind(), kind);
        let made = Mutex::new(Vec::new());
        let sign = async |message: &[u8]| {
            let signature = key.sign(message).await.unwrap();
            made.lock().unwrap().push((message.to_vec(), signature.clone()));
            signature
        };
        let maker = connected(&peer, Credentials::without_signer(identity.clone())).await;
        // The sender is somebody else, and has a key that nothing here may be signed with.
        let sender = connected(&peer, credentials()).await;

        let proposal = maker.contract("main", "assets").proposal("Move").arg("x").transient("t", "secret");
        let proposal = proposal.endorsing_organizations(["NorthMSP"]).build().unwrap();
        let bytes = proposal.to_bytes();
        let signature = sign(proposal.message()).await;
        let imported = Proposal::from_bytes(&sender, &bytes).unwrap();
        assert_eq!((imported.tx_id(), imported.channel()), (proposal.tx_id(), "main"));
        assert_eq!(
            (imported.chaincode(), imported.call()),
            ("assets", vec![b"Move".to_vec(), b"x".to_vec()])
        );
        assert_eq!((imported.message(), imported.digest()), (proposal.message(), proposal.digest()));
        assert_eq!(imported.to_bytes(), bytes);
        let signed = imported.with_signature(&signature).unwrap();
        // Once more as bytes, now with the signature.
        let signed = Proposal::from_bytes(&sender, &signed.to_bytes()).unwrap();
        assert_eq!(signed.evaluate().await.unwrap(), b"value");

        let transaction = signed.endorse().await.unwrap();
        let bytes = transaction.to_bytes();
        let at_maker = Endorsed::from_bytes(&maker, &bytes).unwrap();
        at_maker.is_of(&proposal).unwrap();
        assert_eq!((at_maker.result(), at_maker.tx_id()), (&b"done"[..], proposal.tx_id()));
        let signature = sign(at_maker.message()).await;
        let signed = Endorsed::from_bytes(&sender, &bytes).unwrap().with_signature(&signature).unwrap();
        let signed = Endorsed::from_bytes(&sender, &signed.to_bytes()).unwrap();
        signed.submit().await.unwrap();

        let asked = Submitted::of(&maker, "main", proposal.tx_id());
        let signature = sign(asked.message()).await;
        let asked = Submitted::from_bytes(&sender, &asked.to_bytes()).unwrap();
        let asked = asked.with_signature(&signature).unwrap();
        let asked = Submitted::from_bytes(&sender, &asked.to_bytes()).unwrap();
        let status = asked.commit_status().await.unwrap();
        assert_eq!((status.block_number, status.tx_id.as_str()), (7, proposal.tx_id()));

        let events = maker.contract("main", "assets").events_request(EventsFrom::Block(9));
        let signature = sign(events.message()).await;
        let events = EventsRequest::from_bytes(&sender, &events.to_bytes()).unwrap();
        assert_eq!((events.channel(), events.chaincode()), ("main", "assets"));
        let events = events.with_signature(&signature).unwrap();
        let events = EventsRequest::from_bytes(&sender, &events.to_bytes()).unwrap();
        assert_eq!(events.events().await.unwrap().next().await.unwrap().block_number, 9);

        let blocks = maker.block_request("main", 3..=3);
        let signature = sign(blocks.message()).await;
        let blocks = BlockRequest::from_bytes(&sender, &blocks.to_bytes()).unwrap();
        assert_eq!(blocks.channel(), "main");
        let blocks = blocks.with_signature(&signature).unwrap();
        let blocks = BlockRequest::from_bytes(&sender, &blocks.to_bytes()).unwrap();
        let mut stream = blocks.blocks_with_private_data().await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap().private_data_map.len(), 1);
        assert!(stream.next().await.unwrap().is_none());

        let seen = std::mem::take(&mut *seen.lock().unwrap());
        let calls: Vec<&str> = seen.iter().map(|(call, ..)| *call).collect();
        assert_eq!(calls, ["evaluate", "endorse", "submit", "status", "events", "deliver"], "{kind}");
        let made = made.lock().unwrap();
        for (call, message, signature) in seen.iter() {
            assert!(made.contains(&(message.clone(), signature.clone())), "{kind} {call}");
        }
    }
}

#[tokio::test]
async fn the_exported_bytes_are_the_messages_of_the_official_clients() {
    let (script, _) = honest();
    let peer = ScriptedPeer::start(script).await;
    let credentials = credentials();
    let creator = credentials.identity().creator();
    let gateway = connected(&peer, credentials).await;
    let contract = gateway.contract("main", "assets");

    let proposal = contract.proposal("Move").endorsing_organizations(["NorthMSP"]).build().unwrap();
    let proposed = ProposedTransaction::decode(proposal.to_bytes().as_slice()).unwrap();
    assert_eq!(proposed.transaction_id, proposal.tx_id());
    assert_eq!(proposed.endorsing_organizations, ["NorthMSP"]);
    let signed = proposed.proposal.unwrap();
    assert_eq!((signed.proposal_bytes.as_slice(), signed.signature.len()), (proposal.message(), 0));

    let transaction = proposal.endorse().await.unwrap();
    let prepared = PreparedTransaction::decode(transaction.to_bytes().as_slice()).unwrap();
    assert_eq!(prepared.transaction_id, proposal.tx_id());
    let envelope = prepared.envelope.unwrap();
    assert_eq!((envelope.payload.as_slice(), envelope.signature.len()), (transaction.message(), 0));
    assert_eq!(transaction.digest().as_slice(), Sha256::digest(&envelope.payload).as_slice());

    let submitted = transaction.submit().await.unwrap();
    let signed = SignedCommitStatusRequest::decode(submitted.to_bytes().as_slice()).unwrap();
    let asked = CommitStatusRequest::decode(signed.request.as_slice()).unwrap();
    assert_eq!((asked.transaction_id.as_str(), asked.channel_id.as_str()), (proposal.tx_id(), "main"));
    assert_eq!((asked.identity, signed.signature.len()), (creator, 0));

    let events = contract.events_request(EventsFrom::NextCommit);
    let signed = SignedChaincodeEventsRequest::decode(events.to_bytes().as_slice()).unwrap();
    assert_eq!((signed.request.as_slice(), signed.signature.len()), (events.message(), 0));

    let blocks = gateway.block_request("main", 3..);
    let envelope = Envelope::decode(blocks.to_bytes().as_slice()).unwrap();
    assert_eq!((envelope.payload.as_slice(), envelope.signature.len()), (blocks.message(), 0));
    let seek = SeekInfo::decode(Payload::decode(blocks.message()).unwrap().data.as_slice()).unwrap();
    assert!(seek.start.is_some() && seek.stop.is_some());
}

#[tokio::test]
async fn without_a_signer_each_stage_says_so_and_sends_nothing() {
    let (script, seen) = honest();
    let peer = ScriptedPeer::start(script).await;
    let (identity, _) = identity(&PKCS_ECDSA_P256_SHA256);
    let gateway = connected(&peer, Credentials::without_signer(identity)).await;
    let contract = gateway.contract("main", "assets");
    let proposal = contract.proposal("Move").build().unwrap();

    let error = proposal.endorse().await.unwrap_err();
    assert!(matches!(&error, EndorseError::Sign { source, .. } if source.is_no_signer()), "{error}");
    assert!(chain(&error).contains("no signer"), "{}", chain(&error));
    let error = gateway.commit_status("main", proposal.tx_id()).await.unwrap_err();
    assert!(matches!(&error, CommitStatusError::Sign { source, .. } if source.is_no_signer()), "{error}");
    let error = gateway.filtered_blocks("main", ..).await.unwrap_err();
    assert!(matches!(&error, DeliverError::Sign { source, .. } if source.is_no_signer()), "{error}");
    assert!(contract.events(EventsFrom::NextCommit).await.is_err());
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn nobody_signs_what_another_identity_made() {
    let (script, seen) = honest();
    let peer = ScriptedPeer::start(script).await;
    let (maker, key) = identity(&PKCS_ECDSA_P256_SHA256);
    let key = KeySigner::from_pem(&key).unwrap();
    let maker = connected(&peer, Credentials::without_signer(maker)).await;
    let other = connected(&peer, credentials()).await;

    let proposal = maker.contract("main", "assets").proposal("Move").build().unwrap();
    let imported = Proposal::from_bytes(&other, &proposal.to_bytes()).unwrap();
    let error = imported.endorse().await.unwrap_err();
    assert!(chain(&error).contains("another identity"), "{}", chain(&error));
    assert!(seen.lock().unwrap().is_empty());

    let signature = key.sign(imported.message()).await.unwrap();
    let error = imported.with_signature(&signature).unwrap().endorse().await.unwrap().submit().await;
    let error = error.unwrap_err();
    assert!(matches!(error, SubmitError::Sign { .. }), "{error}");
    // The commit status, however, may be asked for by anybody.
    assert!(Submitted::of(&other, "main", proposal.tx_id()).commit_status().await.unwrap().is_valid());
}

#[tokio::test]
async fn a_signature_that_peers_would_refuse_is_refused_here() {
    let (script, _) = honest();
    let peer = ScriptedPeer::start(script).await;
    let (maker, key_pem) = identity(&PKCS_ECDSA_P256_SHA256);
    let gateway = connected(&peer, Credentials::without_signer(maker)).await;
    let propose = || gateway.contract("main", "assets").proposal("Move").build().unwrap();

    let refused = |signature: &[u8]| propose().with_signature(signature).unwrap_err();
    assert_eq!(refused(b""), SignatureError::Empty);
    assert_eq!(refused(b"garbage"), SignatureError::Form);
    let (_, other) = identity(&PKCS_ECDSA_P256_SHA256);
    let proposal = propose();
    let foreign = KeySigner::from_pem(&other).unwrap().sign(proposal.message()).await.unwrap();
    assert_eq!(proposal.with_signature(&foreign).unwrap_err(), SignatureError::Foreign);
    let own = KeySigner::from_pem(&key_pem).unwrap();
    let elsewhere = own.sign(propose().message()).await.unwrap();
    assert_eq!(refused(&elsewhere), SignatureError::Foreign, "over another proposal");

    // High S and the two numbers alone are the same signature, brought into Fabric's form.
    let proposal = propose();
    let key = p256::ecdsa::SigningKey::from_pkcs8_pem(&key_pem).unwrap();
    let low: p256::ecdsa::Signature = key.sign_prehash(&proposal.digest()).unwrap();
    let low = low.normalize_s();
    let (r, s) = low.split_scalars();
    let high = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-s).to_bytes()).unwrap();
    for form in [high.to_der().as_bytes(), high.to_bytes().as_slice(), low.to_der().as_bytes()] {
        let again = Proposal::from_bytes(&gateway, &proposal.to_bytes()).unwrap();
        let signed = again.with_signature(form).unwrap().signed().await.unwrap();
        assert_eq!(signed.signature, low.to_der().as_bytes());
    }

    // A signature that comes with the bytes is looked at too.
    let mut proposed = ProposedTransaction::decode(proposal.to_bytes().as_slice()).unwrap();
    proposed.proposal.as_mut().unwrap().signature = foreign;
    let error = Proposal::from_bytes(&gateway, &proposed.encode_to_vec()).unwrap_err();
    assert!(matches!(error, ImportError::Signature { source: SignatureError::Foreign, .. }), "{error}");
}

#[tokio::test]
async fn bytes_that_contradict_themselves_are_no_stage() {
    let (script, _) = honest();
    let peer = ScriptedPeer::start(script).await;
    let gateway = connected(&peer, credentials()).await;
    let contract = gateway.contract("main", "assets");
    let (proposal, other) =
        (contract.proposal("Move").build().unwrap(), contract.proposal("Take").build().unwrap());

    let mut proposed = ProposedTransaction::decode(proposal.to_bytes().as_slice()).unwrap();
    proposed.transaction_id = other.tx_id().to_owned();
    let error = Proposal::from_bytes(&gateway, &proposed.encode_to_vec()).unwrap_err();
    assert!(error.to_string().contains("another transaction"), "{error}");
    let transaction = proposal.endorse().await.unwrap();
    let mut prepared = PreparedTransaction::decode(transaction.to_bytes().as_slice()).unwrap();
    prepared.transaction_id = other.tx_id().to_owned();
    let error = Endorsed::from_bytes(&gateway, &prepared.encode_to_vec()).unwrap_err();
    assert!(error.to_string().contains("another transaction"), "{error}");
    let error = transaction.is_of(&other).unwrap_err();
    assert!(matches!(error, EndorseError::Mismatch { .. }), "{error}");

    // A chaincode in the header, where people look, and another one in the input.
    let mut proposed = ProposedTransaction::decode(proposal.to_bytes().as_slice()).unwrap();
    let signed = proposed.proposal.as_mut().unwrap();
    let at = signed.proposal_bytes.windows(6).rposition(|bytes| bytes == b"assets").unwrap();
    signed.proposal_bytes[at..at + 6].copy_from_slice(b"wallet");
    let error = Proposal::from_bytes(&gateway, &proposed.encode_to_vec()).unwrap_err();
    assert!(error.to_string().contains("different chaincodes"), "{error}");

    // One kind of request is not another one, whatever both look like on the wire.
    let blocks = gateway.block_request("main", ..).to_bytes();
    let submitted = Submitted::of(&gateway, "main", proposal.tx_id()).to_bytes();
    assert!(Proposal::from_bytes(&gateway, &blocks).is_err());
    assert!(Endorsed::from_bytes(&gateway, &proposal.to_bytes()).is_err());
    assert!(BlockRequest::from_bytes(&gateway, &submitted).is_err());
    for empty in [
        Proposal::from_bytes(&gateway, b"").err().map(|error| error.to_string()),
        Endorsed::from_bytes(&gateway, b"").err().map(|error| error.to_string()),
        Submitted::from_bytes(&gateway, b"").err().map(|error| error.to_string()),
        BlockRequest::from_bytes(&gateway, b"").err().map(|error| error.to_string()),
        EventsRequest::from_bytes(&gateway, b"").err().map(|error| error.to_string()),
    ] {
        assert!(empty.is_some());
    }
}

#[tokio::test]
async fn a_closure_signs_messages_or_digests_now_or_later() {
    let (script, seen) = honest();
    let peer = ScriptedPeer::start(script).await;
    let (identity, pem) = identity(&PKCS_ECDSA_P256_SHA256);
    let key = || p256::ecdsa::SigningKey::from_pkcs8_pem(&pem).unwrap();
    let (now, later, message, message_later) = (key(), key(), key(), key());
    // As hardware would: the two numbers alone, with whatever S comes.
    let raw = |key: &p256::ecdsa::SigningKey, digest: &[u8]| -> Result<Vec<u8>, SignError> {
        let signature: p256::ecdsa::Signature =
            key.sign_prehash(digest).map_err(|e| SignError::new(e.to_string()))?;
        let (r, s) = signature.normalize_s().split_scalars();
        Ok(p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-s).to_bytes()).unwrap().to_vec())
    };
    let callbacks = [
        Callback::digest(move |digest| raw(&now, &digest)),
        Callback::digest_async(move |digest| {
            let later = later.clone();
            async move { raw(&later, &digest) }
        }),
        Callback::message(move |bytes| raw(&message, &Sha256::digest(bytes))),
        Callback::message_async(move |bytes| {
            let key = message_later.clone();
            async move { raw(&key, &Sha256::digest(&bytes)) }
        }),
    ];
    for callback in callbacks {
        let gateway = connected(&peer, Credentials::new(identity.clone(), callback)).await;
        gateway.contract("main", "assets").proposal("Read").build().unwrap().evaluate().await.unwrap();
    }
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(seen.len(), 4);
    for (_, message, signature) in seen.iter() {
        // The callbacks' key signs a message the same way each time.
        let made: p256::ecdsa::Signature = key().sign_prehash(&Sha256::digest(message)).unwrap();
        assert_eq!(*signature, made.normalize_s().to_der().as_bytes(), "low S, in DER");
    }

    let broken = Callback::message(|_| Err(SignError::new("the card is out")));
    let gateway = connected(&peer, Credentials::new(identity.clone(), broken)).await;
    let proposal = gateway.contract("main", "assets").proposal("Read").build().unwrap();
    let error = proposal.evaluate().await.unwrap_err();
    assert!(chain(&error).ends_with("the card is out"), "{}", chain(&error));
    let wrong = Callback::message(|_| Ok(b"not a signature".to_vec()));
    let gateway = connected(&peer, Credentials::new(identity, wrong)).await;
    let proposal = gateway.contract("main", "assets").proposal("Read").build().unwrap();
    let error = proposal.evaluate().await.unwrap_err();
    assert!(chain(&error).contains("P-256"), "{}", chain(&error));
}

#[tokio::test]
async fn a_connection_of_the_callers_own_will_do() {
    let (script, seen) = honest();
    let peer = ScriptedPeer::start(script).await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", peer.address)).unwrap();
    let channel = channel.connect().await.unwrap();
    let gateway = Gateway::on_channel(channel, credentials(), Deadlines::default());
    let blocks = gateway.with_client_certificate_hash([7; 32]).block_request("main", 3..=3);
    let header = Payload::decode(blocks.message()).unwrap().header.unwrap();
    let header =
        hlf_gateway::protos::common::ChannelHeader::decode(header.channel_header.as_slice()).unwrap();
    assert_eq!(header.tls_cert_hash, [7; 32]);

    // One of several contracts in the chaincode.
    let contract = gateway.contract("main", "assets").named("org.example.Ledger");
    assert_eq!(contract.name(), Some("org.example.Ledger"));
    contract.proposal("Read").args([&b"\xff\x00"[..]]).arg("text").build().unwrap().evaluate().await.unwrap();
    let (_, message, _) = seen.lock().unwrap().pop().unwrap();
    let proposal = hlf_gateway::protos::protos::Proposal::decode(message.as_slice()).unwrap();
    let payload = ChaincodeProposalPayload::decode(proposal.payload.as_slice()).unwrap();
    let spec = ChaincodeInvocationSpec::decode(payload.input.as_slice()).unwrap();
    let args = spec.chaincode_spec.unwrap().input.unwrap().args;
    assert_eq!(args, [b"org.example.Ledger:Read".to_vec(), b"\xff\x00".to_vec(), b"text".to_vec()]);
}

#[test]
fn a_creator_is_what_fabric_reads() {
    let (identity, _) = identity(&PKCS_ED25519);
    let creator = SerializedIdentity::decode(identity.creator().as_slice()).unwrap();
    assert_eq!(creator.id_bytes, identity.certificate_pem.into_bytes());
}
