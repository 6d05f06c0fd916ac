//! Where a node is found by others.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A host name or IP address, and a port: `peer0.north.example.com:7051`, `10.0.0.5:7051`, `[fd00::5]:7051`.
///
/// It stands in the channel's configuration and in certificates, so it is one that every member reaches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct NodeAddress {
    /// Host name in lower case, or IP address.
    pub host: String,
    /// Port, not 0.
    pub port: u16,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not `HOST:PORT`; write a host name or IP address that every member reaches, and its port")]
pub struct AddressError(String);

impl NodeAddress {
    /// The IP address, when the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Where a node with this address listens when nothing else is said: at the very IP address, or, by a host name,
    /// at all of this machine's.
    pub fn default_listen(&self) -> SocketAddr {
        let everywhere = IpAddr::from(Ipv4Addr::UNSPECIFIED);
        SocketAddr::new(self.ip().unwrap_or(everywhere), self.port)
    }
}

impl FromStr for NodeAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || AddressError(text.to_owned());
        if let Ok(address) = text.parse::<SocketAddr>() {
            let usable = address.port() != 0 && !address.ip().is_unspecified();
            let address = Self { host: address.ip().to_string(), port: address.port() };
            return usable.then_some(address).ok_or_else(wrong);
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        let named = host.len() <= 253 && host.split('.').all(super::check::is_host);
        // What looks like an IP address and is none is no name either.
        let numeric = host.rsplit('.').next().is_some_and(|last| last.chars().all(|c| c.is_ascii_digit()));
        if named && !numeric { Ok(Self { host: host.to_owned(), port }) } else { Err(wrong()) }
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            Some(ip) => SocketAddr::new(ip, self.port).fmt(f),
            None => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl TryFrom<String> for NodeAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<NodeAddress> for String {
    fn from(address: NodeAddress) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_name_or_an_ip_address_with_a_port() {
        for (text, host, listen) in [
            ("peer0.north.example.com:7051", "peer0.north.example.com", "0.0.0.0:7051"),
            ("localhost:1", "localhost", "0.0.0.0:1"),
            ("10.0.0.5:7051", "10.0.0.5", "10.0.0.5:7051"),
            ("[fd00::5]:7051", "fd00::5", "[fd00::5]:7051"),
        ] {
            let address: NodeAddress = text.parse().unwrap();
            assert_eq!(address.host, host);
            assert_eq!(address.to_string(), text);
            assert_eq!(address.default_listen().to_string(), listen);
        }
        for text in [
            "",
            "peer0",
            "peer0:",
            ":7051",
            "peer0:0",
            "peer0:70510",
            "Peer0:7051",
            "10.0.0:7051",
            "0.0.0.0:7051",
            "10.0.0.256:7051",
            "a b:7",
            "http://peer0:7051",
            "peer0:7051/x",
            "fd00::5:7051",
        ] {
            assert!(text.parse::<NodeAddress>().is_err(), "{text}");
        }
    }
}
