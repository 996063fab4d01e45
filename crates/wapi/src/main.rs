//! Command line: parses it and runs one command.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use wapi::app;
use wapi::config::{BuildKind, Config, ConfigSources, list_settings};
use wapi::model::masking;
use wapi::system::data_folder;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An HTTP gateway to WhatsApp.
#[derive(Parser)]
#[command(version)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<CliCommand>,
}

#[derive(Subcommand)]
enum CliCommand {
    /// Run the gateway; the default command.
    Serve,
    /// Print every setting, its value and its source, with secrets masked.
    Config,
    /// Run the gateway against a simulated WhatsApp, to try it without a phone.
    #[cfg(feature = "sandbox")]
    Sandbox {
        /// Test everything once, print the duration of each step, and exit.
        #[arg(long)]
        selftest: bool,
    },
}

fn main() -> ExitCode {
    data_folder::set_private_umask();
    run()
}

#[tokio::main]
async fn run() -> ExitCode {
    let result = match CommandLine::parse().command {
        None | Some(CliCommand::Serve) => app::run().await,
        Some(CliCommand::Config) => print_config(),
        #[cfg(feature = "sandbox")]
        Some(CliCommand::Sandbox { selftest }) => wapi::app::sandbox::run(selftest.into()).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", masking::escape_lines(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

/// Prints the settings, and then the errors in them.
fn print_config() -> Result<()> {
    let layers = ConfigSources::from_process()?;
    print!("{}", masking::escape_lines(&list_settings(&layers)));
    Ok(Config::read(&layers, BuildKind::current()).map(drop)?)
}
