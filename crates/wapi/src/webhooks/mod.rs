//! Webhooks: delivers every event in the store, in order within a chat, until it is accepted.

mod attempt;
mod deliverer;
mod health;
mod inbox;
pub mod rules;
mod schedule;
mod sign;
mod slots;
mod target;
mod worker;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use url::Url;

use crate::clock::Clock;
use crate::config::Environment;
use crate::guard::Targets as Allowed;
use crate::ids;
use crate::lifecycle::Lifecycle;
use crate::seen::Seen;
use crate::store::{Endpoint, Failed, Store, StoreError};

use attempt::Poster;
use deliverer::Deliverer;
pub use inbox::StoredInbox;
pub use sign::SigningKey;
use target::Targets;
use worker::Worker;

/// Id of the endpoint from the operator's own settings. Its posts go to the session's name below
/// its address.
pub const ORIGINAL: &str = "original";
/// All event types of the original wapi.
const ORIGINAL_TYPES: [&str; 1] = ["message.received"];
/// Time after a rotation during which the former key also signs.
const OVERLAP: Duration = Duration::from_secs(24 * 3600);
/// Time limit for resolving the host of an address.
const RESOLVING: Duration = Duration::from_secs(2);
/// Deliveries of deleted endpoints that are dropped per transaction.
const DROPPED_AT_ONCE: u32 = 1_000;

/// The dependencies of webhook delivery.
pub struct Parts {
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
    pub seen: Seen,
    pub clock: Clock,
    pub lifecycle: Lifecycle,
}

/// Operations on endpoints beyond storing them; cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    store: Store,
    deliverer: Arc<Deliverer>,
    allowed: Allowed,
    clock: Clock,
    lifecycle: Lifecycle,
}

/// The result of a test post to an endpoint.
#[derive(Debug)]
pub struct Tested {
    /// The reason why it counts as a failure, if it does.
    pub error: Option<String>,
    pub status: Option<u16>,
    /// The beginning of the response's body.
    pub answer: Option<String>,
    pub took: Duration,
}

/// Registers the operator's webhook and starts delivering, first the deliveries of an earlier run.
pub async fn start(parts: Parts) -> Result<Webhooks> {
    let Parts {
        store,
        base,
        secret,
        environment,
        allowed,
        were_open,
        disable_after,
        seen,
        clock,
        lifecycle,
    } = parts;
    let saved = store
        .put_endpoint_per_session(ORIGINAL, base.as_str(), &ORIGINAL_TYPES)
        .await;
    saved.context("saving the webhook's address")?;
    let kept = store
        .keep_addresses(were_open)
        .await
        .context("looking at the webhooks of before")?;
    if were_open && !kept.is_empty() {
        let naming = name_kept(kept, clock.clone());
        let ending = lifecycle.clone();
        lifecycle.spawn(async move {
            ending.unless_stopping(naming).await;
        });
    }
    let deliverer = Arc::new(Deliverer {
        store: store.clone(),
        poster: Poster::new(environment, allowed.clone(), clock.clone())?,
        targets: Targets::new(store.clone(), secret),
        seen,
        clock: clock.clone(),
        disable_after,
        health: Mutex::default(),
    });
    let worker = Worker::new(
        store.clone(),
        Arc::clone(&deliverer),
        clock.clone(),
        lifecycle.clone(),
    );
    lifecycle.spawn(Arc::new(worker).run());
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
    pub const fn allowed(&self) -> &Allowed {
        &self.allowed
    }

    /// Posts a `webhook.test` event once, immediately, and returns the result. Nothing is stored.
    pub async fn test(&self, endpoint: Endpoint, session: &str) -> Result<Tested> {
        let now = self.clock.now();
        let data = serde_json::json!({"session": session, "id": endpoint.id});
        let body =
            serde_json::json!({"type": "webhook.test", "timestamp": crate::stamp::text(now), "data": data}).to_string();
        let target = self.deliverer.targets.read(endpoint).await?;
        let address = target.address(session)?;
        let started = self.clock.uptime();
        let posted = self
            .deliverer
            .poster
            .post(&target, address, &ids::event_id(now), &body)
            .await;
        let took = self.clock.uptime().saturating_sub(started);
        Ok(match posted {
            Ok(taken) => Tested {
                error: None,
                status: Some(taken.status),
                answer: Some(taken.answer),
                took,
            },
            Err(failure) => {
                let Failed {
                    error,
                    status,
                    answer,
                } = failure.error;
                Tested {
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
    pub async fn rotate(&self, id: &str, secret: &str) -> Result<Option<Timestamp>, StoreError> {
        let old_until = schedule::later(self.clock.now(), OVERLAP);
        Ok(self
            .store
            .rotate_secret(id, secret, old_until)
            .await?
            .then_some(old_until))
    }

    /// Deletes an endpoint and its waiting deliveries. Returns `false` if there is no such
    /// endpoint.
    pub async fn delete(&self, id: &str) -> Result<bool, StoreError> {
        let was_there = self.store.delete_endpoint(id).await?;
        self.drop_abandoned();
        Ok(was_there)
    }

    /// Drops the deliveries of deleted endpoints in small batches, so that other writes do not wait
    /// for long.
    fn drop_abandoned(&self) {
        let (store, lifecycle) = (self.store.clone(), self.lifecycle.clone());
        self.lifecycle.spawn(async move {
            loop {
                match store.drop_abandoned(DROPPED_AT_ONCE).await {
                    Ok(0) => break,
                    Ok(_) if lifecycle.is_stopping() => break,
                    Ok(_) => {}
                    // The next start of the program continues.
                    Err(error) => break tracing::warn!(%error, "deliveries of deleted webhooks cannot be dropped"),
                }
            }
        });
    }
}

/// Logs once which webhooks stay active although new ones could not have their addresses.
async fn name_kept(kept: Vec<(String, String)>, clock: Clock) {
    let public = Allowed::Public(Vec::new());
    let mut near = Vec::new();
    for (id, url) in kept {
        let Ok(url) = Url::parse(&url) else { continue };
        // Unresolvable addresses are included.
        if !clock
            .timeout(RESOLVING, public.lead_to(&url))
            .await
            .unwrap_or(false)
        {
            near.push(id);
        }
    }
    if !near.is_empty() {
        tracing::warn!(
            webhooks = near.join(", "),
            "these lead into a private network, where callers with keys cannot send the gateway any more; they go on until their \
             address is changed"
        );
    }
}

/// Generates a new secret for an endpoint.
pub fn new_secret() -> String {
    SigningKey::secret(rand::random())
}
