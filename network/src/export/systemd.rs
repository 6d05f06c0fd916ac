//! Units of systemd: one for each process, each with its own data, and with its own keys as credentials.

use std::fmt::Write as _;
use std::path::Path;

use super::workload::{Kind, Site, Workload, unit};
use super::{Export, ExportError, Written};

/// The user as whom all of it runs.
const USER: &str = "hlf-network";
/// Where the machine's administrator puts keys: for root alone, since systemd itself reads them.
const KEYS: &str = "/etc/hlf-network-keys";
const TARGET: &str = "hlf-network.target";

/// What no process of a network needs, each a line of its unit.
const HARDENING: [&str; 26] = [
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "PrivateUsers=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectControlGroups=yes",
    "ProtectProc=invisible",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "RemoveIPC=yes",
    "KeyringMode=private",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
    "UMask=0077",
];

pub(super) fn write(
    export: &Export,
    site: &Site<'_>,
    workloads: &[Workload],
    written: &mut Written,
) -> Result<(), ExportError> {
    for workload in workloads {
        for keystore in workload.secrets.iter().filter_map(|secret| secret.keystore.as_ref()) {
            written.link(Path::new("config").join(keystore), site.keys(&workload.name));
        }
        written.text(format!("systemd/{}", unit(&workload.name)), service(export, workload)?);
    }
    let target = "[Unit]\nDescription=Nodes of a Fabric network\n\n[Install]\nWantedBy=multi-user.target\n";
    written.text(format!("systemd/{TARGET}"), target.to_owned());
    let data = export.paths.data.display();
    written.text("sysusers.d/hlf-network.conf", format!("u {USER} - \"Fabric network\" {data}\n"));
    written.text("README.md", readme(export, workloads));
    Ok(())
}

fn service(export: &Export, workload: &Workload) -> Result<String, ExportError> {
    let what = match workload.kind {
        Kind::Orderer => "Fabric ordering node",
        Kind::Peer => "Fabric peer",
        Kind::Chaincode => "Fabric chaincode service",
    };
    let mut text = format!(
        "[Unit]\nDescription={what} {} of {}\nWants=network-online.target\nAfter=network-online.target\n\
         PartOf={TARGET}\n\n[Service]\nType=exec\nUser={USER}\nGroup={USER}\n",
        workload.name, workload.msp_id
    );
    let program = export.paths.programs.join(&workload.program);
    let words = std::iter::once(program.display().to_string()).chain(workload.args.iter().cloned());
    let words: Vec<String> = words.map(|word| quoted(&word)).collect();
    let _ = writeln!(text, "ExecStart={}", words.join(" "));
    for (name, value) in &workload.env {
        let _ = writeln!(text, "Environment={}", quoted(&format!("{name}={value}")));
    }
    for secret in &workload.secrets {
        let _ = writeln!(text, "LoadCredential={0}:{KEYS}/{1}/{0}", secret.name, workload.name);
    }
    if workload.keeps_data
        && let Ok(below) = export.paths.data.strip_prefix("/var/lib")
    {
        // Made by systemd, and owned by the user.
        let _ = writeln!(text, "StateDirectory={}/{}", below.display(), workload.name);
        let _ = writeln!(text, "StateDirectoryMode=0700");
    } else if workload.keeps_data {
        let _ = writeln!(text, "ReadWritePaths={}", export.paths.data.join(&workload.name).display());
    }
    text.push_str("Restart=on-failure\nRestartSec=2\nTimeoutStopSec=30\nLimitNOFILE=65536\n\n");
    for line in HARDENING {
        text.push_str(line);
        text.push('\n');
    }
    let families = match workload.kind {
        // A peer asks the kernel for this machine's addresses at its start, and ends when it may not.
        Kind::Peer => "AF_INET AF_INET6 AF_UNIX AF_NETLINK",
        Kind::Orderer | Kind::Chaincode => "AF_INET AF_INET6 AF_UNIX",
    };
    let _ = writeln!(text, "RestrictAddressFamilies={families}");
    let _ = write!(text, "\n[Install]\nWantedBy={TARGET}\n");
    Ok(text)
}

/// A word as systemd reads it back.
fn quoted(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    if escaped == word && !word.contains(char::is_whitespace) && !word.is_empty() {
        return escaped;
    }
    format!("\"{escaped}\"")
}

fn readme(export: &Export, workloads: &[Workload]) -> String {
    let config = export.paths.config.display();
    let data = export.paths.data.display();
    let programs = export.paths.programs.display();
    let builder = export.builder.program.file_name().unwrap_or_default().to_string_lossy();
    let mut needed: Vec<&str> = workloads.iter().map(|workload| workload.program.as_str()).collect();
    if workloads.iter().any(|workload| workload.kind == Kind::Peer) {
        needed.push(&builder);
    }
    needed.sort_unstable();
    needed.dedup();
    let needed = needed.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "# Nodes under systemd\n\n\
         As root, in this folder, on the machine that shall run them (systemd 247 or later):\n\n\
         ```sh\n\
         install -D -m 0644 sysusers.d/hlf-network.conf /etc/sysusers.d/hlf-network.conf && systemd-sysusers\n\
         mkdir -p {config} && cp -a config/. {config}/\n\
         install -d -m 0700 {KEYS} && cp -a keys/. {KEYS}/ && chmod -R go= {KEYS}\n\
         cp systemd/* /etc/systemd/system/ && systemctl daemon-reload\n\
         systemctl enable --now {TARGET} {units}\n\
         ```\n\n\
         Before that, put these programs into `{programs}`: {needed}.\n\n\
         Ledgers are not in this folder. To move nodes that have one, stop them where they are, and copy the content of \
         `nodes/NODE/data` of the network's folder to `{data}/NODE`, owned by `{USER}`, before the first start here. Leave `externalbuilder` \
         out: in it are built packages with the old addresses, and a peer builds anew what is not there. They must not run at both places. A node without a \
         ledger has to join the channel: `peer channel join`, `osnadmin channel join`.\n\n\
         Then remove `keys/` from this folder.\n\n\
         | unit | listens |\n|---|---|\n",
        units = workloads.iter().map(|workload| unit(&workload.name)).collect::<Vec<_>>().join(" "),
    );
    for workload in workloads {
        let listens: Vec<String> =
            workload.listens.iter().map(|(purpose, at)| format!("{at} ({purpose})")).collect();
        let _ = writeln!(text, "| `{}` | {} |", unit(&workload.name), listens.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_systemd_reads_them() {
        for (word, written) in [
            ("plain", "plain"),
            ("two words", "\"two words\""),
            ("50%", "\"50%%\""),
            ("a\"b\\c$", "\"a\\\"b\\\\c$$\""),
            ("", "\"\""),
        ] {
            assert_eq!(quoted(word), written);
        }
    }
}
