//! Functions of a contract by name: JSON in, JSON out, described by their own types.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tracing::debug;

use crate::metadata;
use crate::response::{Failure, Response, code};
use crate::service::Contract;
use crate::stream::report;
use crate::transaction::Transaction;

/// The system function that every contract answers with its description.
const GET_METADATA: &str = "org.hyperledger.fabric:GetMetadata";

/// A boxed future, as functions are stored.
pub type BoxFuture<'t, T> = Pin<Box<dyn Future<Output = T> + Send + 't>>;

type Invoke =
    dyn for<'t> Fn(&'t Transaction, &[Vec<u8>]) -> BoxFuture<'t, Result<Vec<u8>, Failure>> + Send + Sync;
type Before = dyn Fn(&Transaction, &Call<'_>) -> Result<(), Failure> + Send + Sync;
type After = dyn Fn(&Transaction, &Call<'_>, &mut Vec<u8>) -> Result<(), Failure> + Send + Sync;
type Handler = dyn for<'t> Fn(&'t Transaction) -> BoxFuture<'t, Response> + Send + Sync;
type Schemas = fn(&mut SchemaGenerator) -> (Schema, Schema);

/// Whether a function changes the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only reads; a write in it is an error.
    Evaluate,
    /// May write, so clients submit it for ordering.
    Submit,
}

/// A call that is about to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'c> {
    /// The function's name as it was registered.
    pub name: &'c str,
    /// Whether it may write.
    pub kind: Kind,
}

/// A function of a contract: `async fn(&Transaction, Args) -> Result<Reply, E>` with `E: Into<Failure>`.
///
/// `Args` is decoded from the one JSON argument of the call, `Reply` is encoded as JSON. A type
/// whose JSON is `null`, such as `()`, takes a call without argument as well.
pub trait Function<'t, Args, Reply>: Send + Sync {
    /// Calls it.
    fn call(&self, tx: &'t Transaction, args: Args) -> BoxFuture<'t, Result<Reply, Failure>>;
}

