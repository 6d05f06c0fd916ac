//! The chaincode: its services, packages, approvals, definition, and what peers have built.

use std::path::Path;

use serde_json::Value;

use super::nodes::{cannot_ask, last_words_of};
use super::{Code, Findings};
use crate::files;
use crate::network::Network;
use crate::network::vitals::{Dialled, PeerVitals, ServiceVitals, Vitals};
use crate::package::Package;
use crate::peer;
use crate::spec::{Chaincode, Organization};

pub(super) fn check(network: &Network, vitals: &Vitals, found: &mut Findings) {
    let Some(chaincode) = &network.spec.chaincode else { return };
    let in_force = check_definition(chaincode, vitals, found);
    for organization in network.own_organizations() {
        let service = vitals.services.iter().find(|service| service.organization == organization.name);
        let Some(service) = service else { continue };
        let answers = check_service(network, service, found);
        if cannot_ask(network, &organization.name, found) {
            continue;
        }
        let Ok(package) = Package::of_service(chaincode.label_of(&organization.name)) else { continue };
        let peers = || vitals.peers.iter().filter(|peer| peer.organization == organization.name);
        let explained = check_packages(&package.id(), organization, service, peers(), in_force, found);
        if answers && !explained {
            check_answers(peers(), found);
        }
    }
}

/// Whether the definition on the channel is the spec's.
fn check_definition(chaincode: &Chaincode, vitals: &Vitals, found: &mut Findings) -> bool {
    let Some(definition) = &vitals.definition else { return false };
    let wanted = i64::from(chaincode.sequence);
    let seen = match definition {
        Some(definition) if definition.sequence == wanted && definition.version == chaincode.version => {
            return true;
        }
        Some(definition) => format!(
            "sequence {} and version {} are in force; the spec says sequence {wanted} and version {}",
            definition.sequence, definition.version, chaincode.version
        ),
        None => format!("none is in force; the spec says sequence {wanted}"),
    };
    found.add(Code::DefinitionDiffers, Some(&chaincode.name), seen);
    false
}

/// Whether an organisation's service runs and takes connections.
fn check_service(network: &Network, service: &ServiceVitals, found: &mut Findings) -> bool {
    let name = Some(service.name.as_str());
    let Some(pid) = service.pid else {
        if !found.has(&[Code::PortTaken, Code::PortsForeign], &service.name) {
            found.add(Code::ChaincodeDown, name, last_words_of(network, &service.name));
        }
        return false;
    };
    match &service.dialled {
        Some(Dialled::Distrusted(error)) => {
            found.add(Code::ChaincodeTlsMismatch, name, format!("process {pid}: {error}"));
            false
        }
        Some(Dialled::Silent(error)) => {
            found.add(Code::ChaincodeSilent, name, format!("process {pid}: {error}"));
            false
        }
        Some(Dialled::Taken) => true,
        None => false,
    }
}

/// Installed, approved and served ids side by side; true when one of them explains why nothing answers.
fn check_packages<'a>(
    wanted: &str,
    organization: &Organization,
    service: &ServiceVitals,
    peers: impl Iterator<Item = &'a PeerVitals>,
    in_force: bool,
    found: &mut Findings,
) -> bool {
    let (mut missing, mut approved) = (false, None);
    for peer in peers {
        let Some(answers) = peer.answered().filter(|answers| answers.joined) else { continue };
        if !answers.installed.iter().any(|id| id == wanted) {
            let has =
                if answers.installed.is_empty() { "none".to_owned() } else { answers.installed.join(", ") };
            let seen = format!("`{wanted}` is missing; installed: {has}");
            found.add(Code::PackageNotInstalled, Some(&peer.host), seen);
            missing = true;
        }
        approved = approved.or(Some(answers.approved.as_deref().unwrap_or("no package")));
    }
    if missing || !in_force {
        return true;
    }
    if let Some(approved) = approved.filter(|approved| *approved != wanted) {
        let seen = format!("it approved {approved}; its peers have {wanted}");
        found.add(Code::ApprovalDiffers, Some(&organization.msp_id), seen);
        return true;
    }
    if let Some(serves) = service.serves.as_deref().filter(|serves| *serves != wanted) {
        let seen = format!("it serves {serves}, and its peers call {wanted}");
        found.add(Code::ServedDiffers, Some(&service.name), seen);
        return true;
    }
    false
}

/// Peers through which the chaincode does not answer, for a reason that nothing else tells.
fn check_answers<'a>(peers: impl Iterator<Item = &'a PeerVitals>, found: &mut Findings) {
    for peer in peers {
        let answer = peer.answered().and_then(|answers| answers.chaincode.as_ref());
        if let Some(Err(error)) = answer
            && !found.has(&[Code::BuildStale], &peer.host)
        {
            found.add(Code::ChaincodeSilent, Some(&peer.host), error);
        }
    }
}

/// What peers have built and would not build again.
pub(super) fn check_builds(network: &Network, found: &mut Findings) {
    let Some(chaincode) = &network.spec.chaincode else { return };
    for organization in network.own_organizations() {
        // What was built of earlier packages is asked by nobody.
        let Ok(package) = Package::of_service(chaincode.label_of(&organization.name)) else { continue };
        let build = package.id().replace(':', "-");
        let Some(values) = peer::read_builder_values(&network.layout, organization) else { continue };
        let wanted = [
            ("address", Some(values.address.clone())),
            ("root_cert", files::read(&values.root_cert).ok()),
            ("client_cert", files::read(&values.client_cert).ok()),
        ];
        for host in organization.peers.iter().map(|peer| organization.host(peer)) {
            let built = peer::built(&network.layout, &host);
            for folder in built.iter().filter(|folder| folder.ends_with(&build)) {
                if let Some(field) = stale_field(folder, &wanted) {
                    let seen = format!("`{field}` in {} is another", folder.display());
                    found.add(Code::BuildStale, Some(&host), seen);
                }
            }
        }
    }
}

/// The first field in which a build differs from what it would be now.
fn stale_field<'a>(build: &Path, wanted: &[(&'a str, Option<String>)]) -> Option<&'a str> {
    let text = files::read(&build.join("release/chaincode/server/connection.json")).ok()?;
    let connection: Value = serde_json::from_str(&text).ok()?;
    wanted
        .iter()
        .find(|(field, value)| {
            value
                .as_deref()
                .is_some_and(|value| connection.get(*field).and_then(Value::as_str) != Some(value))
        })
        .map(|(field, _)| *field)
}
