//! The chaincode: its services, its package, its definition on the channel.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::Duration;

use super::up::{ChaincodeProgram, RELOADS_TLS, START_LIMIT, Stand, UpError, said};
use super::{Network, chaincode_service, make_parent, package_file};
use crate::ca::TlsFiles;
use crate::files;
use crate::lifecycle::{self, Definition, LifecycleError, Member, Terms};
use crate::node::{self, LISTEN};
use crate::package::Package;
use crate::ports::Ports;
use crate::process::{ProcessError, Service};
use crate::progress::{self, Step};
use crate::wait::{self, Look};

/// How often it is looked whether all processes live.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Stand<'_> {
    /// Runs the chaincode's services and brings its definition onto the channel.
    ///
    /// Returns each organisation's package, in the spec's order.
    pub(super) async fn deploy(
        &self,
        ports: &Ports,
        members: &[Member],
    ) -> Result<Option<Vec<Package>>, UpError> {
        let Network { spec, layout, .. } = self.network;
        let (Some(chaincode), Some(program)) = (&spec.chaincode, &self.options.chaincode) else {
            progress::skipped(self.progress, "chaincode", "the network has none");
            return Ok(None);
        };
        // Before any service is started anew: a definition that Fabric would refuse leaves what runs as it is.
        let terms = Terms::of(chaincode, &spec.organizations);
        let definition = Definition { channel: &spec.channel.name, chaincode, terms };
        let committed = match members.first() {
            Some(first) => definition.demand_next(first).await?,
            None => 0,
        };
        let mut packages = Vec::new();
        for organization in self.network.own_organizations() {
            let label = chaincode.label_of(&organization.name);
            let package = Package::of_service(label).map_err(UpError::Package)?;
            let file = package_file(layout, package.label());
            make_parent(&file)?;
            files::replace(&file, files::PUBLIC, package.bytes())?;
            packages.push(package);
        }
        self.run_chaincode(ports, &packages, program).await?;
        self.install(members, &packages).await?;
        self.define(members, &definition, &packages, committed).await?;
        Ok(Some(packages))
    }

    pub(super) async fn run_chaincode(
        &self,
        ports: &Ports,
        packages: &[Package],
        program: &ChaincodeProgram,
    ) -> Result<(), UpError> {
        let step = Step::begin(self.progress, "chaincode services, one of each organisation");
        let mut services = Vec::new();
        for (organization, package) in self.network.own_organizations().zip(packages) {
            let name = chaincode_service(organization);
            let address = node::loopback(ports, &name, LISTEN)?;
            let (server, _) = self.network.chaincode_tls(organization);
            let program = self.options.chaincode_of.get(&organization.name).unwrap_or(program);
            services.push(chaincode_process(name, address, &package.id(), program, &server, ports));
        }
        let started = self.network.supervisor.ensure_all(&services).await?;
        for service in &services {
            let what = format!("`{}` to listen", service.name);
            wait::until(&step, &what, START_LIMIT, || async {
                self.network.supervisor.demand_alive(&service.name)?;
                for port in &service.ports {
                    let reached = tokio::net::TcpStream::connect(("127.0.0.1", *port)).await;
                    if let Err(error) = reached {
                        return Ok(Look::NotYet(error.to_string()));
                    }
                }
                Ok::<_, UpError>(Look::Holds(()))
            })
            .await?;
        }
        step.done(&said(services.len(), started));
        Ok(())
    }

    pub(super) async fn install(&self, members: &[Member], packages: &[Package]) -> Result<(), UpError> {
        let step = Step::begin(self.progress, "chaincode package");
        let mut installed = 0_usize;
        for (member, package) in members.iter().zip(packages) {
            for (host, endorser) in &member.peers {
                step.waiting(&format!("`{host}` to install it"));
                let new = lifecycle::install(endorser, host, package).await?;
                installed = installed.saturating_add(usize::from(new));
            }
        }
        let ids: BTreeSet<String> = packages.iter().map(Package::id).collect();
        let ids = ids.into_iter().collect::<Vec<_>>().join(", ");
        step.done(&match installed {
            0 => format!("installed already: {ids}"),
            _ => format!("installed on {installed} peers: {ids}"),
        });
        Ok(())
    }

    async fn define(
        &self,
        members: &[Member],
        definition: &Definition<'_>,
        packages: &[Package],
        committed: i64,
    ) -> Result<(), UpError> {
        let chaincode = definition.chaincode;
        let step = Step::begin(self.progress, format!("chaincode `{}` on the channel", chaincode.name));
        for (member, package) in members.iter().zip(packages) {
            self.while_all_live(Box::pin(definition.approve(&step, member, &package.id()))).await?;
        }
        let new = committed != i64::from(chaincode.sequence);
        if new {
            self.while_all_live(Box::pin(definition.await_readiness(&step, members))).await?;
            self.while_all_live(Box::pin(definition.commit(&step, members))).await?;
        }
        self.while_all_live(Box::pin(definition.await_answer(&step, members))).await?;
        step.done(&format!(
            "sequence {} {}, and it answers through every organisation's gateway",
            chaincode.sequence,
            if new { "committed" } else { "was in force" }
        ));
        Ok(())
    }
}

impl Stand<'_> {
    /// Work that needs every process; when one ends, that is told at once, and not that nothing came of the work.
    async fn while_all_live<T>(
        &self,
        work: impl Future<Output = Result<T, LifecycleError>>,
    ) -> Result<T, UpError> {
        tokio::select! {
            biased;
            died = self.first_death() => Err(died.into()),
            done = work => Ok(done?),
        }
    }

    async fn first_death(&self) -> ProcessError {
        loop {
            for name in self.network.processes() {
                if let Err(died) = self.network.supervisor.demand_alive(&name) {
                    return died;
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn chaincode_process(
    name: String,
    address: String,
    package_id: &str,
    program: &ChaincodeProgram,
    server: &TlsFiles,
    ports: &Ports,
) -> Service {
    let mut env = program.env.clone();
    let told: [(&str, OsString); 6] = [
        ("CHAINCODE_ID", package_id.into()),
        ("CHAINCODE_SERVER_ADDRESS", address.into()),
        ("CHAINCODE_TLS_DISABLED", "false".into()),
        ("CHAINCODE_TLS_KEY", server.key.clone().into()),
        ("CHAINCODE_TLS_CERT", server.certificate.clone().into()),
        ("CHAINCODE_CLIENT_CA_CERT", server.roots.clone().into()),
    ];
    env.extend(told.map(|(name, value)| (name.to_owned(), value)));
    let reloads = env.get(RELOADS_TLS).is_some_and(|value| value == "true");
    let tls = [&server.certificate, &server.key, &server.roots].map(Clone::clone);
    Service {
        ports: ports.of(&name),
        name,
        program: program.program.clone(),
        args: program.args.clone(),
        env,
        reads: if reloads { Vec::new() } else { tls.into() },
    }
}
