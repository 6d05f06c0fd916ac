use anyhow::Context as _;
use clap::{Args, ValueEnum};
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
    /// Prints the JSON Schema of a document instead, for editors: the consortium's, or a hospital's own.
    #[arg(
        long,
        value_name = "DOCUMENT",
        num_args = 0..=1,
        default_missing_value = "consortium",
        conflicts_with_all = ["orderers", "orgs", "peers"]
    )]
    schema: Option<Document>,
}

/// A document that an operator writes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Document {
    /// `consortium.toml`.
    Consortium,
    /// `organization.toml`.
    Organization,
}

impl Spec {
    pub(crate) fn run(self, app: &App) -> anyhow::Result<Exit> {
        let schema = self.schema.map(|document| match document {
            Document::Consortium => spec::schema(),
            Document::Organization => spec::part_schema(),
        });
        let text = if let Some(schema) = schema {
            serde_json::to_string_pretty(&schema)? + "\n"
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

    fn drawn(&self) -> Result<Consortium, SpecError> {
        drawn(self.orderers.as_deref(), &self.orgs, self.peers)
    }
}

/// The built-in consortium in another size.
pub(super) fn drawn(
    orderers: Option<&str>,
    orgs: &[String],
    peers: Option<usize>,
) -> Result<Consortium, SpecError> {
    let mut consortium = Consortium::parse(CONSORTIUM)?;
    if let Some(orderers) = orderers {
        consortium.set_orderers(orderers.parse::<Orderers>()?)?;
    }
    if !orgs.is_empty() {
        consortium.set_organizations(orgs)?;
    }
    if let Some(peers) = peers {
        consortium.set_peers(peers)?;
    }
    Ok(consortium)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(orderers: &str, orgs: &[&str]) -> Result<Consortium, SpecError> {
        let orgs = orgs.iter().map(|name| (*name).to_owned()).collect();
        Spec { orderers: Some(orderers.to_owned()), orgs, peers: Some(2), schema: None }.drawn()
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
