//! `caretrail serve`: the hospital's daemon.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use caretrail_model::role::Role;
use caretrail_records::hospital::PendingSubject;
use caretrail_server::{Config, Limits, Server};
use clap::Args;
use hlf_network::network::Network;
use hlf_network::process::Service;
use hlf_network::spec::Organization;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::app::App;
use crate::failure::{Exit, Invalid};

/// Name of the daemon among an organisation's services.
pub(crate) const SERVICE: &str = "caretrail";
/// How long a daemon may take until it is ready.
const READY_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
#[command(
    after_help = "It acts with the identity of a service. A record leaves only after its disclosure is committed, and only to the \
                        one for whom access was decided. SIGTERM and Ctrl-C end it once open requests are answered.\n\n\
                        Example:\n  caretrail serve --identity north/service --health-listen 127.0.0.1:8080"
)]
pub(crate) struct Serve {
    /// Where other hospitals reach it, over mutual TLS [default: the organisation's port in the state folder].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where /livez and /readyz are answered in plain HTTP as well, for this machine's monitoring.
    #[arg(long, value_name = "ADDRESS")]
    health_listen: Option<SocketAddr>,
    /// TLS certificate, PEM [default: the organisation's in the state folder].
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// TLS CA certificates of the members, PEM; may be given more than once [default: those in the state folder].
    #[arg(long = "authority", value_name = "FILE")]
    authorities: Vec<PathBuf>,
}

impl Serve {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let session = app.session().await?;
        if session.records.role() != Role::Service {
            let problem =
                format!("a daemon acts as a `service`, and this identity is a `{}`", session.records.role());
            return Err(Invalid(problem).into());
        }
        let config = self.config(app, &session.profile.organization).await?;
        let custody = session.custody()?;
        for settled in session.records.settle_pending(&custody).await? {
            if !settled.on_channel {
                let what = match &settled.pending.subject {
                    PendingSubject::Patient(patient) => format!("the registration of patient {patient}"),
                    PendingSubject::Version(version) => version.id.to_string(),
                };
                let tx_id = settled.pending.tx_id.map_or("never sent".to_owned(), |tx_id| tx_id.to_string());
                app.printer.say(format!("{what} is not on the channel yet; its transaction: {tx_id}"));
            }
        }
        let server = Server::bind(config, session.records, custody).await?;
        app.printer.say(format!(
            "{} releases records at {}",
            session.profile.msp_id,
            server.local_address()?
        ));
        if let Some(address) = server.health_address()? {
            app.printer.say(format!("health at http://{address}/readyz"));
        }
        let drained = server.run(stop_signal()).await;
        Ok(if drained.in_time { Exit::Done } else { Exit::Failed })
    }

    async fn config(self, app: &App, organization: &str) -> anyhow::Result<Config> {
        let listen = match self.listen {
            Some(listen) => listen,
            None => {
                let (network, organization) = network_of(app, organization)?;
                local(port(&network, &organization)?)
            }
        };
        let (certificate, key) = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => (certificate, key),
            _ => {
                let (network, organization) = network_of(app, organization)?;
                let (server, _) = network.service_tls(&organization, SERVICE).await?;
                (server.certificate, server.key)
            }
        };
        let authorities = if self.authorities.is_empty() { authority_files(app)? } else { self.authorities };
        Ok(Config {
            listen,
            health_listen: self.health_listen,
            certificate,
            key,
            authorities,
            limits: Limits::default(),
        })
    }
}

/// The port on which an organisation's daemon listens by default.
pub(crate) fn port(network: &Network, organization: &Organization) -> anyhow::Result<u16> {
    Ok(network.service_port(&name(organization))?)
}

/// Makes an organisation's daemon run under the network's supervision, and waits until it is ready.
pub(crate) async fn ensure(app: &App, network: &Network, organization: &Organization) -> anyhow::Result<()> {
    let name = name(organization);
    let health_name = format!("health.{name}");
    let (listen, health) = (port(network, organization)?, network.service_port(&health_name)?);
    let args = [
        "serve",
        "--state",
        &app.state().display().to_string(),
        "--identity",
        &format!("{}/service", organization.name),
        "--listen",
        &local(listen).to_string(),
        "--health-listen",
        &local(health).to_string(),
    ];
    let service = Service {
        name: name.clone(),
        program: std::env::current_exe().context("this program's own path is unknown")?,
        args: args.iter().map(Into::into).collect(),
        env: [("CARETRAIL_LOG".to_owned(), "info".into())].into(),
        ports: vec![listen, health],
        reads: Vec::new(),
    };
    network.ensure_service(&service).await?;
    let begun = Instant::now();
    loop {
        let answer = ready(local(health)).await;
        if answer.as_ref().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            app.printer
                .say(format!("✓ daemon of {}: ready at https://localhost:{listen}", organization.msp_id));
            return Ok(());
        }
        network.supervisor().demand_alive(&name)?;
        if begun.elapsed() > READY_LIMIT {
            let last = answer.unwrap_or_else(|error| error.to_string());
            bail!(
                "the daemon of {} is not ready after {} s: {last}",
                organization.msp_id,
                READY_LIMIT.as_secs()
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The TLS CA certificates of every organisation in the state folder, PEM.
pub(crate) fn authorities(app: &App) -> anyhow::Result<String> {
    let mut authorities = String::new();
    for file in authority_files(app)? {
        authorities += &std::fs::read_to_string(&file)
            .with_context(|| format!("`{}` cannot be read", file.display()))?;
    }
    Ok(authorities)
}

fn authority_files(app: &App) -> anyhow::Result<Vec<PathBuf>> {
    let network = Network::existing(&app.network_folder())?;
    let profiles = network.spec().organizations.iter().map(|organization| network.profile(organization));
    Ok(profiles.map(|profile| profile.map(|profile| profile.tls_ca)).collect::<Result<_, _>>()?)
}

fn network_of(app: &App, organization: &str) -> anyhow::Result<(Network, Organization)> {
    let network = Network::existing(&app.network_folder())?;
    let organization = network
        .spec()
        .organization(organization)
        .with_context(|| format!("the state folder knows no organisation `{organization}`"))?
        .clone();
    Ok((network, organization))
}

fn name(organization: &Organization) -> String {
    format!("{SERVICE}.{}", organization.domain)
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// What a daemon answers to `GET /readyz`.
async fn ready(address: SocketAddr) -> std::io::Result<String> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.take(64 * 1024).read_to_string(&mut answer).await?;
        Ok(answer)
    };
    tokio::time::timeout(Duration::from_secs(5), ask).await?
}

/// Completes when the process is asked to stop.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // No signal can be had, so none will come.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
