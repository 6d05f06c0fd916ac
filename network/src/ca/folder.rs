//! MSP folders as Fabric's own tools lay them out.

use std::path::Path;

use super::certificate::Authority;
use super::key::Key;
use super::{CaError, certificate};
use crate::files::{self, FileError};
use crate::spec::NodeOu;

/// Makes an organisation's two CAs and its public MSP.
pub(crate) fn make_organization(folder: &Path, domain: &str) -> Result<(), CaError> {
    let signing = make_authority(&folder.join("ca"), &format!("ca.{domain}"))?;
    let tls = make_authority(&folder.join("tlsca"), &format!("tlsca.{domain}"))?;
    write_msp(&folder.join("msp"), domain, signing.pem(), tls.pem())
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

/// Writes an organisation's own MSP: both CAs and the node OUs.
pub(super) fn write_msp(msp: &Path, domain: &str, signing: &str, tls: &str) -> Result<(), CaError> {
    let root = format!("cacerts/ca.{domain}-cert.pem");
    files::write_new(&msp.join(&root), files::PUBLIC, signing.as_bytes())?;
    files::write_new(
        &msp.join(format!("tlscacerts/tlsca.{domain}-cert.pem")),
        files::PUBLIC,
        tls.as_bytes(),
    )?;
    files::write_new(&msp.join("config.yaml"), files::PUBLIC, node_ous(Some(&root)).as_bytes())?;
    Ok(())
}

/// Writes a private key for the owner's eyes.
pub(super) fn write_key(folder: &Path, name: &str, key: &Key) -> Result<(), CaError> {
    files::make_private_folder(folder)?;
    files::write_new(&folder.join(name), files::SECRET, key.to_pem()?.as_ref())?;
    Ok(())
}

/// Fabric's `config.yaml` of an MSP, which ties each role to an organisational unit, and to one authority or any of the
/// MSP's.
pub(super) fn node_ous(root: Option<&str>) -> String {
    let mut text = String::from("NodeOUs:\n  Enable: true\n");
    for (field, ou) in [
        ("ClientOUIdentifier", NodeOu::Client),
        ("PeerOUIdentifier", NodeOu::Peer),
        ("AdminOUIdentifier", NodeOu::Admin),
        ("OrdererOUIdentifier", NodeOu::Orderer),
    ] {
        text.push_str(&format!("  {field}:\n"));
        if let Some(root) = root {
            text.push_str(&format!("    Certificate: {root}\n"));
        }
        text.push_str(&format!("    OrganizationalUnitIdentifier: {}\n", ou.as_str()));
    }
    text
}

/// The files of a folder, in order; none when it is not there.
pub(super) fn listed(folder: &Path) -> Result<Vec<String>, FileError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let refused = |e| FileError::new(folder, "read", e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        let name = entry.map_err(refused)?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}
