//! One attempt to post one event.

use std::time::Duration;

use anyhow::Result;
use tokio::sync::Semaphore;
use url::Url;

use crate::clock::Clock;
use crate::config::Environment;
use crate::event::Event;

/// Covers connecting, sending and the answer's head.
const DEADLINE: Duration = Duration::from_secs(15);
/// Posts under way at the same time, over all chats.
const AT_ONCE: usize = 64;

/// Why an event was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    /// Redirects are among these: whoever moved tells the operator, not the gateway.
    #[error("it answered {0}")]
    Status(u16),
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it did not answer within {DEADLINE:?}")]
    Timeout,
}

/// Posts events, a bounded number at a time.
pub(super) struct Poster {
    client: reqwest::Client,
    clock: Clock,
    places: Semaphore,
}

impl Poster {
    pub fn new(environment: Environment, clock: Clock) -> Result<Self> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("wapi/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .tls_danger_accept_invalid_certs(environment == Environment::Dev)
            .build()?;
        Ok(Self { client, clock, places: Semaphore::new(AT_ONCE) })
    }

    pub async fn post(&self, address: &Url, event: &Event) -> Result<(), NotTaken> {
        let _place = self.places.acquire().await.expect("these places are never closed");
        let request = self
            .client
            .post(address.clone())
            .header("webhook-id", &event.id)
            .header("webhook-timestamp", self.clock.now().as_second())
            .header("content-type", "application/json")
            .body(serde_json::to_vec(event).expect("an event is always JSON"));
        match self.clock.timeout(DEADLINE, request.send()).await {
            Err(_) => Err(NotTaken::Timeout),
            Ok(Err(error)) => Err(NotTaken::Unreachable(with_causes(&error.without_url()))),
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(answer)) => Err(NotTaken::Status(answer.status().as_u16())),
        }
    }
}

/// `reqwest` keeps the interesting part in the sources.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
