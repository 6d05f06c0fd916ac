//! `caretrail`: the command line of operators, hospital backends and compliance teams.

use std::process::ExitCode;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

mod app;
mod arguments;
#[cfg(test)]
mod calls_by_command;
mod commands;
mod failure;
mod labels;
mod options;
mod printer;
mod progress;
mod provision;
mod table;

use crate::app::App;
use crate::commands::Cli;
use crate::failure::Exit;

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
    let printer = app.printer;
    // Waited for from here on, so that none comes before anybody listens.
    let mut interrupt = match signal(SignalKind::interrupt()) {
        Ok(interrupt) => interrupt,
        Err(error) => return failure::report(&error.into(), printer).into(),
    };
    // The daemon answers what is open before it ends; everything else ends at once.
    let ends_itself = matches!(cli.command, commands::Command::Serve(_));
    let exit = tokio::select! {
        biased;
        _ = interrupt.recv(), if !ends_itself => {
            printer.say("interrupted; every command can be run again");
            Exit::Interrupted
        }
        result = commands::run(cli.command, app) => match result {
            Ok(exit) => exit,
            Err(error) => failure::report(&error, printer),
        },
    };
    exit.into()
}
