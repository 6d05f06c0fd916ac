//! Events whose effect is there exactly once, because the checkpoint is stored with it: both are one file here, and would
//! be one transaction of your database.
//!
//! Kill it at any time and start it again:
//! `cargo run -p hlf-gateway --example events_exactly_once -- PEERS TLS_ROOTS MSP_FOLDER MSP_ID CHANNEL CHAINCODE FILE`
#![allow(clippy::print_stdout, reason = "what an example has to say")]

mod connection;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;

use connection::Connection;
use hlf_gateway::protos::protos::ChaincodeEvent;
use hlf_gateway::{Checkpoint, Effect, Start};

/// How often each event was seen, and how far it is counted.
#[derive(Default)]
struct Counts {
    file: PathBuf,
    by_name: BTreeMap<String, u64>,
    checkpoint: Option<Checkpoint>,
}

impl Counts {
    /// Reads lines of a name and a count, then the checkpoint behind an empty one.
    fn open(file: PathBuf) -> Result<Self, Box<dyn Error>> {
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { file, ..Self::default() });
            }
            Err(error) => return Err(error.into()),
        };
        let (counts, checkpoint) = text.split_once("\n\n").ok_or("no checkpoint in the file")?;
        let mut by_name = BTreeMap::new();
        for line in counts.lines() {
            let (name, count) = line.rsplit_once(' ').ok_or("no count in a line of the file")?;
            by_name.insert(name.to_owned(), count.parse()?);
        }
        Ok(Self { file, by_name, checkpoint: Some(checkpoint.parse()?) })
    }

    /// Stores counts and checkpoint, both or neither.
    fn store(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let counts: String = self.by_name.iter().map(|(name, count)| format!("{name} {count}\n")).collect();
        let beside = self.file.with_extension("new");
        let mut file = File::create(&beside)?;
        write!(file, "{counts}\n{checkpoint}")?;
        file.sync_all()?;
        fs::rename(beside, &self.file)
    }
}

impl Effect<ChaincodeEvent> for Counts {
    type Error = io::Error;

    async fn checkpoint(&mut self) -> io::Result<Option<Checkpoint>> {
        Ok(self.checkpoint.clone())
    }

    async fn apply(&mut self, event: ChaincodeEvent, checkpoint: &Checkpoint) -> io::Result<()> {
        let count = self.by_name.entry(event.event_name).or_default();
        *count = count.saturating_add(1);
        self.store(checkpoint)?;
        self.checkpoint = Some(checkpoint.clone());
        println!("{:?}, up to block {}", self.by_name, checkpoint.block_number);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let connection = Connection::from_arguments()?;
    let [file] = connection.words.as_slice() else { return Err("argument FILE is missing".into()) };
    let mut counts = Counts::open(file.into())?;
    let contract = connection.contract(connection.credentials.clone()).await?;
    // It ends only with an error that trying again does not help: peers may come and go meanwhile.
    match contract.listen(Start::Oldest).run(&mut counts).await? {}
}
