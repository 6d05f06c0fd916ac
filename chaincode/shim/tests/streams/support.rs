//! A small contract, and a service that runs it for one test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hlf_chaincode::{
    Config, Contract, Drained, Failure, LedgerError, Metrics, Page, Response, Router, Service, Transaction,
    composite_key,
};
use hlf_testpeer::Creator;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

/// Long enough for any machine, short enough to tell a hang from a slow test.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A service that stops with the test.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Metrics,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Drained>,
}

impl Running {
    pub(crate) async fn start<C: Contract>(contract: C) -> Self {
        Self::with(Config::for_tests("shop:1"), contract).await
    }

    pub(crate) async fn with<C: Contract>(config: Config, contract: C) -> Self {
        let listening = Service::new(config, contract).bind().await.unwrap();
        let (address, metrics) = (listening.local_address(), listening.metrics());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            listening.serve(stopped).await.unwrap()
        });
        Self { address, metrics, stop: Some(stop), serving }
    }

    /// Waits until no transaction is left.
    pub(crate) async fn idle(&self) {
        self.told("chaincode_transactions_in_flight 0").await;
    }

    /// Waits until the metrics have this line.
    pub(crate) async fn told(&self, line: &str) {
        let waited = async {
            while !self.metrics.text().lines().any(|found| found == line) {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, waited).await;
        waited.unwrap_or_else(|_| panic!("{line} not in\n{}", self.metrics.text()));
    }

    /// Asks it to stop.
    pub(crate) fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits until it has stopped.
    pub(crate) async fn stopped(self) -> Drained {
        within(self.serving).await.unwrap()
    }
}

/// Waits for something that has to happen.
pub(crate) async fn within<F: Future>(awaited: F) -> F::Output {
    tokio::time::timeout(DEADLINE, awaited).await.expect("it did not happen in time")
}

