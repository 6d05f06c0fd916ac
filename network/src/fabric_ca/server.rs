//! A Fabric CA server of one organisation: what it is set to, and its process.
//!
//! One server has two CAs with keys of their own, `ca.DOMAIN` for identities and `tlsca.DOMAIN` for TLS. It makes both
//! keys itself and keeps them in the organisation's folder, under `fabric-ca`, which is for the owner alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{FabricCa, FabricCaError};
use crate::ca::{CaError, Home, Signs, random_hex};
use crate::fabric::CA_RELEASE;
use crate::files::{self, FileError};
use crate::overlay::OverlayError;
use crate::process::Service;

/// The identity that registers the others.
pub(super) const REGISTRAR: &str = "registrar";

/// How long certificates serve, as Fabric CA itself has it: a year, and fifteen for its own.
const LEAF_EXPIRY: &str = "8760h";
const AUTHORITY_EXPIRY: &str = "131400h";

/// A list of revoked certificates serves until the channel has another one, so it does not end before the CA.
const LIST_EXPIRY: &str = AUTHORITY_EXPIRY;

/// Why an organisation's Fabric CA cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaSetupError {
    /// Its folder cannot be used.
    #[error("the organisation's folder cannot be used")]
    File(#[from] FileError),
    /// Its configuration cannot be written.
    #[error("the configuration of Fabric CA cannot be written")]
    Config(#[from] OverlayError),
    /// No secret could be drawn.
    #[error("no secret can be drawn for it")]
    Secret(#[source] CaError),
}

/// An organisation's Fabric CA server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(super) home: Home,
    port: u16,
    operations_port: u16,
}

impl Server {
    pub(crate) fn new(home: Home, port: u16, operations_port: u16) -> Self {
        Self { home, port, operations_port }
    }

    /// The name of its process.
    pub(crate) fn name(domain: &str) -> String {
        format!("ca.{domain}")
    }

    /// Its folder, for the owner alone.
    pub(super) fn folder(&self) -> PathBuf {
        self.home.folder().join("fabric-ca")
    }

    /// The file with the registrar's secret.
    pub(super) fn secret_file(&self) -> PathBuf {
        self.folder().join("registrar.secret")
    }

    /// A client of one of its CAs; its certificate must be there.
    pub(crate) fn client(&self, signs: Signs) -> Result<FabricCa, FabricCaError> {
        let url = format!("https://127.0.0.1:{}", self.port);
        let file = self.home.authority(Signs::Identities);
        let roots = files::read(&file)
            .map_err(|error| FabricCaError::Unusable { url: url.clone(), reason: error.to_string() })?;
        FabricCa::new(&url, &roots, Some(&self.ca_name(signs)))
    }

    fn ca_name(&self, signs: Signs) -> String {
        match signs {
            Signs::Identities => format!("ca.{}", self.home.domain()),
            Signs::Tls => format!("tlsca.{}", self.home.domain()),
        }
    }

    /// Writes what it is set to, and describes its process. The registrar's secret is drawn once.
    pub(crate) fn prepare(&self, program: &Path) -> Result<Service, CaSetupError> {
        files::make_folder(self.home.folder())?;
        let folder = self.folder();
        files::make_private_folder(&folder)?;
        let second = folder.join("tlsca");
        files::make_private_folder(&second)?;
        for signs in [Signs::Identities, Signs::Tls] {
            if let Some(parent) = self.home.authority(signs).parent() {
                files::make_folder(parent)?;
            }
        }
        let secret_file = self.secret_file();
        if !secret_file.exists() {
            let secret = random_hex().map_err(CaSetupError::Secret)?;
            files::write_new(&secret_file, files::SECRET, secret.as_bytes())?;
        }
        let secret = files::read(&secret_file)?;
        let name = "fabric-ca-server-config.yaml";
        let of_tls = second.join(name);
        write(&of_tls, &self.of_ca(Signs::Tls, secret.trim()))?;
        let file = folder.join(name);
        write(&file, &self.of_server(&of_tls, secret.trim()))?;
        let own = self.ca_name(Signs::Identities);
        Ok(Service {
            name: own,
            program: program.to_owned(),
            args: vec!["start".into(), "--home".into(), folder.into_os_string()],
            env: BTreeMap::new(),
            ports: vec![self.port, self.operations_port],
            reads: vec![file, of_tls],
        })
    }

    /// The server's settings, with those of its first CA.
    fn of_server(&self, of_tls: &Path, secret: &str) -> Value {
        let mut settings = self.of_ca(Signs::Identities, secret);
        let more = json!({
            "address": "127.0.0.1",
            "port": self.port,
            "debug": false,
            "crlsizelimit": 512_000,
            "tls": { "enabled": true, "certfile": "tls-cert.pem", "clientauth": { "type": "noclientcert" } },
            "cafiles": [of_tls],
            "operations": {
                "listenAddress": format!("127.0.0.1:{}", self.operations_port),
                "tls": { "enabled": false },
            },
            "metrics": { "provider": "prometheus" },
        });
        if let (Some(settings), Value::Object(more)) = (settings.as_object_mut(), more) {
            settings.extend(more);
        }
        settings
    }

    /// One CA's settings.
    fn of_ca(&self, signs: Signs, secret: &str) -> Value {
        let name = self.ca_name(signs);
        // The server's own TLS certificate, which it makes by its first CA, has these names.
        let hosts = match signs {
            Signs::Identities => json!([name, "localhost", "127.0.0.1", "::1"]),
            Signs::Tls => json!([]),
        };
        let tls = json!({
            "usage": ["digital signature", "key encipherment", "server auth", "client auth", "key agreement"],
            "expiry": LEAF_EXPIRY,
        });
        let default = match signs {
            Signs::Identities => json!({ "usage": ["digital signature"], "expiry": LEAF_EXPIRY }),
            Signs::Tls => tls.clone(),
        };
        json!({
            "version": CA_RELEASE,
            "ca": { "name": name, "certfile": self.home.authority(signs) },
            "crl": { "expiry": LIST_EXPIRY },
            "registry": {
                "maxenrollments": -1,
                "identities": [{
                    "name": REGISTRAR,
                    "pass": secret,
                    "type": "client",
                    "affiliation": "",
                    "attrs": {
                        "hf.Registrar.Roles": "*",
                        "hf.Registrar.DelegateRoles": "*",
                        "hf.Revoker": true,
                        "hf.IntermediateCA": true,
                        "hf.GenCRL": true,
                        "hf.Registrar.Attributes": "*",
                        "hf.AffiliationMgr": true,
                    },
                }],
            },
            "db": { "type": "sqlite3", "datasource": "fabric-ca-server.db" },
            "affiliations": {},
            "signing": { "default": default, "profiles": { "tls": tls } },
            "csr": {
                "cn": name,
                "names": [],
                "keyrequest": { "algo": "ecdsa", "size": 256 },
                "hosts": hosts,
                "ca": { "expiry": AUTHORITY_EXPIRY, "pathlength": 1 },
            },
            "bccsp": {
                "default": "SW",
                "sw": { "hash": "SHA2", "security": 256, "filekeystore": { "keystore": "msp/keystore" } },
            },
            "cfg": {
                "identities": { "passwordattempts": 10, "allowremove": true },
                "affiliations": { "allowremove": true },
            },
        })
    }
}

/// It holds the registrar's secret, so it is for the owner alone.
fn write(file: &Path, settings: &Value) -> Result<(), CaSetupError> {
    let text = serde_saphyr::to_string(settings).map_err(|error| OverlayError::Write(error.to_string()))?;
    Ok(files::replace(file, files::SECRET, text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_secret_is_drawn_once_and_for_the_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("peerOrganizations/north.example.com");
        let server = Server::new(Home::new(&folder, "north.example.com"), 7054, 7055);
        let service = server.prepare(Path::new("/bin/false")).unwrap();
        assert_eq!(
            (service.name.as_str(), service.ports.as_slice()),
            ("ca.north.example.com", &[7054, 7055][..])
        );
        let secret = std::fs::read_to_string(server.secret_file()).unwrap();
        assert_eq!(secret.len(), 32);
        assert_eq!(server.prepare(Path::new("/bin/false")).unwrap(), service);
        assert_eq!(std::fs::read_to_string(server.secret_file()).unwrap(), secret);
        for file in service.reads.iter().chain([&server.secret_file()]) {
            let mode = std::fs::metadata(file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        }
        let mode = std::fs::metadata(server.folder()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let arguments: Vec<_> = service.args.iter().map(|argument| argument.to_string_lossy()).collect();
        assert!(!arguments.join(" ").contains(&secret), "a list of processes shows it");
    }
}
