//! Our side's load generator, a process of its own: a service that submits many transactions.
//!
//! It is the counterpart of tests/go/gateway-client/load.go.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use caretrail_tests::measure::load::{closed_loop, open_loop};
use caretrail_tests::measure::words::{not_evaluated, not_valid};
use hlf_gateway::{
    Contract, Deadlines, Following, Gateway, Metrics, MspFolder, Observation, Operation, Retry, RetryError,
};
use hlf_network::profile::Profile;
use tokio::runtime::Runtime;

use crate::order::{Came, Order, counter, key};

/// Values are of 128 bytes.
const VALUE: [u8; 128] = [b'v'; 128];
/// How many transactions a contended call makes at most.
pub(crate) const ATTEMPTS: u32 = 50;

tokio::task_local! {
    /// How long the call's transaction took to be endorsed, and then to be submitted.
    static STAGES: Cell<[Duration; 2]>;
}

/// Notes the stages of the call that observes them.
struct Stages;

impl Metrics for Stages {
    fn observed(&self, observation: &Observation<'_>) {
        let took = observation.queued + observation.duration;
        // Other calls than those that put a key note nothing.
        let _ = STAGES.try_with(|stages| {
            let [endorse, submit] = stages.get();
            match observation.operation {
                Operation::Endorse => stages.set([endorse + took, submit]),
                Operation::Submit => stages.set([endorse, submit + took]),
                _ => {}
            }
        });
    }
}

/// Takes orders on stdin and answers them on stdout, until there are no more.
pub(crate) fn serve(profile: &str, user: &str) {
    Runtime::new().expect("a runtime").block_on(async {
        let contract = connect(Path::new(profile), user).await;
        while let Some(order) = tokio::task::spawn_blocking(next).await.expect("an order") {
            let came = fulfil(&contract, order).await;
            let mut out = std::io::stdout().lock();
            serde_json::to_writer(&mut out, &came).expect("an answer");
            out.write_all(b"\n").and_then(|()| out.flush()).expect("an answer");
        }
    });
}

fn next() -> Option<Order> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line).expect("stdin");
    (read > 0).then(|| serde_json::from_str(&line).expect("an order"))
}

/// One connection for all calls, and one stream for all commits, as the client's documentation has it for services.
async fn connect(profile: &Path, user: &str) -> Contract {
    let profile = Profile::read(profile).expect("a profile");
    let folder = profile.msp_folder(user).expect("the user");
    let credentials = MspFolder::open(folder, &profile.msp_id).expect("its keys").into_credentials();
    let endpoint = profile.gateway().expect("the peer's address");
    let gateway =
        Gateway::connect(&endpoint, credentials, Deadlines::default()).await.expect("the peer answers");
    let chaincode = profile.chaincode.expect("a chaincode");
    let gateway = gateway.with_metrics(Arc::new(Stages));
    gateway.following_commits(Following::default()).contract(profile.channel, chaincode)
}

async fn fulfil(contract: &Contract, order: Order) -> Came {
    let others: Arc<Mutex<BTreeMap<u64, String>>> = Arc::default();
    let stages: Arc<Mutex<Vec<[u64; 3]>>> = Arc::default();
    let proposed = Arc::new(AtomicU64::new(0));
    let order = Arc::new(order);
    let call = {
        let (contract, order) = (contract.clone(), Arc::clone(&order));
        let (others, stages, proposed) = (Arc::clone(&others), Arc::clone(&stages), Arc::clone(&proposed));
        move |number| {
            let (contract, order) = (contract.clone(), Arc::clone(&order));
            let (others, stages, proposed) =
                (Arc::clone(&others), Arc::clone(&stages), Arc::clone(&proposed));
            async move {
                let (attempts, made) = make(&contract, &order, number, &stages).await;
                proposed.fetch_add(u64::from(attempts), Ordering::Relaxed);
                made.inspect_err(|words| {
                    others.lock().expect("the others").insert(number, words.clone());
                })
            }
        }
    };
    let load = match order.callers {
        0 => {
            let due: Vec<_> = order.due_us.iter().copied().map(Duration::from_micros).collect();
            open_loop(&due, order.first, call).await
        }
        callers => closed_loop(callers, Duration::from_micros(order.lasts_us), order.first, call).await,
    };
    Came {
        elapsed_us: microseconds(load.elapsed),
        latencies_us: load.latencies.iter().map(microseconds).collect(),
        stages_us: std::mem::take(&mut *stages.lock().expect("the stages")),
        others: std::mem::take(&mut *others.lock().expect("the others")),
        proposed: proposed.load(Ordering::Relaxed),
    }
}

fn microseconds(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// Makes a call; gives how many transactions it took, and what its caller is told unless it succeeded.
async fn make(
    contract: &Contract,
    order: &Order,
    number: u64,
    stages: &Mutex<Vec<[u64; 3]>>,
) -> (u32, Result<(), String>) {
    let proposal = contract.proposal(order.call.as_str());
    match order.call.as_str() {
        "Get" => {
            let proposal = proposal.arg(key(order.pick(number))).build().expect("a proposal");
            (1, proposal.evaluate().await.map(|_| ()).map_err(|error| not_evaluated(&error)))
        }
        "Count" => {
            let call = proposal.args([counter(order.pick(number)), key(number)]);
            let retry = Retry { attempts: ATTEMPTS, ..Retry::default() };
            match contract.submit_retrying(call, &retry).await {
                Ok(retried) => (retried.attempts, Ok(())),
                Err(RetryError::Failed { attempts, source }) => (attempts, Err(not_valid(&source))),
                Err(error) => (0, Err(error.to_string())),
            }
        }
        _ => {
            let proposal = proposal.arg(key(number)).arg(VALUE).build().expect("a proposal");
            let submitting = STAGES.scope(Cell::default(), async {
                let begun = Instant::now();
                let made = contract.submit(proposal).await.map(|_| ());
                (made, STAGES.get().get(), begun.elapsed())
            });
            let (made, [endorse, submit], all) = submitting.await;
            if made.is_ok() {
                let told = all.saturating_sub(endorse + submit);
                stages.lock().expect("the stages").push([endorse, submit, told].map(microseconds));
            }
            (1, made.map_err(|error| not_valid(&error)))
        }
    }
}
