//! `wapi-simulator`: the simulated WhatsApp as a program.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use serde_json::json;
use tracing_subscriber::EnvFilter;
use wapi_simulator::{Addressing, Simulator, SimulatorOptions};

/// A simulated WhatsApp. Prints one line of JSON when it is ready, and serves until SIGINT or
/// SIGTERM.
#[derive(Parser)]
#[command(name = "wapi-simulator")]
struct Arguments {
    /// Where to listen; loopback only, port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where to write the CA's certificate; a temporary file by default.
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// How many messages and receipts each phone stores.
    #[arg(long, default_value_t = 1000)]
    keep: usize,
    /// Let phones address each other by LID instead of phone number.
    #[arg(long)]
    lid: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let simulator = Simulator::start(SimulatorOptions {
        listen: arguments.listen,
        ca_pem_file: arguments.ca_file,
        kept: arguments.keep,
        addressing: if arguments.lid {
            Addressing::Lid
        } else {
            Addressing::PhoneNumber
        },
        ..SimulatorOptions::default()
    })
    .await?;
    let ready = json!({
        "ws": simulator.ws_url(),
        "wss": simulator.wss_url(),
        "admin": simulator.admin_url(),
        "ca_pem_file": simulator.ca_pem_file(),
        "noise_root_public_key_hex": simulator.noise_root_public_key_hex(),
    });
    println!("{ready}");
    shutdown_signal().await?;
    // The admin API lists the requests that the simulator does not know; a person who presses
    // Ctrl-C does not want an error.
    if let Err(error) = simulator.finish().await {
        tracing::warn!("{error:#}");
    }
    Ok(())
}

/// Waits for SIGINT or SIGTERM.
async fn shutdown_signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
