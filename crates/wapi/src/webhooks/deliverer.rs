//! Attempts one delivery, and decides its outcome and that of its endpoint.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::ORIGINAL;
use super::attempt::{Poster, failure};
use super::health::{self, Health, Record};
use super::schedule::{self, Failure, PATIENCE, Standing};
use super::slots::GIVES_WAY;
use super::target::Targets;
use crate::clock::Clock;
use crate::event::{DisabledWebhook, Event, EventData};
use crate::seen::Seen;
use crate::store::{DisableEndpoint, DisabledReason, Due, Failed, Life, NewEvent, Outcome, Store};

/// The result of an attempt.
pub(super) struct Tried {
    pub outcome: Outcome,
    /// The reason to disable the endpoint, if there is one.
    pub disabled: Option<DisabledReason>,
}

pub(super) struct Deliverer {
    pub store: Store,
    pub poster: Poster,
    pub targets: Targets,
    pub seen: Seen,
    pub clock: Clock,
    /// Time an endpoint may accept nothing before it is disabled.
    pub disable_after: Duration,
    pub health: Mutex<Health>,
}

impl Deliverer {
    /// Returns the number of concurrent posts that a destination may have.
    pub fn width(&self, gate: &str) -> usize {
        self.health().width(gate)
    }

    /// Attempts a delivery. `bell` is cancelled when its slot is needed by others.
    pub async fn deliver(&self, due: &Due, bell: &CancellationToken) -> Tried {
        if let Some(retry_at) = due.held_until(self.clock.now()) {
            let outcome = self.hold(due, None, retry_at, bell).await;
            return Tried {
                outcome,
                disabled: None,
            };
        }
        match self.post(due, bell).await {
            Ok(()) => Tried {
                outcome: Outcome::Delivered,
                disabled: None,
            },
            Err(failure) => self.after_failure(due, failure, bell).await,
        }
    }

    /// Returns the outcome of a delivery that made us panic. It may do so again, so its chat does
    /// not wait for it.
    pub fn after_a_panic(&self, due: &Due) -> Tried {
        let error = "the gateway itself failed while it was tried; its log says where".to_owned();
        let failure = Failure {
            is_about_the_event: true,
            ..failure(error)
        };
        Tried {
            outcome: self.next(due, failure),
            disabled: None,
        }
    }

    /// Disables the delivery's endpoint, and notifies the others with `webhook.disabled`.
    pub async fn disable(&self, due: &Due, reason: DisabledReason) {
        let session = match self.store.endpoint(&due.endpoint).await {
            Ok(endpoint) => endpoint.and_then(|endpoint| endpoint.session),
            Err(_) => None,
        };
        let now = self.clock.now();
        let data = DisabledWebhook {
            session: session.clone(),
            id: due.endpoint.clone(),
            reason: reason.word(),
            disabled_at: now,
        };
        let event = Event::new(EventData::WebhookDisabled(data), now);
        let name = session.as_deref().unwrap_or_default();
        let life = self
            .store
            .lives()
            .current(name)
            .unwrap_or_else(|| Life::nobodys(name));
        let event = NewEvent::of_endpoint(&due.endpoint, &life, &event);
        let disable = DisableEndpoint {
            id: due.endpoint.clone(),
            reason,
            event,
        };
        match self.store.disable_endpoint(disable).await {
            Ok(true) => tracing::error!(
                webhook = due.endpoint,
                reason = reason.word(),
                "a webhook was disabled; what happens waits for it"
            ),
            Ok(false) => {}
            // The next attempt will fail, too, and disable it again.
            Err(error) => {
                tracing::error!(webhook = due.endpoint, %error, "a webhook cannot be disabled")
            }
        }
    }

