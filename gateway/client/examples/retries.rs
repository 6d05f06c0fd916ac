//! A call that has its effect once, whatever happens to this program, the peers and the orderers meanwhile.
//!
//! `cargo run -p hlf-gateway --example retries -- PEERS TLS_ROOTS MSP_FOLDER MSP_ID CHANNEL CHAINCODE FOLDER KEY FUNCTION [ARG…]`
#![allow(clippy::print_stdout, reason = "what an example has to say")]

mod connection;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use connection::Connection;
use hlf_gateway::{KeptInFolder, Retry, RetryError, TransactionError};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let connection = Connection::from_arguments()?;
    let [folder, key, function, arguments @ ..] = connection.words.as_slice() else {
        return Err("arguments FOLDER, KEY and FUNCTION are missing".into());
    };
    let contract = connection.contract(connection.credentials.clone()).await?;
    let store = Arc::new(KeptInFolder::open(folder)?);

    // What an earlier run left unknown is settled first: sent again as the identical transaction, or found in its block.
    for (key, transaction) in store.pending()? {
        match contract.gateway().settle(&transaction, &Retry::default()).await {
            Ok(done) => println!("{key}: {} is in block {}", done.tx_id, done.block_number),
            Err(error) => println!("{key}: {error}"),
        }
    }

    let retry = Retry { attempts: 5, deadline: Duration::from_secs(60), ..Retry::default() };
    let retry = retry.idempotent(key, store);
    let call = contract.proposal(function).args(arguments.to_vec());
    match contract.submit_retrying(call, &retry).await {
        // Called again under its key, it made no further transaction, and tells what the first one did.
        Ok(done) if done.attempts == 0 => println!("done before, as {}", done.committed.tx_id),
        Ok(done) => println!("done as {}, at attempt {}", done.committed.tx_id, done.attempts),
        // The store has it: the next run goes on with it.
        Err(RetryError::Failed { source: TransactionError::Unknown { tx_id, .. }, .. }) => {
            println!("not known yet what becomes of {tx_id}; run this again");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
