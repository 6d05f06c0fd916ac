//! What becomes of transactions, many at once.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use hlf_gateway::protos::protos::TxValidationCode;
use hlf_gateway::{
    BlockRange, Contract, Credentials, Deadlines, Endorsed, Following, Identity, KeptInFolder, KeySigner,
    Metrics, Observation, Operation, Retry, SignError, SignedTransaction, Signer, TransactionError,
};
use hlf_network::spec::{Consortium, DEFAULT};

use crate::world::{NOTES, Notes, certificate_and_key, told};

/// A signer that counts.
pub(crate) struct Counting(pub(crate) KeySigner, pub(crate) Arc<AtomicUsize>);

impl Signer for Counting {
    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.sign(message)
    }
}

#[derive(Default)]
struct Calls(Mutex<BTreeMap<String, usize>>);

impl Metrics for Calls {
    fn observed(&self, observation: &Observation<'_>) {
        *self.0.lock().unwrap().entry(format!("{:?}", observation.operation)).or_default() += 1;
    }
}

pub(crate) async fn put(notes: &Contract, key: &str) -> Result<String, String> {
    let proposal = notes.proposal("Put").args([key, "x"]).build().unwrap();
    notes.submit(proposal).await.map(|done| done.tx_id).map_err(|error| told(&error))
}

pub(crate) async fn commits_are_followed_with_two_signatures_each(world: &mut Notes) {
    let signatures = Arc::new(AtomicUsize::new(0));
    let profile = world.profile("north");
    let (certificate_pem, key) = certificate_and_key(&profile.msp_folder("User1").unwrap());
    let signer = Counting(KeySigner::from_pem(&key).unwrap(), Arc::clone(&signatures));
    let identity = Identity { msp_id: profile.msp_id, certificate_pem };
    let calls = Arc::new(Calls::default());
    let gateway = world.gateway_as("north", Credentials::new(identity, signer)).await;
    let following = Following { ask_after: Duration::from_secs(60), ..Following::default() };
    let gateway = gateway.with_metrics(calls.clone()).following_commits(following);
    let notes = gateway.contract(world.channel(), NOTES);
    put(&notes, "followed").await.unwrap();

    let keys: Vec<_> = (0..99).map(|number| format!("followed{number}")).collect();
    for done in join_all(keys.iter().map(|key| put(&notes, key))).await {
        done.unwrap();
    }

    assert_eq!(signatures.load(Ordering::Relaxed), 2 * 100 + 1, "{calls:?}", calls = calls.0);
    assert_eq!(calls.0.lock().unwrap().get(&format!("{:?}", Operation::CommitStatus)), None);
    assert_eq!(gateway.commits().unwrap().waiting(world.channel()), 0);
}

pub(crate) async fn conflicts_are_tried_again_until_each_has_its_effect_once(world: &mut Notes) {
    const CALLERS: usize = 8;
    const TIMES: usize = 4;
    let store = Arc::new(KeptInFolder::open(world.folder.join("kept")).unwrap());
    let gateway = world.gateway("north", "User1").await.following_commits(Following::default());
    let notes = gateway.contract(world.channel(), NOTES);
    let retry = Retry { attempts: 200, last_pause: Duration::from_secs(1), ..Retry::default() };
    let attempts = AtomicUsize::new(0);
    let (notes_of, retry_of, store_of, counted) = (&notes, &retry, &store, &attempts);
    let callers = (0..CALLERS).map(async |caller| {
        for time in 0..TIMES {
            let text = format!("{caller}.{time} ");
            let call = notes_of.proposal("Append").args(["counted", text.as_str()]);
            let retry = retry_of.clone().idempotent(text.trim(), store_of.clone());
            let done = notes_of.submit_retrying(call.clone(), &retry).await;
            let done = done.unwrap_or_else(|error| panic!("{}", told(&error)));
            counted.fetch_add(done.attempts as usize, Ordering::Relaxed);
            // Called again under its key, it's the same transaction.
            let again = notes_of.submit_retrying(call, &retry).await.unwrap();
            assert_eq!((again.attempts, again.committed), (0, done.committed));
        }
    });
    join_all(callers).await;
    let effects = notes.proposal("Get").arg("counted").build().unwrap().evaluate().await.unwrap();
    let effects = String::from_utf8(effects).unwrap();
    let mut effects: Vec<_> = effects.split_whitespace().collect();
    effects.sort_unstable();
    let mut expected: Vec<_> =
        (0..CALLERS).flat_map(|caller| (0..TIMES).map(move |time| format!("{caller}.{time}"))).collect();
    expected.sort_unstable();
    assert_eq!(effects, expected, "each effect once");
    let attempts = attempts.load(Ordering::Relaxed);
    assert!(attempts > CALLERS * TIMES, "there were conflicts: {attempts} attempts");
    assert_eq!(store.pending().unwrap().len(), 0);
}

