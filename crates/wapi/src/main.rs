//! Parses the command line and runs one command.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use wapi::app;
use wapi::config::{Build, Config, Layers, listing};
use wapi::folder;
use wapi::telemetry::shown;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A WhatsApp HTTP gateway.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway; what `wapi` alone does, too.
    Serve,
    /// Print every setting and where its value comes from, with secrets masked.
    Config,
    /// Run the gateway against a simulated WhatsApp, to try it out without a phone.
    #[cfg(feature = "sandbox")]
    Sandbox {
        /// Go through everything once, print how long each step took, and end.
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

/// Prints what there is, and then what is wrong with it.
fn config() -> Result<()> {
    let layers = Layers::of_this_process()?;
    print!("{}", shown::lines(&listing(&layers)));
    Ok(Config::read(&layers, Build::this()).map(drop)?)
}
