use std::net::SocketAddr;

use clap::{Args, Subcommand};
use hlf_network::network::{DASHBOARD, Exporter, Network};

use crate::app::App;
use crate::failure::Exit;
use crate::printer::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Prints a configuration for Prometheus: every node's operations endpoint, with its client certificate.
    Targets(Targets),
    /// Prints what Fabric has no metric of, in Prometheus' text format: for a file that node_exporter collects.
    Show(Show),
    /// Prints a dashboard for Grafana, to be imported there.
    Dashboard(Dashboard),
}

#[derive(Debug, Args)]
#[command(after_help = "As JSON it is the list of endpoints.\n\nExample:\n  \
                        caretrail network metrics targets --exporter 127.0.0.1:9464 > prometheus.yml")]
pub(crate) struct Targets {
    /// Where `caretrail network exporter` listens.
    #[arg(long, value_name = "HOST:PORT")]
    exporter: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail network metrics show > /var/lib/node_exporter/network.prom")]
pub(crate) struct Show {}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail network metrics dashboard > network.json")]
pub(crate) struct Dashboard {}

/// Answers Prometheus with what Fabric has no metric of.
#[derive(Debug, Args)]
#[command(
    after_help = "It answers GET /metrics until it is interrupted; whoever reaches the address reads it.\n\nExample:\n  \
                        caretrail network exporter --listen 127.0.0.1:9464"
)]
pub(crate) struct Export {
    /// Address and port to listen on.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9464")]
    listen: SocketAddr,
}

pub(super) async fn run(verb: Verb, app: &App) -> anyhow::Result<Exit> {
    match verb {
        Verb::Targets(targets) => {
            let network = Network::existing(&app.network_folder())?;
            match app.printer.format {
                Format::Json => app.printer.data(&network.metrics_targets()?)?,
                Format::Table => app.printer.text(&network.scrape_config(targets.exporter.as_deref())?)?,
            }
        }
        Verb::Show(Show {}) => {
            let network = Network::existing(&app.network_folder())?;
            app.printer.text(&network.metrics().await?)?;
        }
        Verb::Dashboard(Dashboard {}) => app.printer.text(DASHBOARD)?,
    }
    Ok(Exit::Done)
}

impl Export {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        let exporter = Exporter::bind(network, self.listen).await?;
        if let Some(address) = exporter.address() {
            app.printer.say(format!("metrics at http://{address}/metrics"));
        }
        exporter.serve().await?;
        Ok(Exit::Done)
    }
}
