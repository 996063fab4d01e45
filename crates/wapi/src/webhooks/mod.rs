//! Tells the operator's webhook what happened: everything saved in the store, in order within a chat, until it is taken.

mod attempt;
mod health;
mod inbox;
mod schedule;
mod sign;
mod worker;

use std::sync::Arc;

use anyhow::{Context, Result};
use url::Url;

use crate::clock::Clock;
use crate::config::Environment;
use crate::lifecycle::Lifecycle;
use crate::seen::Seen;
use crate::store::Store;

use attempt::Poster;
pub use inbox::StoredInbox;
pub use sign::SigningKey;
use worker::Worker;

/// The endpoint that the operator's own settings name. Posts to it go to the session's name behind its address.
const ORIGINAL: &str = "original";
/// All that the original wapi told.
const ORIGINAL_TYPES: [&str; 1] = ["message.received"];

/// What deliveries are made with.
pub struct Parts {
    pub store: Store,
    /// Ends in a slash.
    pub base: Url,
    pub secret: Option<SigningKey>,
    pub environment: Environment,
    pub seen: Seen,
    pub clock: Clock,
    pub lifecycle: Lifecycle,
}

/// Registers the operator's webhook and starts delivering: first what an earlier run left.
pub async fn start(parts: Parts) -> Result<()> {
    let Parts { store, base, secret, environment, seen, clock, lifecycle } = parts;
    store.put_endpoint(ORIGINAL, base.as_str(), &ORIGINAL_TYPES).await.context("saving the webhook's address")?;
    let poster = Poster::new(environment, secret, clock.clone())?;
    let worker = Arc::new(Worker::new(store, poster, seen, clock, lifecycle.clone()));
    lifecycle.spawn(worker.run());
    Ok(())
}
