//! Chaincode packages of an external service: the same bytes, and so the same id, wherever they are made.
//!
//! A package holds no address and no key. Its `connection.json` has placeholders that each organisation's
//! [builder](crate::builder) fills from local files, so one package id serves every organisation.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use crate::builder::Field;

/// The package type that this crate's builder, and Fabric's own, recognise.
pub const TYPE: &str = "ccaas";

/// How long a peer waits for a connection to the service.
const DIAL_TIMEOUT: &str = "10s";

/// A gzip header's number for an operating system that is not said.
const UNKNOWN_OS: u8 = 255;

/// A package of an external chaincode service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    label: String,
    bytes: Vec<u8>,
}

impl Package {
    /// Makes the package with this label, which [`spec`](crate::spec) has checked.
    ///
    /// # Errors
    /// An [`io::Error`] when memory for it cannot be had.
    pub fn of_service(label: &str) -> io::Result<Self> {
        let connection = serde_json::json!({
            "address": Field::Address.placeholder(),
            "dial_timeout": DIAL_TIMEOUT,
            "tls_required": true,
            "client_auth_required": true,
            "root_cert": Field::RootCert.placeholder(),
            "client_cert": Field::ClientCert.placeholder(),
            "client_key": Field::ClientKey.placeholder(),
        });
        let code = archive(&[("connection.json", connection.to_string().as_bytes())])?;
        let metadata = serde_json::json!({ "type": TYPE, "label": label });
        let bytes = archive(&[("metadata.json", metadata.to_string().as_bytes()), ("code.tar.gz", &code)])?;
        Ok(Self { label: label.to_owned(), bytes })
    }

    /// The label, the first part of the id.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The bytes of the `.tar.gz` file, as they are installed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The package id: `LABEL:` and 64 hexadecimal characters, the SHA-256 of the bytes.
    pub fn id(&self) -> String {
        format!("{}:{}", self.label, hex::encode(Sha256::digest(&self.bytes)))
    }
}

/// A gzipped tar of regular files that tells nothing of when, where and by whom it was made.
///
/// It is stored, not compressed: another release of the compressor would give other bytes.
fn archive(files: &[(&str, &[u8])]) -> io::Result<Vec<u8>> {
    let gzip = GzBuilder::new().mtime(0).operating_system(UNKNOWN_OS).write(Vec::new(), Compression::none());
    let mut tar = tar::Builder::new(gzip);
    for (name, content) in files {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, *content)?;
    }
    let mut gzip = tar.into_inner()?;
    gzip.flush()?;
    gzip.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn unpack(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
        archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                assert_eq!(entry.header().entry_type(), EntryType::Regular);
                assert_eq!(entry.header().mtime().unwrap(), 0);
                let name = entry.path().unwrap().to_str().unwrap().to_owned();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                (name, content)
            })
            .collect()
    }

    #[test]
    fn the_same_label_gives_the_same_id_for_ever() {
        let package = Package::of_service("basic_1.0").unwrap();
        assert_eq!(package, Package::of_service("basic_1.0").unwrap());
        assert_eq!(
            package.id(),
            "basic_1.0:4af476860963699b4c7d3614bf6dde12443851f089ae756610dac8112f0151b4"
        );
        assert_ne!(package.id(), Package::of_service("basic_1.1").unwrap().id());
    }

    #[test]
    fn it_holds_what_fabric_reads_and_no_key() {
        let package = Package::of_service("basic_1.0").unwrap();
        let outer = unpack(package.bytes());
        let names: Vec<&str> = outer.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["metadata.json", "code.tar.gz"]);
        let metadata: serde_json::Value = serde_json::from_slice(&outer[0].1).unwrap();
        assert_eq!(metadata, serde_json::json!({"type": "ccaas", "label": "basic_1.0"}));
        let inner = unpack(&outer[1].1);
        assert_eq!(inner[0].0, "connection.json");
        let connection: serde_json::Value = serde_json::from_slice(&inner[0].1).unwrap();
        assert_eq!(connection["tls_required"], true);
        assert_eq!(connection["client_auth_required"], true);
        assert_eq!(connection["client_key"], "{{.client_key}}");
    }
}
