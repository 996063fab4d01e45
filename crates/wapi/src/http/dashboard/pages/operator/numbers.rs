//! Numbers of the whole gateway on the overview. Each is measured, and says since when.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use maud::{Markup, html};
use prometheus_client::encoding::prometheus_text;

use super::chart::{draw_bars, find_most};
use super::lag::find_bound;
use crate::http::Gateway;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::layout::{render_clock, render_time};
use crate::http::dashboard::texts::{self, PageText};
use crate::http::dashboard::traffic::{TrafficCounts, TrafficRing, end_of_slot};
use crate::http::error::Problem;
use crate::model::timestamp::format_timestamp;
use crate::store::{StoreError, StoreStats};
use crate::system::lifecycle::run_blocking;

/// Interval at which traffic is counted.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(60);
/// How long the disk may take to tell its free space.
const DISK_TIMEOUT: Duration = Duration::from_secs(1);
const LAG: &str = "wapi_delivery_lag_seconds";
const MIB: u64 = 1 << 20;
/// Queues that are shown: the longest.
const MOST_QUEUES: usize = 50;

/// Counts traffic until the program stops, for the charts of the last day.
pub async fn keep_counting_traffic(gateway: Gateway) {
    loop {
        if let Err(error) = count_traffic(&gateway).await {
            tracing::debug!(%error, "failed to count traffic; trying again later");
        }
        let pause = gateway.clock.sleep(SAMPLE_INTERVAL);
        if gateway.lifecycle.unless_stopping(pause).await.is_none() {
            return;
        }
    }
}

/// Brings the counts up to date.
async fn count_traffic(gateway: &Gateway) -> Result<(), StoreError> {
    record_traffic(gateway, &gateway.store.load_event_counts().await?);
    Ok(())
}

fn record_traffic(gateway: &Gateway, events: &BTreeMap<String, u64>) {
    let count_of = |kind: &str| events.get(kind).copied().unwrap_or_default();
    let meters = gateway.store.meters();
    let totals = TrafficCounts {
        received: count_of("message.received"),
        sent: count_of("message.sent"),
        delivered: meters.delivered.get(),
        failed: meters.failed.get() + meters.dead.get(),
    };
    let now = gateway.clock.now();
    let mut ring = gateway.dashboard.lock_traffic();
    ring.get_or_insert_with(|| TrafficRing::new(now))
        .record(now, totals);
}

/// The numbers of the whole gateway at one moment.
#[derive(Debug)]
pub struct GatewayNumbers {
    pub measured_at: Timestamp,
    pub stats: StoreStats,
    /// The quarters of the last day with their beginnings, oldest first.
    day: Vec<(Timestamp, TrafficCounts)>,
    /// The end of the last quarter.
    day_end: Timestamp,
    /// When counting began.
    since: Option<Timestamp>,
    /// The bounds that half of the deliveries keep, and nearly all.
    lag: Option<(f64, f64)>,
    /// Free and all bytes of the disk, if it answers in time.
    disk: Option<(u64, u64)>,
}

/// Returns numbers that are at most this old. All readers share them: however many look on, they are
/// measured once.
pub async fn read_numbers(
    gateway: &Gateway,
    max_age: Duration,
) -> Result<Arc<GatewayNumbers>, Problem> {
    let numbers = gateway.dashboard.numbers();
    let measured = numbers.read(&gateway.clock, max_age, measure_numbers(gateway));
    measured.await.map_err(|error| Problem::NotReady {
        detail: error.to_string(),
    })
}

