//! Other chaincode that the one under test calls, and rich queries: answered by functions of the test.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use hlf_protos::protos::Response;

/// A call to other chaincode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChaincodeCall {
    /// The channel it is called on; only on the caller's own channel would its writes count.
    pub channel: String,
    /// Its name.
    pub chaincode: String,
    /// Its arguments, the function's name first.
    pub args: Vec<Vec<u8>>,
}

/// What other chaincode answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallReply {
    /// 200 for a success, 400 or more for a failure.
    pub status: i32,
    /// The message, empty for a success.
    pub message: String,
    /// The payload.
    pub payload: Vec<u8>,
}

impl CallReply {
    /// A success, status 200.
    #[must_use]
    pub fn ok(payload: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, message: String::new(), payload: payload.into() }
    }

    /// A failure.
    #[must_use]
    pub fn error(status: i32, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), payload: Vec::new() }
    }

    pub(crate) fn into_wire(self) -> Response {
        Response { status: self.status, message: self.message, payload: self.payload }
    }
}

/// Other chaincode by name.
#[derive(Clone, Default)]
pub(crate) struct Callees(BTreeMap<String, Callee>);

type Callee = Arc<dyn Fn(&ChaincodeCall) -> CallReply + Send + Sync>;

impl Callees {
    pub(crate) fn insert(
        &mut self,
        name: String,
        callee: impl Fn(&ChaincodeCall) -> CallReply + Send + Sync + 'static,
    ) {
        self.0.insert(name, Arc::new(callee));
    }

    pub(crate) fn answer(&self, call: &ChaincodeCall) -> Option<CallReply> {
        self.0.get(&call.chaincode).map(|callee| callee(call))
    }
}

impl fmt::Debug for Callees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Whether an entry is a result of a rich query.
#[derive(Clone)]
pub(crate) struct RichQuery(Arc<Matches>);

/// Query, key and value.
type Matches = dyn Fn(&str, &str, &[u8]) -> bool + Send + Sync;

impl RichQuery {
    pub(crate) fn new(matches: impl Fn(&str, &str, &[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(matches))
    }

    pub(crate) fn matches(&self, query: &str, key: &str, value: &[u8]) -> bool {
        (self.0)(query, key, value)
    }
}

impl fmt::Debug for RichQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RichQuery")
    }
}
