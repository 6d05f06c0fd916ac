//! Two peers of North and one of South, each organisation's with one chaincode service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use caretrail_tests::channel::{Channel, consortium};
use caretrail_tests::load::{Caller, Journal, Report, Truth, Way, demand_honest, resolve};
use caretrail_tests::stage::Stage;
use caretrail_tests::tally::TRANSACTION_LIMIT_MS;
use caretrail_tests::telling::World;
use caretrail_tests::until::until;

/// The peer that things happen to.
pub(crate) const STRUCK: &str = "peer0.north.example.com";
/// The other peer at the same service.
pub(crate) const BESIDE: &str = "peer1.north.example.com";
/// A peer of the other organisation.
const SOUTH: &str = "peer0.south.example.com";
/// The service of both peers of North.
pub(crate) const SERVICE: &str = "chaincode.north.example.com";

/// After how many milliseconds the services end a transaction of their own accord.
pub(crate) const LIMIT_MS: &str = "8000";

/// How long anything may take to come about.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A network with one service for several peers, and everything that its callers were ever told.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) channel: Channel,
    pub(crate) journal: Arc<Journal>,
    pub(crate) callers: Vec<Arc<Caller>>,
    reports: Vec<Report>,
}

impl World for Served {
    async fn stand_up(stage: &Stage) -> Self {
        let journal = Arc::new(Journal::new(&stage.folder().join("journal.log")));
        let limit = [(TRANSACTION_LIMIT_MS, LIMIT_MS)];
        let channel = Channel::stand_up(stage.folder(), "network", consortium("raft", 1, 2, 1), &limit).await;
        let mut callers = Vec::new();
        for peer in [STRUCK, BESIDE, SOUTH] {
            callers.push(Caller::new(&channel, peer, Way::Asking, stage.folder(), &journal).await);
        }
        let world = Self { channel, journal, callers, reports: Vec::new() };
        world.await_streams(2).await;
        world
    }
}

impl Served {
    /// Waits until the service of North has so many streams.
    pub(crate) async fn await_streams(&self, count: u32) {
        self.await_figure("chaincode_streams", count).await;
    }

    /// Waits until no transaction runs or waits in the service of North.
    pub(crate) async fn await_idle(&self) {
        self.await_figure("chaincode_transactions_in_flight", 0).await;
    }

    /// Waits until a figure of the service of North has a value.
    pub(crate) async fn await_figure(&self, metric: &str, value: u32) {
        let what = format!("`{metric}` to be {value}");
        until(&what, PATIENCE, async || {
            (self.channel.figure(STRUCK, metric, "") == Some(f64::from(value))).then_some(())
        })
        .await;
    }

    /// Resolves what is unknown, counts what is in every peer's blocks, and holds all reports so far against it.
    ///
    /// Returns the new ones.
    pub(crate) async fn settle(&mut self, reports: Vec<Report>) -> &[Report] {
        let mut reports = resolve(&self.callers, reports).await;
        let before = self.reports.len();
        self.reports.append(&mut reports);
        let truth = Truth::of(&self.channel).await;
        let acknowledged = demand_honest(&truth, self.reports.iter());
        let mut kinds = BTreeMap::<_, usize>::new();
        for report in &self.reports[before..] {
            *kinds.entry(report.told.kind()).or_default() += 1;
        }
        let valid = truth.valid();
        self.journal
            .note(&format!("told: {kinds:?}; so far {acknowledged} told valid, {valid} valid in blocks"));
        &self.reports[before..]
    }
}
