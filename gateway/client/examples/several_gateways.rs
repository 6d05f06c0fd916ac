//! Several peers that serve as one: a peer that goes is gone round, and what was written is read where it is.
//!
//! `cargo run -p hlf-gateway --example several_gateways -- PEER,PEER… TLS_ROOTS MSP_FOLDER MSP_ID CHANNEL CHAINCODE FUNCTION [ARG…]`
#![allow(clippy::print_stdout, reason = "what an example has to say")]

mod connection;

use std::error::Error;

use connection::Connection;
use hlf_gateway::After;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let connection = Connection::from_arguments()?;
    let [function, arguments @ ..] = connection.words.as_slice() else {
        return Err("argument FUNCTION is missing".into());
    };
    // One of the peers is enough to connect; the others are tried in the background.
    let contract = connection.contract(connection.credentials.clone()).await?;

    let call = contract.proposal(function).args(arguments.to_vec()).build()?;
    let done = contract.submit(call).await?;
    println!("{} is in block {}", done.tx_id, done.block_number);

    // Whichever peer answers this has the block: the others may be behind it.
    let metadata = contract.proposal("org.hyperledger.fabric:GetMetadata").build()?;
    let read = metadata.evaluate_after(&After::from(&done)).await?;
    println!("{} bytes of metadata, read after it", read.len());

    for peer in contract.gateway().peers() {
        let answers = if peer.answers { "answers" } else { "does not answer" };
        println!("{} {answers}, and runs up to {} calls at once", peer.address, peer.gateway.limit);
    }
    Ok(())
}
