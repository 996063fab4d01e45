//! Finds what is due, tries it, and saves what became of it. All it knows is in the store, so it goes on where the last run ended.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::sync::Notify;
use url::Url;

use super::ORIGINAL;
use super::attempt::Poster;
use super::health::Health;
use super::schedule::{self, Standing};
use crate::clock::Clock;
use crate::lifecycle::Lifecycle;
use crate::seen::Seen;
use crate::sessions::SessionName;
use crate::store::{Due, Outcome, Settled, Store};

/// Posts under way at the same time, over all chats.
const AT_ONCE: usize = 64;
/// How long to rest at most before looking again, should a wake-up ever be missed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How long to wait before asking a database that failed again.
const STORE_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    store: Store,
    poster: Poster,
    seen: Seen,
    clock: Clock,
    lifecycle: Lifecycle,
    health: Mutex<Health>,
    /// Deliveries whose outcome has been saved since the last look.
    settled: Mutex<Vec<i64>>,
    freed: Notify,
}

impl Worker {
    pub fn new(store: Store, poster: Poster, seen: Seen, clock: Clock, lifecycle: Lifecycle) -> Self {
        let (health, settled) = (Mutex::default(), Mutex::default());
        Self { store, poster, seen, clock, lifecycle, health, settled, freed: Notify::new() }
    }

    /// Works until the soft stop. Attempts under way then are finished by their own tasks.
    pub async fn run(self: Arc<Self>) {
        let mut under_way = HashSet::new();
        while !self.lifecycle.is_stopping() {
            let pause = match self.start_what_is_due(&mut under_way).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "deliveries cannot be read");
                    STORE_PAUSE
                }
            };
            // Both wake-ups keep a call that came before anybody waited.
            tokio::select! {
                () = self.lifecycle.stopping() => break,
                () = self.store.changed() => {}
                () = self.freed.notified() => {}
                () = self.clock.sleep(pause) => {}
            }
        }
    }

    /// Starts as many attempts as there is room for; how long nothing will be due.
    async fn start_what_is_due(self: &Arc<Self>, under_way: &mut HashSet<i64>) -> Result<Duration> {
        // Before the question, never after it: the answer may be from before a delivery was settled, and would start it again.
        for settled in lock(&self.settled).drain(..) {
            under_way.remove(&settled);
        }
        let room = AT_ONCE.saturating_sub(under_way.len());
        if room == 0 {
            return Ok(LOOK_AGAIN);
        }
        let now = self.clock.now();
        let due = self.store.due(now, AT_ONCE + under_way.len()).await?;
        let fresh: Vec<Due> = due.into_iter().filter(|due| !under_way.contains(&due.delivery)).take(room).collect();
        for due in fresh {
            under_way.insert(due.delivery);
            let worker = Arc::clone(self);
            self.lifecycle.spawn(async move { worker.attempt(due).await });
        }
        let next = self.store.next_due(now).await?;
        let until = next.map(|next| next.duration_since(now).try_into().unwrap_or(Duration::ZERO));
        Ok(until.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN))
    }

    async fn attempt(&self, due: Due) {
        let outcome = self.outcome(&due).await;
        let settled = Settled { delivery: due.delivery, outcome };
        // What was taken must not be tried again because the database was away for a moment.
        while let Err(error) = self.store.settle(settled.clone()).await {
            tracing::error!(event = due.event, %error, "what became of a delivery cannot be saved");
            if self.lifecycle.unless_stopping(self.clock.sleep(STORE_PAUSE)).await.is_none() {
                break;
            }
        }
        lock(&self.settled).push(due.delivery);
        self.freed.notify_one();
    }

    async fn outcome(&self, due: &Due) -> Outcome {
        if self.seen.was_forwarded(due).await {
            return Outcome::Delivered;
        }
        let session = due.session.as_str();
        let address = match address(due) {
            Ok(address) => address,
            Err(error) => return Outcome::Dead { error: format!("it has no address: {error:#}") },
        };
        let attempt = due.attempts + 1;
        let failure = match self.poster.post(&address, &due.event, &due.body).await {
            Ok(()) => {
                tracing::debug!(session, event = due.event, attempt, "delivered");
                let now = self.clock.now();
                self.store.meters().lag.observe(now.duration_since(due.created_at).as_secs_f64());
                lock(&self.health).succeeded(&due.endpoint, now);
                self.seen.forwarded(due).await;
                return Outcome::Delivered;
            }
            Err(failure) => failure,
        };
        tracing::warn!(session, event = due.event, attempt, error = failure.error, "the webhook did not take an event");
        let standing = Standing {
            attempts: attempt,
            failing_since: due.first_failed_at.unwrap_or(self.clock.now()),
            is_aside: due.is_aside,
            endpoint_works: lock(&self.health)
                .has_worked_since(&due.endpoint, due.last_failed_at.unwrap_or(due.created_at)),
        };
        let outcome = schedule::after(failure, standing, self.clock.now(), rand::random());
        if let Outcome::Dead { .. } = outcome {
            tracing::error!(session, event = due.event, "an event was given up; it stays in the database");
        }
        outcome
    }
}

/// Where this delivery goes: for the operator's own webhook, to the session's name behind its address.
fn address(due: &Due) -> Result<Url> {
    let base = Url::parse(&due.url)?;
    if due.endpoint != ORIGINAL {
        return Ok(base);
    }
    Ok(base.join(&format!("./{}", SessionName::parse(&due.session)?.url_segment()))?)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
