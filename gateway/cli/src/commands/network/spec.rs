use anyhow::Context as _;
use clap::Args;
use hlf_network::spec::{self, Consortium, Orderers, SpecError};

use super::up::CONSORTIUM;
use crate::app::App;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  caretrail network spec > consortium.toml\n  caretrail network spec --orderers bft:4 --orgs north,south,east > consortium.toml\n  \
                        caretrail network up --spec consortium.toml"
)]
pub(crate) struct Spec {
    /// Consensus protocol and number of consenters: `raft:1`, `raft:3`, `bft:4`.
    #[arg(long, value_name = "PROTOCOL:N")]
    orderers: Option<String>,
    /// Names of the hospitals, in lower case.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    orgs: Vec<String>,
    /// Number of peers of each hospital.
    #[arg(long, value_name = "N")]
    peers: Option<usize>,
    /// Prints the JSON Schema of a spec instead, for editors.
    #[arg(long, conflicts_with_all = ["orderers", "orgs", "peers"])]
    schema: bool,
}

impl Spec {
    pub(crate) fn run(self, app: &App) -> anyhow::Result<Exit> {
        let text = if self.schema {
            serde_json::to_string_pretty(&spec::schema())? + "\n"
        } else if self.orderers.is_none() && self.orgs.is_empty() && self.peers.is_none() {
            CONSORTIUM.to_owned()
        } else {
            let drawn =
                self.drawn().map_err(|error| Invalid(format!("there is no such consortium: {error}")))?;
            drawn.to_toml().context("the spec cannot be written")?
        };
        app.printer.text(&text)?;
        Ok(Exit::Done)
    }

    /// The built-in consortium in another size.
    fn drawn(&self) -> Result<Consortium, SpecError> {
        let mut consortium = Consortium::parse(CONSORTIUM)?;
        if let Some(orderers) = &self.orderers {
            consortium.set_orderers(orderers.parse::<Orderers>()?)?;
        }
        if !self.orgs.is_empty() {
            consortium.set_organizations(&self.orgs)?;
        }
        if let Some(peers) = self.peers {
            consortium.set_peers(peers)?;
        }
        Ok(consortium)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(orderers: &str, orgs: &[&str]) -> Result<Consortium, SpecError> {
        let orgs = orgs.iter().map(|name| (*name).to_owned()).collect();
        Spec { orderers: Some(orderers.to_owned()), orgs, peers: Some(2), schema: false }.drawn()
    }

    #[test]
    fn every_hospital_has_the_users_that_the_commands_ask_for() {
        let consortium = drawn("bft:4", &["north", "south", "east"]).unwrap();
        assert_eq!(consortium.orderer.consenters.len(), 4);
        for hospital in &consortium.organizations {
            let users: Vec<&str> = hospital.users.iter().map(|user| user.name.as_str()).collect();
            assert_eq!(users, ["admin", "service", "auditor"], "{}", hospital.name);
            assert_eq!(hospital.peers.len(), 2);
        }
        assert_eq!(consortium.chaincode.unwrap().name, "caretrail");
    }

    #[test]
    fn a_consortium_that_cannot_be_is_refused() {
        assert!(drawn("bft:3", &["north"]).is_err());
        assert!(drawn("raft:3", &["North"]).is_err());
    }
}
