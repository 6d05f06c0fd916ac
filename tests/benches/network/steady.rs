//! Fifty transactions a second that go on whatever happens, as services send them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use caretrail_tests::measure::words::not_valid;
use hlf_gateway::{Contract, Deadlines, Retry, RetryError, TransactionError};
use tokio::task::{JoinHandle, JoinSet};

use crate::world::{CHAINCODE, CHANNEL, World, key, told};

/// How far apart calls are due.
const EVERY: Duration = Duration::from_millis(20);
/// How many calls end before the change begins, and how many more are made after it.
const AROUND: u64 = 150;
/// How long a verdict is waited for before the identical transaction is sent again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Calls that are made until they are told to stop.
pub(crate) struct Steady {
    stop: Arc<AtomicBool>,
    ended: Arc<AtomicU64>,
    running: JoinHandle<Vec<Call>>,
}

/// A call that has ended.
pub(crate) struct Call {
    pub(crate) number: u64,
    pub(crate) told: Told,
    /// From when it was due.
    pub(crate) took: Duration,
}

/// What its caller was told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Valid,
    Failed(String),
    Unknown(String),
}

impl Steady {
    /// Returns once calls succeed.
    pub(crate) async fn begin(world: &World) -> Self {
        let deadlines = Deadlines { commit_status: PATIENCE, ..Deadlines::default() };
        let mut contracts = Vec::new();
        for organization in ["north", "south"] {
            let gateway = world.gateway(organization, deadlines).await;
            contracts.push(Arc::new(gateway.contract(CHANNEL, CHAINCODE)));
        }
        let (stop, ended) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let running = tokio::spawn(send(contracts, stop.clone(), ended.clone()));
        let steady = Self { stop, ended, running };
        steady.await_ended(AROUND).await;
        steady
    }

    pub(crate) async fn end(self) -> Vec<Call> {
        self.await_ended(self.ended.load(Ordering::Relaxed) + AROUND).await;
        self.stop.store(true, Ordering::Relaxed);
        self.running.await.unwrap()
    }

    async fn await_ended(&self, wanted: u64) {
        while self.ended.load(Ordering::Relaxed) < wanted {
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// Calls start when they are due, whether or not earlier ones have ended, by each organisation in turn.
async fn send(contracts: Vec<Arc<Contract>>, stop: Arc<AtomicBool>, ended: Arc<AtomicU64>) -> Vec<Call> {
    let mut due = tokio::time::interval(EVERY);
    let mut calls = JoinSet::new();
    for (number, contract) in (0_u64..).zip(contracts.iter().cycle()) {
        let due = due.tick().await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (contract, ended) = (contract.clone(), ended.clone());
        calls.spawn(async move {
            let told = call(&contract, number).await;
            ended.fetch_add(1, Ordering::Relaxed);
            Call { number, told, took: Instant::now().duration_since(due.into_std()) }
        });
    }
    calls.join_all().await
}

async fn call(contract: &Contract, number: u64) -> Told {
    // As long as the policy lasts, two minutes.
    let retry = Retry { attempts: 100, ..Retry::default() };
    let call = contract.proposal("Create").arg(key(number)).arg("value");
    match contract.submit_retrying(call, &retry).await {
        Ok(_) => Told::Valid,
        Err(RetryError::Failed { source: source @ TransactionError::Unknown { .. }, .. }) => {
            Told::Unknown(not_valid(&source))
        }
        Err(RetryError::Failed { source, attempts }) => {
            eprintln!("failed after {attempts} attempts: {}", told(&source));
            Told::Failed(not_valid(&source))
        }
        Err(error) => Told::Failed(error.to_string()),
    }
}
