//! Hosts and their cables, as network namespaces of this machine: nothing of them is seen outside, and all of it ends with the test.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What every namespace of such a test is called by; the process's id and the host follow.
const PREFIX: &str = "hlf-hosts-";
/// The host that all cables lead to.
const SWITCH: &str = "switch";
const BRIDGE: &str = "lan";
/// A host's end of its cable.
const PLUG: &str = "eth0";

const NAMESPACES: &str = "/run/netns";
/// Where `ip netns exec` looks for what stands for files of `/etc`.
const FILES: &str = "/etc/netns";

/// How slow a cable is made: both ways together 150 ms, and one packet of a hundred is lost.
const DELAY: &[&str] = &["netem", "delay", "75ms", "loss", "1%"];
/// Where the kernel knows no delay: as a line of 512 kbit/s, with a queue of less than half a second.
const RATE: &[&str] = &["tbf", "rate", "512kbit", "burst", "4kb", "latency", "400ms"];

/// A switch, and hosts on cables that can be cut and made slow.
pub(crate) struct Lan {
    addresses: BTreeMap<String, Ipv4Addr>,
}

impl Lan {
    /// Stands the switch up, after removing what a killed run of this test left.
    pub(crate) fn new() -> Self {
        let allowed = run(Command::new("ip").args(["netns", "add", &namespace(SWITCH)]));
        assert!(
            allowed.is_ok(),
            "hosts of their own are network namespaces: run `make test-hosts` as root (CAP_NET_ADMIN and CAP_SYS_ADMIN), \
             with iproute2 installed: {allowed:?}"
        );
        let lan = Self { addresses: BTreeMap::new() };
        remove(|owner| !runs(owner));
        lan.ip(SWITCH, &["link", "add", BRIDGE, "type", "bridge"]);
        lan.ip(SWITCH, &["link", "set", BRIDGE, "up"]);
        lan
    }

    /// A host with an address.
    pub(crate) fn plug(&mut self, host: &str, address: Ipv4Addr) {
        let namespace = namespace(host);
        must(Command::new("ip").args(["netns", "add", &namespace]));
        self.ip(SWITCH, &["link", "add", host, "type", "veth", "peer", "name", PLUG, "netns", &namespace]);
        self.ip(SWITCH, &["link", "set", host, "master", BRIDGE, "up"]);
        self.ip(host, &["link", "set", "lo", "up"]);
        self.ip(host, &["addr", "add", &format!("{address}/24"), "dev", PLUG]);
        self.ip(host, &["link", "set", PLUG, "up"]);
        self.addresses.insert(host.to_owned(), address);
    }

    /// The names by which hosts know addresses, and no other.
    pub(crate) fn name(&self, names: &[(&str, Ipv4Addr)]) {
        let mut text = "127.0.0.1 localhost\n".to_owned();
        for (name, address) in names {
            text.push_str(&format!("{address} {name}\n"));
        }
        for host in self.addresses.keys() {
            let folder = Path::new(FILES).join(namespace(host));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("hosts"), &text).unwrap();
            // No name is looked for anywhere else.
            fs::write(folder.join("resolv.conf"), "").unwrap();
        }
    }

    /// Lets a host's programs listen at addresses that other hosts have.
    pub(crate) fn allow_foreign_addresses(&self, host: &str) {
        let set = "echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind";
        must(self.command(host, Path::new("/bin/sh")).args(["-c", set]));
    }

    /// A program on a host.
    pub(crate) fn command(&self, host: &str, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &namespace(host)]).arg(program);
        command
    }

    /// Pulls a host's cable.
    pub(crate) fn cut(&self, host: &str) {
        eprintln!("--- the link of {host} is cut");
        self.ip(SWITCH, &["link", "set", host, "down"]);
    }

    /// Plugs it in again.
    pub(crate) fn mend(&self, host: &str) {
        eprintln!("--- the link of {host} is mended");
        self.ip(SWITCH, &["link", "set", host, "up"]);
    }

    /// Makes a host's cable slow, both ways.
    pub(crate) fn slow_down(&self, host: &str) {
        let ends = [(SWITCH, host), (host, PLUG)];
        let slowed = |how: &[&str]| {
            ends.iter().try_for_each(|(at, device)| {
                let queue = ["qdisc", "replace", "dev", device, "root"];
                run(Command::new("tc").args(["-n", &namespace(at)]).args(queue).args(how))
            })
        };
        if slowed(DELAY).is_ok() {
            eprintln!("--- the link of {host} is slow: {DELAY:?}");
        } else {
            slowed(RATE).unwrap_or_else(|error| panic!("{error}"));
            eprintln!("--- the link of {host} is slow: {RATE:?}, for this kernel has no netem");
        }
    }

    /// Makes it as fast as the others again.
    pub(crate) fn speed_up(&self, host: &str) {
        for (at, device) in [(SWITCH, host), (host, PLUG)] {
            must(Command::new("tc").args(["-n", &namespace(at), "qdisc", "del", "dev", device, "root"]));
        }
        eprintln!("--- the link of {host} is fast again");
    }

    fn ip(&self, host: &str, args: &[&str]) {
        must(Command::new("ip").args(["-n", &namespace(host)]).args(args));
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        remove(|owner| owner == std::process::id());
    }
}

/// The namespace of a host of this process.
pub(crate) fn namespace(host: &str) -> String {
    format!("{PREFIX}{}-{host}", std::process::id())
}

/// Whether a process runs that is this test.
fn runs(pid: u32) -> bool {
    let program = |pid: &str| fs::read_link(format!("/proc/{pid}/exe")).ok();
    let of_this = std::env::current_exe().ok();
    let name = |path: Option<PathBuf>| {
        // A program that was built anew meanwhile is shown as deleted, under its old name.
        path.and_then(|path| Some(path.file_name()?.to_string_lossy().split('-').next()?.to_owned()))
    };
    program(&pid.to_string()).is_some() && name(program(&pid.to_string())) == name(of_this)
}

/// Ends whatever runs in the namespaces of chosen processes, and removes them with their cables.
fn remove(chosen: impl Fn(u32) -> bool) {
    for folder in [NAMESPACES, FILES] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse().ok());
            if !owner.is_some_and(&chosen) {
                continue;
            }
            if folder == FILES {
                let _ = fs::remove_dir_all(entry.path());
                continue;
            }
            let inside = Command::new("ip").args(["netns", "pids", &name]).output();
            let inside = inside.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            for pid in inside.unwrap_or_default().split_whitespace() {
                let _ = run(Command::new("kill").args(["-9", pid]));
            }
            let _ = run(Command::new("ip").args(["netns", "del", &name]));
        }
    }
}

fn must(command: &mut Command) {
    run(command).unwrap_or_else(|error| panic!("{error}"));
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}
