//! A transaction whose key is never where the network is: prepared here, signed elsewhere, sent here.
//!
//! `cargo run -p hlf-gateway --example offline_signing -- PEERS TLS_ROOTS MSP_FOLDER MSP_ID CHANNEL CHAINCODE FUNCTION [ARG…]`
#![allow(clippy::print_stdout, reason = "what an example has to say")]

mod connection;

use std::error::Error;

use connection::Connection;
use hlf_gateway::{Credentials, Endorsed, Proposal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let connection = Connection::from_arguments()?;
    let [function, arguments @ ..] = connection.words.as_slice() else {
        return Err("argument FUNCTION is missing".into());
    };
    // Here the key's holder is this function. With a key of its own kind, a wallet or a key service, it may as well get
    // `digest()` and answer with a signature in DER, its S high or low; an Ed25519 key signs the message.
    let holder = async |message: &[u8]| connection.credentials.sign(message).await;

    // The one who talks to the network has the identity without its key.
    let identity = connection.credentials.identity().clone();
    let contract = connection.contract(Credentials::without_signer(identity)).await?;

    let proposal = contract.proposal(function).args(arguments.to_vec()).build()?;
    // Each stage is bytes that go wherever they must, and are the same stage when they come back.
    let (bytes, signature) = (proposal.to_bytes(), holder(proposal.message()).await?);
    let signed = Proposal::from_bytes(contract.gateway(), &bytes)?.with_signature(&signature)?;
    let endorsed = signed.endorse().await?;

    // What came back from a gateway is signed only if it is what was proposed.
    endorsed.is_of(&proposal)?;
    let (bytes, signature) = (endorsed.to_bytes(), holder(endorsed.message()).await?);
    let signed = Endorsed::from_bytes(contract.gateway(), &bytes)?.with_signature(&signature)?;
    let submitted = signed.submit().await?;

    let signature = holder(submitted.message()).await?;
    let status = submitted.with_signature(&signature)?.commit_status().await?;
    println!("{} is {} in block {}", status.tx_id, status.code.as_str_name(), status.block_number);
    Ok(())
}
