//! Faults of single processes of a network: killed, stopped or restarted, and healed.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use caretrail_records::failure::chain;
use hlf_network::network::Network;
use hlf_network::process::Service;

use crate::processes;
use crate::until::until;

/// How long the kernel may take to end a killed process.
const GONE: Duration = Duration::from_secs(60);

/// What happens to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL; it is started again when it is healed.
    Killed,
    /// SIGSTOP; it goes on when it is healed, its connections as they were.
    Stopped,
    /// SIGTERM, and its end awaited; it is started again when it is healed.
    Restarted,
}

/// One fault to come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Strike {
    /// What is to happen.
    pub fault: Fault,
    /// The process's name.
    pub node: String,
}

/// A process that something happened to.
#[derive(Debug)]
#[must_use = "what is struck is to be healed"]
pub struct Struck {
    /// What happened.
    pub fault: Fault,
    process: Process,
}

/// A process of a network, and all that it takes to start it again.
#[derive(Clone, Debug)]
pub struct Process {
    service: Service,
    pid: u32,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Killed, Self::Stopped, Self::Restarted];

    /// Strikes a process of a network.
    ///
    /// # Panics
    /// When the network has no running process of that name, or it does not end.
    pub async fn strike(self, network: &Network, name: &str) -> Struck {
        let process = Process::of(network, name);
        match self {
            Self::Killed => {
                processes::crash(process.pid);
                until(&format!("`{name}` to be gone"), GONE, async || {
                    network.supervisor().running(name).is_none().then_some(())
                })
                .await;
            }
            Self::Stopped => processes::pause(process.pid),
            Self::Restarted => process.end(network).await,
        }
        Struck { fault: self, process }
    }
}

/// Faults in turn: orderers and peers alternate while there are both, neighbours are struck differently, and every
/// node has been struck in every way before one is struck so again.
pub fn in_turn(orderers: &[String], peers: &[String], count: usize) -> Vec<Strike> {
    let longest = orderers.len().max(peers.len());
    let nodes: Vec<_> =
        (0..longest).flat_map(|index| [orderers.get(index), peers.get(index)]).flatten().collect();
    let pass = |pass: usize| {
        let strike = move |(index, node): (usize, &&String)| Strike {
            fault: Fault::ALL[(index + pass) % Fault::ALL.len()],
            node: (*node).clone(),
        };
        nodes.iter().enumerate().map(strike).collect::<Vec<_>>()
    };
    (0..).flat_map(pass).take(count).collect()
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Killed => "killed",
            Self::Stopped => "stopped",
            Self::Restarted => "restarted",
        })
    }
}

impl Struck {
    /// Starts the process again, or lets it go on; whether it answers is for the caller to ask.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn heal(self, network: &Network) {
        match self.fault {
            Fault::Stopped => processes::resume(self.process.pid),
            Fault::Killed | Fault::Restarted => self.process.start(network).await,
        }
    }
}

impl Process {
    /// A running process of a network, as the kernel knows that it was started.
    ///
    /// # Panics
    /// When the network has no running process of that name.
    pub fn of(network: &Network, name: &str) -> Self {
        let running = network.supervisor().running(name);
        let pid = running.unwrap_or_else(|| panic!("`{name}` does not run")).pid;
        assert!(processes::marked(network.layout().root()).contains(&pid), "{pid} is none of this network");
        let program = fs::read_link(format!("/proc/{pid}/exe")).expect("its program");
        let args = strings(pid, "cmdline").into_iter().skip(1).collect();
        let env = strings(pid, "environ").into_iter().filter_map(|entry| {
            let (name, value) = entry.to_str()?.split_once('=')?;
            Some((name.to_owned(), OsString::from(value)))
        });
        let service = Service {
            name: name.to_owned(),
            program,
            args,
            env: env.collect(),
            ports: Vec::new(),
            reads: Vec::new(),
        };
        Self { service, pid }
    }

    /// The same process with one more variable of its environment, once it is started again.
    #[must_use]
    pub fn with(mut self, variable: &str, value: &str) -> Self {
        self.service.env.insert(variable.to_owned(), value.into());
        self
    }

    /// The same process without a variable of its environment, once it is started again.
    #[must_use]
    pub fn without(mut self, variable: &str) -> Self {
        self.service.env.remove(variable);
        self
    }

    /// Asks it to end and waits for that.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn end(&self, network: &Network) {
        let name = &self.service.name;
        match network.supervisor().stop(name).await {
            Ok(ran) => assert!(ran, "`{name}` does not run"),
            Err(error) => panic!("{}", chain(&error)),
        }
    }

    /// Starts it under the network's supervision.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(&self, network: &Network) {
        if let Err(error) = network.ensure_service(&self.service).await {
            panic!("{}", chain(&error));
        }
    }
}

/// The strings of a file under `/proc`, each ended by a zero byte.
fn strings(pid: u32, file: &str) -> Vec<OsString> {
    let bytes = fs::read(format!("/proc/{pid}/{file}")).expect("a process of this user");
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    bytes.split(|byte| *byte == 0).map(|text| OsString::from_vec(text.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_node_is_struck_in_every_way_before_one_is_again() {
        let names = |stem: &str, count| (0..count).map(|index| format!("{stem}{index}")).collect::<Vec<_>>();
        for (orderers, peers) in [(3, 4), (4, 4), (1, 2)] {
            let all = Fault::ALL.len() * (orderers + peers);
            let strikes = in_turn(&names("orderer", orderers), &names("peer", peers), 2 * all);
            let (first, second) = strikes.split_at(all);
            assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), all);
            assert_eq!(first, second);
            let shortest: BTreeSet<_> = first[..Fault::ALL.len()].iter().map(|strike| strike.fault).collect();
            assert_eq!(shortest.len(), Fault::ALL.len());
            assert_eq!((&*first[0].node, &*first[1].node), ("orderer0", "peer0"));
        }
    }
}