    /// Posts an event, unless another process has already done so.
    async fn post(&self, due: &Due, bell: &CancellationToken) -> Result<(), Failure> {
        if !due.is_resent && self.seen.was_forwarded(due).await {
            return Ok(());
        }
        let target = self
            .targets
            .of(due)
            .await
            .map_err(|error| failure(format!("it cannot be addressed: {error:#}")))?;
        // The endpoint's owner cannot fix a session name that makes no address.
        let address = target
            .address(due.session.name())
            .map_err(|error| Failure {
                is_about_the_event: true,
                ..failure(format!("it has no address: {error:#}"))
            })?;
        let posting = self.poster.post(&target, address, &due.event, &due.body);
        // A slow receiver delays only its own events.
        let posted = bell.run_until_cancelled(posting).await.unwrap_or_else(|| {
            Err(failure(format!(
                "it did not answer within {GIVES_WAY:?}, and all places for posts were taken"
            )))
        });
        let now = self.clock.now();
        if let Err(failure) = posted {
            self.health().failed(&due.gate, now);
            return Err(failure);
        }
        tracing::debug!(
            session = due.session.name(),
            event = due.event,
            attempt = due.attempts + 1,
            "delivered"
        );
        self.store
            .meters()
            .lag
            .observe(now.duration_since(due.created_at).as_secs_f64());
        let failing_since = self
            .health()
            .succeeded(&due.gate, now)
            .or(due.endpoint_failing_since);
        self.seen.forwarded(due).await;
        if let Some(since) = failing_since {
            self.recovered(due, since, now).await;
        }
        Ok(())
    }

    async fn recovered(&self, due: &Due, since: Timestamp, now: Timestamp) {
        let wake = health::after_outage(since, now);
        if let Err(error) = self
            .store
            .endpoint_has_recovered(&due.endpoint, &due.gate, wake)
            .await
        {
            // The next success records it again.
            tracing::warn!(webhook = due.endpoint, %error, "that a webhook works again cannot be saved");
        }
    }

    async fn after_failure(&self, due: &Due, failure: Failure, bell: &CancellationToken) -> Tried {
        let (session, error) = (due.session.name(), failure.error.error.as_str());
        tracing::warn!(
            session,
            event = due.event,
            attempt = due.attempts + 1,
            error,
            "the webhook did not take an event"
        );
        let disabled = self.disabled(due, &failure);
        let outcome = match self.next(due, failure) {
            // An event is not given up when its failure disables the endpoint.
            Outcome::Dead { error } if disabled.is_some() => Outcome::Again {
                error,
                due_at: self.clock.now(),
            },
            Outcome::Hold {
                error, retry_at, ..
            } => self.hold(due, error, retry_at, bell).await,
            outcome => outcome,
        };
        if let Outcome::Dead { .. } = outcome {
            tracing::error!(
                session,
                event = due.event,
                "an event was given up; it stays in the database"
            );
        }
        Tried { outcome, disabled }
    }

    fn next(&self, due: &Due, failure: Failure) -> Outcome {
        let now = self.clock.now();
        let standing = Standing {
            attempts: due.attempts + 1,
            failing_since: due.first_failed_at.unwrap_or(now),
            is_aside: due.is_aside,
            endpoint_works: self
                .health()
                .has_worked_since(&due.gate, due.last_failed_at.unwrap_or(due.created_at)),
        };
        schedule::after(failure, standing, now, rand::random())
    }

    /// Returns the reason to disable the endpoint. The operator's own webhook is never disabled:
    /// only the operator could repair it, and then it works again by itself.
    fn disabled(&self, due: &Due, failure: &Failure) -> Option<DisabledReason> {
        if due.endpoint == ORIGINAL {
            return None;
        }
        let now = self.clock.now();
        let record = Record {
            status: failure.error.status,
            failing_since: due.endpoint_failing_since.unwrap_or(now),
            failures: due.endpoint_failures.saturating_add(1),
        };
        health::disabled(record, now, self.disable_after)
    }

    /// Handles a delivery that has held its chat for long, by attempting the one behind it. If that
    /// one is accepted, the endpoint is up and this delivery is at fault, so it is parked.
    /// Otherwise the order is kept.
    async fn hold(
        &self,
        due: &Due,
        error: Option<Failed>,
        retry_at: Timestamp,
        bell: &CancellationToken,
    ) -> Outcome {
        let behind = self.store.behind(due).await.unwrap_or_else(|error| {
            tracing::warn!(event = due.event, %error, "what waits behind an event cannot be read");
            None
        });
        if let Some(behind) = behind
            && self.post(&behind, bell).await.is_ok()
        {
            return Outcome::Overtaken {
                error,
                by: behind.delivery,
                due_at: retry_at,
            };
        }
        let probe_from = schedule::later(self.clock.now(), PATIENCE);
        Outcome::Hold {
            error,
            retry_at,
            probe_from,
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
