//! `GET /metrics`: figures of the gateway in the text format of Prometheus.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::Gateway;
use super::edge::Room;
use super::error::Problem;
use super::exposition::{Exposition, Kind};
use crate::meters::Meters;
use crate::sessions::Status;
use crate::store::Numbers;
use crate::telemetry::shown;

/// Serves the metrics to keys with the scope `read` for all sessions. They hold no phone number:
/// see [`shown::session`].
pub async fn metrics(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    let now = gateway.clock.now();
    let numbers = gateway.store.numbers().await.map_err(|error| {
        tracing::error!(%error, "the numbers cannot be read");
        Problem::Internal
    })?;
    let mut text = Exposition::default();
    sessions(&mut text, &gateway, now);
    stored(&mut text, &numbers, now);
    counted(&mut text, gateway.store.meters());
    connections(&mut text, &gateway.room);
    text.family(
        "wapi_feed_readers",
        Kind::Gauge,
        "Readers that wait for events at the moment.",
    );
    text.sample(&[], gateway.store.feed_readers());
    text.family(
        "wapi_ready",
        Kind::Gauge,
        "1 while everything can be saved.",
    );
    text.sample(&[], u8::from(gateway.store.trouble().is_none()));
    text.family("wapi_build_info", Kind::Gauge, "The running version.");
    text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    Ok((
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text.finish(),
    )
        .into_response())
}

fn sessions(text: &mut Exposition, gateway: &Gateway, now: Timestamp) {
    let all = gateway.sessions.all();
    let statuses: Vec<_> = all.iter().map(|session| session.state().status).collect();
    text.family("wapi_sessions", Kind::Gauge, "Sessions by status.");
    for status in Status::ALL {
        let count = statuses.iter().filter(|other| **other == status).count();
        text.sample(&[("status", status.word())], count);
    }
    text.family(
        "wapi_session_last_received_age_seconds",
        Kind::Gauge,
        "Time since a session's last message came in.",
    );
    for session in &all {
        if let Some(at) = session.last_received_at() {
            text.sample(
                &[("session", &shown::session(session.name.as_str()))],
                age(at, now),
            );
        }
    }
}

fn stored(text: &mut Exposition, numbers: &Numbers, now: Timestamp) {
    text.family(
        "wapi_events_total",
        Kind::Counter,
        "Events saved since the start, by type.",
    );
    for (kind, count) in &numbers.events {
        text.sample(&[("type", kind)], count);
    }
    text.family(
        "wapi_deliveries_waiting",
        Kind::Gauge,
        "Deliveries that are not done, by endpoint.",
    );
    for (endpoint, count) in &numbers.waiting {
        text.sample(&[("endpoint", endpoint)], count);
    }
    text.family(
        "wapi_oldest_undelivered_age_seconds",
        Kind::Gauge,
        "Age of the oldest delivery that is not done; 0: none.",
    );
    text.sample(&[], numbers.oldest_waiting.map_or(0.0, |at| age(at, now)));
    text.family(
        "wapi_open_messages",
        Kind::Gauge,
        "Messages accepted for sending that are not settled, by session.",
    );
    for (session, count) in &numbers.open {
        text.sample(&[("session", &shown::session(session))], count);
    }
    text.family(
        "wapi_pending_messages",
        Kind::Gauge,
        "Messages that came in and are not events yet.",
    );
    text.sample(&[], numbers.pending);
    text.family(
        "wapi_database_bytes",
        Kind::Gauge,
        "Size of the database, by what is in it.",
    );
    text.sample(&[("part", "used")], numbers.used_bytes);
    text.sample(&[("part", "free")], numbers.free_bytes);
}

fn counted(text: &mut Exposition, meters: &Meters) {
    text.family(
        "wapi_deliveries_total",
        Kind::Counter,
        "Attempts to deliver since the start, by outcome.",
    );
    for (outcome, counter) in [
        ("delivered", &meters.delivered),
        ("failed", &meters.failed),
        ("dead", &meters.dead),
    ] {
        text.sample(&[("outcome", outcome)], counter.get());
    }
    text.histogram(
        "wapi_delivery_lag_seconds",
        "Time from saving a message to a webhook taking it.",
        &meters.lag,
    );
    text.histogram(
        "wapi_commit_changes",
        "Changes that shared a commit.",
        &meters.commit_changes,
    );
    text.histogram(
        "wapi_commit_seconds",
        "Time of a commit, its disk sync included.",
        &meters.commit_seconds,
    );
    text.family(
        "wapi_failed_commits_total",
        Kind::Counter,
        "Commits that could not be saved.",
    );
    text.sample(&[], meters.failed_commits.get());
    text.family(
        "wapi_removed_events_total",
        Kind::Counter,
        "Events that retention has removed.",
    );
    text.sample(&[], meters.removed_events.get());
}

fn connections(text: &mut Exposition, room: &Room) {
    let (now, most) = room.now();
    text.family(
        "wapi_connections",
        Kind::Gauge,
        "Connections of callers at the moment.",
    );
    text.sample(&[], now);
    text.family(
        "wapi_connections_limit",
        Kind::Gauge,
        "How many connections of callers there may be.",
    );
    text.sample(&[], most);
    text.family(
        "wapi_connections_total",
        Kind::Counter,
        "Connections since the start, by what was done about them.",
    );
    for (outcome, counter) in [
        ("let_in", &room.counts.let_in),
        ("refused", &room.counts.refused),
        ("displaced", &room.counts.displaced),
        ("late", &room.counts.late),
    ] {
        text.sample(&[("outcome", outcome)], counter.get());
    }
}

/// Returns the age in seconds.
fn age(at: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(at).as_secs_f64().max(0.0)
}
