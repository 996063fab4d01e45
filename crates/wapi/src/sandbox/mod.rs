//! `wapi sandbox`: the gateway against a simulated WhatsApp, in one process, on loopback. No phone, no account, no internet.

mod caller;
mod demo;
mod selftest;
mod stage;

use anyhow::Result;

/// What the sandbox is run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To try things out by hand, until Ctrl-C.
    Demo,
    /// To see that everything works here: prints each step with its time.
    SelfTest,
}

/// By the flag `--selftest`.
impl From<bool> for Purpose {
    fn from(selftest: bool) -> Self {
        if selftest { Self::SelfTest } else { Self::Demo }
    }
}

/// Runs the sandbox to its end. An error means that something did not work.
pub async fn run(purpose: Purpose) -> Result<()> {
    crate::telemetry::start("warn", crate::telemetry::Format::Text, None)?;
    crate::app::install_crypto();
    match purpose {
        Purpose::Demo => demo::run().await,
        Purpose::SelfTest => selftest::run().await,
    }
}
