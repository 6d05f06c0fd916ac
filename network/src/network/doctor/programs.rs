//! Fabric's programs, and the one that builds packages.

use std::path::PathBuf;

use super::{Checkup, Code, Findings};
use crate::fabric::{FabricError, Unusable};
use crate::files;
use crate::network::Network;
use crate::wait;

/// What is wrong with Fabric's programs.
pub(super) async fn look(network: &Network, checkup: &Checkup) -> Vec<(Code, String)> {
    let Some(search) = &checkup.binaries else { return Vec::new() };
    let wanted = network.spec.fabric;
    match search.survey().await {
        Ok(Some(binaries)) if binaries.version().line() != wanted.line() => {
            let (folder, found) = (binaries.folder().display(), binaries.version());
            vec![(Code::VersionWrong, format!("{folder} holds Fabric {found}, and the spec says {wanted}"))]
        }
        Ok(_) => Vec::new(),
        Err(error) => {
            let code = match &error {
                FabricError::Unusable { source: Unusable::TooOld(_), .. } => Code::VersionWrong,
                _ => Code::ProgramsMissing,
            };
            vec![(code, wait::chain(&error))]
        }
    }
}

/// Demands of every peer's builder that the program it calls is there.
pub(super) fn check_builders(network: &Network, found: &mut Findings) {
    if network.spec.chaincode.is_none() {
        return;
    }
    for organization in network.own_organizations() {
        for host in organization.peers.iter().map(|peer| organization.host(peer)) {
            let script = network.layout.node(&host).join("builder/bin/detect");
            let Ok(text) = files::read(&script) else { continue };
            let Some(program) = crate::builder::program_of_script(&text) else { continue };
            let program = PathBuf::from(program);
            if !program.is_file() {
                let seen = format!("`{}` is not there; {} calls it", program.display(), script.display());
                found.add(Code::BuilderMissing, Some(&host), seen);
            }
        }
    }
}
