//! Logs, and reports to Sentry if configured.

pub(crate) mod counters;
mod log_line;

use std::io::IsTerminal;
use std::sync::Arc;

use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};
use sentry::integrations::tracing::ErrorLayer;
use sentry::protocol::{Context as Told, Event};
use sentry::transports::ReqwestHttpTransportOptions;
use sentry::{Transport, TransportFactory, TransportOptions};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;
use crate::net::tls::trust_bundled_roots;

/// Filter before the operator's own directives: only the gateway logs.
///
/// The engine writes phone numbers and message ids into lines of every level, under targets of many
/// names (`Client/Ack`, `wacore::…`), so it stays silent unless it is named. The gateway itself
/// logs everything an operator must know about it.
const DEFAULT_FILTER: &str = "off";

/// Must live as long as the program: dropping it sends the reports that Sentry has not received
/// yet.
pub struct Telemetry {
    _sentry: Option<sentry::ClientInitGuard>,
}

/// Starts logging to stderr and reporting to Sentry. Call once.
///
/// `filter` is the value of `WAPI_LOG`, already checked.
pub fn start_telemetry(
    filter: &str,
    format: LogFormat,
    sentry_dsn: Option<&SecretString>,
) -> Result<Telemetry> {
    let filter =
        EnvFilter::try_new(expand_filter(filter)).context("WAPI_LOG is not a log filter")?;
    let is_coloured = format == LogFormat::Text && std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().event_format(log_line::LineFormatter(format));
    let lines = lines.with_writer(std::io::stderr).with_ansi(is_coloured);
    let reports = sentry_dsn
        .is_some()
        .then(|| ErrorLayer::new().with_filter(filter_fn(is_reported)));
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(reports)
        .try_init()?;
    let guard = sentry_dsn.map(|dsn| init_sentry(dsn.expose_secret()));
    Ok(Telemetry { _sentry: guard })
}

/// Applies a bare level to the gateway alone; other targets must be named, as in
/// `info,whatsapp_rust=warn,Client=warn`.
fn expand_filter(filter: &str) -> String {
    let own = filter.split(',').map(|directive| {
        match directive.trim().parse::<tracing::metadata::LevelFilter>() {
            Ok(level) => format!("wapi={level},wapi_simulator={level}"),
            Err(_) => directive.to_owned(),
        }
    });
    std::iter::once(DEFAULT_FILTER.to_owned())
        .chain(own)
        .collect::<Vec<_>>()
        .join(",")
}

/// Returns whether an event is reported: only our own errors are, which carry neither message text
/// nor phone numbers.
fn is_reported(metadata: &tracing::Metadata<'_>) -> bool {
    let ours = metadata.target() == "wapi" || metadata.target().starts_with("wapi::");
    ours && *metadata.level() == tracing::Level::ERROR
}

fn init_sentry(dsn: &str) -> sentry::ClientInitGuard {
    let options = sentry::ClientOptions::new()
        .transport(ReportTransport)
        .dsn(dsn)
        .release(concat!("wapi@", env!("CARGO_PKG_VERSION")))
        .send_default_pii(false)
        .before_send(|event| Some(mask_report(event)));
    sentry::init(options)
}

/// Makes a report's texts as safe as those of the log.
fn mask_report(mut event: Event<'static>) -> Event<'static> {
    let printable = |text: String| super::model::masking::escape_unprintable(&text).into_owned();
    event.message = event.message.map(printable);
    for exception in &mut event.exception.values {
        exception.value = exception.value.take().map(printable);
    }
    for context in event.contexts.values_mut() {
        let Told::Other(fields) = context else {
            continue;
        };
        for (name, value) in fields {
            if let serde_json::Value::String(text) = value {
                *text = log_line::mask_field(name, text);
            }
        }
    }
    event
}

/// Sends reports with our own client: the one that Sentry would create panics on machines without
/// certificate authorities.
struct ReportTransport;

impl TransportFactory for ReportTransport {
    fn create_transport_with_options(&self, options: TransportOptions) -> Arc<dyn Transport> {
        let options = ReqwestHttpTransportOptions::from(options);
        match trust_bundled_roots(reqwest::Client::builder()).build() {
            Ok(client) => Arc::new(options.with_client(client).build()),
            Err(error) => {
                tracing::warn!(%error, "failed to set up reports to Sentry");
                Arc::new(DiscardTransport)
            }
        }
    }
}

/// Discards reports that cannot be sent.
struct DiscardTransport;

impl Transport for DiscardTransport {
    fn send_envelope(&self, _: sentry::Envelope) {}
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_says_no_more_than_the_log() {
        let fields = [
            ("session", json!("375447034810")),
            ("error", json!("a\nb")),
            ("count", json!(7)),
        ];
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let contexts =
            std::iter::once(("Rust Tracing Fields".to_owned(), Told::Other(fields))).collect();
        let event = mask_report(Event {
            message: Some("one\x1b[2Jtwo".to_owned()),
            contexts,
            ..Event::default()
        });
        assert_eq!(event.message.as_deref(), Some("one\\u{1b}[2Jtwo"));
        let Some(Told::Other(fields)) = event.contexts.get("Rust Tracing Fields") else {
            panic!("nothing is told")
        };
        assert_eq!(
            fields["session"],
            crate::model::masking::mask_session("375447034810")
        );
        assert_eq!(
            (&fields["error"], &fields["count"]),
            (&json!("a\\nb"), &json!(7))
        );
    }

    #[test]
    fn a_bare_level_is_the_gateways_alone() {
        assert_eq!(
            super::expand_filter("info"),
            "off,wapi=info,wapi_simulator=info"
        );
        assert_eq!(
            super::expand_filter("debug,Client=warn"),
            "off,wapi=debug,wapi_simulator=debug,Client=warn"
        );
    }
}
