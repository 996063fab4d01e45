//! Numbers of the whole gateway on the overview. Each is measured, and says since when.

use std::time::Duration;

use maud::{Markup, html};
use prometheus_client::encoding::prometheus_text;

use super::chart::draw_bars;
use super::lag::find_bound;
use crate::http::Gateway;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::layout::render_time;
use crate::http::dashboard::texts::{self, PageText};
use crate::http::dashboard::traffic::{TrafficCounts, TrafficRing};
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
    let events = gateway.store.load_event_counts().await?;
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
    Ok(())
}

/// Draws the charts of the last day.
pub async fn draw_traffic(gateway: &Gateway, context: &PageContext) -> Result<Markup, Problem> {
    count_traffic(gateway)
        .await
        .map_err(|error| Problem::NotReady {
            detail: error.to_string(),
        })?;
    let now = gateway.clock.now();
    let (since, day) = {
        let ring = gateway.dashboard.lock_traffic();
        let ring = ring.as_ref();
        (
            ring.map(|ring| ring.since()),
            ring.map(|ring| ring.last_day(now)).unwrap_or_default(),
        )
    };
    let chart = |text: PageText, count_of: fn(&TrafficCounts) -> u64| {
        let bars: Vec<_> = day
            .iter()
            .map(|(begins, counts)| {
                let count = count_of(counts);
                (format!("{}: {count}", format_timestamp(*begins)), count)
            })
            .collect();
        let total: u64 = bars.iter().map(|(_, count)| count).sum();
        let most = bars.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let name = context.text(text);
        let label = format!("{name}: {total} ({}: {most})", context.text(texts::MOST));
        html! {
            figure {
                figcaption { (name) ": " strong { (total) } " "
                    span.quiet { (context.text(texts::MOST)) " " (most) } }
                (draw_bars(&label, &bars))
            }
        }
    };
    Ok(html! {
        section.card id="traffic" {
            h2 { (context.text(texts::LAST_DAY)) }
            @if let Some(since) = since {
                p.hint { (context.text(texts::MEASURED_SINCE)) " " (render_time(&format_timestamp(since))) }
            }
            div.charts {
                (chart(texts::RECEIVED, |counts| counts.received))
                (chart(texts::SENT, |counts| counts.sent))
                (chart(texts::DELIVERED, |counts| counts.delivered))
                (chart(texts::FAILED_DELIVERIES, |counts| counts.failed))
            }
        }
    })
}

/// Draws the queue of each webhook, the lag of deliveries, and the disk.
pub async fn draw_queues(gateway: &Gateway, context: &PageContext, stats: &StoreStats) -> Markup {
    let mut metrics = String::new();
    let registry = gateway.store.meters().registry();
    prometheus_text::encode(&mut metrics, registry).expect("writing to a String cannot fail");
    let bound = |share| find_bound(&metrics, LAG, share);
    let format_bound = |bound: f64| match bound.is_finite() {
        true => bound.to_string(),
        false => "> 86400".to_owned(),
    };
    let folder = gateway.folder.clone();
    let asked = run_blocking(move || folder.disk_space());
    // A disk that hangs must not keep the page.
    let disk = gateway.clock.timeout(DISK_TIMEOUT, asked).await;
    let disk = disk.ok().flatten().flatten();
    html! {
        section.card id="queues" {
            h2 { (context.text(texts::QUEUES)) }
            dl {
                @for (webhook, waiting) in &stats.waiting {
                    div {
                        dt { a href={ "/dashboard/webhooks/" (webhook) "/deliveries?status=waiting" } { (webhook) } }
                        dd { (waiting) }
                    }
                }
            }
            h2 { (context.text(texts::LAG)) }
            @match (bound(0.5), bound(0.95)) {
                (Some(half), Some(nearly_all)) => dl.counts id="lag" {
                    div { dt { (context.text(texts::HALF)) } dd { (format_bound(half)) } }
                    div { dt { (context.text(texts::NEARLY_ALL)) } dd { (format_bound(nearly_all)) } }
                },
                _ => p { (context.text(texts::NO_LAG)) },
            }
            @if let Some((free, total)) = disk {
                dl.counts id="disk" {
                    div { dt { (context.text(texts::DISK_FREE)) } dd { (free / MIB) } }
                    div { dt { (context.text(texts::DISK_TOTAL)) } dd { (total / MIB) } }
                }
            }
        }
    }
}