async fn measure_numbers(gateway: &Gateway) -> Result<GatewayNumbers, StoreError> {
    let measured_at = gateway.clock.now();
    let stats = gateway.store.load_stats().await?;
    record_traffic(gateway, &stats.events);
    let (since, day) = {
        let ring = gateway.dashboard.lock_traffic();
        let ring = ring.as_ref();
        let day = ring.map(|ring| ring.last_day(measured_at));
        (ring.map(TrafficRing::since), day.unwrap_or_default())
    };
    let mut metrics = String::new();
    let registry = gateway.store.meters().registry();
    prometheus_text::encode(&mut metrics, registry).expect("writing to a String cannot fail");
    let bound = |share| find_bound(&metrics, LAG, share);
    let folder = gateway.folder.clone();
    let asked = run_blocking(move || folder.disk_space());
    // A disk that hangs must not keep the page.
    let disk = gateway.clock.timeout(DISK_TIMEOUT, asked).await;
    Ok(GatewayNumbers {
        measured_at,
        stats,
        day,
        day_end: end_of_slot(measured_at),
        since,
        lag: bound(0.5).zip(bound(0.95)),
        disk: disk.ok().flatten().flatten(),
    })
}

/// Draws the charts of the last day.
pub fn draw_traffic(context: &PageContext, numbers: &GatewayNumbers) -> Markup {
    let chart = |text: PageText, count_of: fn(&TrafficCounts) -> u64| {
        let day = numbers.day.iter();
        let bars: Vec<_> = day
            .map(|(begins, counts)| (*begins, count_of(counts)))
            .collect();
        let total: u64 = bars.iter().map(|(_, count)| count).sum();
        let most = find_most(&bars);
        let name = context.text(text);
        let label = format!("{name}: {total}");
        html! {
            figure {
                figcaption {
                    (name) ": " strong { (total) }
                    @if let Some((begins, most)) = most {
                        " " span.quiet { (context.text(texts::MOST)) " " (most) ", " (render_clock(begins)) }
                    }
                }
                (draw_bars(&label, &bars, numbers.day_end))
            }
        }
    };
    html! {
        section.card id="traffic" {
            h2 { (context.text(texts::LAST_DAY)) }
            @if let Some(since) = numbers.since {
                p.hint { (context.text(texts::MEASURED_SINCE)) " " (render_time(&format_timestamp(since))) }
            }
            div.charts {
                (chart(texts::RECEIVED, |counts| counts.received))
                (chart(texts::SENT, |counts| counts.sent))
                (chart(texts::DELIVERED, |counts| counts.delivered))
                (chart(texts::FAILED_DELIVERIES, |counts| counts.failed))
            }
        }
    }
}

/// Draws the queue of each webhook, the lag of deliveries, and the disk.
pub fn draw_queues(context: &PageContext, numbers: &GatewayNumbers) -> Markup {
    let format_bound = |bound: f64| match bound.is_finite() {
        true => bound.to_string(),
        false => "> 86400".to_owned(),
    };
    let mut queues: Vec<_> = numbers.stats.waiting.iter().collect();
    queues.sort_by_key(|(_, waiting)| Reverse(**waiting));
    html! {
        section.card id="queues" {
            h2 { (context.text(texts::QUEUES)) }
            dl {
                @for (webhook, waiting) in queues.iter().take(MOST_QUEUES) {
                    div {
                        dt { a href={ "/dashboard/webhooks/" (webhook) "/deliveries?status=waiting" } { (webhook) } }
                        dd { (waiting) }
                    }
                }
            }
            @if let Some(more) = queues.len().checked_sub(MOST_QUEUES).filter(|more| *more > 0) {
                p { a href="/dashboard/webhooks" { (context.text(texts::MORE)) " " (more) } }
            }
            h2 { (context.text(texts::LAG)) }
            @match numbers.lag {
                Some((half, nearly_all)) => dl.counts id="lag" {
                    div { dt { (context.text(texts::HALF)) } dd { (format_bound(half)) } }
                    div { dt { (context.text(texts::NEARLY_ALL)) } dd { (format_bound(nearly_all)) } }
                },
                None => p { (context.text(texts::NO_LAG)) },
            }
            @if let Some((free, total)) = numbers.disk {
                dl.counts id="disk" {
                    div { dt { (context.text(texts::DISK_FREE)) } dd { (free / MIB) } }
                    div { dt { (context.text(texts::DISK_TOTAL)) } dd { (total / MIB) } }
                }
            }
        }
    }
}
