//! `wapi sandbox`: the gateway and a simulated WhatsApp in one process, without phone or internet.

mod caller;
mod demo;
mod selftest;
mod stage;

use anyhow::Result;

/// Purpose of a sandbox run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To try things by hand, until Ctrl-C.
    Demo,
    /// To check that everything works here; prints each step with its duration.
    SelfTest,
}

/// By the flag `--selftest`.
impl From<bool> for Purpose {
    fn from(selftest: bool) -> Self {
        if selftest { Self::SelfTest } else { Self::Demo }
    }
}

/// Runs the sandbox to its end. Returns an error when something did not work.
pub async fn run(purpose: Purpose) -> Result<()> {
    crate::telemetry::start("warn", crate::telemetry::Format::Text, None)?;
    crate::app::install_crypto();
    match purpose {
        Purpose::Demo => demo::run().await,
        Purpose::SelfTest => selftest::run().await,
    }
}
