//! An organisation as the others need it to make or check a channel's first block, as a file without any secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::certificates;
use super::check::DescriptionError;
use super::digest::Digest;
use crate::files::{self, FileError};
use crate::spec::{NodeAddress, ORDERING};

/// The file's first words; another number is another layout.
const FORMAT: &str = "hlf-network description 1";

/// The folders of a public MSP folder that travel.
const MSP_FOLDERS: [&str; 5] = ["cacerts", "intermediatecerts", "tlscacerts", "tlsintermediatecerts", "crls"];
/// The file of it that says how roles are told.
pub(super) const MSP_CONFIG: &str = "config.yaml";

/// What an organisation says of itself: its authorities, and where its nodes are. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// `hlf-network description 1`.
    format: String,
    /// The channel that it is for.
    pub channel: String,
    /// Its name in the consortium's document, `orderer` for the ordering organisation.
    pub organization: String,
    /// Its MSP id.
    pub msp_id: String,
    /// Its DNS domain.
    pub domain: String,
    /// The files of its public MSP folder, by their paths in it: authorities' certificates in PEM, and `config.yaml`.
    pub msp: BTreeMap<String, String>,
    /// Its peers or its consenters.
    pub nodes: Vec<DescribedNode>,
}

/// A node and how it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DescribedNode {
    /// Its host name, which is its name in the network.
    pub host: String,
    /// Where it is found.
    pub endpoint: NodeAddress,
    /// The certificate that it serves with, PEM.
    pub tls_certificate: String,
    /// Of a consenter: the certificate that it signs with, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_certificate: Option<String>,
}

/// A description in a state folder that cannot be read any more.
#[derive(Debug, thiserror::Error)]
#[error("the imported description `{path}` is damaged; import it again")]
pub struct DescriptionFileError {
    path: PathBuf,
    source: Box<DescriptionError>,
}

impl Description {
    /// Describes an organisation by the files of its folder.
    pub(crate) fn of_folder(
        channel: &str,
        (organization, msp_id, domain): (&str, &str, &str),
        home: &Path,
        nodes: &[(String, NodeAddress)],
    ) -> Result<Self, FileError> {
        let mut msp = BTreeMap::new();
        let folder = home.join("msp");
        for name in MSP_FOLDERS {
            let path = folder.join(name);
            if !path.exists() {
                continue;
            }
            for entry in std::fs::read_dir(&path).map_err(|e| FileError::new(&path, "read", e))? {
                let file = entry.map_err(|e| FileError::new(&path, "read", e))?.path();
                let of_file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                msp.insert(format!("{name}/{of_file}"), files::read(&file)?);
            }
        }
        msp.insert(MSP_CONFIG.to_owned(), files::read(&folder.join(MSP_CONFIG))?);
        let ordering = organization == ORDERING;
        let nodes = nodes.iter().map(|(host, endpoint)| {
            let node = home.join(folder_of(ordering)).join(host);
            let identity = node.join(format!("msp/signcerts/{host}-cert.pem"));
            Ok(DescribedNode {
                host: host.clone(),
                endpoint: endpoint.clone(),
                tls_certificate: files::read(&node.join("tls/server.crt"))?,
                identity_certificate: ordering.then(|| files::read(&identity)).transpose()?,
            })
        });
        Ok(Self {
            format: FORMAT.to_owned(),
            channel: channel.to_owned(),
            organization: organization.to_owned(),
            msp_id: msp_id.to_owned(),
            domain: domain.to_owned(),
            nodes: nodes.collect::<Result<_, FileError>>()?,
            msp,
        })
    }

    /// Reads the file; whether it can be so is for [`Description::check`] to say.
    ///
    /// # Errors
    /// [`DescriptionError`] when it is another kind of file.
    pub fn parse(text: &str) -> Result<Self, DescriptionError> {
        let found: Self = serde_json::from_str(text).map_err(DescriptionError::Syntax)?;
        if found.format == FORMAT { Ok(found) } else { Err(DescriptionError::Format(found.format)) }
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// What people read to each other: the same for the same content, however it is written.
    pub fn digest(&self) -> Digest {
        Digest::of(serde_json::to_string(self).unwrap_or_default().as_bytes())
    }

    /// The name that its file usually has.
    pub fn file_name(&self) -> String {
        format!("{}.organization.json", self.organization)
    }

    /// The certificates in a folder of its MSP, PEM.
    pub(crate) fn pems<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a str> {
        let files =
            self.msp.iter().filter(move |(path, _)| path.split_once('/').is_some_and(|at| at.0 == folder));
        files.map(|(_, pem)| pem.as_str())
    }

    /// The same, DER, of what was checked.
    pub(super) fn certificates(&self, folder: &str) -> Vec<Vec<u8>> {
        self.pems(folder).filter_map(|pem| certificates::parse(pem).ok()).flatten().collect()
    }

    /// Demands that every file is one that a public MSP folder may hold.
    pub(super) fn demand_public(&self) -> Result<(), DescriptionError> {
        for (path, text) in &self.msp {
            let plain = |name: &str| {
                !name.starts_with('.')
                    && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
            };
            let known = path
                .split_once('/')
                .is_some_and(|(folder, name)| MSP_FOLDERS.contains(&folder) && plain(name));
            if !known && path != MSP_CONFIG {
                return Err(DescriptionError::File {
                    organization: self.organization.clone(),
                    path: path.clone(),
                });
            }
            if text.contains("PRIVATE KEY") {
                return Err(DescriptionError::Secret {
                    organization: self.organization.clone(),
                    path: path.clone(),
                });
            }
        }
        Ok(())
    }

    /// Lays out what it says as the organisation's folder; false when it is there.
    pub(crate) fn lay_out(&self, home: &Path) -> Result<bool, FileError> {
        if let Some(parent) = home.parent() {
            files::make_folder(parent)?;
        }
        files::make_whole(home, |draft| {
            for (path, text) in &self.msp {
                files::write_new(&draft.join("msp").join(path), files::PUBLIC, text.as_bytes())?;
            }
            // Servers show their own certificate alone, so whoever calls them knows those between it and the root.
            let tls: String = self.pems("tlscacerts").chain(self.pems("tlsintermediatecerts")).collect();
            let name = format!("tlsca/tlsca.{}-cert.pem", self.domain);
            files::write_new(&draft.join(name), files::PUBLIC, tls.as_bytes())?;
            for node in &self.nodes {
                let folder = draft.join(folder_of(self.organization == ORDERING)).join(&node.host);
                let tls = folder.join("tls/server.crt");
                files::write_new(&tls, files::PUBLIC, node.tls_certificate.as_bytes())?;
                if let Some(identity) = &node.identity_certificate {
                    let path = folder.join(format!("msp/signcerts/{}-cert.pem", node.host));
                    files::write_new(&path, files::PUBLIC, identity.as_bytes())?;
                }
            }
            Ok(())
        })
    }

    /// Every description in a folder of imports.
    pub(crate) fn read_all(folder: &Path) -> Result<Vec<Self>, DescriptionFileError> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".json") && !name.starts_with('.')
        });
        paths.sort();
        let read = |path: PathBuf| {
            let found =
                files::read(&path).map_err(DescriptionError::from).and_then(|text| Self::parse(&text));
            found.map_err(|source| DescriptionFileError { path, source: Box::new(source) })
        };
        paths.into_iter().map(read).collect()
    }
}

const fn folder_of(ordering: bool) -> &'static str {
    if ordering { "orderers" } else { "peers" }
}
