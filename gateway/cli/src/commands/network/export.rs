use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hlf_network::export::{self, Format};
use hlf_network::network::Network;

use super::up::{Programs, options};
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "The folder has a README.md with the steps. Ledgers are not in it; private keys are, in files for their owner \
                        alone, unless --without-keys is given. Containers are reached at the addresses that the consortium's document \
                        has for nodes.\n\n\
                        Examples:\n  caretrail network export systemd --to north-units --organization north\n  \
                        caretrail network export kubernetes --to manifests --tools-image registry.example.com/caretrail:1\n  \
                        caretrail network export compose --to project --without-keys"
)]
pub(crate) struct Export {
    /// For whom.
    #[arg(value_enum)]
    supervisor: Supervisor,
    /// The folder to make.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Only this organisation's processes; `orderer` for the ordering organisation.
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
    /// Leaves private keys out: you bring them to the machine in your own way.
    #[arg(long)]
    without_keys: bool,
    /// The folder of programs on the machine that will run them.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// The image with Fabric's `peer`.
    #[arg(long, value_name = "IMAGE")]
    peer_image: Option<String>,
    /// The image with Fabric's `orderer`.
    #[arg(long, value_name = "IMAGE")]
    orderer_image: Option<String>,
    /// The image with `caretrail` and the contract's program.
    #[arg(long, value_name = "IMAGE")]
    tools_image: Option<String>,
    #[command(flatten)]
    run: Programs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Supervisor {
    Systemd,
    Kubernetes,
    Compose,
}

impl Export {
    pub(crate) fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        let run = options(&self.run, network.spec())?;
        let format = match self.supervisor {
            Supervisor::Systemd => Format::Systemd,
            Supervisor::Kubernetes => Format::Kubernetes,
            Supervisor::Compose => Format::Compose,
        };
        let mut wanted = export::Export::new(format, &network.spec().fabric.to_string(), run.builder);
        wanted.chaincode = run.chaincode;
        wanted.organization = self.organization;
        wanted.keys = !self.without_keys;
        let images = &mut wanted.images;
        for (given, image) in [
            (self.peer_image, &mut images.peer),
            (self.orderer_image, &mut images.orderer),
            (self.tools_image, &mut images.tools),
        ] {
            if let Some(given) = given {
                *image = given;
            }
        }
        if let Some(programs) = self.programs {
            wanted.paths.programs = programs;
        }
        let exported = network.export(&wanted, &self.to)?;
        if !exported.only_on_this_machine.is_empty() {
            app.printer.say(format!(
                "the consortium has these at addresses of this machine alone, so no other machine will find them: {}",
                exported.only_on_this_machine.join(", ")
            ));
        }
        app.printer.data(&exported)?;
        Ok(Exit::Done)
    }
}
