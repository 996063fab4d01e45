//! Webhooks: delivers every event in the store, in order within a chat, until it is accepted.

mod attempt;
mod concurrency;
mod connections;
pub mod dedup;
mod deliverer;
mod destination;
mod health;
mod schedule;
pub mod validation;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use attempt::EventPoster;
use deliverer::EventDeliverer;
use destination::DestinationCache;
use jiff::Timestamp;
use parking_lot::Mutex;
use url::Url;
use worker::DeliveryWorker;

use crate::config::Environment;
use crate::model::ids;
use crate::model::signing_key::SigningKey;
use crate::net::egress::EgressPolicy as Allowed;
use crate::store::{AttemptFailure, Endpoint, NewEvent, Store, StoreError};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;
use crate::webhooks::dedup::ForwardedSet;

/// Id of the endpoint from the operator's own settings. Its posts go to the session's name below
/// its address.
pub const ORIGINAL_ENDPOINT: &str = "original";
/// All event types of the original wapi.
const ORIGINAL_TYPES: [&str; 1] = ["message.received"];
/// Time after a rotation during which the former key also signs.
const KEY_OVERLAP: Duration = Duration::from_secs(24 * 3600);
/// Time limit for resolving the host of an address.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);
/// Deliveries of deleted endpoints that are dropped per transaction.
const DROP_BATCH_SIZE: u32 = 1_000;

/// The dependencies of webhook delivery.
pub struct WebhookDeps {
    pub store: Store,
    /// Ends in a slash.
    pub base: Url,
    pub secret: Option<SigningKey>,
    pub environment: Environment,
    /// Addresses allowed for webhooks of callers.
    pub allowed: Allowed,
    /// Whether endpoints older than this restriction may have any address.
    pub were_open: bool,
    /// Time an endpoint may accept nothing before it is disabled.
    pub disable_after: Duration,
    pub forwarded: ForwardedSet,
    pub clock: Clock,
    pub lifecycle: Lifecycle,
}

/// Operations on endpoints beyond storing them; cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    store: Store,
    deliverer: Arc<EventDeliverer>,
    allowed: Allowed,
    clock: Clock,
    lifecycle: Lifecycle,
}

/// The result of a test post to an endpoint.
#[derive(Debug)]
pub struct WebhookTestResult {
    /// The reason why it counts as a failure, if it does.
    pub error: Option<String>,
    pub status: Option<u16>,
    /// The beginning of the response's body.
    pub answer: Option<String>,
    pub took: Duration,
}

/// Registers the operator's webhook and starts delivering, first the deliveries of an earlier run.
pub async fn start_webhooks(parts: WebhookDeps) -> Result<Webhooks> {
    let WebhookDeps {
        store,
        base,
        secret,
        environment,
        allowed,
        were_open,
        disable_after,
        forwarded: seen,
        clock,
        lifecycle,
    } = parts;
    let saved = store
        .webhooks()
        .save_endpoint_per_session(ORIGINAL_ENDPOINT, base.as_str(), &ORIGINAL_TYPES)
        .await;
    saved.context("saving the webhook's address")?;
    let kept = store
        .webhooks()
        .keep_addresses(were_open)
        .await
        .context("reading the saved webhooks")?;
    if were_open && !kept.is_empty() {
        let naming = log_kept_addresses(kept, clock.clone());
        let ending = lifecycle.clone();
        lifecycle.spawn(async move {
            ending.unless_stopping(naming).await;
        });
    }
    let deliverer = Arc::new(EventDeliverer {
        store: store.clone(),
        poster: EventPoster::new(environment, allowed.clone(), clock.clone())?,
        targets: DestinationCache::new(store.clone(), secret),
        forwarded: seen,
        clock: clock.clone(),
        disable_after,
        health: Mutex::default(),
    });
    let worker = DeliveryWorker::new(
        store.clone(),
        Arc::clone(&deliverer),
        clock.clone(),
        lifecycle.clone(),
    );
    lifecycle.spawn(Arc::new(worker).run());
    lifecycle.spawn(deliverer.poster.keep_closing_idle(lifecycle.clone()));
    let webhooks = Webhooks {
        store,
        deliverer,
        allowed,
        clock,
        lifecycle,
    };
    webhooks.drop_abandoned();
    Ok(webhooks)
}

