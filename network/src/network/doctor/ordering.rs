//! The ordering service: enough nodes, a leader, and nobody behind.

use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Code, Findings};
use crate::files;
use crate::network::Network;
use crate::network::vitals::Vitals;
use crate::node;
use crate::orderer;
use crate::ports::Ports;

pub(super) fn check(network: &Network, ports: &Ports, vitals: &Vitals, found: &mut Findings) {
    let service = &network.spec.orderer;
    check_certificates(network, ports, vitals, found);
    let nodes = vitals.orderers.len();
    let quorum = service.consensus.quorum(nodes);
    let living: Vec<_> = vitals.orderers.iter().filter(|orderer| orderer.participation().is_some()).collect();
    for orderer in &vitals.orderers {
        if let Some(Ok(None)) = orderer.channel {
            let seen = format!("it knows no channel `{}`", network.spec.channel.name);
            found.add(Code::OrdererNotJoined, Some(&orderer.host), seen);
        }
    }
    let asked = vitals.orderers.iter().any(|orderer| matches!(orderer.channel, Some(Ok(_))));
    let down = vitals.orderers.iter().any(|orderer| orderer.pid.is_none());
    if living.len() < quorum && (asked || down) {
        let seen = format!("{} of {nodes} live, and {quorum} are needed", living.len());
        found.add(Code::NoQuorum, None, seen);
    } else if !living.is_empty()
        && !living.iter().any(|orderer| orderer.has_leader())
        && living.iter().any(|orderer| orderer.leader.is_some())
    {
        let seen = format!("{} of {nodes} live, and each says that it does not lead", living.len());
        found.add(Code::NoLeader, None, seen);
    }
    let highest = vitals.height().unwrap_or_default();
    for orderer in &vitals.orderers {
        if let Some(height) = orderer.height().filter(|height| *height < highest)
            && !found.has(&[Code::ConsenterCertificateDiffers], &orderer.host)
        {
            let seen = format!("it has {height} blocks of {highest}");
            found.add(Code::OrdererBehind, Some(&orderer.host), seen);
        }
    }
}

/// Whether each orderer uses the TLS key that the channel knows of it.
fn check_certificates(network: &Network, ports: &Ports, vitals: &Vitals, found: &mut Findings) {
    let Some(consenters) = vitals.config.as_ref().and_then(|config| config.consenters().ok()) else { return };
    let service = &network.spec.orderer;
    for host in network.own_consenters().iter().map(|consenter| service.host(consenter)) {
        let Ok(address) = node::public(ports, &host) else { continue };
        let known = consenters.iter().find(|known| known.host == address.host && known.port == address.port);
        let file = orderer::folder(&network.layout, service, &host).join("tls/server.crt");
        let (Some(known), Ok(pem)) = (known, files::read(&file)) else { continue };
        if let (Some(known), Some(used)) =
            (public_key(&known.certificates.server), public_key(pem.as_bytes()))
            && known != used
            && !found.has(&[Code::TlsRootForeign], &host)
        {
            let seen = format!("{} is for another key", file.display());
            found.add(Code::ConsenterCertificateDiffers, Some(&host), seen);
        }
    }
}

fn public_key(pem: &[u8]) -> Option<Vec<u8>> {
    let (_, pem) = parse_x509_pem(pem).ok()?;
    let (_, certificate) = X509Certificate::from_der(&pem.contents).ok()?;
    Some(certificate.public_key().raw.to_vec())
}
