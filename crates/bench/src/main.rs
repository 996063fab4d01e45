//! Load for the gateway: runs it and a simulated WhatsApp as processes of their own, and says what a message costs, beside what it
//! costs the bare engine.

mod arguments;
mod filling;
mod floor;
mod gateway;
mod line;
mod measure;
mod numbers;
mod process;
mod procfs;
mod programs;
mod qr;
mod receiver;
mod report;
mod route;
mod simulator;
mod stage;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;

use arguments::{Arguments, Command};

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { command, options } = Arguments::parse();
    let result = match command.unwrap_or(Command::All) {
        Command::Floor(floor) => floor::engine::run(floor).await,
        command => unless_interrupted(measure::run(command, options)).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// When this returns early, whatever was started is dropped, and so killed.
async fn unless_interrupted(work: impl Future<Output = Result<()>>) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("waiting for signals")?;
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = terminate.recv() => bail!("told to end"),
    }
}