pub(crate) async fn a_kept_transaction_is_settled_once_however_often_it_is_sent(world: &mut Notes) {
    let notes = world.notes().await;
    let endorsed = notes.proposal("Append").args(["kept", "x"]).build().unwrap().endorse().await.unwrap();
    let bytes = endorsed.signed().await.unwrap().to_bytes();
    drop((endorsed, notes));

    // Another process, of another organisation, after the first was lost before it sent anything.
    let south = world.gateway("south", "User1").await;
    let transaction = SignedTransaction::from_bytes(&bytes).unwrap();
    let first = south.settle(&transaction, &Retry::default()).await.unwrap();
    // Copies get into blocks, and change nothing.
    for _ in 0..3 {
        send_copy(world, &Endorsed::from_bytes(&south, &bytes).unwrap()).await;
    }
    let mut blocks = south.filtered_blocks(world.channel(), first.block_number..).await.unwrap();
    let mut copies = 0;
    while copies < 3 && !world.is_bft() {
        let block = tokio::time::timeout(Duration::from_secs(60), blocks.next()).await.unwrap();
        for one in block.unwrap().unwrap().filtered_transactions {
            if one.txid == first.tx_id && one.tx_validation_code() == TxValidationCode::DuplicateTxid {
                copies += 1;
            }
        }
    }
    assert_eq!(south.settle(&transaction, &Retry::default()).await.unwrap(), first);
    let notes = south.contract(world.channel(), NOTES);
    let value = notes.proposal("Get").arg("kept").build().unwrap().evaluate().await.unwrap();
    assert_eq!(value, b"x");
}

/// Sends once more what is in a block. BFT orderers take no second copy, which is no failure of the first.
pub(crate) async fn send_copy(world: &Notes, endorsed: &Endorsed) {
    match endorsed.submit().await {
        Ok(_) => (),
        Err(error) if world.is_bft() => {
            assert!(error.failure().unwrap().says_ordered(), "{}", told(&error));
        }
        Err(error) => panic!("{}", told(&error)),
    }
}

