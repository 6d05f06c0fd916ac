//! `caretrail`: the command line of operators, hospital backends and compliance teams.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

mod app;
mod arguments;
#[cfg(test)]
mod calls_by_command;
mod commands;
#[cfg(test)]
mod examples;
mod failure;
mod labels;
mod options;
mod printer;
mod progress;
mod provision;
mod table;

use crate::app::App;
use crate::commands::Cli;
use crate::failure::{Exit, Unheard};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::report_usage(&error).into(),
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env("CARETRAIL_LOG").unwrap_or_else(|_| EnvFilter::new("warn")))
        .with_writer(std::io::stderr)
        .init();
    hlf_network::name_commands(commands::network::COMMAND);
    let app = App::new(cli.global);
    let (printer, under_way) = (app.printer, Arc::clone(&app.under_way));
    // The daemon answers what is open before it ends; everything else ends at once.
    let ends_itself = matches!(cli.command, commands::Command::Serve(_));
    // Waited for from here on, so that none comes before anybody listens.
    let mut interrupt = match (!ends_itself).then(|| signal(SignalKind::interrupt())).transpose() {
        Ok(interrupt) => interrupt,
        Err(error) => return failure::report(&error.into(), printer).into(),
    };
    let interrupted = async {
        match &mut interrupt {
            Some(interrupt) => interrupt.recv().await,
            None => std::future::pending().await,
        }
    };
    let exit = tokio::select! {
        biased;
        _ = interrupted => {
            match under_way.tx_ids().last() {
                // Run again, it would be done twice.
                Some(tx_id) => failure::report(&Unheard { tx_id: *tx_id }.into(), printer),
                None => {
                    printer.say("interrupted, and nothing is left under way: it can be run again");
                    Exit::Interrupted
                }
            }
        }
        result = commands::run(cli.command, app) => match result {
            Ok(exit) => exit,
            Err(error) => failure::report(&error, printer),
        },
    };
    exit.into()
}
