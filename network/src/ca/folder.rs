//! MSP folders as Fabric's own tools lay them out.

use std::path::Path;

use super::certificate::Authority;
use super::key::Key;
use super::{CaError, certificate};
use crate::files;
use crate::spec::NodeOu;

/// Makes an organisation's two CAs and its public MSP.
pub(super) fn make_organization(folder: &Path, domain: &str) -> Result<(), CaError> {
    let signing = make_authority(&folder.join("ca"), &format!("ca.{domain}"))?;
    let tls = make_authority(&folder.join("tlsca"), &format!("tlsca.{domain}"))?;
    write_trust(&folder.join("msp"), domain, &signing, &tls)
}

fn make_authority(folder: &Path, name: &str) -> Result<Authority, CaError> {
    let (pem, key) = certificate::Authority::make(name)?;
    files::write_new(&folder.join(format!("{name}-cert.pem")), files::PUBLIC, pem.as_bytes())?;
    write_key(folder, "priv_sk", &key)?;
    open_authority(folder, name)
}

/// Reads a CA back from its folder.
pub(super) fn open_authority(folder: &Path, name: &str) -> Result<Authority, CaError> {
    let certificate = files::read(&folder.join(format!("{name}-cert.pem")))?;
    let key = files::read(&folder.join("priv_sk"))?;
    Authority::from_pem(certificate, &key)
        .map_err(|what| CaError::Damaged { folder: folder.to_owned(), what })
}

/// Writes the public part of an MSP: both CAs and the node OUs.
pub(super) fn write_trust(
    msp: &Path,
    domain: &str,
    signing: &Authority,
    tls: &Authority,
) -> Result<(), CaError> {
    let root = format!("cacerts/ca.{domain}-cert.pem");
    files::write_new(&msp.join(&root), files::PUBLIC, signing.pem().as_bytes())?;
    files::write_new(
        &msp.join(format!("tlscacerts/tlsca.{domain}-cert.pem")),
        files::PUBLIC,
        tls.pem().as_bytes(),
    )?;
    files::write_new(&msp.join("config.yaml"), files::PUBLIC, node_ous(&root).as_bytes())?;
    Ok(())
}

/// Writes a private key for the owner's eyes.
pub(super) fn write_key(folder: &Path, name: &str, key: &Key) -> Result<(), CaError> {
    files::make_private_folder(folder)?;
    files::write_new(&folder.join(name), files::SECRET, key.to_pem()?.as_ref())?;
    Ok(())
}

/// Fabric's `config.yaml` of an MSP, which ties each role to an organisational unit.
fn node_ous(root: &str) -> String {
    let mut text = String::from("NodeOUs:\n  Enable: true\n");
    for (field, ou) in [
        ("ClientOUIdentifier", NodeOu::Client),
        ("PeerOUIdentifier", NodeOu::Peer),
        ("AdminOUIdentifier", NodeOu::Admin),
        ("OrdererOUIdentifier", NodeOu::Orderer),
    ] {
        text.push_str(&format!(
            "  {field}:\n    Certificate: {root}\n    OrganizationalUnitIdentifier: {}\n",
            ou.as_str()
        ));
    }
    text
}
