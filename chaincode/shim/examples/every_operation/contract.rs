//! The operations, one line of the reply for each, bytes as hex.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::num::NonZeroU16;

use hlf_chaincode::{
    Contract, Entry, EntryPage, Failure, LedgerError, Page, Response, Role, Scan, ScanItem, SignaturePolicy,
    Transaction, composite_key, split_composite_key,
};
use serde::Deserialize;

/// One operation; what it takes from the other fields follows from `op`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Operation {
    op: String,
    collection: String,
    key: String,
    value: String,
    keys: Vec<String>,
    size: u16,
}

/// The contract.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EveryOperation;

impl Contract for EveryOperation {
    async fn invoke(&self, tx: &Transaction) -> Response {
        match run_all(tx).await {
            Ok(lines) => Response::ok(lines.join("\n")),
            Err(message) => Response::error(500, message),
        }
    }

    async fn init(&self, tx: &Transaction) -> Response {
        match tx.put("initialised", "yes") {
            Ok(()) => Response::ok(""),
            Err(error) => Failure::from(error).into(),
        }
    }
}

async fn run_all(tx: &Transaction) -> Result<Vec<String>, String> {
    let [operations, ..] = tx.args() else {
        return Err("ARGUMENTS".to_owned());
    };
    let operations: Vec<Operation> =
        serde_json::from_slice(operations).map_err(|_| "ARGUMENTS".to_owned())?;
    let mut lines = Vec::new();
    for operation in operations {
        if operation.op == "fail" {
            return Err(operation.value);
        }
        let done = if operation.collection.is_empty() {
            Box::pin(public(tx, &operation)).await
        } else {
            Box::pin(private(tx, &operation)).await
        };
        lines.push(done.map_err(|_| format!("FAILED {}", operation.op))?);
    }
    Ok(lines)
}

async fn public(tx: &Transaction, o: &Operation) -> Result<String, Failure> {
    let key = o.key.as_str();
    Ok(match o.op.as_str() {
        "put" => done(tx.put(key, o.value.as_str())?),
        "delete" => done(tx.delete(key)?),
        "get" => hex(&tx.state(key).await?.unwrap_or_default()),
        "get_many" => hexes(tx.states(&o.keys).await?),
        "set_policy" => done(tx.set_validation_parameter(key, &all_of(o))?),
        "set_rule" => done(tx.set_validation_parameter(key, &rule(o)?)?),
        "clear_policy" => done(tx.clear_validation_parameter(key)?),
        "policy" => hex(&tx.validation_parameter(key).await?.unwrap_or_default()),
        "range" => entries(tx.range(key, &o.value).await?, 0).await?,
        "first" => entries(tx.range(key, &o.value).await?, o.size).await?,
        "range_page" => next(tx.range_page("", "", &page(o)?).await?),
        "partial" => entries(tx.partial_composite(key, &o.keys).await?, 0).await?,
        "partial_page" => next(tx.partial_composite_page(key, &o.keys, &page(o)?).await?),
        "composite_page" => next(tx.all_composite_page(&page(o)?).await?),
        "query" => entries(tx.query(&o.value).await?, 0).await?,
        "first_query" => entries(tx.query(&o.value).await?, o.size).await?,
        "refusal" if o.size > 0 => refusal(tx.query_page(&o.value, &Page::first(size(o)?)).await)?,
        "refusal" => refusal(tx.query(&o.value).await)?,
        "query_page" => next(tx.query_page(key, &page(o)?).await?),
        "history" => history(tx, key, 0).await?,
        "first_history" => history(tx, key, o.size).await?,
        "composite" => {
            let joined = composite_key(key, &o.keys)?;
            let (object_type, attributes) = split_composite_key(&joined)?;
            format!("{} {object_type} {}", hex(joined.as_bytes()), attributes.join(","))
        }
        "call" => {
            let reply = match o.value.as_str() {
                "" => tx.call(key, &o.keys).await,
                channel => tx.call_on(channel, key, &o.keys).await,
            };
            match reply {
                Ok(reply) => format!("{} {} {}", reply.status(), reply.message(), hex(reply.payload())),
                // The Go shim makes a reply of what the peer itself refuses.
                Err(LedgerError::Refused { reason, .. }) => format!("500  {}", hex(reason.as_bytes())),
                Err(error) => return Err(error.into()),
            }
        }
        "event" => done(tx.set_event(key, o.value.as_str())?),
        "args" => arguments(tx),
        "transient" => pairs(tx.transient_data()),
        "facts" => facts(tx)?,
        "identity" => client(tx, &o.keys)?,
        _ => return Err(Failure::new(400, "OPERATION_UNKNOWN")),
    })
}

async fn private(tx: &Transaction, o: &Operation) -> Result<String, Failure> {
    let collection = tx.collection(&o.collection)?;
    let key = o.key.as_str();
    Ok(match o.op.as_str() {
        "put" => done(collection.put(key, o.value.as_str())?),
        "delete" => done(collection.delete(key)?),
        "purge" => done(collection.purge(key)?),
        "get" => hex(&collection.state(key).await?.unwrap_or_default()),
        "get_many" => hexes(collection.states(&o.keys).await?),
        "hash" => collection.hash(key).await?.map(|hash| hex(&hash)).unwrap_or_default(),
        "set_policy" => done(collection.set_validation_parameter(key, &all_of(o))?),
        "set_rule" => done(collection.set_validation_parameter(key, &rule(o)?)?),
        "clear_policy" => done(collection.clear_validation_parameter(key)?),
        "policy" => hex(&collection.validation_parameter(key).await?.unwrap_or_default()),
        "range" => entries(collection.range(key, &o.value).await?, 0).await?,
        "first" => entries(collection.range(key, &o.value).await?, o.size).await?,
        "partial" => entries(collection.partial_composite(key, &o.keys).await?, 0).await?,
        "query" => entries(collection.query(&o.value).await?, 0).await?,
        "refusal" => refusal(collection.query(&o.value).await)?,
        _ => return Err(Failure::new(400, "OPERATION_UNKNOWN")),
    })
}

