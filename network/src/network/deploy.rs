//! The chaincode: its services, its package, its definition on the channel.

use std::ffi::OsString;

use super::up::{ChaincodeProgram, START_LIMIT, Stand, UpError, said};
use super::{chaincode_service, make_parent, package_file};
use crate::ca::TlsFiles;
use crate::files;
use crate::lifecycle::{self, Definition, Member};
use crate::node::{self, LISTEN};
use crate::package::Package;
use crate::ports::Ports;
use crate::process::Service;
use crate::progress::{self, Step};
use crate::spec::Chaincode;
use crate::wait::{self, Look};

impl Stand<'_> {
    /// Runs the chaincode's services and brings its definition onto the channel.
    pub(super) async fn deploy(&self, ports: &Ports, members: &[Member]) -> Result<Option<Package>, UpError> {
        let (Some(chaincode), Some(program)) = (&self.network.spec.chaincode, &self.options.chaincode) else {
            progress::skipped(self.progress, "chaincode", "the network has none");
            return Ok(None);
        };
        let package = Package::of_service(&chaincode.label).map_err(UpError::Package)?;
        let file = package_file(&self.network.layout, package.label());
        make_parent(&file)?;
        files::replace(&file, files::PUBLIC, package.bytes())?;
        let id = package.id();
        self.run_chaincode(ports, &id, program).await?;
        self.install(members, &package).await?;
        self.define(members, chaincode, &id).await?;
        Ok(Some(package))
    }

    async fn run_chaincode(
        &self,
        ports: &Ports,
        package_id: &str,
        program: &ChaincodeProgram,
    ) -> Result<(), UpError> {
        let step = Step::begin(self.progress, "chaincode services, one of each organisation");
        let mut services = Vec::new();
        for organization in &self.network.spec.organizations {
            let name = chaincode_service(organization);
            let address = node::loopback(ports, &name, LISTEN)?;
            let (server, _) = self.network.ca(organization)?.service("chaincode")?;
            services.push(chaincode_process(name, address, package_id, program, &server, ports));
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

    async fn install(&self, members: &[Member], package: &Package) -> Result<(), UpError> {
        let step = Step::begin(self.progress, "chaincode package");
        let mut installed = 0_usize;
        for (host, endorser) in members.iter().flat_map(|member| &member.peers) {
            step.waiting(&format!("`{host}` to install it"));
            let new = lifecycle::install(endorser, host, package).await?;
            installed = installed.saturating_add(usize::from(new));
        }
        step.done(&match installed {
            0 => format!("installed already: {}", package.id()),
            _ => format!("installed on {installed} peers: {}", package.id()),
        });
        Ok(())
    }

    async fn define(
        &self,
        members: &[Member],
        chaincode: &Chaincode,
        package_id: &str,
    ) -> Result<(), UpError> {
        let definition = Definition { channel: &self.network.spec.channel.name, chaincode, package_id };
        let step = Step::begin(self.progress, format!("chaincode `{}` on the channel", chaincode.name));
        let Some(first) = members.first() else {
            return Ok(());
        };
        let committed = definition.committed_sequence(first).await?;
        definition.demand_sequence(committed)?;
        for member in members {
            definition.approve(&step, member).await?;
        }
        let new = committed != i64::from(chaincode.sequence);
        if new {
            definition.await_readiness(&step, members).await?;
            definition.commit(&step, members).await?;
        }
        definition.await_answer(&step, members).await?;
        step.done(&format!(
            "sequence {} {}, and it answers through every organisation's gateway",
            chaincode.sequence,
            if new { "committed" } else { "was in force" }
        ));
        Ok(())
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
    Service {
        ports: ports.of(&name),
        name,
        program: program.program.clone(),
        args: program.args.clone(),
        env,
        reads: vec![server.certificate.clone(), server.key.clone(), server.roots.clone()],
    }
}
