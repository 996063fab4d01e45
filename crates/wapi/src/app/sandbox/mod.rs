//! `wapi sandbox`: the gateway and a simulated WhatsApp in one process, without phone or internet.

mod client;
mod demo;
mod selftest;
mod setup;

use anyhow::Result;

/// Purpose of a sandbox run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxPurpose {
    /// To try things by hand, until Ctrl-C.
    Demo,
    /// To check that everything works here; prints each step with its duration.
    SelfTest,
}

/// By the flag `--selftest`.
impl From<bool> for SandboxPurpose {
    fn from(selftest: bool) -> Self {
        if selftest { Self::SelfTest } else { Self::Demo }
    }
}

/// Runs the sandbox to its end. Returns an error when something did not work.
pub async fn run(purpose: SandboxPurpose) -> Result<()> {
    crate::telemetry::start_telemetry("warn", crate::config::LogFormat::Text, None)?;
    crate::net::tls::install_crypto();
    match purpose {
        SandboxPurpose::Demo => demo::run().await,
        SandboxPurpose::SelfTest => selftest::run().await,
    }
}
