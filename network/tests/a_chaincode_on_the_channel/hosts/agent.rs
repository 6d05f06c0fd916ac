//! What an operator does on one host: each action is a process there, which answers with lines of JSON.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use hlf_gateway::{Deadlines, Endorser, Retry, RetryError, TransactionError};
use hlf_network::network::{Network, Options};
use hlf_network::spec::{Consortium, Part};
use serde_json::{Value, json};

use crate::bench::{say, told};
use crate::growth::{PATIENCE, ledger};
use crate::shelf::{ask, edition, gateway_with};

/// The file of an organisation's own document, and of the consortium's, in a host's folder.
pub(super) const PART: &str = "organization.toml";
pub(super) const CONSORTIUM: &str = "consortium.toml";
/// The folder of Fabric's programs, on a host that has its own.
pub(super) const PROGRAMS: &str = "programs/bin";

/// The size of a value that keeps a slow link busy for a while.
const BURDEN: usize = 20_000;

/// Does one action, in a process on its host.
pub(crate) async fn act(home: &Path, action: &str, arguments: &[&str]) {
    let read = |name: &str| std::fs::read_to_string(home.join(name)).unwrap();
    let spec = Consortium::parse(&read(CONSORTIUM)).unwrap();
    let part = Part::parse(&read(PART)).unwrap().resolved(home);
    let state = part.state.clone().unwrap();
    let mut options = edition(&spec, std::env::current_exe().unwrap(), "first");
    options.binaries.folder = Some(home.join(PROGRAMS)).filter(|folder| folder.is_dir());
    let network = Network::new_part(&state, spec, part).unwrap();
    match done(&network, &options, action, arguments).await {
        Ok(answer) => println!("{answer}"),
        Err(error) => {
            eprintln!("{}", told(error.as_ref()));
            std::process::exit(1);
        }
    }
}

async fn done(
    network: &Network,
    options: &Options,
    action: &str,
    arguments: &[&str],
) -> Result<Value, Box<dyn std::error::Error>> {
    let member = || network.own_organizations().next().unwrap().name.clone();
    Ok(match (action, arguments) {
        ("describe", [folder]) => {
            let description = network.describe(options, &say).await?;
            let file = Path::new(folder).join(description.file_name());
            std::fs::write(&file, description.to_text())?;
            json!(file)
        }
        ("import", [file]) => {
            let imported = network.import(&std::fs::read(file)?, None, false, options, &say).await?;
            json!(imported.what)
        }
        ("genesis", [file]) => {
            std::fs::write(file, network.first_block(options, &say).await?.0)?;
            json!(file)
        }
        ("up", []) => json!(network.up_part(options, &say).await?),
        ("status", []) => json!(network.status().await?),
        ("value", []) => json!(ask(network, &member(), "Value").await),
        ("newest", []) => json!(newest(network, &member()).await),
        ("ledger", []) => json!(ledger(network, &member()).await),
        ("try", [label, times]) => {
            let times: usize = times.parse()?;
            let calls = Calls { again: false, ..Calls::new(label) };
            json!(calls.put(network, &member(), |done| done < times).await)
        }
        ("put", [label, times]) => {
            let times: usize = times.parse()?;
            json!(Calls::new(label).put(network, &member(), |done| done < times).await)
        }
        // Until the input ends.
        ("load", [label]) => {
            let stop = end_of_input();
            json!(Calls::new(label).put(network, &member(), |_| !stop.load(Ordering::Relaxed)).await)
        }
        ("burden", [label, endorsers @ ..]) => {
            let stop = end_of_input();
            let calls = Calls { bytes: BURDEN, endorsers, ..Calls::new(label) };
            json!(calls.put(network, &member(), |_| !stop.load(Ordering::Relaxed)).await)
        }
        other => panic!("no such action: {other:?}"),
    })
}

/// Height and hash of the newest block of the organisation's own peer.
async fn newest(network: &Network, organization: &str) -> (u64, String) {
    let organization = network.spec().organization(organization).unwrap();
    let endpoint = network.profile(organization).unwrap().gateway().unwrap();
    let admin = network.admin_credentials(organization).unwrap();
    let endorser = Endorser::connect(&endpoint, admin, Deadlines::default()).await.unwrap();
    let info = endorser.ledger("consortium").info().await.unwrap();
    let hash = info.current_block_hash.iter().map(|byte| format!("{byte:02x}")).collect();
    (info.height, hash)
}

fn end_of_input() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        told.store(true, Ordering::Relaxed);
    });
    stop
}

/// Values that are put one after the other through the own peer.
struct Calls<'a> {
    label: &'a str,
    /// The size of each value, at least.
    bytes: usize,
    /// Whose endorsements are asked for; the gateway chooses when none is named.
    endorsers: &'a [&'a str],
    /// Whether what got lost is sent again as the same transaction, as a service does it; otherwise the first thing that goes
    /// wrong is told.
    again: bool,
}

impl<'a> Calls<'a> {
    fn new(label: &'a str) -> Self {
        Self { label, bytes: 0, endorsers: &[], again: true }
    }

    /// Says what came of each.
    async fn put(&self, network: &Network, organization: &str, more: impl Fn(usize) -> bool) -> Vec<Value> {
        let deadlines = Deadlines { commit_status: PATIENCE, ..Deadlines::default() };
        let contract = gateway_with(network, organization, deadlines).await.contract("consortium", "shelf");
        let mut came = Vec::new();
        while more(came.len()) {
            let name = format!("{} {}", self.label, came.len());
            let call = contract.proposal("Put").arg(format!("{name:<0$}", self.bytes));
            let call = call.endorsing_organizations(self.endorsers.iter().copied());
            let begun = Instant::now();
            let submitted = match self.again {
                false => contract.submit(call.build().unwrap()).await,
                true => match contract.submit_retrying(call, &Retry::default()).await {
                    Ok(done) => Ok(done.committed),
                    Err(RetryError::Failed { source, .. }) => Err(source),
                    Err(error) => panic!("{}", told(&error)),
                },
            };
            let (outcome, tx_id, told) = match &submitted {
                Ok(committed) => ("committed", committed.tx_id.clone(), String::new()),
                Err(error @ TransactionError::Unknown { tx_id, .. }) => {
                    ("unknown", tx_id.clone(), told(error))
                }
                Err(error) => ("failed", String::new(), told(error)),
            };
            let milliseconds = begun.elapsed().as_millis();
            eprintln!("{organization}: {name}: {outcome} after {milliseconds} ms {told}");
            came.push(json!({ "outcome": outcome, "tx_id": tx_id, "told": told }));
        }
        came
    }
}
