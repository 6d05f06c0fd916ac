//! A chaincode that is easy to count: keys that are written once, and counters that are written often.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hlf_chaincode::{Config, Failure, Router, RouterError, Service, Transaction, stop_signal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Names the file into which a service writes the address of its figures.
pub(crate) const METRICS_FILE: &str = "TALLY_METRICS_FILE";
/// How long a transaction may take in a service, in milliseconds; absent for the shim's own limit.
pub const TRANSACTION_LIMIT_MS: &str = "TALLY_TRANSACTION_LIMIT_MS";

/// How often a held transaction looks at its gate; its service's limit ends the wait.
const LOOK: Duration = Duration::from_millis(20);

/// Puts a value at a key that has none.
pub const PUT: &str = "Put";
/// Adds one to a counter: two that read the same number conflict.
pub const COUNT: &str = "Count";
/// The whole state.
pub const STATE: &str = "State";
/// Waits for a [`Gate`] to be opened, then reads from the ledger and notes in the gate what came of it.
pub const HOLD: &str = "Hold";

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// The key, which no counter has.
    pub key: String,
    /// The value, not empty.
    pub value: String,
}

/// A counter, and who counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counting {
    /// The counter, which no key is.
    pub counter: String,
    /// The call's own name, by which its transactions are known again in blocks.
    pub call: String,
}

/// The whole state of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct State {
    /// How many keys there are.
    pub keys: usize,
    /// SHA-256 over all keys and values in the order of keys, hexadecimal.
    pub digest: String,
}

impl State {
    /// The state of these keys and values.
    pub fn of(entries: &BTreeMap<String, String>) -> Self {
        let mut hash = Sha256::new();
        for part in entries.iter().flat_map(|(key, value)| [key, value]) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self { keys: entries.len(), digest: hex::encode(hash.finalize()) }
    }
}

/// What holds a transaction in its contract: a folder on this machine.
#[derive(Clone, Debug)]
pub struct Gate(PathBuf);

impl Gate {
    /// A closed gate in a folder of its own.
    ///
    /// # Panics
    /// When the folder cannot be made.
    pub fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).expect("a folder for the gate");
        Self(folder)
    }

    /// The argument of [`HOLD`].
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Lets the transaction go on.
    ///
    /// # Panics
    /// When the folder cannot be written.
    pub fn open(&self) {
        fs::write(self.0.join("open"), "").expect("an open gate");
    }

    /// Whether the contract waits, or waited.
    pub fn is_reached(&self) -> bool {
        self.0.join("reached").exists()
    }

    /// What the contract's read gave once it was let go on.
    pub fn read(&self) -> Option<String> {
        fs::read_to_string(self.0.join("read")).ok()
    }
}

/// Serves the chaincode until it is asked to end.
pub(crate) async fn serve() {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let mut config = Config::from_env().expect("CHAINCODE_*");
    config.metrics_address = Some("127.0.0.1:0".to_owned());
    if let Ok(limit) = std::env::var(TRANSACTION_LIMIT_MS) {
        config.limits.transaction = Duration::from_millis(limit.parse().expect("milliseconds"));
    }
    let listening = Service::new(config, contract().expect("a contract")).bind().await.expect("a port");
    if let Some(file) = std::env::var_os(METRICS_FILE) {
        let address = listening.metrics_address().expect("an endpoint of figures");
        fs::write(file, address.to_string()).expect("the file of the figures' address");
    }
    listening.serve(stop_signal()).await.expect("served");
}

fn contract() -> Result<Router, RouterError> {
    Router::builder("tally", "1.0")
        .submit(PUT, put)
        .submit(COUNT, count)
        .evaluate(STATE, state)
        .evaluate(HOLD, hold)
        .build()
}

async fn put(tx: &Transaction, entry: Entry) -> Result<(), Failure> {
    if tx.state(&entry.key).await?.is_some() {
        return Err(Failure::new(409, "KEY_TAKEN"));
    }
    Ok(tx.put(entry.key, entry.value)?)
}

async fn count(tx: &Transaction, counting: Counting) -> Result<u64, Failure> {
    let count = match tx.state(&counting.counter).await? {
        None => 0,
        Some(bytes) => number(&bytes).ok_or(Failure::new(409, "NO_COUNTER"))?,
    };
    let more = count + 1;
    tx.put(counting.counter, more.to_string())?;
    Ok(more)
}

fn number(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

async fn state(tx: &Transaction, (): ()) -> Result<State, Failure> {
    let mut entries = BTreeMap::new();
    for entry in tx.range("", "").await?.collect().await? {
        let value = String::from_utf8(entry.value).map_err(|e| Failure::new(500, "NO_TEXT").caused_by(e))?;
        entries.insert(entry.key, value);
    }
    Ok(State::of(&entries))
}

async fn hold(tx: &Transaction, gate: String) -> Result<(), Failure> {
    let gate = PathBuf::from(gate);
    let failed = |error| Failure::new(500, "GATE").caused_by(error);
    fs::write(gate.join("reached"), "").map_err(failed)?;
    let mut looks = tokio::time::interval(LOOK);
    while !gate.join("open").exists() {
        looks.tick().await;
    }
    let read = match tx.state("anything").await {
        Ok(_) => "read".to_owned(),
        Err(error) => format!("refused: {error}"),
    };
    fs::write(gate.join("draft"), read)
        .and_then(|()| fs::rename(gate.join("draft"), gate.join("read")))
        .map_err(failed)
}
