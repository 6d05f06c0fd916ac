//! A connection profile as Fabric's own clients and tools know it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files::{self, FileError};
use crate::profile::{PeerProfile, Profile};

/// How to reach a network as one of its organisations, in the form that programs on Fabric's SDKs read.
///
/// It holds everything in itself and no path: it may be copied to another machine. It has no key and no certificate of a
/// user. Source: the connection profile of Fabric's SDK for Node.js, version 1.0.0 of its format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConnectionProfile {
    /// The network as this organisation sees it: `CHANNEL-ORGANISATION`.
    pub name: String,
    /// Version of the form, `1.0.0`.
    pub version: String,
    /// As whom the reader acts.
    pub client: Client,
    /// Channels, by their names.
    pub channels: BTreeMap<String, Channel>,
    /// The organisation, by its short name.
    pub organizations: BTreeMap<String, Organization>,
    /// The organisation's peers, by their host names.
    pub peers: BTreeMap<String, Peer>,
}

/// As whom the reader of a connection profile acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Client {
    /// Short name of the organisation.
    pub organization: String,
}

/// What is known of a channel: further peers are found through these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Channel {
    /// The organisation's peers in it, by their host names, with what each may be asked.
    pub peers: BTreeMap<String, Duties>,
}

/// What a peer may be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Duties {
    /// Endorsements.
    pub endorsing_peer: bool,
    /// Evaluations of chaincode.
    pub chaincode_query: bool,
    /// Blocks and transactions.
    pub ledger_query: bool,
    /// Events.
    pub event_source: bool,
    /// Which peers endorse what.
    pub discover: bool,
}

/// An organisation and its peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Organization {
    /// Its MSP id.
    pub mspid: String,
    /// Host names of its peers, the preferred one first.
    pub peers: Vec<String>,
}

/// A peer and how it is reached and known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Peer {
    /// `grpcs://host:port`.
    pub url: String,
    /// Whose TLS certificate it shows.
    #[serde(rename = "tlsCACerts")]
    pub tls_ca_certs: TlsCaCerts,
    /// How gRPC knows it.
    pub grpc_options: GrpcOptions,
}

/// Authorities of TLS certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TlsCaCerts {
    /// Certificates, PEM.
    pub pem: String,
}

/// Options of a gRPC connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GrpcOptions {
    /// The host name that its TLS certificate must have.
    #[serde(rename = "ssl-target-name-override")]
    pub ssl_target_name_override: String,
    /// The same, by the name that older SDKs know.
    #[serde(rename = "hostnameOverride")]
    pub hostname_override: String,
}

impl ConnectionProfile {
    /// The connection profile of the organisation that a profile is of.
    ///
    /// # Errors
    /// [`FileError`] when the TLS CA's certificate cannot be read.
    pub fn of(profile: &Profile) -> Result<Self, FileError> {
        let pem = files::read(&profile.tls_ca)?;
        let hosts: Vec<String> = profile.peers.iter().map(|peer| peer.host.clone()).collect();
        let all = Duties {
            endorsing_peer: true,
            chaincode_query: true,
            ledger_query: true,
            event_source: true,
            discover: true,
        };
        let in_channel = Channel { peers: hosts.iter().map(|host| (host.clone(), all.clone())).collect() };
        let peer = |peer: &PeerProfile| Peer {
            url: format!("grpcs://{}", peer.address),
            tls_ca_certs: TlsCaCerts { pem: pem.clone() },
            grpc_options: GrpcOptions {
                ssl_target_name_override: peer.host.clone(),
                hostname_override: peer.host.clone(),
            },
        };
        let organization = Organization { mspid: profile.msp_id.clone(), peers: hosts };
        Ok(Self {
            name: format!("{}-{}", profile.channel, profile.organization),
            version: "1.0.0".to_owned(),
            client: Client { organization: profile.organization.clone() },
            channels: BTreeMap::from([(profile.channel.clone(), in_channel)]),
            organizations: BTreeMap::from([(profile.organization.clone(), organization)]),
            peers: profile.peers.iter().map(|its| (its.host.clone(), peer(its))).collect(),
        })
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), FileError> {
        files::replace_json(path, self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_connection_profile_has_the_fields_that_sdks_read() {
        let home = tempfile::tempdir().unwrap();
        let tls_ca = home.path().join("tlsca.pem");
        std::fs::write(&tls_ca, "a certificate").unwrap();
        let profile = Profile {
            organization: "north".to_owned(),
            msp_id: "NorthMSP".to_owned(),
            domain: "north.example.com".to_owned(),
            channel: "consortium".to_owned(),
            chaincode: None,
            members: vec!["NorthMSP".to_owned()],
            peers: vec![PeerProfile {
                host: "peer0.north.example.com".to_owned(),
                address: "127.0.0.1:7051".to_owned(),
            }],
            chaincode_service: None,
            tls_ca,
            users: BTreeMap::new(),
            programs: None,
        };
        let host = "peer0.north.example.com";
        let written = serde_json::to_value(ConnectionProfile::of(&profile).unwrap()).unwrap();
        assert_eq!(
            written,
            json!({
                "name": "consortium-north",
                "version": "1.0.0",
                "client": { "organization": "north" },
                "channels": { "consortium": { "peers": { host: {
                    "endorsingPeer": true, "chaincodeQuery": true, "ledgerQuery": true, "eventSource": true,
                    "discover": true,
                } } } },
                "organizations": { "north": { "mspid": "NorthMSP", "peers": [host] } },
                "peers": { host: {
                    "url": "grpcs://127.0.0.1:7051",
                    "tlsCACerts": { "pem": "a certificate" },
                    "grpcOptions": { "ssl-target-name-override": host, "hostnameOverride": host },
                } },
            })
        );
    }
}
