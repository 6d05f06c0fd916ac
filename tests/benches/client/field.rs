//! A real network on which the sides take turns, each with its chaincode and its load generator in fresh processes.

use std::path::Path;
use std::time::Duration;

use caretrail_tests::channel::Channel;
use caretrail_tests::measure::process;
use caretrail_tests::measure::shelf::{Shelf, Started};
use caretrail_tests::measure::verdicts::{Verdicts, next_block};
use hlf_gateway::{Contract, Deadlines, Gateway};
use hlf_network::spec::{Chaincode, Consortium};

use crate::order::{Came, Order, number};
use crate::sides::{InGo, Loader, Paths, Side};

pub(crate) const CHAINCODE: &str = "bench";
const USER: &str = "User1";
/// How long chaincodes that listen may take until both organisations' peers answer with them.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// How far apart the numbers of two orders' calls are.
const ORDER_CALLS_MAX: u64 = 10_000_000;

pub(crate) struct Field {
    channel: Channel,
    go: InGo,
    /// The peer that both sides' clients call, and that the blocks are read from.
    admin: Gateway,
    contract: Contract,
    paths: Paths,
}

impl Field {
    pub(crate) async fn stand_up(folder: &Path, name: &str, mut spec: Consortium, go: InGo) -> Self {
        spec.set_chaincode(Chaincode::new(CHAINCODE, "bench_1")).expect("the chaincode");
        let channel = Channel::stand_up(folder, name, spec, &[]).await;
        let organization = &channel.network().spec().organizations[0];
        let layout = channel.network().layout();
        let paths = Paths {
            profile: layout.profile(&organization.name),
            connection_profile: layout.connection_profile(&organization.name),
            msp: layout.user(organization, USER).join("msp"),
        };
        let peers = channel.peers();
        let admin = channel.gateway(&peers[0], "Admin", Deadlines::default());
        let contract = admin.contract(channel.name(), CHAINCODE);
        Self { channel, go, admin, contract, paths }
    }

    pub(crate) async fn end(self) {
        self.channel.destroy().await;
    }

    /// Where chaincodes are exchanged.
    pub(crate) fn shelf(&self) -> Shelf<'_> {
        Shelf::new(self.channel.network())
    }

    /// Puts a side in its place.
    pub(crate) async fn turn(&self, shelf: &Shelf<'_>, side: Side) -> Turn<'_> {
        let chaincodes = shelf.exchange(&side.chaincode(&self.go)).await;
        while !self.answers().await {
            assert!(chaincodes.listened.elapsed() < ANSWERS_WITHIN, "{} does not answer", side.name());
        }
        Turn { field: self, chaincodes, loader: side.loader(&self.go, &self.paths, USER) }
    }

    /// Whether every organisation's chaincode endorses.
    async fn answers(&self) -> bool {
        let proposal = self.contract.proposal("NoOp").build().expect("a proposal");
        proposal.endorse().await.is_ok()
    }
}

/// A side in its place.
pub(crate) struct Turn<'f> {
    field: &'f Field,
    chaincodes: Started,
    loader: Loader,
}

/// What was measured while an order was fulfilled.
pub(crate) struct Measured {
    /// The first call's number.
    first: u64,
    pub(crate) came: Came,
    /// Calls with a VALID transaction in the blocks of a peer.
    pub(crate) valid: u64,
    /// Further VALID transactions of these calls.
    pub(crate) duplicates: u64,
    /// All transactions of these calls in blocks.
    pub(crate) transactions: u64,
    /// Calls that have a VALID transaction, and whose callers were told something else.
    pub(crate) spurious: u64,
    pub(crate) client_cpu: Duration,
    /// Of all organisations' chaincodes together.
    pub(crate) chaincode_cpu: Duration,
    pub(crate) client_peak_bytes: u64,
}

impl Measured {
    /// Keys that are there now, at most so many.
    pub(crate) fn read_keys(&self, most: u64) -> Vec<u64> {
        let calls = self.first..self.first + self.came.calls().min(most);
        calls.filter(|call| !self.came.others.contains_key(call)).collect()
    }
}

impl Turn<'_> {
    /// Has the side make calls. `orders` counts the orders of a run.
    pub(crate) async fn make(&mut self, orders: &mut u64, order: Order) -> Measured {
        *orders += 1;
        let first = *orders * ORDER_CALLS_MAX;
        let order = Order { first, ..order };
        let (admin, channel) = (&self.field.admin, self.field.channel.name());
        let submits = order.call != "Get";
        let block = if submits { next_block(admin, channel).await } else { 0 };
        let chaincode_cpu = || self.chaincodes.pids.iter().copied().map(process::cpu).sum::<Duration>();
        let pid = self.loader.pid();
        let before = (process::cpu(pid), chaincode_cpu());
        let came = self.loader.fulfil(&order).await;
        let after = (process::cpu(pid), chaincode_cpu());
        let mut measured = Measured {
            first,
            valid: came.latencies_us.len() as u64,
            came,
            duplicates: 0,
            transactions: 0,
            spurious: 0,
            client_cpu: after.0 - before.0,
            chaincode_cpu: after.1 - before.1,
            client_peak_bytes: process::peak_memory_bytes(pid),
        };
        if submits {
            // Who was told that a submission failed has not waited for its block.
            self.settle(channel).await;
            let blocks = block..next_block(admin, channel).await;
            let verdicts = Verdicts::read(admin, channel, blocks, number).await;
            let calls = first..first + ORDER_CALLS_MAX;
            measured.valid = verdicts.valid(calls.clone());
            measured.duplicates = verdicts.duplicates(calls.clone());
            measured.transactions = verdicts.transactions(calls);
            let others = measured.came.others.keys();
            measured.spurious = others.filter(|call| verdicts.is_valid(**call)).count() as u64;
        }
        measured
    }

    /// Waits until a transaction that is sent last is in a block: what was sent before it has been ordered by then.
    async fn settle(&self, channel: &str) {
        let proposal = self.field.contract.proposal("NoOp").build().expect("a proposal");
        let tx_id = proposal.tx_id().to_owned();
        if let Err(error) = self.field.contract.submit(proposal).await {
            eprintln!("the last transaction {tx_id} on {channel}: {error}");
        }
    }
}