pub(crate) fn clerk() -> Vec<u8> {
    Creator::builder("NorthMSP")
        .common_name("clerk")
        .organizational_unit("client")
        .build()
        .unwrap()
        .serialized()
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageOf {
    pub(crate) attributes: Vec<String>,
    pub(crate) size: u16,
    pub(crate) bookmark: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Listed {
    pub(crate) keys: Vec<String>,
    pub(crate) bookmark: Option<String>,
}

async fn put_all(tx: &Transaction, entries: Vec<Entry>) -> Result<u64, Failure> {
    for entry in entries {
        if entry.value.is_empty() {
            tx.delete(entry.key)?;
        } else {
            tx.put(entry.key, entry.value)?;
        }
    }
    Ok(tx.round_trips())
}

async fn get_all(tx: &Transaction, keys: Vec<String>) -> Result<Vec<Option<String>>, Failure> {
    let values = tx.states(&keys).await?;
    Ok(values
        .into_iter()
        .map(|value| value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        .collect())
}

/// Reads all keys at once and writes them back with a mark.
async fn touch(tx: &Transaction, keys: Vec<String>) -> Result<(), Failure> {
    for (key, value) in keys.iter().zip(tx.states(&keys).await?) {
        let mut value = value.unwrap_or_default();
        value.push(b'!');
        tx.put(key, value)?;
    }
    tx.set_event("touched", keys.join(","))?;
    Ok(())
}

/// Moves a value from one key to another.
async fn rename(tx: &Transaction, (from, to): (String, String)) -> Result<(), Failure> {
    match tx.states_of([&from, &to]).await? {
        [Some(value), None] => tx.put(to, value)?,
        _ => return Err(Failure::new(409, "CANNOT_RENAME")),
    }
    tx.delete(from)?;
    Ok(())
}

async fn put_then_get(tx: &Transaction, entry: Entry) -> Result<Option<String>, Failure> {
    tx.put(&entry.key, entry.value)?;
    let value = tx.state(&entry.key).await?;
    Ok(value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

async fn put_then_scan(tx: &Transaction, entry: Entry) -> Result<usize, Failure> {
    tx.put(&entry.key, entry.value)?;
    Ok(tx.range("", "").await?.collect().await?.len())
}

async fn put_composite(tx: &Transaction, attributes: Vec<String>) -> Result<(), Failure> {
    tx.put(composite_key("lot", &attributes)?, "lot")?;
    Ok(())
}

async fn scan(tx: &Transaction, (start, end): (String, String)) -> Result<Vec<String>, Failure> {
    Ok(tx.range(&start, &end).await?.collect().await?.into_iter().map(|entry| entry.key).collect())
}

async fn scan_some(tx: &Transaction, count: usize) -> Result<Vec<String>, Failure> {
    let mut scan = tx.range("", "").await?;
    let mut keys = Vec::new();
    while keys.len() < count
        && let Some(entry) = scan.next().await?
    {
        keys.push(entry.key);
    }
    scan.close().await?;
    Ok(keys)
}

async fn lots(tx: &Transaction, attributes: Vec<String>) -> Result<Vec<String>, Failure> {
    let scan = tx.partial_composite("lot", &attributes).await?;
    Ok(scan.collect().await?.into_iter().map(|entry| entry.key).collect())
}

async fn lots_page(tx: &Transaction, asked: PageOf) -> Result<Listed, Failure> {
    let page = Page::at(asked.size.try_into().map_err(|_| Failure::new(400, "SIZE_ZERO"))?, asked.bookmark);
    let page = tx.partial_composite_page("lot", &asked.attributes, &page).await?;
    Ok(Listed { keys: page.entries.into_iter().map(|entry| entry.key).collect(), bookmark: page.bookmark })
}

async fn history(tx: &Transaction, key: String) -> Result<Vec<(Option<i64>, Option<String>)>, Failure> {
    let versions = tx.history(&key).await?.collect().await?;
    Ok(versions
        .into_iter()
        .map(|version| {
            (
                version.timestamp_unix_ms,
                version.value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            )
        })
        .collect())
}

async fn write_and_fail(tx: &Transaction, entry: Entry) -> Result<(), Failure> {
    tx.put(entry.key, entry.value)?;
    tx.set_event("never", "seen")?;
    Err(Failure::new(409, "CONFLICT").caused_by("the test wants it"))
}

async fn write_and_panic(tx: &Transaction, entry: Entry) -> Result<(), Failure> {
    tx.put(entry.key, entry.value)?;
    panic!("the test wants it");
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Facts {
    pub(crate) id: String,
    pub(crate) channel: String,
    pub(crate) timestamp_unix_ms: i64,
    pub(crate) msp_id: String,
    pub(crate) chaincode: String,
    pub(crate) from_client: bool,
    pub(crate) common_name: Option<String>,
}

async fn facts(tx: &Transaction, (): ()) -> Result<Facts, Failure> {
    let identity = tx.client_identity()?;
    Ok(Facts {
        id: tx.id().to_owned(),
        channel: tx.channel().to_owned(),
        timestamp_unix_ms: tx.timestamp_unix_ms(),
        msp_id: identity.msp_id().to_owned(),
        chaincode: tx.invoked_chaincode().to_owned(),
        from_client: tx.origin() == hlf_chaincode::Origin::Client,
        common_name: identity.common_name().map(str::to_owned),
    })
}

async fn sneak(tx: &Transaction, entry: Entry) -> Result<(), Failure> {
    tx.put(entry.key, entry.value)?;
    Ok(())
}

/// What no contract may do.
async fn shuffled(_tx: &Transaction, (): ()) -> Result<Vec<u32>, Failure> {
    Ok((0..64).collect::<std::collections::HashSet<_>>().into_iter().collect())
}

pub(crate) fn shop() -> Router {
    Router::builder("shop", "1.0")
        .before(|tx, call| {
            if call.name == "PutAll" && tx.timestamp_unix_ms() == 0 {
                return Err(Failure::new(400, "TIMESTAMP_REFUSED"));
            }
            Ok(())
        })
        .submit("PutAll", put_all)
        .evaluate("GetAll", get_all)
        .submit("Touch", touch)
        .submit("PutThenGet", put_then_get)
        .submit("Rename", rename)
        .submit("PutThenScan", put_then_scan)
        .submit("PutComposite", put_composite)
        .evaluate("Scan", scan)
        .evaluate("ScanSome", scan_some)
        .evaluate("Lots", lots)
        .evaluate("LotsPage", lots_page)
        .evaluate("History", history)
        .submit("WriteAndFail", write_and_fail)
        .submit("WriteAndPanic", write_and_panic)
        .evaluate("Facts", facts)
        .evaluate("Sneak", sneak)
        .evaluate("Shuffled", shuffled)
        .build()
        .unwrap()
}

/// A contract that tells when it starts, waits to be let go, and tells when it is dropped.
pub(crate) struct Gate {
    pub(crate) entered: mpsc::UnboundedSender<String>,
    pub(crate) dropped: mpsc::UnboundedSender<String>,
    pub(crate) refused: mpsc::UnboundedSender<String>,
    pub(crate) go: Arc<Semaphore>,
}

/// The test's end of a [`Gate`].
pub(crate) struct Keeper {
    pub(crate) entered: mpsc::UnboundedReceiver<String>,
    pub(crate) dropped: mpsc::UnboundedReceiver<String>,
    /// What a peer says when it refuses.
    pub(crate) refused: mpsc::UnboundedReceiver<String>,
    pub(crate) go: Arc<Semaphore>,
}

pub(crate) fn gate() -> (Gate, Keeper) {
    let (entered, entered_at) = mpsc::unbounded_channel();
    let (dropped, dropped_at) = mpsc::unbounded_channel();
    let (refused, refused_at) = mpsc::unbounded_channel();
    let go = Arc::new(Semaphore::new(0));
    let gate = Gate { entered, dropped, refused, go: Arc::clone(&go) };
    (gate, Keeper { entered: entered_at, dropped: dropped_at, refused: refused_at, go })
}

struct TellDrop<'g>(&'g Gate, String);

impl Drop for TellDrop<'_> {
    fn drop(&mut self) {
        let _ = self.0.dropped.send(std::mem::take(&mut self.1));
    }
}

impl Contract for Gate {
    async fn invoke(&self, tx: &Transaction) -> Response {
        let _tell = TellDrop(self, tx.id().to_owned());
        let _ = self.entered.send(tx.id().to_owned());
        match tx.function() {
            Some("Wait") => {
                let _go = self.go.acquire().await.unwrap();
                Response::ok("went")
            }
            Some("WaitThenGet") => {
                let _go = self.go.acquire().await.unwrap();
                if let Err(LedgerError::Refused { reason, .. }) = tx.state("k").await {
                    let _ = self.refused.send(reason);
                }
                Response::ok("too late")
            }
            Some("Get") => match tx.state("k").await {
                Ok(value) => Response::ok(value.unwrap_or_default()),
                Err(error) => Failure::from(error).into(),
            },
            Some("GetAndLeave") => {
                // Asked, and not waited for.
                let _ = tx.state("k").now_or_never();
                Response::ok("left")
            }
            Some("Call") => match tx.call_on("d", "shop", &["Done"]).await {
                Ok(reply) => Response::ok(reply.payload()),
                Err(error) => Failure::from(error).into(),
            },
            Some("WaitThenLarge") => {
                let _go = self.go.acquire().await.unwrap();
                Response::ok(vec![0; 1 << 24])
            }
            Some("Large") => Response::ok(vec![0; 1 << 20]),
            Some("PutLarge") => match tx.put("k", vec![0; 1 << 20]) {
                Ok(()) => Response::ok("put"),
                Err(error) => Failure::from(error).into(),
            },
            Some("Put") => match tx.put("k", "v") {
                Ok(()) => Response::ok("put"),
                Err(error) => Failure::from(error).into(),
            },
            Some("Spin") => loop {
                tokio::task::yield_now().await;
            },
            _ => Response::ok("done"),
        }
    }
}
