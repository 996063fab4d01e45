//! Attempts one delivery, and decides its outcome and that of its endpoint.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use super::ORIGINAL_ENDPOINT;
use super::attempt::{EventPoster, plain_failure};
use super::concurrency::YIELD_AFTER;
use super::destination::DestinationCache;
use super::health::{self, EndpointRecord, HealthTracker};
use super::schedule::{self, CHAT_PATIENCE, DeliveryStanding, PostFailure};
use crate::model::event::{DisabledWebhook, Event, EventData};
use crate::model::original::original_body;
use crate::store::{
    AttemptFailure, DeliveryOutcome, DisableEndpoint, DisabledReason, DueDelivery, Life, NewEvent,
    Store,
};
use crate::system::clock::Clock;
use crate::webhooks::dedup::ForwardedSet;

/// The result of an attempt.
pub(super) struct AttemptResult {
    pub outcome: DeliveryOutcome,
    /// The reason to disable the endpoint, if there is one.
    pub disabled: Option<DisabledReason>,
}

pub(super) struct EventDeliverer {
    pub store: Store,
    pub poster: EventPoster,
    pub targets: DestinationCache,
    pub forwarded: ForwardedSet,
    pub clock: Clock,
    /// Time an endpoint may accept nothing before it is disabled.
    pub disable_after: Duration,
    pub health: Mutex<HealthTracker>,
}

impl EventDeliverer {
    /// Returns the number of concurrent posts that a destination may have.
    pub fn max_posts(&self, destination: &str) -> usize {
        self.lock_health().max_posts(destination)
    }

    /// Attempts a delivery. `cancel_token` is cancelled when its slot is needed by others.
    pub async fn attempt_delivery(
        &self,
        due: &DueDelivery,
        cancel_token: &CancellationToken,
    ) -> AttemptResult {
        if let Some(retry_at) = due.blocked_until(self.clock.now()) {
            let outcome = self.probe_behind(due, None, retry_at, cancel_token).await;
            return AttemptResult {
                outcome,
                disabled: None,
            };
        }
        match self.post_event(due, cancel_token).await {
            Ok(()) => AttemptResult {
                outcome: DeliveryOutcome::Delivered,
                disabled: None,
            },
            Err(failure) => self.handle_failure(due, failure, cancel_token).await,
        }
    }

    /// Returns the outcome of a delivery that made us panic. It may do so again, so its chat does
    /// not wait for it.
    pub fn panic_outcome(&self, due: &DueDelivery) -> AttemptResult {
        let error = "the gateway failed during the attempt; its log has the details".to_owned();
        let failure = PostFailure {
            is_about_the_event: true,
            ..plain_failure(error)
        };
        AttemptResult {
            outcome: self.failure_outcome(due, failure),
            disabled: None,
        }
    }

    /// Disables the delivery's endpoint, and notifies the others with `webhook.disabled`.
    pub async fn disable_endpoint(&self, due: &DueDelivery, reason: DisabledReason) {
        let session = match self.store.webhooks().find_endpoint(&due.endpoint).await {
            Ok(endpoint) => endpoint.and_then(|endpoint| endpoint.session),
            Err(_) => None,
        };
        let now = self.clock.now();
        let data = DisabledWebhook {
            session: session.clone(),
            id: due.endpoint.clone(),
            reason: reason.into_str().to_owned(),
            disabled_at: now,
        };
        let event = Event::new(EventData::WebhookDisabled(data), now);
        let name = session.as_deref().unwrap_or_default();
        let life = self
            .store
            .lives()
            .current_life(name)
            .unwrap_or_else(|| Life::for_gateway(name));
        let event = NewEvent::for_endpoint(&due.endpoint, &life, &event);
        let disable = DisableEndpoint {
            id: due.endpoint.clone(),
            reason,
            event,
        };
        match self.store.webhooks().disable_endpoint(disable).await {
            Ok(true) => tracing::error!(
                webhook = due.endpoint,
                reason = reason.into_str(),
                "disabled a webhook; its events wait"
            ),
            Ok(false) => {}
            // The next attempt will fail, too, and disable it again.
            Err(error) => {
                tracing::error!(webhook = due.endpoint, %error, "failed to disable a webhook")
            }
        }
    }

