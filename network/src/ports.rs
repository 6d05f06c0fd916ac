//! Ports: chosen once, kept with the network, and named with their holder when somebody else has one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self as unix, UnixDatagram};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::exchange::DescriptionFileError;
use crate::files::{self, FileError};
use crate::layout::Layout;
use crate::process::{MARKER, command_line};
use crate::spec::NodeAddress;

/// Chosen ports are below Linux's range for outgoing connections, which would otherwise take one now and then.
const LOWEST: u16 = 20_000;
const HIGHEST: u16 = 31_999;

/// The ports of every process, by process name and purpose.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Ports {
    chosen: BTreeMap<String, BTreeMap<String, u16>>,
    #[serde(skip)]
    places: BTreeMap<String, Place>,
    #[serde(skip)]
    reserved: Reserved,
}

/// Where a node is found and listens, as far as it is not at a chosen port of 127.0.0.1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// Where the others find it.
    pub(crate) public: Option<NodeAddress>,
    /// Where it listens, by purpose.
    pub(crate) listens: BTreeMap<&'static str, SocketAddr>,
}

/// Ports that were chosen just now: nobody else who asks the same way is given them while this lives, though nothing
/// may listen on them yet.
///
/// Each is a socket with a name of its own in Linux's abstract namespace, which the kernel forgets with its process.
#[derive(Debug, Clone, Default)]
struct Reserved(Vec<Arc<UnixDatagram>>);

impl PartialEq for Reserved {
    /// Who holds them makes no difference to which ports they are.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Reserved {}

impl Reserved {
    /// Reserves a port; false when somebody else has.
    fn take(&mut self, port: u16) -> bool {
        let name = format!("hlf-network/port/{port}");
        let taken =
            unix::SocketAddr::from_abstract_name(name).and_then(|name| UnixDatagram::bind_addr(&name));
        taken.map(|socket| self.0.push(Arc::new(socket))).is_ok()
    }
}

/// Why ports could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Somebody else listens on a port of this network.
    #[error(
        "port {port} of `{process}` is in use by {holder}; stop that process, or destroy this network and make it anew"
    )]
    InUse {
        /// The port.
        port: u16,
        /// The process of this network that it belongs to.
        process: String,
        /// Who has it.
        holder: Holder,
    },
    /// The operating system lets nobody listen there.
    #[error("`{process}` cannot listen at {address}; let it listen at an address of this machine")]
    Address {
        /// The address.
        address: SocketAddr,
        /// The process of this network that it belongs to.
        process: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// No port was free.
    #[error("no free port was found on 127.0.0.1 from {LOWEST} to {HIGHEST}")]
    NoneFree,
    /// The kept ports cannot be read.
    #[error(
        "`{path}` is damaged ({reason}); the channel names these ports, so restore it, or destroy the network"
    )]
    Damaged {
        /// The file of ports.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Where another organisation's nodes are cannot be read.
    #[error("the addresses of another organisation's nodes cannot be read")]
    Description(#[from] DescriptionFileError),
    /// The file of ports cannot be read or written.
    #[error("the ports cannot be kept")]
    File(#[from] FileError),
}

/// The process that listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A process that this user may look at.
    Process {
        /// Its id.
        pid: u32,
        /// Its command line.
        command: String,
    },
    /// A process of another user.
    Unknown,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Holder::Process { pid, command } => write!(f, "process {pid} (`{command}`)"),
            Holder::Unknown => f.write_str("a process of another user"),
        }
    }
}

