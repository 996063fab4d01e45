//! Logs and, when asked for, Sentry.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};
use sentry::integrations::tracing::ErrorLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What a filter means before the operator's own directives: nobody but the gateway speaks.
///
/// The engine writes phone numbers and message ids into lines of every level, under targets of many names (`Client/Ack`,
/// `wacore::…`), so it stays silent unless it is named. What an operator must know of it, the gateway says itself.
const SILENCE: &str = "off";

/// Must live as long as the program: dropping it sends what Sentry has not got yet.
pub struct Telemetry {
    _sentry: Option<sentry::ClientInitGuard>,
}

/// Starts logging to stderr and reporting to Sentry. Call once.
///
/// `filter` is that of `WAPI_LOG`, already checked.
pub fn start(filter: &str, sentry_dsn: Option<&SecretString>) -> Result<Telemetry> {
    let filter = EnvFilter::try_new(directives(filter)).context("WAPI_LOG is not a log filter")?;
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let guard = sentry_dsn.map(|dsn| sentry_client(dsn.expose_secret()));
    let reports = guard.is_some().then(|| ErrorLayer::new().with_filter(filter_fn(is_reported)));
    tracing_subscriber::registry().with(filter).with(lines).with(reports).try_init()?;
    Ok(Telemetry { _sentry: guard })
}

/// A bare level is that of the gateway; whoever else shall speak is named, as in `info,whatsapp_rust=warn,Client=warn`.
fn directives(filter: &str) -> String {
    let own = filter.split(',').map(|directive| match directive.trim().parse::<tracing::metadata::LevelFilter>() {
        Ok(level) => format!("wapi={level},wapi_simulator={level}"),
        Err(_) => directive.to_owned(),
    });
    std::iter::once(SILENCE.to_owned()).chain(own).collect::<Vec<_>>().join(",")
}

/// Only our own errors are reported: they carry neither message text nor phone numbers.
fn is_reported(metadata: &tracing::Metadata<'_>) -> bool {
    let ours = metadata.target() == "wapi" || metadata.target().starts_with("wapi::");
    ours && *metadata.level() == tracing::Level::ERROR
}

fn sentry_client(dsn: &str) -> sentry::ClientInitGuard {
    let options = sentry::ClientOptions::new()
        .dsn(dsn)
        .release(concat!("wapi@", env!("CARGO_PKG_VERSION")))
        .send_default_pii(false);
    sentry::init(options)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_bare_level_is_the_gateways_alone() {
        assert_eq!(super::directives("info"), "off,wapi=info,wapi_simulator=info");
        assert_eq!(super::directives("debug,Client=warn"), "off,wapi=debug,wapi_simulator=debug,Client=warn");
    }
}
