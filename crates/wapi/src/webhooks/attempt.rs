//! One attempt to post one event.

use std::time::Duration;

use anyhow::Result;
use reqwest::Response;
use reqwest::header::RETRY_AFTER;
use url::Url;

use super::schedule::Failure;
use super::sign::SigningKey;
use crate::clock::Clock;
use crate::config::Environment;

/// Covers connecting, sending and the answer.
const DEADLINE: Duration = Duration::from_secs(15);
/// How much of an answer is read: enough to use the connection again after an ordinary one.
const ANSWER: usize = 64 * 1024;

/// Posts events.
pub(super) struct Poster {
    client: reqwest::Client,
    secret: Option<SigningKey>,
    clock: Clock,
}

impl Poster {
    pub fn new(environment: Environment, secret: Option<SigningKey>, clock: Clock) -> Result<Self> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("wapi/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .tls_danger_accept_invalid_certs(environment == Environment::Dev)
            .build()?;
        Ok(Self { client, secret, clock })
    }

    /// Posts the envelope `body` of the event with this id. Anything but a 2xx is a failure; redirects, too: whoever moved tells
    /// the operator, not the gateway.
    pub async fn post(&self, address: &Url, id: &str, body: &str) -> Result<(), Failure> {
        let timestamp = self.clock.now().as_second();
        let mut request = self
            .client
            .post(address.clone())
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("content-type", "application/json")
            .body(body.to_owned());
        if let Some(secret) = &self.secret {
            request = request.header("webhook-signature", secret.sign(id, timestamp, body));
        }
        let late = |_| Failure {
            error: format!("it did not answer within {DEADLINE:?}"),
            is_about_the_event: false,
            retry_after: None,
        };
        let started = self.clock.uptime();
        let answer = self.clock.timeout(DEADLINE, request.send()).await.map_err(late)?;
        let mut answer = answer.map_err(|error| unreachable(&error.without_url()))?;
        // The status is the answer. The rest is only read so that the connection can be used again, and never waited for long.
        let left = DEADLINE.saturating_sub(self.clock.uptime().saturating_sub(started));
        let _ = self.clock.timeout(left, drain(&mut answer)).await;
        judge(&answer)
    }
}

async fn drain(answer: &mut Response) {
    let mut read = 0;
    while let Ok(Some(piece)) = answer.chunk().await {
        read += piece.len();
        if read > ANSWER {
            break;
        }
    }
}

fn judge(answer: &Response) -> Result<(), Failure> {
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    // These are about who we are, where we knock and when, not about what we bring.
    let is_about_us = matches!(status.as_u16(), 401 | 403 | 404 | 405 | 407 | 408 | 410 | 425 | 429);
    let wish = answer.headers().get(RETRY_AFTER).and_then(|wish| wish.to_str().ok()?.parse().ok());
    Err(Failure {
        error: format!("it answered {}", status.as_u16()),
        is_about_the_event: status.is_client_error() && !is_about_us,
        retry_after: wish.map(Duration::from_secs),
    })
}

/// `reqwest` keeps the interesting part in the sources.
fn unreachable(error: &reqwest::Error) -> Failure {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    Failure { error: format!("it cannot be reached: {text}"), is_about_the_event: false, retry_after: None }
}
