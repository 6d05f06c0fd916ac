//! A chaincode of notes: one value a key, public or private.

use hlf_chaincode::{
    Config, Contract, LedgerError, Response, Service, SignaturePolicy, Transaction, stop_signal,
};

pub(crate) struct Notebook;

impl Contract for Notebook {
    async fn invoke(&self, tx: &Transaction) -> Response {
        match called(tx).await {
            Ok(response) => response,
            Err(_) => Response::error(500, "LEDGER"),
        }
    }
}

async fn called(tx: &Transaction) -> Result<Response, LedgerError> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(match (tx.function(), tx.args()) {
        (Some("Put"), [key, value]) => {
            tx.put(text(key), value.as_slice())?;
            tx.set_event("put", key.as_slice())?;
            Response::ok(value.as_slice())
        }
        (Some("Get"), [key]) => Response::ok(tx.state(&text(key)).await?.unwrap_or_default()),
        // Reads a key and writes it: two of these at a time are in each other's way.
        (Some("Append"), [key, value]) => {
            let mut text_so_far = tx.state(&text(key)).await?.unwrap_or_default();
            text_so_far.extend_from_slice(value);
            tx.put(text(key), text_so_far)?;
            Response::ok("")
        }
        (Some("AppendPrivate"), [collection, key]) => {
            let collection = tx.collection(text(collection))?;
            let mut so_far = collection.state(&text(key)).await?.unwrap_or_default();
            so_far.extend_from_slice(tx.transient("value").unwrap_or_default());
            collection.put(text(key), so_far)?;
            Response::ok("")
        }
        // Writes how many keys a range has.
        (Some("Count"), [start, end, key]) => {
            let found = tx.range(&text(start), &text(end)).await?.collect().await?;
            tx.put(text(key), found.len().to_string())?;
            Response::ok("")
        }
        // Different at each organisation.
        (Some("Origin"), [key]) => {
            tx.put(text(key), std::env::var("NOTES_ORIGIN").unwrap_or_default())?;
            Response::ok("")
        }
        // From then on, this organisation's peers alone endorse writes to the key.
        (Some("Entrust"), [key, value, msp_id]) => {
            tx.put(text(key), value.as_slice())?;
            tx.set_validation_parameter(text(key), &SignaturePolicy::peer(text(msp_id)))?;
            Response::ok(Vec::new())
        }
        (Some("PutPrivate"), [collection, key]) => {
            let Some(value) = tx.transient("value") else { return Ok(Response::error(400, "NO_VALUE")) };
            tx.collection(text(collection))?.put(text(key), value)?;
            Response::ok(tx.msp_id())
        }
        (Some("GetPrivate"), [collection, key]) => {
            let collection = tx.collection(text(collection))?;
            Response::ok(collection.state(&text(key)).await?.unwrap_or_default())
        }
        // Every argument's length, whatever its bytes; called by the name of its contract alone.
        (Some("shape:Lengths"), args) => {
            let lengths: Vec<String> = args.iter().map(|arg| arg.len().to_string()).collect();
            Response::ok(lengths.join(","))
        }
        (Some("Zeros"), [count]) => match text(count).parse() {
            Ok(count) => Response::ok(vec![0; count]),
            Err(_) => Response::error(400, "NO_NUMBER"),
        },
        (Some("Caller"), []) => Response::ok(tx.msp_id()),
        (Some("org.hyperledger.fabric:GetMetadata"), []) => Response::ok("{}"),
        _ => Response::error(404, "NO_SUCH_CALL"),
    })
}

pub(crate) async fn serve() {
    let config = Config::from_env().expect("CHAINCODE_*");
    let listening = Service::new(config, Notebook).bind().await.expect("a port");
    listening.serve(stop_signal()).await.expect("served");
}