impl<'t, F, Running, Args, Reply, E> Function<'t, Args, Reply> for F
where
    F: Fn(&'t Transaction, Args) -> Running + Send + Sync,
    Running: Future<Output = Result<Reply, E>> + Send + 't,
    E: Into<Failure>,
{
    fn call(&self, tx: &'t Transaction, args: Args) -> BoxFuture<'t, Result<Reply, Failure>> {
        let running = self(tx, args);
        Box::pin(async move { running.await.map_err(Into::into) })
    }
}

/// What handles a whole transaction: `async fn(&Transaction) -> Response`, bytes in and out.
pub trait Handle<'t>: Send + Sync {
    /// Runs it.
    fn handle(&self, tx: &'t Transaction) -> BoxFuture<'t, Response>;
}

impl<'t, F, Running> Handle<'t> for F
where
    F: Fn(&'t Transaction) -> Running + Send + Sync,
    Running: Future<Output = Response> + Send + 't,
{
    fn handle(&self, tx: &'t Transaction) -> BoxFuture<'t, Response> {
        Box::pin(self(tx))
    }
}

/// A contract made of functions, see the [crate's example](crate).
///
/// A call names a function by its first argument, `Function` or `contract:Function`.
/// `org.hyperledger.fabric:GetMetadata` answers with names, kinds and JSON schemas of all functions,
/// in name order.
pub struct Router {
    name: Cow<'static, str>,
    version: Cow<'static, str>,
    functions: BTreeMap<Cow<'static, str>, Registered>,
    before: Vec<Box<Before>>,
    after: Vec<Box<After>>,
    init: Option<Box<Handler>>,
    unknown: Option<Box<Handler>>,
}

pub(crate) struct Registered {
    pub(crate) kind: Kind,
    pub(crate) schemas: Schemas,
    invoke: Box<Invoke>,
}

impl Router {
    /// Starts a contract; name and version go into its metadata.
    pub fn builder(
        name: impl Into<Cow<'static, str>>,
        version: impl Into<Cow<'static, str>>,
    ) -> RouterBuilder {
        RouterBuilder {
            router: Self {
                name: name.into(),
                version: version.into(),
                functions: BTreeMap::new(),
                before: Vec::new(),
                after: Vec::new(),
                init: None,
                unknown: None,
            },
            refused: None,
        }
    }

    /// The description of all functions, JSON in the shape of Fabric's contract metadata.
    ///
    /// The same program always gives the same bytes.
    #[must_use]
    pub fn metadata(&self) -> Vec<u8> {
        let functions = self.functions.iter().map(|(name, function)| (name.as_ref(), function));
        metadata::describe(&self.name, &self.version, functions).to_string().into_bytes()
    }

    async fn route(&self, tx: &Transaction) -> Response {
        let asked = tx.function();
        if asked == Some(GET_METADATA) {
            return Response::ok(self.metadata());
        }
        match (asked.and_then(|asked| self.find(asked)), &self.unknown) {
            (Some((name, function)), _) => {
                self.run(tx, name, function).await.map_or_else(report, Response::ok)
            }
            (None, Some(unknown)) => unknown(tx).await,
            (None, None) => report(Failure::new(404, code::FUNCTION_UNKNOWN)),
        }
    }

    fn find(&self, asked: &str) -> Option<(&str, &Registered)> {
        let own = asked.strip_prefix(self.name.as_ref()).and_then(|rest| rest.strip_prefix(':'));
        self.functions.get_key_value(own.unwrap_or(asked)).map(|(name, function)| (name.as_ref(), function))
    }

    async fn run(&self, tx: &Transaction, name: &str, function: &Registered) -> Result<Vec<u8>, Failure> {
        let call = Call { name, kind: function.kind };
        for before in &self.before {
            before(tx, &call)?;
        }
        if function.kind == Kind::Evaluate {
            tx.forbid_writes();
        }
        let mut reply = (function.invoke)(tx, tx.args()).await?;
        for after in &self.after {
            after(tx, &call, &mut reply)?;
        }
        Ok(reply)
    }
}

impl Contract for Router {
    async fn invoke(&self, tx: &Transaction) -> Response {
        self.route(tx).await
    }

    async fn init(&self, tx: &Transaction) -> Response {
        match &self.init {
            Some(init) => init(tx).await,
            None => Response::error(404, code::INIT_UNSUPPORTED),
        }
    }

    fn function_label<'c>(&'c self, tx: &Transaction) -> Option<&'c str> {
        let asked = tx.function()?;
        if asked == GET_METADATA {
            return Some(GET_METADATA);
        }
        self.find(asked).map(|(name, _)| name)
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("name", &self.name)
            .field("functions", &self.functions.keys())
            .finish_non_exhaustive()
    }
}

/// Why functions do not make a contract.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RouterError {
    /// Two functions have one name.
    #[error("function `{name}` is registered twice: give each its own name")]
    Repeated {
        /// The name.
        name: String,
    },
    /// A name that clients could not call.
    #[error("function name `{name}` is empty or holds `:`, which separates contract and function")]
    Unusable {
        /// The name.
        name: String,
    },
}

/// Collects the functions of a [`Router`].
#[derive(Debug)]
pub struct RouterBuilder {
    router: Router,
    refused: Option<RouterError>,
}

impl RouterBuilder {
    /// Adds a function that only reads.
    #[must_use]
    pub fn evaluate<F, Args, Reply>(self, name: impl Into<Cow<'static, str>>, function: F) -> Self
    where
        F: for<'t> Function<'t, Args, Reply> + 'static,
        Args: DeserializeOwned + JsonSchema + Send + 'static,
        Reply: Serialize + JsonSchema + Send + 'static,
    {
        self.add(name.into(), Kind::Evaluate, function)
    }

    /// Adds a function that may write.
    #[must_use]
    pub fn submit<F, Args, Reply>(self, name: impl Into<Cow<'static, str>>, function: F) -> Self
    where
        F: for<'t> Function<'t, Args, Reply> + 'static,
        Args: DeserializeOwned + JsonSchema + Send + 'static,
        Reply: Serialize + JsonSchema + Send + 'static,
    {
        self.add(name.into(), Kind::Submit, function)
    }

    /// Adds a check that runs before every function and may refuse the call; `GetMetadata` is not checked.
    ///
    /// Checks run in the order they were added. A refusal is not endorsed, so a check may use what
    /// differs between peers, such as a clock; nothing else in a contract may.
    #[must_use]
    pub fn before<B>(mut self, check: B) -> Self
    where
        B: Fn(&Transaction, &Call<'_>) -> Result<(), Failure> + Send + Sync + 'static,
    {
        self.router.before.push(Box::new(check));
        self
    }

    /// Adds a step that runs after every function that succeeded; it may change the reply or fail the call.
    ///
    /// Steps run in the order they were added, before anything is written. What they do is endorsed,
    /// so unlike a check before they have to be the same on every peer.
    #[must_use]
    pub fn after<A>(mut self, step: A) -> Self
    where
        A: Fn(&Transaction, &Call<'_>, &mut Vec<u8>) -> Result<(), Failure> + Send + Sync + 'static,
    {
        self.router.after.push(Box::new(step));
        self
    }

    /// What runs when the chaincode is initialised, as its definition demands with `--init-required`.
    ///
    /// Fabric sees to it that it runs first and once for each version. Without it the answer is
    /// `INIT_UNSUPPORTED`. Private data is refused in it.
    #[must_use]
    pub fn init<H>(mut self, handler: H) -> Self
    where
        H: for<'t> Handle<'t> + 'static,
    {
        self.router.init = Some(Box::new(move |tx| handler.handle(tx)));
        self
    }

    /// What runs for a function that is not registered, in place of the answer `FUNCTION_UNKNOWN`.
    ///
    /// Neither checks before nor steps after run for it. The function's name may be no text at all:
    /// [`Transaction::function`] tells.
    #[must_use]
    pub fn unknown<H>(mut self, handler: H) -> Self
    where
        H: for<'t> Handle<'t> + 'static,
    {
        self.router.unknown = Some(Box::new(move |tx| handler.handle(tx)));
        self
    }

    /// The contract.
    ///
    /// # Errors
    /// [`RouterError`] for the first name that is repeated or unusable.
    pub fn build(self) -> Result<Router, RouterError> {
        match self.refused {
            Some(refused) => Err(refused),
            None => Ok(self.router),
        }
    }

    fn add<F, Args, Reply>(mut self, name: Cow<'static, str>, kind: Kind, function: F) -> Self
    where
        F: for<'t> Function<'t, Args, Reply> + 'static,
        Args: DeserializeOwned + JsonSchema + Send + 'static,
        Reply: Serialize + JsonSchema + Send + 'static,
    {
        if name.is_empty() || name.contains(':') {
            self.refused.get_or_insert(RouterError::Unusable { name: name.into_owned() });
            return self;
        }
        if self.router.functions.contains_key(&name) {
            self.refused.get_or_insert(RouterError::Repeated { name: name.into_owned() });
            return self;
        }
        let registered = Registered {
            kind,
            schemas: |generator| (generator.subschema_for::<Args>(), generator.subschema_for::<Reply>()),
            invoke: invoke(function),
        };
        self.router.functions.insert(name, registered);
        self
    }
}

/// Wraps a typed function into one of bytes.
fn invoke<F, Args, Reply>(function: F) -> Box<Invoke>
where
    F: for<'t> Function<'t, Args, Reply> + 'static,
    Args: DeserializeOwned + Send + 'static,
    Reply: Serialize + Send + 'static,
{
    Box::new(move |tx, args| {
        let args = match decode::<Args>(args) {
            Ok(args) => args,
            Err(failure) => return Box::pin(std::future::ready(Err(failure))),
        };
        let running = function.call(tx, args);
        Box::pin(async move {
            let reply = running.await?;
            serde_json::to_vec(&reply)
                .map_err(|error| Failure::new(500, code::REPLY_INVALID).caused_by(error))
        })
    })
}

fn decode<Args: DeserializeOwned>(args: &[Vec<u8>]) -> Result<Args, Failure> {
    let invalid = || Failure::new(400, code::ARGUMENT_INVALID);
    let json: &[u8] = match args {
        [] => b"null",
        [one] => one,
        _ => return Err(invalid()),
    };
    serde_json::from_slice(json).map_err(|error| {
        // The error's text may quote the argument, which does not belong into a log.
        debug!(kind = ?error.classify(), line = error.line(), column = error.column(), "argument does not decode");
        invalid()
    })
}
