//! Parses the command line and runs one command.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use wapi::app::{self, App};
use wapi::clock::Clock;
use wapi::config::{Build, Config, Layers, listing};
#[cfg(feature = "sandbox")]
use wapi::sandbox::Purpose;
use wapi::sessions::Console;
use wapi::{lifecycle, telemetry};

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

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        None | Some(Command::Serve) => serve().await,
        Some(Command::Config) => config(),
        #[cfg(feature = "sandbox")]
        Some(Command::Sandbox { selftest: true }) => wapi::sandbox::run(Purpose::SelfTest).await,
        #[cfg(feature = "sandbox")]
        Some(Command::Sandbox { selftest: false }) => wapi::sandbox::run(Purpose::Demo).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<()> {
    let config = Config::read(&Layers::of_this_process()?, Build::this())?;
    app::install_crypto();
    let _telemetry = telemetry::start(&config.log, config.sentry_dsn.as_ref())?;
    let listener = app::listen(&config.listen).await?;
    let app = App::build(config, Clock::system(), Console::stdout()).await?;
    app.serve(listener, async { lifecycle::signal().await.expect("signals can be waited for") }).await?;
    Ok(())
}

/// Prints what there is, and then what is wrong with it.
fn config() -> Result<()> {
    let layers = Layers::of_this_process()?;
    print!("{}", listing(&layers));
    Config::read(&layers, Build::this())?;
    Ok(())
}