pub(crate) async fn nothing_that_bft_orderers_ordered_is_reported_failed(world: &mut Notes) {
    /// How long the load lasts, and how often the condition is to be met by sending again, of so many times at most.
    const BOUND: Duration = Duration::from_secs(20);
    const MET: usize = 20;
    const AGAIN: usize = 60;
    const CALLERS: usize = 100;
    if !world.is_v3() {
        // Before 3.0 there is no BFT ordering, nor the words in question: `network` refuses it.
        return;
    }
    let mut spec = Consortium::parse(DEFAULT).unwrap();
    spec.set_orderers("bft:4".parse().unwrap()).unwrap();
    spec.set_chaincode(hlf_network::spec::Chaincode::new(NOTES, "notes_1")).unwrap();
    let bft = Notes::standing(&world.folder.join("bft"), spec, &world.folder).await;
    let gateway = bft.gateway_as("north", bft.credentials("north", "User1")).await;
    let patient = Duration::from_secs(120);
    let gateway = gateway.with_deadlines(Deadlines {
        submit: patient,
        commit_status: patient,
        lost_submit: patient,
        ..Deadlines::default()
    });
    let notes = gateway.following_commits(Following::default()).contract(bft.channel(), NOTES);
    put(&notes, "first").await.unwrap();

    let log = bft.network.layout().log("peer0.north.example.com");
    let raw = || {
        let text = fs::read_to_string(&log).unwrap();
        let counted = |phrase: &str| text.lines().filter(|line| line.contains(phrase)).count();
        (counted("Insufficient number of orderers could"), counted("request already processed"))
    };
    let begun = Instant::now();
    let reported: Mutex<Vec<(String, Result<(), TransactionError>)>> = Mutex::default();
    let (notes_of, reported_of) = (&notes, &reported);
    let callers = (0..CALLERS).map(async |caller| {
        for number in 0.. {
            if begun.elapsed() > BOUND {
                return;
            }
            let proposal = notes_of.proposal("Put").args([format!("{caller}.{number}"), "x".to_owned()]);
            let proposal = proposal.build().unwrap();
            let tx_id = proposal.tx_id().to_owned();
            let result = notes_of.submit(proposal).await.map(|_| ());
            reported_of.lock().unwrap().push((tx_id, result));
        }
    });
    join_all(callers).await;
    let (under_load, _) = raw();

    // Load meets the condition by chance. Sent again once it's ordered, the same envelope meets it nearly each time.
    let (mut met, mut again) = (0, 0);
    while met < MET && again < AGAIN {
        again += 1;
        let number = again;
        let proposal =
            notes.proposal("Put").args([format!("again{number}"), "x".to_owned()]).build().unwrap();
        let endorsed = proposal.endorse().await.unwrap();
        let transaction = endorsed.signed().await.unwrap();
        let status = endorsed.submit().await.unwrap().commit_status().await.unwrap();
        if let Err(error) = endorsed.submit().await {
            let failure = error.failure().unwrap();
            assert!(failure.message().contains("insufficient number of orderers"), "{}", told(&error));
            assert!(failure.says_ordered(), "{}", told(&error));
            met += 1;
        }
        let committed = notes.gateway().settle(&transaction, &Retry::default()).await;
        let block_number = committed.as_ref().map(|committed| committed.block_number).ok();
        assert_eq!(block_number, Some(status.block_number), "{committed:?}");
        reported.lock().unwrap().push((status.tx_id, committed.map(|_| ())));
    }

    // What is so is read from blocks, after one more of them.
    let last = notes.submit(notes.proposal("Put").args(["last", "x"]).build().unwrap()).await.unwrap();
    let mut verdicts = BTreeMap::new();
    let range = BlockRange::from(0..=last.block_number);
    let mut blocks = notes.gateway().filtered_blocks(bft.channel(), range).await.unwrap();
    while let Some(block) = blocks.next().await.unwrap() {
        for one in block.filtered_transactions {
            verdicts.entry(one.txid.clone()).or_insert(one.tx_validation_code());
        }
    }
    let reported = reported.into_inner().unwrap();
    let valid = |tx_id: &String| verdicts.get(tx_id) == Some(&TxValidationCode::Valid);
    let spurious: Vec<_> = reported.iter().filter(|(id, result)| result.is_err() && valid(id)).collect();
    let wrong: Vec<_> = reported.iter().filter(|(id, result)| result.is_ok() && !valid(id)).collect();
    let (refused, processed) = raw();
    eprintln!(
        "BFT of four, {CALLERS} callers, {:?}: {} transactions, {} reported failed; the peer answered UNAVAILABLE to \
         {under_load} under load and to {met} of {again} that were sent again, {refused} in all; orderers said \
         {processed} times that they had processed it",
        begun.elapsed(),
        reported.len(),
        reported.iter().filter(|(_, result)| result.is_err()).count(),
    );
    assert!(spurious.is_empty(), "committed, but reported failed: {spurious:?}");
    assert!(wrong.is_empty(), "reported committed, but not: {wrong:?}");
    assert!(
        met >= MET && refused >= met,
        "the condition was met {met} times, and {refused} times by the peer's log"
    );
    assert!(reported.len() >= CALLERS, "{} transactions", reported.len());
    if let Err(error) = bft.network.destroy(&hlf_network::Quiet).await {
        panic!("{}", told(&error));
    }
}