/// The peer's own words about a query that it refuses.
fn refusal<T>(queried: Result<T, LedgerError>) -> Result<String, Failure> {
    match queried {
        Err(LedgerError::Refused { reason, .. }) => Ok(reason),
        Err(error) => Err(error.into()),
        Ok(_) => Err(Failure::new(500, "NOT_REFUSED")),
    }
}

/// The Go shim's policies name every organisation once, in order, and need all of them.
fn all_of(o: &Operation) -> SignaturePolicy {
    let role = if o.value == "member" { Role::Member } else { Role::Peer };
    let msp_ids = o.keys.iter().collect::<BTreeSet<_>>();
    SignaturePolicy::and(msp_ids.into_iter().map(|msp_id| SignaturePolicy::role(msp_id, role)))
}

/// A policy that comes as the hex of its bytes.
fn rule(o: &Operation) -> Result<SignaturePolicy, Failure> {
    let digits =
        o.value.as_bytes().chunks_exact(2).map(|digits| std::str::from_utf8(digits).unwrap_or_default());
    let bytes: Result<Vec<u8>, _> = digits.map(|digits| u8::from_str_radix(digits, 16)).collect();
    let bytes = bytes.map_err(|error| Failure::new(400, "RULE_NOT_HEX").caused_by(error))?;
    Ok(SignaturePolicy::from_bytes(&bytes)?)
}

/// The function's name, and what follows the operations: bytes, which need not be text.
fn arguments(tx: &Transaction) -> String {
    let rest = tx.args().iter().skip(1).map(|arg| hex(arg));
    std::iter::once(tx.function().unwrap_or_default().to_owned()).chain(rest).collect::<Vec<_>>().join(" ")
}

/// Who calls: what attributes say, and what the certificate is.
fn client(tx: &Transaction, names: &[String]) -> Result<String, Failure> {
    let identity = tx.client_identity()?;
    let said = names.iter().map(|name| match identity.attribute(name) {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    });
    Ok(format!(
        "{} {} {} {}",
        said.collect::<Vec<_>>().join(","),
        identity.organizational_units().iter().any(|unit| unit == "client"),
        identity.attribute("role") == Some("clerk"),
        hex(identity.certificate_der()),
    ))
}

fn facts(tx: &Transaction) -> Result<String, Failure> {
    let identity = tx.client_identity()?;
    Ok(format!(
        "{} {} {} {} {} {} {} {} {} {} {} {} {}",
        tx.id(),
        tx.channel(),
        tx.timestamp_unix_ms(),
        hex(tx.creator()),
        hex(&tx.binding()),
        pairs(tx.transient_data()),
        pairs(tx.decorations()),
        hex(tx.signed_proposal().proposal_bytes),
        hex(tx.signed_proposal().signature),
        identity.msp_id(),
        identity.attribute("role").unwrap_or_default(),
        identity.common_name().unwrap_or_default(),
        identity.organizational_units().join(","),
    ))
}

/// The first entries of a scan, as many as asked for; all of them if none are.
async fn entries(scan: Scan<'_, Entry>, size: u16) -> Result<String, Failure> {
    Ok(first(scan, size).await?.iter().map(pair).collect::<Vec<_>>().join(","))
}

/// A scan that is left in the middle closes itself.
async fn first<T: ScanItem>(mut scan: Scan<'_, T>, size: u16) -> Result<Vec<T>, Failure> {
    let mut items = Vec::new();
    while (size == 0 || items.len() < usize::from(size))
        && let Some(item) = scan.next().await?
    {
        items.push(item);
    }
    Ok(items)
}

async fn history(tx: &Transaction, key: &str, size: u16) -> Result<String, Failure> {
    let versions = first(tx.history(key).await?, size).await?;
    let versions = versions.into_iter().map(|version| {
        let at = version.timestamp_unix_ms.unwrap_or_default();
        let deleted = version.value.is_none();
        format!("{}:{at}:{deleted}:{}", version.tx_id, hex(&version.value.unwrap_or_default()))
    });
    Ok(versions.collect::<Vec<_>>().join(","))
}

fn page(o: &Operation) -> Result<Page, Failure> {
    Ok(Page::at(size(o)?, o.value.as_str()))
}

fn size(o: &Operation) -> Result<NonZeroU16, Failure> {
    NonZeroU16::new(o.size).ok_or(Failure::new(400, "SIZE_ZERO"))
}

fn next(page: EntryPage) -> String {
    let text: Vec<_> = page.entries.iter().map(pair).collect();
    format!("{} next {}", text.join(","), hex(page.bookmark.unwrap_or_default().as_bytes()))
}

fn pair(entry: &Entry) -> String {
    format!("{}:{}", hex(entry.key.as_bytes()), hex(&entry.value))
}

fn pairs(values: &BTreeMap<String, Vec<u8>>) -> String {
    values.iter().map(|(name, value)| format!("{name}:{}", hex(value))).collect::<Vec<_>>().join(",")
}

fn hexes(values: Vec<Option<Vec<u8>>>) -> String {
    values.into_iter().map(|value| hex(&value.unwrap_or_default())).collect::<Vec<_>>().join(",")
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn done((): ()) -> String {
    String::new()
}
