//! Bursts of messages: phones write to accounts as fast as they can, or on a fixed schedule.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::phone::Phone;
use crate::server::Server;

/// The minimum length of every text, in characters: a usual length of a chat message.
const MIN_TEXT_LENGTH: usize = 100;
/// The longest single sleep, so that a simulator that stops does not wait for the next message.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// A burst to send. The chats, every phone of `from` with every account of `to`, take turns.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BurstRequest {
    /// The first word of every text.
    pub(crate) label: String,
    /// Phone numbers.
    pub(crate) from: Vec<String>,
    /// Numbers or addresses of accounts.
    pub(crate) to: Vec<String>,
    /// Number of messages over all chats.
    pub(crate) count: usize,
    /// Messages per second; as fast as possible if absent.
    pub(crate) per_second: Option<f64>,
}

/// The result of a burst.
#[derive(Debug, Serialize)]
pub(crate) struct BurstReport {
    sent: usize,
    seconds: f64,
    /// How far behind schedule messages left, in milliseconds: median, 99th percentile and maximum.
    late_ms: LatenessStats,
}

#[derive(Debug, Default, Serialize)]
struct LatenessStats {
    p50: f64,
    p99: f64,
    max: f64,
}

/// Sends the whole burst. Blocks: encryption is CPU work, and a schedule needs a thread of its own.
///
/// A text is `LABEL INDEX MICROSECONDS`, then dots: the index counts from 0, the time is the
/// scheduled one, since 1970, or without a schedule the time of sending. So the receiver can
/// compute how long the message was on its way, including the delay of the simulator itself.
pub(crate) fn send_burst(
    server: &Arc<Server>,
    burst: &BurstRequest,
    phone: impl Fn(&str) -> Option<Phone>,
) -> anyhow::Result<BurstReport> {
    ensure!(
        !burst.from.is_empty() && !burst.to.is_empty(),
        "name at least one phone in from and one account in to"
    );
    ensure!(
        burst
            .per_second
            .is_none_or(|rate| rate > 0.0 && rate.is_finite()),
        "per_second must be above 0"
    );
    let known =
        |number: &String| phone(number).with_context(|| format!("there is no phone {number}"));
    let phones = burst
        .from
        .iter()
        .map(known)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let started = BurstSchedule::start(burst.per_second);
    let mut lateness = Vec::with_capacity(burst.count);
    for index in 0..burst.count {
        let (due, late) = started.wait_until_due(index, || server.stop.is_cancelled())?;
        let (phone, to) = (
            &phones[index % phones.len()],
            &burst.to[index / phones.len() % burst.to.len()],
        );
        phone.sends_message(to, "text", burst_text(&burst.label, index, due))?;
        lateness.push(late);
    }
    let seconds = started.at.elapsed().as_secs_f64();
    Ok(BurstReport {
        sent: burst.count,
        seconds,
        late_ms: summarize_lateness(lateness),
    })
}

fn burst_text(label: &str, index: usize, due: Duration) -> waproto::whatsapp::Message {
    let body = format!(
        "{:.<MIN_TEXT_LENGTH$}",
        format!("{label} {index} {} ", due.as_micros())
    );
    waproto::whatsapp::Message {
        conversation: Some(body),
        ..Default::default()
    }
}

/// The schedule of a burst.
struct BurstSchedule {
    at: Instant,
    since_1970: Duration,
    every: Option<Duration>,
}

impl BurstSchedule {
    fn start(per_second: Option<f64>) -> Self {
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            at: Instant::now(),
            since_1970,
            every: per_second.map(|rate| Duration::from_secs_f64(1.0 / rate)),
        }
    }

    /// Sleeps until a message is due; returns its due time, since 1970, and how late it is now.
    fn wait_until_due(
        &self,
        index: usize,
        stopped: impl Fn() -> bool,
    ) -> anyhow::Result<(Duration, Duration)> {
        loop {
            ensure!(!stopped(), "the simulator is stopping");
            let now = self.at.elapsed();
            let due = self.every.map_or(now, |every| every.mul_f64(index as f64));
            match due.checked_sub(now) {
                None | Some(Duration::ZERO) => return Ok((self.since_1970 + due, now - due)),
                Some(left) => std::thread::sleep(left.min(LONGEST_SLEEP)),
            }
        }
    }
}

fn summarize_lateness(mut late: Vec<Duration>) -> LatenessStats {
    late.sort_unstable();
    let at = |share: usize| late.get((late.len() * share / 100).min(late.len().saturating_sub(1)));
    let ms = |late: Option<&Duration>| late.map_or(0.0, |late| late.as_secs_f64() * 1000.0);
    LatenessStats {
        p50: ms(at(50)),
        p99: ms(at(99)),
        max: ms(at(100)),
    }
}