impl Ports {
    /// Reads the kept ports and chooses those that are wanted and not there yet.
    pub(crate) fn keep(
        path: &Path,
        wanted: impl IntoIterator<Item = (String, &'static [&'static str])>,
    ) -> Result<Self, PortError> {
        let mut ports = Self::read(path)?;
        let before = ports.clone();
        let mut taken = None;
        for (process, purposes) in wanted {
            let of_process = ports.chosen.entry(process).or_default();
            for purpose in purposes {
                if !of_process.contains_key(*purpose) {
                    let taken = taken.get_or_insert_with(|| of_running_networks(path));
                    let port = free_port(taken, &mut ports.reserved)?;
                    of_process.insert((*purpose).to_owned(), port);
                }
            }
        }
        if ports != before {
            files::replace_json(path, &ports)?;
        }
        Ok(ports)
    }

    /// Reads the kept ports; none when there is no file.
    pub(crate) fn read(path: &Path) -> Result<Self, PortError> {
        if !path.exists() {
            return Ok(Self::default());
        }
        serde_json::from_str(&files::read(path)?)
            .map_err(|error| PortError::Damaged { path: path.to_owned(), reason: error.to_string() })
    }

    /// The same, with the nodes that are elsewhere than at chosen ports of 127.0.0.1.
    pub(crate) fn at(mut self, places: BTreeMap<String, Place>) -> Self {
        self.places = places;
        self
    }

    /// The same, with one node elsewhere.
    pub(crate) fn with(mut self, process: &str, place: Place) -> Self {
        self.places.insert(process.to_owned(), place);
        self
    }

    /// Where a node is found and listens, when that is said.
    pub(crate) fn place(&self, process: &str) -> Option<&Place> {
        self.places.get(process)
    }

    /// The port of a process for a purpose, when it was chosen.
    pub(crate) fn port(&self, process: &str, purpose: &str) -> Option<u16> {
        self.chosen.get(process)?.get(purpose).copied()
    }

    /// Every process that ever had a port.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.chosen.keys().map(String::as_str)
    }

    /// The ports of a process.
    pub(crate) fn of(&self, process: &str) -> Vec<u16> {
        self.chosen.get(process).map(|ports| ports.values().copied().collect()).unwrap_or_default()
    }
}

/// Demands that nobody listens on these ports.
pub(crate) fn demand_free(process: &str, ports: &[u16]) -> Result<(), PortError> {
    for port in ports {
        if let Some(holder) = taken_by(*port) {
            return Err(PortError::InUse { port: *port, process: process.to_owned(), holder });
        }
    }
    Ok(())
}

/// Who listens on a port, if anybody does.
pub(crate) fn taken_by(port: u16) -> Option<Holder> {
    listen(port).is_none().then(|| holder(port))
}

/// Demands that a process can listen at addresses that were not chosen.
pub(crate) fn demand_free_at<'a>(
    process: &str,
    addresses: impl IntoIterator<Item = &'a SocketAddr>,
) -> Result<(), PortError> {
    for address in addresses {
        match TcpListener::bind(address) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                let port = address.port();
                return Err(PortError::InUse { port, process: process.to_owned(), holder: holder(port) });
            }
            Err(source) => {
                let process = process.to_owned();
                return Err(PortError::Address { address: *address, process, source });
            }
        }
    }
    Ok(())
}

fn listen(port: u16) -> Option<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).ok()
}

/// The ports of other networks of which anything runs: not all of their processes need listen now.
fn of_running_networks(own: &Path) -> BTreeSet<u16> {
    let folders: BTreeSet<_> =
        crate::process::all().filter_map(|pid| crate::process::variable_of(pid, MARKER)).collect();
    folders
        .into_iter()
        .map(|folder| Layout::new(folder.into()).ports())
        .filter(|path| path != own)
        .filter_map(|path| Ports::read(&path).ok())
        .flat_map(|ports| ports.chosen.into_values().flat_map(BTreeMap::into_values))
        .collect()
}

fn free_port(taken: &BTreeSet<u16>, reserved: &mut Reserved) -> Result<u16, PortError> {
    let span = HIGHEST - LOWEST + 1;
    // A start of its own keeps networks apart, those that are down as well.
    let mut seed = [0; 2];
    getrandom::fill(&mut seed).map_err(|_| PortError::NoneFree)?;
    let start = u16::from_le_bytes(seed) % span;
    (0..span)
        .map(|step| LOWEST + (start + step) % span)
        .find(|port| !taken.contains(port) && listen(*port).is_some() && reserved.take(*port))
        .ok_or(PortError::NoneFree)
}

/// Finds who listens on a port, by the kernel's table of sockets.
fn holder(port: u16) -> Holder {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| {
            table
                .lines()
                .filter_map(|line| listening_inode(line, port))
                .map(|inode| format!("socket:[{inode}]"))
                .collect::<Vec<_>>()
        })
        .collect();
    crate::process::all()
        .find(|pid| {
            fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|open| {
                open.flatten().any(|file| {
                    fs::read_link(file.path())
                        .is_ok_and(|to| sockets.iter().any(|socket| to == Path::new(socket)))
                })
            })
        })
        .map_or(Holder::Unknown, |pid| Holder::Process { pid, command: command_line(pid) })
}

