//! `GET /metrics`: figures of the gateway in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelValue, EncodeMetric, prometheus_text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use strum::VariantNames;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::model::event::AccountLimits;
use crate::model::masking;
use crate::model::send_hold::HoldReason;
use crate::net::proxy::ProxyOrigin;
use crate::sessions::SessionPhase;
use crate::store::StoreStats;
use crate::telemetry::counters::NAMESPACE;

/// Serves the metrics to keys with the scope `read` for all sessions. They hold no phone number:
/// see [`masking::mask_session`].
pub async fn serve_metrics(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    let measured = MeasuredValues::measure(&gateway).await?;
    let mut registry = Registry::with_prefix(NAMESPACE);
    registry.register_collector(Box::new(measured));
    let mut page = String::new();
    for part in [
        &registry,
        gateway.store.meters().registry(),
        gateway.connections.counts.registry(),
    ] {
        prometheus_text::encode(&mut page, part).expect("writing to a String cannot fail");
    }
    Ok((
        [(header::CONTENT_TYPE, prometheus_text::CONTENT_TYPE)],
        page,
    )
        .into_response())
}

/// Values that are measured for one page.
#[derive(Debug)]
struct MeasuredValues {
    sessions: Vec<(&'static str, usize)>,
    received_ages: Vec<(String, f64)>,
    limited: [(&'static str, usize); 3],
    proxied: Vec<(&'static str, usize)>,
    held: BTreeMap<&'static str, usize>,
    stats: StoreStats,
    connections: usize,
    connections_limit: usize,
    feed_readers: usize,
    is_ready: bool,
    now: Timestamp,
}

impl MeasuredValues {
    async fn measure(gateway: &Gateway) -> Result<Self, Problem> {
        let now = gateway.clock.now();
        let stats = gateway.store.load_stats().await.map_err(|error| {
            tracing::error!(%error, "failed to read the figures of the database");
            Problem::Internal
        })?;
        let all = gateway.sessions.all_sessions();
        let statuses: Vec<_> = all.iter().map(|session| session.state().status).collect();
        let count = |word| {
            statuses
                .iter()
                .filter(|status| status.into_str() == word)
                .count()
        };
        let age = |at| age_seconds(at, now);
        let count_limited = |is_it: &dyn Fn(&AccountLimits) -> bool| {
            all.iter()
                .filter(|session| is_it(&session.limits()))
                .count()
        };
        let origins: Vec<_> = all
            .iter()
            .filter_map(|session| gateway.proxies.find(session.name.as_str()))
            .map(|proxy| proxy.origin.into_str())
            .collect();
        let count_proxied = |word| origins.iter().filter(|origin| **origin == word).count();
        let mut held = BTreeMap::from_iter(HoldReason::VARIANTS.iter().map(|word| (*word, 0)));
        for (reason, count) in all.iter().flat_map(|it| it.holds.count_by_reason()) {
            *held.entry(reason).or_default() += count;
        }
        let (connections, connections_limit) = gateway.connections.count_and_limit();
        Ok(Self {
            sessions: SessionPhase::VARIANTS
                .iter()
                .map(|word| (*word, count(*word)))
                .collect(),
            received_ages: all
                .iter()
                .filter_map(|session| {
                    let name = masking::mask_session(session.name.as_str());
                    Some((name, session.last_received_at().map(age)?))
                })
                .collect(),
            limited: [
                ("timelock", count_limited(&|it| it.timelock.holds(now))),
                (
                    "new_chat_cap",
                    count_limited(&|it| it.new_chats.is_used_up(now)),
                ),
                ("unknown", count_limited(&|it| it.is_unknown)),
            ],
            proxied: ProxyOrigin::VARIANTS
                .iter()
                .map(|word| (*word, count_proxied(*word)))
                .collect(),
            held,
            stats,
            connections,
            connections_limit,
            feed_readers: gateway.store.events().count_feed_readers(),
            is_ready: gateway.store.write_error().is_none(),
            now,
        })
    }
}

impl Collector for MeasuredValues {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let page = &mut encoder;
        let stats = &self.stats;
        encode_gauges(
            page,
            "sessions",
            "Sessions by status.",
            "status",
            self.sessions.iter().copied(),
        )?;
        encode_gauges(
            page,
            "session_last_received_age_seconds",
            "Time since a session last received a message.",
            "session",
            self.received_ages
                .iter()
                .map(|(session, age)| (session.as_str(), *age)),
        )?;
        encode_gauges(
            page,
            "sessions_limited",
            "Sessions whose account WhatsApp limits, by limit.",
            "limit",
            self.limited,
        )?;
        encode_gauges(
            page,
            "sessions_proxied",
            "Sessions that leave through a proxy, by the proxy's source.",
            "source",
            self.proxied.iter().copied(),
        )?;
        encode_gauges(
            page,
            "held_messages",
            "Queued messages that wait although their turn has come, by reason.",
            "reason",
            self.held.iter().map(|(reason, count)| (*reason, *count)),
        )?;
        let mut events = page.encode_descriptor(
            "events",
            "Events saved since the start, by type.",
            None,
            MetricType::Counter,
        )?;
        for (kind, count) in &stats.events {
            ConstCounter::new(*count).encode(events.encode_family(&[("type", kind.as_str())])?)?;
        }
        encode_gauges(
            page,
            "deliveries_waiting",
            "Pending deliveries, by endpoint.",
            "endpoint",
            stats
                .waiting
                .iter()
                .map(|(endpoint, count)| (endpoint.as_str(), *count)),
        )?;
        encode_gauge(
            page,
            "oldest_undelivered_age_seconds",
            "Age of the oldest pending delivery; 0 if there is none.",
            stats
                .oldest_waiting
                .map_or(0.0, |at| age_seconds(at, self.now)),
        )?;
        encode_gauges(
            page,
            "open_messages",
            "Accepted messages without a final outcome, by session.",
            "session",
            stats
                .open
                .iter()
                .map(|(session, count)| (masking::mask_session(session), *count)),
        )?;
        encode_gauge(
            page,
            "pending_messages",
            "Received messages that are not events yet.",
            stats.pending,
        )?;
        encode_gauges(
            page,
            "database_bytes",
            "Size of the database, by content.",
            "part",
            [("used", stats.used_bytes), ("free", stats.free_bytes)],
        )?;
        encode_gauge(
            page,
            "connections",
            "Current connections of callers.",
            self.connections,
        )?;
        encode_gauge(
            page,
            "connections_limit",
            "Maximum number of connections of callers.",
            self.connections_limit,
        )?;
        encode_gauge(
            page,
            "feed_readers",
            "Readers that currently wait for events.",
            self.feed_readers,
        )?;
        encode_gauge(
            page,
            "ready",
            "1 while data can be saved.",
            u32::from(self.is_ready),
        )?;
        let build =
            page.encode_descriptor("build", "The running version.", None, MetricType::Info)?;
        Info::new([("version", env!("CARGO_PKG_VERSION"))]).encode(build)
    }
}

/// Encodes a gauge without labels.
fn encode_gauge(
    page: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: impl EncodeGaugeValue,
) -> fmt::Result {
    page.encode_descriptor(name, help, None, MetricType::Gauge)?
        .encode_gauge(&value)
}

/// Encodes a gauge for each value of a label.
fn encode_gauges<L: EncodeLabelValue, V: EncodeGaugeValue>(
    page: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &'static str,
    samples: impl IntoIterator<Item = (L, V)>,
) -> fmt::Result {
    let mut family = page.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (key, value) in samples {
        family
            .encode_family(&[(label, key)])?
            .encode_gauge(&value)?;
    }
    Ok(())
}

/// Returns the age in seconds.
fn age_seconds(at: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(at).as_secs_f64().max(0.0)
}
