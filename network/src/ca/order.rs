//! Certificates that shall be made, whoever signs them.

use std::path::{Path, PathBuf};

use super::Validity;
use super::certificate::{Purpose, Subject};
use super::key::Key;

/// Which of an organisation's two authorities signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signs {
    /// The one of identities.
    Identities,
    /// The one of TLS certificates.
    Tls,
}

/// A certificate that shall be made for a key.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) signs: Signs,
    pub(crate) key: Key,
    pub(crate) subject: Subject,
    pub(crate) purpose: Purpose,
    /// When it serves; a Fabric CA goes by its own profiles.
    pub(crate) validity: Validity,
}

/// Where in its folder a certificate and its key lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// `msp/signcerts/NAME-cert.pem` and `msp/keystore/priv_sk`.
    Msp(String),
    /// `tls/NAME.crt` and `tls/NAME.key`.
    Tls(&'static str),
}

/// What one folder of an organisation holds: a node, a user or a service, with new keys.
#[derive(Debug)]
pub(crate) struct Holding {
    pub(super) target: PathBuf,
    pub(super) places: Vec<Place>,
    pub(super) orders: Vec<Order>,
}

impl Holding {
    /// What there shall be certificates for.
    pub(crate) fn orders(&self) -> &[Order] {
        &self.orders
    }

    /// What each certificate is, in words for a file's name, in the order of the orders.
    pub(crate) fn kinds(&self) -> Vec<String> {
        let kind = |place: &Place| match place {
            Place::Msp(_) => "identity".to_owned(),
            Place::Tls(name) => format!("tls-{name}"),
        };
        self.places.iter().map(kind).collect()
    }

    /// The same with other orders, such as of keys that were made before.
    pub(crate) fn with_orders(self, orders: Vec<Order>) -> Self {
        Self { orders, ..self }
    }

    /// Whether the folder is there: nothing is issued twice.
    pub(crate) fn is_there(&self) -> bool {
        self.target.exists()
    }

    /// The folder.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }
}
