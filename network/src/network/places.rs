//! Two places where an organisation's chaincode may be served, so that a new package is served beside the old one.
//!
//! One of them is in use, and a note says which. An upgrade serves the new package at the other one, lets the peers'
//! builds of it lead there, and ends the old service when every peer has the new definition: nobody waits for either.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Network, chaincode_service};
use crate::files::{self, FileError};
use crate::layout::Layout;
use crate::node::{self, LISTEN, NodeError};
use crate::process;
use crate::spec::Organization;

/// Where a peer keeps built packages, each under its id, and what it dials of one.
pub(super) const BUILDS: &str = "data/externalbuilder/builds";
pub(super) const CONNECTION: &str = "release/chaincode/server/connection.json";

/// The variable of its environment that tells a service which package it serves.
const SERVED: &str = "CHAINCODE_ID";

/// Both places, by their processes' names.
pub(super) fn places(organization: &Organization) -> [String; 2] {
    [chaincode_service(organization), format!("chaincode-b.{}", organization.domain)]
}

/// The place that is in use.
pub(super) fn in_use(layout: &Layout, organization: &Organization) -> String {
    let [first, second] = places(organization);
    match files::read(&note(layout, organization)) {
        Ok(noted) if noted.trim() == second => second,
        _ => first,
    }
}

/// The place that is not.
pub(super) fn other(layout: &Layout, organization: &Organization) -> String {
    let used = in_use(layout, organization);
    let [first, second] = places(organization);
    if used == first { second } else { first }
}

/// Notes which place is in use.
pub(super) fn use_place(layout: &Layout, organization: &Organization, place: &str) -> Result<(), FileError> {
    files::replace(&note(layout, organization), files::PUBLIC, place.as_bytes())
}

fn note(layout: &Layout, organization: &Organization) -> PathBuf {
    layout.chaincode().join(format!("{}.place", organization.name))
}

impl Network {
    /// The place of an organisation's chaincode that is in use, by its process's name.
    pub(crate) fn chaincode_place(&self, organization: &Organization) -> String {
        in_use(&self.layout, organization)
    }

    /// The package that a service serves, by its process; `None` when it does not run.
    pub(super) fn served_at(&self, place: &str) -> Option<String> {
        let running = self.supervisor.running(place)?;
        Some(process::variable_of(running.pid, SERVED)?.to_string_lossy().into_owned())
    }

    /// Has an organisation's peers dial one of its places for a package that they have built: they look each time.
    pub(super) fn aim_builds(
        &self,
        organization: &Organization,
        package_id: &str,
        place: &str,
    ) -> Result<(), NodeError> {
        let address = node::loopback(&self.ports().unwrap_or_default(), place, LISTEN)?;
        for peer in &organization.peers {
            let builds = self.layout.node(&organization.host(peer)).join(BUILDS);
            aim(&builds.join(package_id.replace(':', "-")).join(CONNECTION), &address)?;
        }
        Ok(())
    }
}

/// Changes the address that a build leads to; one that is not there is made with it later.
fn aim(connection: &Path, address: &str) -> Result<(), FileError> {
    if !connection.exists() {
        return Ok(());
    }
    let Ok(mut said) = serde_json::from_str::<Value>(&files::read(connection)?) else { return Ok(()) };
    if said.get("address").and_then(Value::as_str) == Some(address) {
        return Ok(());
    }
    if let Some(said) = said.as_object_mut() {
        said.insert("address".to_owned(), address.into());
    }
    files::replace(connection, files::SECRET, said.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Consortium, DEFAULT};

    #[test]
    fn one_of_two_places_is_in_use() {
        let home = tempfile::tempdir().unwrap();
        let layout = Layout::new(home.path().to_owned());
        let spec = Consortium::parse(DEFAULT).unwrap();
        let north = &spec.organizations[0];
        let [first, second] = places(north);
        assert_eq!((in_use(&layout, north), other(&layout, north)), (first.clone(), second.clone()));
        use_place(&layout, north, &second).unwrap();
        assert_eq!((in_use(&layout, north), other(&layout, north)), (second, first.clone()));
        use_place(&layout, north, &first).unwrap();
        assert_eq!(in_use(&layout, north), first);
    }

    #[test]
    fn a_build_is_aimed_elsewhere_and_keeps_the_rest() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("connection.json");
        aim(&file, "127.0.0.1:2").unwrap();
        assert!(!file.exists());
        std::fs::write(&file, r#"{"address":"127.0.0.1:1","client_key":"KEY"}"#).unwrap();
        aim(&file, "127.0.0.1:2").unwrap();
        let said: Value = serde_json::from_str(&files::read(&file).unwrap()).unwrap();
        assert_eq!((&said["address"], &said["client_key"]), (&"127.0.0.1:2".into(), &"KEY".into()));
    }
}
