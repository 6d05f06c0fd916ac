//! What the examples need to reach a channel, from the command line.

use std::error::Error;
use std::path::PathBuf;

use hlf_gateway::{Contract, Credentials, Deadlines, Endpoint, Gateway, MspFolder};

/// Where a chaincode is, and who calls it.
pub(crate) struct Connection {
    /// `host:port` of peers, the preferred first.
    pub(crate) peers: Vec<String>,
    /// The authorities of their TLS certificates, PEM.
    pub(crate) tls_roots: String,
    /// Who calls.
    pub(crate) credentials: Credentials,
    /// The channel's id.
    pub(crate) channel: String,
    /// The chaincode's name.
    pub(crate) chaincode: String,
    /// What follows, such as a function and its arguments.
    pub(crate) words: Vec<String>,
}

impl Connection {
    /// Reads `PEERS TLS_ROOTS MSP_FOLDER MSP_ID CHANNEL CHAINCODE [WORD…]`; several peers are joined by commas.
    pub(crate) fn from_arguments() -> Result<Self, Box<dyn Error>> {
        let mut arguments = std::env::args().skip(1);
        let mut next = |what: &str| arguments.next().ok_or_else(|| format!("argument {what} is missing"));
        let peers = next("PEERS")?.split(',').map(str::to_owned).collect();
        let tls_roots = std::fs::read_to_string(next("TLS_ROOTS")?)?;
        let (folder, msp_id) = (PathBuf::from(next("MSP_FOLDER")?), next("MSP_ID")?);
        let (channel, chaincode) = (next("CHANNEL")?, next("CHAINCODE")?);
        let credentials = MspFolder::open(folder, msp_id)?.into_credentials();
        Ok(Self { peers, tls_roots, credentials, channel, chaincode, words: arguments.collect() })
    }

    /// The chaincode as an identity sees it, reached through any of the peers.
    pub(crate) async fn contract(&self, credentials: Credentials) -> Result<Contract, Box<dyn Error>> {
        let endpoints: Vec<_> = self.peers.iter().map(|peer| Endpoint::tls(peer, &self.tls_roots)).collect();
        let gateway = Gateway::connect_any(&endpoints, credentials, Deadlines::default()).await?;
        Ok(gateway.contract(&self.channel, &self.chaincode))
    }
}
