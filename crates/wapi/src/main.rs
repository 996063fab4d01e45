//! Command line: parses it and runs one command.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use wapi::app;
use wapi::config::{Build, Config, Layers, listing};
use wapi::folder;
use wapi::telemetry::shown;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An HTTP gateway to WhatsApp.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
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
    folder::make_all_private();
    run()
}

#[tokio::main]
async fn run() -> ExitCode {
    let result = match Arguments::parse().command {
        None | Some(Command::Serve) => app::run().await,
        Some(Command::Config) => config(),
        #[cfg(feature = "sandbox")]
        Some(Command::Sandbox { selftest }) => wapi::sandbox::run(selftest.into()).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", shown::lines(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

/// Prints the settings, and then the errors in them.
fn config() -> Result<()> {
    let layers = Layers::of_this_process()?;
    print!("{}", shown::lines(&listing(&layers)));
    Ok(Config::read(&layers, Build::this()).map(drop)?)
}
