//! How a peer behaves, and how it comes together with its chaincode.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use hlf_protos::protos::ChaincodeAdditionalParams;
use tonic::transport::{Channel, ServerTlsConfig};

use crate::calls::{CallReply, Callees, ChaincodeCall, RichQuery};
use crate::collection::PrivateCollection;
use crate::ledger::Ledger;
use crate::listen::ListeningPeer;
use crate::peer::TestPeer;
use crate::simulation::World;
use crate::wire::{ConnectError, Wire};

/// How a peer behaves; the defaults are Fabric 3.1's.
#[derive(Clone, Debug)]
pub struct TestPeerBuilder {
    pub(crate) ledger: Ledger,
    pub(crate) channel: String,
    pub(crate) world: World,
    pub(crate) decorations: BTreeMap<String, Vec<u8>>,
    pub(crate) params: ChaincodeAdditionalParams,
    pub(crate) execute_timeout: Duration,
    pub(crate) clock_unix_ms: i64,
    pub(crate) runs: u8,
    pub(crate) record_messages: bool,
}

impl TestPeerBuilder {
    pub(crate) fn new() -> Self {
        Self {
            ledger: Ledger::default(),
            channel: "channel".to_owned(),
            world: World {
                namespace: "chaincode".to_owned(),
                query_limit: 100_000,
                collections: Vec::new(),
                organization: None,
                rich_query: None,
                callees: Callees::default(),
            },
            decorations: BTreeMap::new(),
            params: ChaincodeAdditionalParams {
                use_write_batch: true,
                max_size_write_batch: 1000,
                use_get_multiple_keys: true,
                max_size_get_multiple_keys: 1000,
            },
            execute_timeout: Duration::from_secs(30),
            clock_unix_ms: 1_767_225_600_000,
            runs: 1,
            record_messages: false,
        }
    }

    /// Shares the channels of another peer, or takes up those of one that is gone.
    #[must_use]
    pub fn ledger(mut self, ledger: Ledger) -> Self {
        self.ledger = ledger;
        self
    }

    /// The channel of proposals that name none; `channel` by default.
    #[must_use]
    pub fn channel(mut self, name: impl Into<String>) -> Self {
        self.channel = name.into();
        self
    }

    /// The chaincode name in proposals that name none; `chaincode` by default.
    #[must_use]
    pub fn chaincode(mut self, name: impl Into<String>) -> Self {
        self.world.namespace = name.into();
        self
    }

    /// Most records in one write batch, 1,000 by default; `None` as on Fabric 2.5.
    #[must_use]
    pub fn write_batch(mut self, records_max: Option<u32>) -> Self {
        self.params.use_write_batch = records_max.is_some();
        self.params.max_size_write_batch = records_max.unwrap_or_default();
        self
    }

    /// Most keys in one multi-get, 1,000 by default; `None` as on Fabric 2.5.
    #[must_use]
    pub fn multi_get(mut self, keys_max: Option<u32>) -> Self {
        self.params.use_get_multiple_keys = keys_max.is_some();
        self.params.max_size_get_multiple_keys = keys_max.unwrap_or_default();
        self
    }

    /// Where scans stop silently, 100,000 entries by default (`totalQueryLimit`).
    #[must_use]
    pub fn query_limit(mut self, entries_max: usize) -> Self {
        self.world.query_limit = entries_max;
        self
    }

    /// Declares a private collection; implicit ones of organisations need no declaration.
    #[must_use]
    pub fn collection(mut self, collection: PrivateCollection) -> Self {
        self.world.collections.push(collection);
        self
    }

    /// The MSP id of the peer's own organisation, which keeps only the collections it is a member of.
    ///
    /// A peer without one keeps them all.
    #[must_use]
    pub fn organization(mut self, msp_id: impl Into<String>) -> Self {
        self.world.organization = Some(msp_id.into());
        self
    }

    /// Answers rich queries with the entries for which `matches(query, key, value)` holds, in key order.
    ///
    /// Without it they are refused, as by a peer whose state database is LevelDB.
    #[must_use]
    pub fn rich_query(mut self, matches: impl Fn(&str, &str, &[u8]) -> bool + Send + Sync + 'static) -> Self {
        self.world.rich_query = Some(RichQuery::new(matches));
        self
    }

    /// Other chaincode that the one under test may call, on any channel.
    ///
    /// What it would read and write itself is not simulated; [`Outcome::calls`](crate::Outcome::calls) tells what it was asked.
    #[must_use]
    pub fn other_chaincode(
        mut self,
        name: impl Into<String>,
        answer: impl Fn(&ChaincodeCall) -> CallReply + Send + Sync + 'static,
    ) -> Self {
        self.world.callees.insert(name.into(), answer);
        self
    }

    /// Adds a decoration, as a peer's decorators do, to the input of every transaction.
    #[must_use]
    pub fn decoration(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.decorations.insert(name.into(), value.into());
        self
    }

    /// How long a transaction may take, 30 s by default.
    #[must_use]
    pub fn execute_timeout(mut self, within: Duration) -> Self {
        self.execute_timeout = within;
        self
    }

    /// The clock that proposals without a timestamp take theirs from; 2026-01-01T00:00:00Z by default.
    #[must_use]
    pub fn clock_unix_ms(mut self, at: i64) -> Self {
        self.clock_unix_ms = at;
        self
    }

    /// [`runs`](Self::runs) of two.
    #[must_use]
    pub fn run_twice(self) -> Self {
        self.runs(2)
    }

    /// Runs every transaction so many times and compares replies, events, calls and read-write sets byte
    /// for byte; [`InvokeError::NotDeterministic`](crate::InvokeError::NotDeterministic) shows two that differ.
    ///
    /// Later runs start some milliseconds after the one before, and get their answers after delays that
    /// differ from run to run. With `hlf-chaincode` in strict mode, requests that a transaction makes at
    /// once take their turns in another order in every other run. What differs by chance, such as the
    /// order of a hash map of two entries, may take more than two runs to show; a clock of whole seconds
    /// seldom does.
    #[must_use]
    pub fn runs(mut self, times: u8) -> Self {
        self.runs = times.max(1);
        self
    }

    /// Keeps all messages of every transaction, for [`Outcome::messages`](crate::Outcome::messages).
    #[must_use]
    pub fn record_messages(mut self) -> Self {
        self.record_messages = true;
        self
    }

    /// Dials a plain chaincode service and registers it.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(self, address: SocketAddr) -> Result<TestPeer, ConnectError> {
        TestPeer::register(self, Wire::connect(address).await?, None).await
    }

    /// Registers a chaincode service over a channel, for example one with TLS.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect_over(self, channel: Channel) -> Result<TestPeer, ConnectError> {
        TestPeer::register(self, Wire::over(channel).await?, None).await
    }

    /// Listens on a free port of the loopback interface for chaincode that dials its peer.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn listen(self) -> Result<ListeningPeer, ConnectError> {
        ListeningPeer::bind(self, None).await
    }

    /// The same with TLS.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn listen_tls(self, tls: ServerTlsConfig) -> Result<ListeningPeer, ConnectError> {
        ListeningPeer::bind(self, Some(tls)).await
    }
}
