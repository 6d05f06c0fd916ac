use std::fmt::Write as _;

use anyhow::Context as _;
use clap::Args;
use hlf_network::network::{Network, PeerEnvironment};

use super::member;
use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  eval \"$(caretrail network env north)\"\n  peer channel getinfo -c records\n  \
                        peer channel fetch newest -c records -o \"$ORDERER_ADDRESS\" --tls --cafile \"$ORDERER_CA\""
)]
pub(crate) struct Env {
    /// The hospital as whose admin to act: its name, in any case, or its MSP id.
    organization: String,
}

impl Env {
    pub(crate) fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        let organization = member(&network, &self.organization)?;
        let text = exports(&network.peer_environment(organization)?).context("a path is not UTF-8")?;
        app.printer.text(&text)?;
        Ok(Exit::Done)
    }
}

/// Lines for a POSIX shell; `None` when a value is not UTF-8.
fn exports(environment: &PeerEnvironment) -> Option<String> {
    let mut text = String::new();
    for (name, value) in &environment.variables {
        let _ = writeln!(text, "export {name}={}", quoted(value.to_str()?));
    }
    if let Some(programs) = &environment.programs {
        // Not twice, however often it is evaluated.
        let folder = quoted(programs.to_str()?);
        let _ =
            writeln!(text, "case \":$PATH:\" in *:{folder}:*) ;; *) export PATH={folder}:\"$PATH\" ;; esac");
    }
    Some(text)
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for value in ["plain", "two words", "it's", "$(x) `y` \"z\" \\", ""] {
            let output = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", quoted(value))])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
        }
    }
}
