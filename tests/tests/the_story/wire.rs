//! What real peers and a real orderer produced on the way.

use std::collections::BTreeSet;

use caretrail_model::calls::{self, Call as _};
use caretrail_tests::chain::{Transaction, envelopes, exactly};
use caretrail_tests::hospitals::Hospitals;
use hlf_protos::common::{
    Block, BlockHeader, BlockMetadataIndex, ChannelHeader, ConfigEnvelope, Header, HeaderType, Metadata,
    Payload, SignatureHeader,
};
use hlf_protos::kvrwset::KvrwSet;
use hlf_protos::msp::SerializedIdentity;
use hlf_protos::prost::Message as _;
use hlf_protos::protos::TxValidationCode;
use hlf_protos::rwset::TxReadWriteSet;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::world::Story;

const VALID: TxValidationCode = TxValidationCode::Valid;

pub(crate) async fn fabrics_own_client_is_understood(story: &mut Story) {
    let policy = story.run_as("north/admin", "policy show").await.done();
    let mut query = story.fabrics_peer("north/admin").await;
    query.args([
        "chaincode",
        "query",
        "-C",
        "records",
        "-n",
        "caretrail",
        "-c",
        r#"{"Args":["GetPolicy","{}"]}"#,
    ]);
    let answer = query.output().await.unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    assert_eq!(serde_json::from_slice::<Value>(&answer.stdout).unwrap(), policy);

    // An admin asks for a record, which is no admin's to read; Fabric's client proposes, signs and submits.
    let request = json!({
        "request": "5".repeat(32),
        "patient": story.patient,
        "records": [story.bundle],
        "action": "read",
        "purpose": "TREAT",
    });
    let before = story.chain().await.told("caretrail").len();
    let mut invoke = story.fabrics_peer("north/admin").await;
    let orderer = story.node("orderer0.orderer.example.com").await.address.unwrap();
    invoke
        .args([
            "chaincode",
            "invoke",
            "-C",
            "records",
            "-n",
            "caretrail",
            "--waitForEvent",
            "-o",
            &orderer,
            "--tls",
        ])
        .arg("--cafile")
        .arg(story.orderers_tls_ca())
        .arg("-c")
        .arg(json!({ "Args": ["RequestAccess", request.to_string()] }).to_string());
    for organization in ["north", "south"] {
        let profile = story.profile(organization);
        invoke.arg("--peerAddresses").arg(&profile.peers[0].address);
        invoke.arg("--tlsRootCertFiles").arg(&profile.tls_ca);
    }
    let answer = invoke.output().await.unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let told = story.chain().await.told("caretrail");
    assert_eq!(told.len(), before + 1);
    assert_eq!(told[before].entry["act"]["decisions"][0]["rule"], "role_not_allowed");
    assert_eq!(told[before].entry["actor"]["msp_id"], "NorthMSP");
}

pub(crate) async fn every_message_of_real_nodes_encodes_to_the_same_bytes(story: &mut Story) {
    let chain = story.chain().await;
    // Decoding is strict already: envelope, payload, headers, transaction, action, call, response and result each
    // encode to the bytes that they came from.
    let transactions = chain.transactions();
    let functions: BTreeSet<_> =
        transactions.iter().filter(|tx| tx.chaincode == "caretrail").map(Transaction::function).collect();
    // The acts before this one have made every call that is submitted.
    let mut submitted = BTreeSet::new();
    macro_rules! note {
        ($call:ident) => {
            if calls::$call::WRITES {
                submitted.insert(calls::$call::NAME.to_owned());
            }
        };
    }
    caretrail_model::for_each_call!(note);
    assert_eq!(functions, submitted);
    assert!(transactions.iter().any(|tx| tx.chaincode == "_lifecycle"));

    let invalid: Vec<_> = transactions.iter().map(|tx| tx.code).filter(|code| *code != VALID).collect();
    assert_eq!(invalid, [TxValidationCode::EndorsementPolicyFailure, TxValidationCode::MvccReadConflict]);

    for tx in &transactions {
        let id =
            Sha256::new().chain_update(&tx.signature_header.nonce).chain_update(&tx.signature_header.creator);
        assert_eq!(tx.channel_header.tx_id, hex::encode(id.finalize()));
        assert_eq!(tx.actions.actions[0].header, tx.header.signature_header);

        // The proposal that the peers endorsed, put together again from the transaction: they hashed these bytes.
        let hash = Sha256::new()
            .chain_update(&tx.header.channel_header)
            .chain_update(&tx.header.signature_header)
            .chain_update(&tx.action.chaincode_proposal_payload);
        assert_eq!(tx.response.proposal_hash, hash.finalize().as_slice());
        assert!(tx.call.transient_map.is_empty());

        let written: TxReadWriteSet = exactly(&tx.result.results);
        for namespace in &written.ns_rwset {
            let _: KvrwSet = exactly(&namespace.rwset);
        }
        let _: Header = exactly(&tx.header.encode_to_vec());
    }
    for block in chain.blocks() {
        let metadata = &block.metadata.as_ref().unwrap().metadata;
        let signatures: Metadata = exactly(&metadata[BlockMetadataIndex::Signatures as usize]);
        for signature in &signatures.signatures {
            let _: SignatureHeader = exactly(&signature.signature_header);
        }
    }
}