impl Webhooks {
    /// Returns the addresses allowed for endpoints.
    pub const fn allowed_targets(&self) -> &Allowed {
        &self.allowed
    }

    /// Posts a `webhook.test` event once, immediately, and returns the result. Nothing is stored.
    pub async fn test_endpoint(
        &self,
        endpoint: Endpoint,
        session: &str,
    ) -> Result<WebhookTestResult> {
        let now = self.clock.now();
        let data = serde_json::json!({"session": session, "id": endpoint.id});
        let body =
            serde_json::json!({"type": "webhook.test", "timestamp": crate::model::timestamp::format_timestamp(now), "data": data}).to_string();
        let target = self.deliverer.targets.load_destination(endpoint).await?;
        let address = target.session_url(session)?;
        let started = self.clock.uptime();
        let posted = self
            .deliverer
            .poster
            .post_event(&target, address, &ids::new_event_id(now), &body)
            .await;
        let took = self.clock.uptime().saturating_sub(started);
        Ok(match posted {
            Ok(taken) => WebhookTestResult {
                error: None,
                status: Some(taken.status),
                answer: Some(taken.answer),
                took,
            },
            Err(failure) => {
                let AttemptFailure {
                    error,
                    status,
                    answer,
                } = failure.error;
                WebhookTestResult {
                    error: Some(error),
                    status,
                    answer,
                    took,
                }
            }
        })
    }

    /// Signs with a new secret from now on. The former one also signs until the returned time.
    /// Returns `None` if there is no such endpoint.
    pub async fn rotate_secret(
        &self,
        id: &str,
        secret: &str,
        event: NewEvent,
    ) -> Result<Option<Timestamp>, StoreError> {
        let old_until = schedule::time_after(self.clock.now(), KEY_OVERLAP);
        Ok(self
            .store
            .webhooks()
            .rotate_secret(id, secret, old_until, Some(event))
            .await?
            .then_some(old_until))
    }

    /// Deletes an endpoint and its waiting deliveries. Returns `false` if there is no such
    /// endpoint.
    pub async fn delete_endpoint(&self, id: &str, event: NewEvent) -> Result<bool, StoreError> {
        let webhooks = self.store.webhooks();
        let was_there = webhooks.delete_endpoint(id, Some(event)).await?;
        self.drop_abandoned();
        Ok(was_there)
    }

    /// Drops the deliveries of deleted endpoints in small batches, so that other writes do not wait
    /// for long.
    fn drop_abandoned(&self) {
        let (store, lifecycle) = (self.store.clone(), self.lifecycle.clone());
        self.lifecycle.spawn(async move {
            loop {
                match store.webhooks().drop_abandoned_deliveries(DROP_BATCH_SIZE).await {
                    Ok(0) => break,
                    Ok(_) if lifecycle.is_stopping() => break,
                    Ok(_) => {}
                    // The next start of the program continues.
                    Err(error) => break tracing::warn!(%error, "failed to remove the deliveries of deleted webhooks"),
                }
            }
        });
    }
}

/// Logs once which webhooks stay active although new ones could not have their addresses.
async fn log_kept_addresses(kept: Vec<(String, String)>, clock: Clock) {
    let public = Allowed::Public(Vec::new());
    let mut near = Vec::new();
    for (id, url) in kept {
        let Ok(url) = Url::parse(&url) else { continue };
        // Unresolvable addresses are included.
        if !clock
            .timeout(RESOLVE_TIMEOUT, public.can_reach(&url))
            .await
            .unwrap_or(false)
        {
            near.push(id);
        }
    }
    if !near.is_empty() {
        tracing::warn!(
            webhooks = near.join(", "),
            "these webhooks lead into a private network, which callers with keys cannot choose any more; they work \
             until their address is changed"
        );
    }
}

/// Generates a new secret for an endpoint.
pub fn new_secret() -> String {
    SigningKey::format_secret(rand::random())
}