/// The inode of a line of the table when it listens (state `0A`) on this port.
fn listening_inode(line: &str, port: u16) -> Option<&str> {
    let mut fields = line.split_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    let listened = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
    (listened == port && state == "0A").then_some(inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PURPOSES: &[&str] = &["listen", "operations"];

    #[test]
    fn ports_are_chosen_once_and_differ() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ports.json");
        let wanted = || ["a", "b", "c"].map(|name| (name.to_owned(), PURPOSES));
        let first = Ports::keep(&path, wanted()).unwrap();
        let mut all: Vec<u16> = ["a", "b", "c"].iter().flat_map(|n| first.of(n)).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6);
        assert_eq!(Ports::keep(&path, wanted()).unwrap(), first);
        let more = Ports::keep(&path, [("d".to_owned(), PURPOSES)]).unwrap();
        assert_eq!(more.port("a", "listen"), first.port("a", "listen"));
        assert!(more.port("d", "operations").is_some());
        assert_eq!(more.port("d", "admin"), None);
    }

    #[test]
    fn a_taken_port_is_named_with_its_holder() {
        let port = free_port(&BTreeSet::new(), &mut Reserved::default()).unwrap();
        let listener = listen(port).unwrap();
        let error = demand_free("peer0", &[port]).unwrap_err();
        let PortError::InUse { holder, .. } = &error else { panic!("{error:?}") };
        assert!(matches!(holder, Holder::Process { pid, .. } if *pid == std::process::id()), "{error}");
        drop(listener);
        demand_free("peer0", &[port]).unwrap();
    }

    #[test]
    fn ports_of_a_network_that_runs_are_left_to_it() {
        let other = tempfile::tempdir().unwrap();
        let ports = Ports::keep(&other.path().join("ports.json"), [("a".to_owned(), PURPOSES)]).unwrap();
        let mut process =
            std::process::Command::new("sleep").arg("1000").env(MARKER, other.path()).spawn().unwrap();
        let own = other.path().with_extension("own").join("ports.json");
        // The kernel shows a new program's environment a moment after it was started.
        let begun = std::time::Instant::now();
        let mut seen = BTreeSet::new();
        while !ports.of("a").iter().all(|port| seen.contains(port)) && begun.elapsed().as_secs() < 30 {
            seen = of_running_networks(&own);
            std::thread::yield_now();
        }
        let of_own = of_running_networks(&other.path().join("ports.json"));
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(ports.of("a").iter().all(|port| seen.contains(port)));
        assert!(ports.of("a").iter().all(|port| !of_own.contains(port)));
    }

    #[test]
    fn a_port_is_chosen_by_one_at_a_time() {
        let mut one = Reserved::default();
        let port = free_port(&BTreeSet::new(), &mut one).unwrap();
        let all_but_it: BTreeSet<u16> = (LOWEST..=HIGHEST).filter(|other| *other != port).collect();
        let mut other = Reserved::default();
        assert!(matches!(free_port(&all_but_it, &mut other), Err(PortError::NoneFree)));
        drop(one);
        assert_eq!(free_port(&all_but_it, &mut other).unwrap(), port);
    }

    #[test]
    fn an_address_that_cannot_be_listened_at_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = demand_free_at("peer0", &[address]).unwrap_err();
        assert!(matches!(error, PortError::InUse { .. }), "{error}");
        // Of a range for documentation, which no machine has.
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 7051));
        let error = demand_free_at("peer0", &[elsewhere]).unwrap_err();
        assert!(error.to_string().contains("`peer0` cannot listen at 192.0.2.1:7051"), "{error}");
        drop(taken);
        demand_free_at("peer0", &[address]).unwrap();
    }

    #[test]
    fn damaged_ports_are_not_chosen_anew() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ports.json");
        fs::write(&path, "{\"a\": 70000}").unwrap();
        assert!(matches!(Ports::keep(&path, []), Err(PortError::Damaged { .. })));
    }

    #[test]
    fn a_line_of_the_kernels_table_is_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0 100 0";
        assert_eq!(listening_inode(line, 8080), Some("12345"));
        assert_eq!(listening_inode(line, 8081), None);
        assert_eq!(listening_inode("sl local_address rem_address", 1), None);
    }
}
