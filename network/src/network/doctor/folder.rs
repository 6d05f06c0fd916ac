//! The state folder and the machine that it lies on.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Checkup, Code, Findings};
use crate::files;
use crate::layout::Layout;
use crate::network::{Network, claim, places};
use crate::node::{self, LISTEN};
use crate::package::Package;
use crate::ports::{self, Holder, Ports};
use crate::process::{MARKER, command_line, variable_of};
use crate::profile::Profile;
use crate::spec::{Consortium, Organization, SpecError};
use crate::wait;

pub(super) fn check(network: &Network, checkup: &Checkup, ports: &Ports, found: &mut Findings) {
    check_lock(&network.layout, found);
    check_spec(network, checkup, found);
    check_disk(network, checkup.disk_free_bytes_min, found);
    for (pid, name) in network.supervisor.unrecorded() {
        found.add(Code::ProcessOrphaned, Some(&name), format!("process {pid} (`{}`)", command_line(pid)));
    }
    check_ports(network, ports, found);
    for organization in network.own_organizations() {
        check_profile(network, organization, ports, found);
    }
}

pub(super) fn check_disk(network: &Network, free_bytes_min: u64, found: &mut Findings) {
    let root = network.layout.root();
    let Ok(disk) = rustix::fs::statvfs(root) else { return };
    let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free_bytes < free_bytes_min {
        let mib = |bytes: u64| bytes >> 20;
        let seen = format!("{} MiB are free, and {} are wanted", mib(free_bytes), mib(free_bytes_min));
        found.add(Code::DiskAlmostFull, None, seen);
    }
}

/// Who holds the folder's lock, by the kernel's table: to try it would keep others from it.
fn check_lock(layout: &Layout, found: &mut Findings) {
    let path = layout.lock();
    let (Ok(file), Ok(holder)) = (std::fs::metadata(&path), files::read(&path)) else { return };
    let Ok(pid) = holder.trim().parse::<u32>() else { return };
    let Ok(table) = std::fs::read_to_string("/proc/locks") else { return };
    let (pid_text, inode) = (pid.to_string(), format!(":{}", file.ino()));
    let held = table.lines().any(|line| {
        let mut fields = line.split_whitespace();
        fields.nth(1) == Some("FLOCK")
            && fields.nth(2) == Some(pid_text.as_str())
            && fields.next().is_some_and(|place| place.ends_with(&inode))
    });
    // Whoever asks may hold it itself, as a test or a daemon does.
    if held {
        found.add(Code::FolderLocked, None, format!("process {pid} (`{}`)", command_line(pid)));
    }
}

fn check_spec(network: &Network, checkup: &Checkup, found: &mut Findings) {
    let made = claim::read(&network.layout).ok();
    let changed = |spec: &Consortium| made.as_ref().and_then(|made| claim::changed(made, spec));
    if let Some(field) = changed(&network.spec) {
        found.add(Code::SpecEdited, None, format!("`{field}` differs"));
    }
    if let Ok(Some(_)) = claim::unfinished(&network.layout) {
        found.add(Code::ApplyUnfinished, None, "the folder notes a spec that is not reached yet");
    }
    let Some(file) = &checkup.spec else { return };
    let document = match files::read(file) {
        Ok(document) => document,
        Err(error) => return found.add(Code::SpecInvalid, None, wait::chain(&error)),
    };
    match Consortium::parse(&document) {
        Ok(spec) => {
            if let Some(field) = changed(&spec) {
                found.add(Code::SpecEdited, None, format!("`{field}` of {} differs", file.display()));
            }
        }
        Err(error) => {
            let code = match &error {
                SpecError::Field { field, fix, .. }
                    if field == "orderer.consenters" && fix.contains("BFT") =>
                {
                    Code::BftTooFew
                }
                SpecError::Field { field, .. }
                    if field.starts_with("chaincode.") && field.ends_with("endorsement") =>
                {
                    Code::PolicyUnsatisfiable
                }
                _ => Code::SpecInvalid,
            };
            found.add(code, None, format!("{}: {}", file.display(), wait::chain(&error)));
        }
    }
}

/// Ports of processes that do not run, on which somebody listens.
fn check_ports(network: &Network, ports: &Ports, found: &mut Findings) {
    let root = network.layout.root();
    for name in network.processes() {
        if network.supervisor.running(&name).is_some() {
            continue;
        }
        for port in ports.of(&name) {
            let Some(holder) = ports::taken_by(port) else { continue };
            let folder = match &holder {
                Holder::Process { pid, .. } => variable_of(*pid, MARKER),
                Holder::Unknown => None,
            };
            match folder {
                Some(folder) if Path::new(&folder) == root => {}
                Some(folder) => {
                    let seen = format!("port {port}: {holder} of the network in {}", folder.display());
                    found.add(Code::PortsForeign, Some(&name), seen);
                }
                None => found.add(Code::PortTaken, Some(&name), format!("port {port}: {holder}")),
            }
        }
    }
}

fn check_profile(network: &Network, organization: &Organization, ports: &Ports, found: &mut Findings) {
    let path = network.layout.profile(&organization.name);
    // Before the first `up` has come to its end there is none.
    if !network.layout.root().join("profiles").exists() {
        return;
    }
    let mut stale = |what: &str| {
        found.add(Code::ProfileStale, Some(&organization.name), format!("{}: {what}", path.display()));
    };
    let profile = match Profile::read(&path) {
        Ok(profile) => profile,
        Err(error) => return stale(&wait::chain(&error)),
    };
    let address = |name: &str| node::loopback(ports, name, LISTEN).ok();
    let public = |name: &str| node::public(ports, name).ok().map(|address| address.to_string());
    let peers: BTreeMap<String, Option<String>> = organization
        .peers
        .iter()
        .map(|peer| organization.host(peer))
        .map(|host| (host.clone(), public(&host)))
        .collect();
    let told: BTreeMap<String, Option<String>> =
        profile.peers.into_iter().map(|peer| (peer.host, Some(peer.address))).collect();
    if profile.msp_id != organization.msp_id || profile.channel != network.spec.channel.name {
        stale("its MSP id or channel is another");
    } else if told != peers {
        stale("it names other peers or addresses");
    } else if let (Some(service), Some(chaincode)) = (profile.chaincode_service, &network.spec.chaincode) {
        let label = chaincode.label_of(&organization.name);
        let package = Package::of_service(label).map(|package| package.id()).ok();
        if address(&places::in_use(&network.layout, organization)) != Some(service.address) {
            stale("it names another address of the chaincode service");
        } else if package != Some(service.package_id) {
            stale("it names another package");
        }
    }
}