    /// Posts an event, unless another process has already done so.
    async fn post_event(
        &self,
        due: &DueDelivery,
        cancel_token: &CancellationToken,
    ) -> Result<(), PostFailure> {
        if !due.is_resent && self.forwarded.is_forwarded(due).await {
            return Ok(());
        }
        let target = self
            .targets
            .destination_of(due)
            .await
            .map_err(|error| plain_failure(format!("it cannot be addressed: {error:#}")))?;
        // The endpoint's owner cannot fix a session name that makes no address.
        let address = target
            .session_url(due.session.name())
            .map_err(|error| PostFailure {
                is_about_the_event: true,
                ..plain_failure(format!("it has no address: {error:#}"))
            })?;
        let body = if target.is_operators {
            Cow::Owned(original_body(&due.body))
        } else {
            Cow::Borrowed(&*due.body)
        };
        let posting = self.poster.post_event(&target, address, &due.event, &body);
        // A slow receiver delays only its own events.
        let posted = cancel_token
            .run_until_cancelled(posting)
            .await
            .unwrap_or_else(|| {
                Err(plain_failure(format!(
                    "it did not answer within {YIELD_AFTER:?}, and its slot was needed for other deliveries"
                )))
            });
        let now = self.clock.now();
        if let Err(failure) = posted {
            self.lock_health().record_failure(&due.destination, now);
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
            .lock_health()
            .record_success(&due.destination, now)
            .or(due.endpoint_failing_since);
        self.forwarded.record_forwarded(due).await;
        if let Some(since) = failing_since {
            self.record_recovery(due, since, now).await;
        }
        Ok(())
    }

    async fn record_recovery(&self, due: &DueDelivery, since: Timestamp, now: Timestamp) {
        let wake = health::chats_to_wake(since, now);
        if let Err(error) = self
            .store
            .webhooks()
            .record_endpoint_recovery(&due.endpoint, &due.destination, wake)
            .await
        {
            // The next success records it again.
            tracing::warn!(webhook = due.endpoint, %error, "failed to save the recovery of a webhook");
        }
    }

    async fn handle_failure(
        &self,
        due: &DueDelivery,
        failure: PostFailure,
        cancel_token: &CancellationToken,
    ) -> AttemptResult {
        let (session, error) = (due.session.name(), failure.error.error.as_str());
        tracing::warn!(
            session,
            event = due.event,
            attempt = due.attempts + 1,
            error,
            "the webhook rejected an event"
        );
        let disabled = self.reason_to_disable(due, &failure);
        let outcome = match self.failure_outcome(due, failure) {
            // An event is not given up when its failure disables the endpoint.
            DeliveryOutcome::Dead { error } if disabled.is_some() => DeliveryOutcome::Retry {
                error,
                due_at: self.clock.now(),
            },
            DeliveryOutcome::Blocked {
                error, retry_at, ..
            } => self.probe_behind(due, error, retry_at, cancel_token).await,
            outcome => outcome,
        };
        if let DeliveryOutcome::Dead { .. } = outcome {
            tracing::error!(
                session,
                event = due.event,
                "gave up an event; it stays in the database"
            );
        }
        AttemptResult { outcome, disabled }
    }

    fn failure_outcome(&self, due: &DueDelivery, failure: PostFailure) -> DeliveryOutcome {
        let now = self.clock.now();
        let standing = DeliveryStanding {
            attempts: due.attempts + 1,
            failing_since: due.first_failed_at.unwrap_or(now),
            is_parked: due.is_parked,
            endpoint_works: self.lock_health().has_worked_since(
                &due.destination,
                due.last_failed_at.unwrap_or(due.created_at),
            ),
        };
        schedule::outcome_after(failure, standing, now, rand::random())
    }

    /// Returns the reason to disable the endpoint. The operator's own webhook is never disabled:
    /// only the operator could repair it, and then it works again by itself.
    fn reason_to_disable(
        &self,
        due: &DueDelivery,
        failure: &PostFailure,
    ) -> Option<DisabledReason> {
        if due.endpoint == ORIGINAL_ENDPOINT {
            return None;
        }
        let now = self.clock.now();
        let record = EndpointRecord {
            status: failure.error.status,
            failing_since: due.endpoint_failing_since.unwrap_or(now),
            failures: due.endpoint_failures.saturating_add(1),
        };
        health::disable_reason(record, now, self.disable_after)
    }

    /// Handles a delivery that has held its chat for long, by attempting the one behind it. If that
    /// one is accepted, the endpoint is up and this delivery is at fault, so it is parked.
    /// Otherwise the order is kept.
    async fn probe_behind(
        &self,
        due: &DueDelivery,
        error: Option<AttemptFailure>,
        retry_at: Timestamp,
        cancel_token: &CancellationToken,
    ) -> DeliveryOutcome {
        let behind = self.store.deliveries().find_next_in_lane(due).await.unwrap_or_else(|error| {
            tracing::warn!(event = due.event, %error, "failed to read the deliveries that wait behind an event");
            None
        });
        if let Some(behind) = behind
            && self.post_event(&behind, cancel_token).await.is_ok()
        {
            return DeliveryOutcome::Skipped {
                error,
                by: behind.delivery,
                due_at: retry_at,
            };
        }
        let probe_from = schedule::time_after(self.clock.now(), CHAT_PATIENCE);
        DeliveryOutcome::Blocked {
            error,
            retry_at,
            probe_from,
        }
    }

    fn lock_health(&self) -> MutexGuard<'_, HealthTracker> {
        self.health.lock()
    }
}
