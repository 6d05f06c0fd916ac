//! `caretrail-chaincode`: the contract as an external service, which the peers of one organisation dial.

use std::io::IsTerminal as _;
use std::num::NonZeroUsize;

use anyhow::Context as _;
use caretrail_contract::{Admission, contract};
use caretrail_model::time::DurationMs;
use clap::Parser;
use hlf_chaincode::{Config, Service, stop_signal};
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;

/// The Caretrail contract as an external chaincode service.
///
/// The peers of one organisation dial it, over mutual TLS. It takes its settings from the environment,
/// by the conventions of chaincode as a service: CHAINCODE_ID (package id), CHAINCODE_SERVER_ADDRESS
/// (host:port), CHAINCODE_TLS_KEY, CHAINCODE_TLS_CERT, CHAINCODE_CLIENT_CA_CERT (PEM files), or
/// CHAINCODE_TLS_DISABLED=true.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example:\n  CHAINCODE_ID=caretrail:2f… CHAINCODE_SERVER_ADDRESS=0.0.0.0:9999 \\\n  \
                  CHAINCODE_TLS_KEY=server.key CHAINCODE_TLS_CERT=server.crt \\\n  \
                  CHAINCODE_CLIENT_CA_CERT=tlsca.pem caretrail-chaincode"
)]
struct Options {
    /// Milliseconds that a proposal's timestamp may be off this machine's clock.
    #[arg(long, env = "CARETRAIL_ADMISSION_WINDOW_MS", default_value_t = 120_000,
          value_parser = clap::value_parser!(u64).range(1_000..=900_000))]
    admission_window_ms: u64,
    /// Threads that serve transactions. One costs least, and serves thousands of transactions a second; more
    /// are worth it where this process takes a whole processor.
    #[arg(long, env = "CARETRAIL_CHAINCODE_THREADS", default_value = "1")]
    threads: NonZeroUsize,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let config = Config::from_env().context("the environment does not describe a chaincode service")?;
    let window = DurationMs::new(options.admission_window_ms).context("the admission window is too long")?;
    let contract = contract(Admission::system(window)).context("the contract's calls clash")?;

    runtime(options.threads).context("no threads to be had")?.block_on(async {
        let service = Service::new(config, contract).bind().await?;
        service.serve(stop_signal()).await?;
        Ok(())
    })
}

/// With one thread, the runtime hands no message from one thread to another.
fn runtime(threads: NonZeroUsize) -> std::io::Result<Runtime> {
    let mut runtime = match threads.get() {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    runtime.worker_threads(threads.get()).enable_all().build()
}

#[cfg(test)]
mod tests {
    use tokio::runtime::RuntimeFlavor;

    use super::*;

    #[test]
    fn as_many_threads_serve_as_are_asked_for() {
        for (threads, flavor) in [(1, RuntimeFlavor::CurrentThread), (3, RuntimeFlavor::MultiThread)] {
            let runtime = runtime(NonZeroUsize::new(threads).unwrap()).unwrap();
            assert_eq!(runtime.handle().runtime_flavor(), flavor);
            assert_eq!(runtime.metrics().num_workers(), threads);
        }
    }
}
