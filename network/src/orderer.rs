//! One orderer: its configuration over Fabric's own, and its process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::fabric::Binaries;
use crate::files;
use crate::layout::Layout;
use crate::node::{ADMIN, LISTEN, NodeError, OPERATIONS, listen, note_release};
use crate::overlay::Overlay;
use crate::ports::Ports;
use crate::process::Service;
use crate::spec::{Consensus, OrderingService};

/// An ordering node's configuration, in its folder.
pub(crate) const CONFIG: &str = "orderer.yaml";

/// Writes an orderer's folder and describes its process.
pub(crate) fn prepare(
    orderer: &OrderingService,
    consenter: &str,
    layout: &Layout,
    ports: &Ports,
    binaries: &Binaries,
) -> Result<Service, NodeError> {
    let host = orderer.host(consenter);
    let node = layout.node(&host);
    files::make_folder(&node)?;
    note_release(&node, &host, binaries.version())?;
    crate::node::own_data(layout, &host, &orderer.msp_id)?;
    let sample = files::read(&binaries.sample_config().join(CONFIG))?;
    let mut config = Overlay::parse(&sample)?;
    configure(&mut config, orderer, &host, layout, ports)?;
    config.demand_on("ChannelParticipation.Enabled")?;
    config.demand_on("Admin.TLS.ClientAuthRequired")?;
    let path = node.join(CONFIG);
    files::replace(&path, files::PUBLIC, config.to_yaml()?.as_bytes())?;

    let home = folder(layout, orderer, &host);
    Ok(Service {
        name: host.clone(),
        program: binaries.orderer(),
        args: Vec::new(),
        env: BTreeMap::from([("FABRIC_CFG_PATH".to_owned(), node.into_os_string())]),
        ports: ports.of(&host),
        reads: vec![path, home.join("tls/server.crt"), home.join(format!("msp/signcerts/{host}-cert.pem"))],
    })
}

/// An orderer's folder of keys and certificates.
pub(crate) fn folder(layout: &Layout, orderer: &OrderingService, host: &str) -> PathBuf {
    layout.ordering_organization(orderer).join("orderers").join(host)
}

/// Sets an orderer's whole configuration, but for what depends on Fabric's release.
pub(crate) fn configure(
    config: &mut Overlay,
    orderer: &OrderingService,
    host: &str,
    layout: &Layout,
    ports: &Ports,
) -> Result<(), NodeError> {
    let home = folder(layout, orderer, host);
    let tls = home.join("tls");
    let certificate = json!(tls.join("server.crt"));
    let key = json!(tls.join("server.key"));
    let roots = json!([tls.join("ca.crt")]);
    let address = listen(ports, host, LISTEN)?;
    config
        .set("General.ListenAddress", address.ip().to_string())?
        .set("General.ListenPort", address.port())?
        .set("General.LocalMSPID", orderer.msp_id.as_str())?
        .set("General.LocalMSPDir", json!(home.join("msp")))?
        .set("General.TLS.Enabled", true)?
        .set("General.TLS.Certificate", certificate.clone())?
        .set("General.TLS.PrivateKey", key.clone())?
        .set("General.TLS.RootCAs", roots.clone())?
        .set("General.Cluster.ClientCertificate", certificate.clone())?
        .set("General.Cluster.ClientPrivateKey", key.clone())?
        // Peers ask every ten seconds whether the link stands.
        .set("General.Keepalive.ServerMinInterval", "5s")?
        .set("ChannelParticipation.Enabled", true)?
        .set("Admin.ListenAddress", listen(ports, host, ADMIN)?.to_string())?
        .set("Admin.TLS.Enabled", true)?
        .set("Admin.TLS.Certificate", certificate.clone())?
        .set("Admin.TLS.PrivateKey", key.clone())?
        .set("Admin.TLS.ClientAuthRequired", true)?
        .set("Admin.TLS.ClientRootCAs", roots.clone())?
        .set("Operations.ListenAddress", listen(ports, host, OPERATIONS)?.to_string())?
        .set("Operations.TLS.Enabled", true)?
        .set("Operations.TLS.Certificate", certificate)?
        .set("Operations.TLS.PrivateKey", key)?
        .set("Operations.TLS.ClientRootCAs", roots)?
        .set("Metrics.Provider", "prometheus")?;
    keep_data(config, orderer, &layout.node(host).join("data"))?;
    // Fabric 2.5 would start with a system channel; 3 knows no such thing.
    if config.value("General.BootstrapMethod").is_some() {
        config.set("General.BootstrapMethod", "none")?;
    }
    Ok(())
}

/// Sets where an orderer keeps its ledger and what its protocol writes.
pub(crate) fn keep_data(
    config: &mut Overlay,
    orderer: &OrderingService,
    data: &Path,
) -> Result<(), NodeError> {
    let protocol = match orderer.consensus {
        Consensus::Raft => "raft",
        Consensus::Bft => "bft",
    };
    config
        .set("FileLedger.Location", json!(data.join("ledger")))?
        .set("Consensus.WALDir", json!(data.join(protocol).join("wal")))?
        .set("Consensus.SnapDir", json!(data.join(protocol).join("snapshots")))?;
    Ok(())
}
