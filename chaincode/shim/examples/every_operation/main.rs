//! Every operation of Fabric's chaincode stream: the counterpart of `tests/go/every-operation`, which
//! does the same on the official Go shim. One call carries a list of operations.
//!
//! It dials its peer if the environment names one (`CORE_CHAINCODE_ID_NAME`), and is a service otherwise.

mod contract;

use hlf_chaincode::{Config, DialConfig, Service, dial, env, stop_signal};

use crate::contract::EveryOperation;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::var_os(env::CORE_CHAINCODE_ID_NAME).is_some() {
        dial(DialConfig::from_env()?, EveryOperation, stop_signal()).await?;
    } else {
        Service::new(Config::from_env()?, EveryOperation).bind().await?.serve(stop_signal()).await?;
    }
    Ok(())
}
