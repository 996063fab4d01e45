//! `GET /metrics`: figures of the gateway in the text format of Prometheus.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::exposition::{Exposition, MetricKind};
use crate::http::Gateway;
use crate::http::edge::ConnectionRegistry;
use crate::http::error::Problem;
use crate::model::masking;
use crate::sessions::SessionPhase;
use crate::store::StoreStats;
use crate::telemetry::counters::GatewayMetrics;

/// Serves the metrics to keys with the scope `read` for all sessions. They hold no phone number:
/// see [`masking::mask_session`].
pub async fn serve_metrics(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    let now = gateway.clock.now();
    let numbers = gateway.store.load_stats().await.map_err(|error| {
        tracing::error!(%error, "the numbers cannot be read");
        Problem::Internal
    })?;
    let mut text = Exposition::default();
    write_sessions(&mut text, &gateway, now);
    write_store(&mut text, &numbers, now);
    write_counters(&mut text, gateway.store.meters());
    write_connections(&mut text, &gateway.connections);
    text.begin_family(
        "wapi_feed_readers",
        MetricKind::Gauge,
        "Readers that wait for events at the moment.",
    );
    text.add_sample(&[], gateway.store.count_feed_readers());
    text.begin_family(
        "wapi_ready",
        MetricKind::Gauge,
        "1 while everything can be saved.",
    );
    text.add_sample(&[], u8::from(gateway.store.write_error().is_none()));
    text.begin_family("wapi_build_info", MetricKind::Gauge, "The running version.");
    text.add_sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    Ok((
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text.finish(),
    )
        .into_response())
}

fn write_sessions(text: &mut Exposition, gateway: &Gateway, now: Timestamp) {
    let all = gateway.sessions.all_sessions();
    let statuses: Vec<_> = all.iter().map(|session| session.state().status).collect();
    text.begin_family("wapi_sessions", MetricKind::Gauge, "Sessions by status.");
    for status in SessionPhase::ALL {
        let count = statuses.iter().filter(|other| **other == status).count();
        text.add_sample(&[("status", status.as_str())], count);
    }
    text.begin_family(
        "wapi_session_last_received_age_seconds",
        MetricKind::Gauge,
        "Time since a session's last message came in.",
    );
    for session in &all {
        if let Some(at) = session.last_received_at() {
            text.add_sample(
                &[("session", &masking::mask_session(session.name.as_str()))],
                age_seconds(at, now),
            );
        }
    }
}

fn write_store(text: &mut Exposition, numbers: &StoreStats, now: Timestamp) {
    text.begin_family(
        "wapi_events_total",
        MetricKind::Counter,
        "Events saved since the start, by type.",
    );
    for (kind, count) in &numbers.events {
        text.add_sample(&[("type", kind)], count);
    }
    text.begin_family(
        "wapi_deliveries_waiting",
        MetricKind::Gauge,
        "Deliveries that are not done, by endpoint.",
    );
    for (endpoint, count) in &numbers.waiting {
        text.add_sample(&[("endpoint", endpoint)], count);
    }
    text.begin_family(
        "wapi_oldest_undelivered_age_seconds",
        MetricKind::Gauge,
        "Age of the oldest delivery that is not done; 0: none.",
    );
    text.add_sample(
        &[],
        numbers
            .oldest_waiting
            .map_or(0.0, |at| age_seconds(at, now)),
    );
    text.begin_family(
        "wapi_open_messages",
        MetricKind::Gauge,
        "Messages accepted for sending that are not settled, by session.",
    );
    for (session, count) in &numbers.open {
        text.add_sample(&[("session", &masking::mask_session(session))], count);
    }
    text.begin_family(
        "wapi_pending_messages",
        MetricKind::Gauge,
        "Messages that came in and are not events yet.",
    );
    text.add_sample(&[], numbers.pending);
    text.begin_family(
        "wapi_database_bytes",
        MetricKind::Gauge,
        "Size of the database, by what is in it.",
    );
    text.add_sample(&[("part", "used")], numbers.used_bytes);
    text.add_sample(&[("part", "free")], numbers.free_bytes);
}

fn write_counters(text: &mut Exposition, meters: &GatewayMetrics) {
    text.begin_family(
        "wapi_deliveries_total",
        MetricKind::Counter,
        "Attempts to deliver since the start, by outcome.",
    );
    for (outcome, counter) in [
        ("delivered", &meters.delivered),
        ("failed", &meters.failed),
        ("dead", &meters.dead),
    ] {
        text.add_sample(&[("outcome", outcome)], counter.get());
    }
    text.add_histogram(
        "wapi_delivery_lag_seconds",
        "Time from saving a message to a webhook taking it.",
        &meters.lag,
    );
    text.add_histogram(
        "wapi_commit_changes",
        "Changes that shared a commit.",
        &meters.commit_changes,
    );
    text.add_histogram(
        "wapi_commit_seconds",
        "Time of a commit, its disk sync included.",
        &meters.commit_seconds,
    );
    text.begin_family(
        "wapi_failed_commits_total",
        MetricKind::Counter,
        "Commits that could not be saved.",
    );
    text.add_sample(&[], meters.failed_commits.get());
    text.begin_family(
        "wapi_removed_events_total",
        MetricKind::Counter,
        "Events that retention has removed.",
    );
    text.add_sample(&[], meters.removed_events.get());
}

fn write_connections(text: &mut Exposition, room: &ConnectionRegistry) {
    let (now, most) = room.count_and_limit();
    text.begin_family(
        "wapi_connections",
        MetricKind::Gauge,
        "Connections of callers at the moment.",
    );
    text.add_sample(&[], now);
    text.begin_family(
        "wapi_connections_limit",
        MetricKind::Gauge,
        "How many connections of callers there may be.",
    );
    text.add_sample(&[], most);
    text.begin_family(
        "wapi_connections_total",
        MetricKind::Counter,
        "Connections since the start, by what was done about them.",
    );
    for (outcome, counter) in [
        ("let_in", &room.counts.let_in),
        ("refused", &room.counts.refused),
        ("displaced", &room.counts.displaced),
        ("late", &room.counts.late),
    ] {
        text.add_sample(&[("outcome", outcome)], counter.get());
    }
}

/// Returns the age in seconds.
fn age_seconds(at: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(at).as_secs_f64().max(0.0)
}
