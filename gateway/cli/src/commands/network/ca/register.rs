use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use hlf_network::fabric_ca::{Registration, Secret};
use hlf_network::network::Network;
use serde::Serialize;

use super::Of;
use crate::app::App;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(
    after_help = "Whoever has the secret can have a certificate made: hand it over by a safe way. It serves once.\n\n\
                        Example:\n  caretrail network ca register ada --org north --attribute caretrail.role=auditor --secret-file ada.secret"
)]
pub(crate) struct Register {
    /// The identity's name, which its certificates have as their common name.
    id: String,
    /// What it is; its certificates' organisational unit.
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value_t = Kind::Client)]
    kind: Kind,
    /// An attribute that its certificates have.
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// How often the secret serves; -1 for ever.
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    max_enrollments: i32,
    /// A new file for the secret, which its owner alone reads; the secret is not printed then.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    of: Of,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Client,
    Admin,
    Peer,
    Orderer,
}

#[derive(Serialize)]
struct Registered {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_file: Option<PathBuf>,
}

impl Register {
    pub(super) async fn run(self, network: &Network, app: &App) -> anyhow::Result<Exit> {
        // Made before the identity is: a secret that cannot be kept would be lost.
        let kept = self.secret_file.as_deref().map(new_secret_file).transpose()?;
        let registrar = network.registrar(self.of.find(network)?).await?;
        let kind = match self.kind {
            Kind::Client => "client",
            Kind::Admin => "admin",
            Kind::Peer => "peer",
            Kind::Orderer => "orderer",
        };
        let mut wanted = Registration::client(&self.id).of_kind(kind);
        wanted.max_enrollments = self.max_enrollments;
        for (name, value) in &self.attributes {
            wanted = wanted.with(name, value);
        }
        let registered = registrar.identities().register(&wanted).await;
        let Some(mut kept) = kept else {
            app.printer.data(&Registered { id: self.id, secret: Some(registered?), secret_file: None })?;
            return Ok(Exit::Done);
        };
        let file = self.secret_file.unwrap_or_default();
        match registered {
            Ok(secret) => {
                writeln!(kept, "{}", secret.as_str())
                    .with_context(|| format!("the secret cannot be written to `{}`", file.display()))?;
                app.printer.data(&Registered { id: self.id, secret: None, secret_file: Some(file) })?;
                Ok(Exit::Done)
            }
            Err(error) => {
                std::fs::remove_file(&file)
                    .with_context(|| format!("`{}` cannot be removed", file.display()))?;
                Err(error.into())
            }
        }
    }
}

/// A file that was not there before, for its owner alone.
fn new_secret_file(file: &Path) -> anyhow::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    made.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            let problem = format!("`{}` exists; a secret is never written over another file", file.display());
            Invalid(problem).into()
        }
        _ => anyhow::Error::from(error).context(format!("`{}` cannot be written", file.display())),
    })
}

fn attribute(text: &str) -> Result<(String, String), Invalid> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Invalid(format!("`{text}` is no `NAME=VALUE`, such as `role=clerk`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_has_a_name_and_any_value() {
        assert_eq!(attribute("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
        assert_eq!(attribute("a=").unwrap(), ("a".to_owned(), String::new()));
        for wrong in ["", "a", "=b"] {
            assert!(attribute(wrong).is_err(), "{wrong}");
        }
    }
}
