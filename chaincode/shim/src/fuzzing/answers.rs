//! Answers of a peer to requests of every kind.

use std::sync::Arc;
use std::time::Duration;

use hlf_protos::protos::ChaincodeMessage;
use hlf_protos::protos::chaincode_message::Type;
use tokio::sync::mpsc;

use super::{Cut, RULES, line_over, run};
use crate::call;
use crate::key::KeyRange;
use crate::ledger::{LedgerError, Offer, ReplySlot};
use crate::scan::{Page, Scan, ScanItem};
use crate::state::State;

/// Requests of every kind, answered in turn with these bytes: each kind first, the rest later.
pub fn answers(bytes: &[u8]) {
    let mut cut = Cut(bytes);
    let (first, mut later) = (cut.byte(), Vec::new());
    while !cut.is_empty() && later.len() < 32 {
        later.push(cut.chunk());
    }
    run(ask(usize::from(first), later));
}

async fn ask(first: usize, answers: Vec<Vec<u8>>) {
    let (outbound, mut sent) = mpsc::channel::<Result<ChaincodeMessage, _>>(8);
    let slot = Arc::new(ReplySlot::default());
    let peer = Arc::clone(&slot);
    // Answers go round, so that every kind of request gets every one of them.
    let mut answers = answers.into_iter().cycle().skip(first % 32);
    let peer = tokio::spawn(async move {
        while let Some(Ok(ask)) = sent.recv().await {
            let payload = answers.next().unwrap_or_default();
            let kind = if payload == b"ERROR" { Type::Error } else { Type::Response };
            peer.deliver(ChaincodeMessage { r#type: kind.into(), payload, ..ask });
        }
    });
    let state = State::new(
        line_over(outbound, slot, Duration::from_secs(10)),
        Offer { write_batch: Some(10), multi_get: Some(10) },
        RULES,
    );
    let range = || KeyRange::simple("a", "z").unwrap_or(KeyRange::all_composite());
    let page = Page::first(std::num::NonZeroU16::MIN);
    let _ = state.value("", "k").await;
    for collection in ["", "prices"] {
        if let Ok(values) = state.values(collection, &["k", "l"]).await {
            assert_eq!(values.len(), 2);
        }
    }
    let _ = state.hash("prices", "k").await;
    let _ = state.policy("", "k").await;
    for scan in [state.scan("", range()).await, state.query("", "{}").await].into_iter().flatten() {
        let _ = some(scan).await;
    }
    if let Ok(scan) = state.history("k").await {
        let _ = some(scan).await;
    }
    if let Ok(page) = state.page(range(), &page).await {
        assert!(page.bookmark.is_none_or(|bookmark| range().contains(&bookmark)));
    }
    let _ = state.query_page("{}", &page).await;
    let _ = call::call(state.line(), "other", "", &["arg"]).await;
    let _ = state.line().close_scans().await;
    drop(state);
    let _ = peer.await;
}

/// Reads some of a scan, which may promise more for ever, and drops it.
async fn some<T: ScanItem>(mut scan: Scan<'_, T>) -> Result<(), LedgerError> {
    for _ in 0..50 {
        if scan.next().await?.is_none() {
            break;
        }
    }
    Ok(())
}
