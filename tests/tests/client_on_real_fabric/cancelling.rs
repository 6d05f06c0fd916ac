//! What a caller gives up in the middle.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use hlf_gateway::protos::protos::TxValidationCode;
use hlf_gateway::{Credentials, Identity, KeySigner, TransactionError};

use crate::outcomes::{Counting, put};
use crate::world::{NOTES, Notes, certificate_and_key};

/// Polls a future so many times, then drops it; whether it had ended, and how.
async fn cut<F: Future>(mut future: Pin<Box<F>>, polls: usize) -> Option<F::Output> {
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

pub(crate) async fn what_is_dropped_before_it_is_sent_is_in_no_block_and_after_that_it_can_be_asked_for(
    world: &mut Notes,
) {
    let profile = world.profile("north");
    let (certificate_pem, key) = certificate_and_key(&profile.msp_folder("User1").unwrap());
    let signatures = Arc::new(AtomicUsize::new(0));
    let signer = Counting(KeySigner::from_pem(&key).unwrap(), Arc::clone(&signatures));
    let identity = Identity { msp_id: profile.msp_id, certificate_pem };
    let gateway = world.gateway_as("north", Credentials::new(identity, signer)).await;
    let notes = gateway.contract(world.channel(), NOTES);
    let begin = gateway.commit_status(world.channel(), &put(&notes, "first").await.unwrap()).await.unwrap();

    // Dropped a step later each time; the second signature is the transaction's.
    let (mut unsigned, mut signed) = (Vec::new(), Vec::new());
    for polls in 1_usize.. {
        signatures.store(0, Ordering::Relaxed);
        let proposal = notes.proposal("Put").args([format!("cut{polls}"), "x".to_owned()]).build().unwrap();
        let tx_id = proposal.tx_id().to_owned();
        let ended: Option<Result<_, TransactionError>> = cut(Box::pin(notes.submit(proposal)), polls).await;
        match signatures.load(Ordering::Relaxed) {
            0 | 1 => unsigned.push(tx_id),
            _ => signed.push(tx_id),
        }
        if let Some(ended) = ended {
            ended.unwrap();
            break;
        }
        assert!(polls < 200, "it ends");
    }
    assert!(!unsigned.is_empty() && signed.len() > 1, "{unsigned:?}, {signed:?}");

    // By the time that another transaction is in a block, all that was sent before is.
    let end = gateway.commit_status(world.channel(), &put(&notes, "last").await.unwrap()).await.unwrap();
    let range = begin.block_number..=end.block_number;
    let mut blocks = gateway.filtered_blocks(world.channel(), range).await.unwrap();
    let mut found = Vec::new();
    while let Some(block) = blocks.next().await.unwrap() {
        found.extend(
            block.filtered_transactions.into_iter().map(|one| (one.txid.clone(), one.tx_validation_code())),
        );
    }
    assert!(unsigned.iter().all(|tx_id| found.iter().all(|(found, _)| found != tx_id)), "{unsigned:?}");
    let sent: Vec<_> = signed.iter().filter(|tx_id| found.iter().any(|(found, _)| found == *tx_id)).collect();
    assert!(sent.len() > 1, "some of {signed:?} are sent");
    for tx_id in sent {
        let status = gateway.commit_status(world.channel(), tx_id).await.unwrap();
        assert_eq!(status.code, TxValidationCode::Valid);
    }
}