pub(crate) async fn every_transaction_is_signed_by_its_creator_and_both_hospitals_peers(story: &mut Story) {
    let hospitals: &Hospitals = story;
    let mut endorsed = 0;
    for tx in story.chain().await.transactions() {
        let tx_id = &tx.channel_header.tx_id;
        let creator = Signatory::of(&tx.signature_header.creator, hospitals);
        assert!(creator.verifies(&tx.envelope.payload, &tx.envelope.signature), "{tx_id}");
        assert!(["client", "admin"].contains(&creator.node_ou.as_str()), "{tx_id}: {}", creator.node_ou);

        let action = tx.action.action.as_ref().unwrap();
        let mut hospitals_of_peers = Vec::new();
        for endorsement in &action.endorsements {
            let endorser = Signatory::of(&endorsement.endorser, hospitals);
            let signed = [action.proposal_response_payload.as_slice(), &endorsement.endorser].concat();
            assert!(endorser.verifies(&signed, &endorsement.signature), "{tx_id}");
            assert_eq!(endorser.node_ou, "peer", "{tx_id}: no client endorses");
            hospitals_of_peers.push(endorser.msp_id);
        }
        // A hospital approves a definition by itself; everything else is endorsed by both.
        if tx.code == TxValidationCode::EndorsementPolicyFailure {
            assert_eq!(hospitals_of_peers, ["NorthMSP"], "{tx_id}");
        } else if tx.chaincode == "caretrail" {
            hospitals_of_peers.sort_unstable();
            assert_eq!(hospitals_of_peers, ["NorthMSP", "SouthMSP"], "{tx_id}");
            endorsed += 1;
        }
    }
    assert!(endorsed >= 25, "{endorsed}");
}

pub(crate) async fn blocks_are_chained_by_their_hashes(story: &mut Story) {
    let chain = story.chain().await;
    let mut previous_hash = Vec::new();
    for block in chain.blocks() {
        let header = block.header.as_ref().unwrap();
        assert_eq!(header.data_hash, Sha256::digest(block.data.as_ref().unwrap().data.concat()).as_slice());
        assert_eq!(header.previous_hash, previous_hash, "block {}", header.number);
        previous_hash = Sha256::digest(asn1(header)).to_vec();
    }
    assert!(chain.blocks().len() > 20);
}

pub(crate) async fn configurations_keep_their_meaning(story: &mut Story) {
    let mut configurations = 0;
    for block in story.chain().await.blocks() {
        let block: Block = exactly(&block.encode_to_vec());
        for (envelope, _) in envelopes(&block) {
            let payload: Payload = exactly(&envelope.payload);
            let channel_header: ChannelHeader = exactly(&payload.header.unwrap().channel_header);
            if channel_header.r#type != i32::from(HeaderType::Config) {
                continue;
            }
            // Fabric writes maps in no certain order: equal is what is decoded, not the bytes.
            let config = ConfigEnvelope::decode(payload.data.as_slice()).unwrap();
            assert_eq!(ConfigEnvelope::decode(config.encode_to_vec().as_slice()).unwrap(), config);
            let groups = &config.config.unwrap().channel_group.unwrap().groups;
            let members: Vec<_> = groups["Application"].groups.keys().collect();
            assert_eq!(members, ["NorthMSP", "SouthMSP"]);
            configurations += 1;
        }
    }
    assert_eq!(configurations, 1, "the first block");
}

/// Somebody who signed, by the certificate that lies in the message.
struct Signatory {
    msp_id: String,
    /// `peer`, `client`, `admin` or `orderer`.
    node_ou: String,
    key: VerifyingKey,
}

impl Signatory {
    /// Reads an identity, whose certificate must be one of its hospital's own CA.
    fn of(bytes: &[u8], hospitals: &Hospitals) -> Self {
        let identity: SerializedIdentity = exactly(bytes);
        let (_, pem) = parse_x509_pem(&identity.id_bytes).unwrap();
        let certificate = pem.parse_x509().unwrap();
        let organization = hospitals.organization(&identity.mspid);
        let ca = hospitals.network().layout().organization(organization).join("ca");
        let ca = ca.join(format!("ca.{}-cert.pem", organization.domain));
        let (_, ca) =
            parse_x509_pem(&std::fs::read(ca).unwrap()).map(|(rest, pem)| (rest.len(), pem)).unwrap();
        let (_, ca) = X509Certificate::from_der(&ca.contents).unwrap();
        certificate.verify_signature(Some(ca.public_key())).unwrap();
        let units: Vec<_> =
            certificate.subject().iter_organizational_unit().map(|unit| unit.as_str().unwrap()).collect();
        assert_eq!(units.len(), 1, "{units:?}");
        Self {
            msp_id: identity.mspid,
            node_ou: units[0].to_owned(),
            key: VerifyingKey::from_sec1_bytes(&certificate.public_key().subject_public_key.data).unwrap(),
        }
    }

    /// ECDSA over SHA-256 in DER, of low S.
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::from_der(signature).unwrap();
        signature.normalize_s() == signature && self.key.verify(message, &signature).is_ok()
    }
}

/// The hashed form of a block's header: an ASN.1 sequence of number, previous hash and data hash.
fn asn1(header: &BlockHeader) -> Vec<u8> {
    let mut number = header.number.to_be_bytes().to_vec();
    let zeros = number.iter().take(7).take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    if number[0] >= 0x80 {
        number.insert(0, 0);
    }
    let mut inside = Vec::new();
    for (tag, content) in [(0x02, &number), (0x04, &header.previous_hash), (0x04, &header.data_hash)] {
        inside.extend([tag, u8::try_from(content.len()).unwrap()]);
        inside.extend(content);
    }
    let mut encoded = vec![0x30, u8::try_from(inside.len()).unwrap()];
    encoded.extend(inside);
    encoded
}
