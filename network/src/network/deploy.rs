//! The chaincode: its services, its package, its definition on the channel.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::Duration;

use super::up::{ChaincodeProgram, RELOADS_TLS, START_LIMIT, Stand, UpError, said};
use super::{Network, make_parent, package_file, places};
use crate::ca::TlsFiles;
use crate::files;
use crate::lifecycle::{self, Definition, LifecycleError, Member, Terms};
use crate::node::{self, LISTEN, NodeError};
use crate::package::Package;
use crate::peer;
use crate::ports::Ports;
use crate::process::{ProcessError, Service};
use crate::progress::{self, Step};
use crate::spec::Organization;
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
        let upgraded = committed > 0 && committed != i64::from(chaincode.sequence);
        let served = self.serve(ports, &packages, program, upgraded).await?;
        self.install(members, &packages).await?;
        self.aim(&packages, &served)?;
        self.define(members, &definition, &packages, committed).await?;
        self.hand_over(members, &definition, &served).await?;
        Ok(Some(packages))
    }

    /// Runs each organisation's service, and says at which place. Another package than the one that is served is served
    /// beside it when the channel still has the old definition.
    pub(super) async fn serve(
        &self,
        ports: &Ports,
        packages: &[Package],
        program: &ChaincodeProgram,
        upgraded: bool,
    ) -> Result<Vec<String>, UpError> {
        let layout = &self.network.layout;
        let step = Step::begin(self.progress, "chaincode services, one of each organisation");
        let mut services = Vec::new();
        let mut served = Vec::new();
        for (organization, package) in self.network.own_organizations().zip(packages) {
            let used = places::in_use(layout, organization);
            let another = self.network.served_at(&used).is_some_and(|id| id != package.id());
            let name = if upgraded && another { places::other(layout, organization) } else { used };
            let address = if ports.port(&name, LISTEN).is_some() {
                node::loopback(ports, &name, LISTEN)?
            } else {
                format!("127.0.0.1:{}", self.network.service_port(&name)?)
            };
            let (server, _) = self.network.chaincode_tls(organization);
            let program = self.options.chaincode_of.get(&organization.name).unwrap_or(program);
            let ports = self.network.ports()?;
            services.push(chaincode_process(name.clone(), address, &package.id(), program, &server, &ports));
            served.push(name);
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
        Ok(served)
    }

    /// Has own peers dial the services where they are, for what they have built of the packages.
    pub(super) fn aim(&self, packages: &[Package], served: &[String]) -> Result<(), NodeError> {
        for ((organization, package), place) in self.network.own_organizations().zip(packages).zip(served) {
            self.network.aim_builds(organization, &package.id(), place)?;
        }
        Ok(())
    }

    /// Ends the services that nobody asks any more, once every peer has the new definition.
    pub(super) async fn hand_over(
        &self,
        members: &[Member],
        definition: &Definition<'_>,
        served: &[String],
    ) -> Result<(), UpError> {
        let Network { layout, supervisor, .. } = self.network;
        let idle: Vec<(&Organization, &String, String)> = self
            .network
            .own_organizations()
            .zip(served)
            .map(|(organization, place)| {
                let [first, second] = places::places(organization);
                (organization, place, if *place == first { second } else { first })
            })
            .collect();
        if idle.iter().all(|(organization, place, old)| {
            **place == places::in_use(layout, organization) && supervisor.running(old).is_none()
        }) {
            return self.note_addresses();
        }
        let step = Step::begin(self.progress, "chaincode services of before");
        for (host, endorser) in members.iter().flat_map(|member| &member.peers) {
            definition.await_in_force(&step, host, endorser).await?;
        }
        for (organization, place, old) in idle {
            places::use_place(layout, organization, place)?;
            supervisor.stop(&old).await?;
        }
        self.note_addresses()?;
        step.done("ended; every peer has the definition in force");
        Ok(())
    }

    /// Notes where own services listen, for what own peers build later, such as after a restore.
    fn note_addresses(&self) -> Result<(), UpError> {
        let Network { layout, .. } = self.network;
        let ports = self.network.ports()?;
        for organization in self.network.own_organizations() {
            let address = node::loopback(&ports, &places::in_use(layout, organization), LISTEN)?;
            peer::note_service_address(layout, organization, &address)?;
        }
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
            // One that was stopped on purpose has no record left, and did not die.
            let started = self.network.supervisor.started();
            for name in self.network.processes().filter(|name| started.contains(name)) {
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
