//! One HTTP post of one event.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::Response;
use reqwest::header::{LOCATION, RETRY_AFTER};
use url::Url;

use super::schedule::Failure;
use super::target::Target;
use crate::clock::Clock;
use crate::config::Environment;
use crate::guard::{Clients, Targets as Allowed, shown};
use crate::roots::trusting;
use crate::store::Failed;

/// Time limit for connecting, sending and the response together.
const DEADLINE: Duration = Duration::from_secs(15);
/// Bytes of a response that are read: enough to reuse the connection after an ordinary one.
const ANSWER: usize = 64 * 1024;
/// Bytes of a response that are kept.
const KEPT: usize = 1024;

/// Posts events.
pub(super) struct Poster {
    /// For the operator's own webhook, which may be anywhere.
    own: reqwest::Client,
    /// For webhooks of callers, which may not.
    guarded: Clients,
    allowed: Allowed,
    clock: Clock,
}

/// A 2xx response.
#[derive(Debug)]
pub(super) struct Taken {
    pub status: u16,
    pub answer: String,
}

impl Poster {
    pub fn new(environment: Environment, allowed: Allowed, clock: Clock) -> Result<Self> {
        let client = || {
            reqwest::Client::builder()
                .user_agent(concat!("wapi/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .tls_danger_accept_invalid_certs(environment == Environment::Dev)
        };
        let (own, guarded) = (trusting(client()).build()?, allowed.clients(client)?);
        Ok(Self {
            own,
            guarded,
            allowed,
            clock,
        })
    }

    /// Posts the envelope `body` of the event `id`. Anything but a 2xx is a failure. Redirects are
    /// failures, too: a receiver that has moved must inform the operator, not the gateway.
    pub async fn post(
        &self,
        target: &Target,
        address: Url,
        id: &str,
        body: &str,
    ) -> Result<Taken, Failure> {
        let client = if target.is_the_operators || target.keeps_its_address {
            &self.own
        } else {
            self.allowed
                .check(&address)
                .map_err(|error| failure(format!("its address {error}")))?;
            self.guarded.now()
        };
        let now = self.clock.now();
        let timestamp = now.as_second();
        let signatures: Vec<_> = target
            .live_keys(now)
            .map(|key| key.sign(id, timestamp, body))
            .collect();
        let mut request = client
            .post(address)
            .headers(target.headers.clone())
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("content-type", "application/json")
            .body(body.to_owned());
        if !signatures.is_empty() {
            request = request.header("webhook-signature", signatures.join(" "));
        }
        self.answer(request).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Taken, Failure> {
        let late = |_| failure(format!("it did not answer within {DEADLINE:?}"));
        let started = self.clock.uptime();
        let answer = self
            .clock
            .timeout(DEADLINE, request.send())
            .await
            .map_err(late)?;
        let mut answer = answer.map_err(|error| unreachable(&error.without_url()))?;
        // The status alone decides. The rest is read in order to keep its beginning and reuse the
        // connection, but never awaited for long.
        let left = DEADLINE.saturating_sub(self.clock.uptime().saturating_sub(started));
        let mut kept = Vec::new();
        let _ = self.clock.timeout(left, read(&mut answer, &mut kept)).await;
        judge(
            &answer,
            String::from_utf8_lossy(&kept).into_owned(),
            self.clock.now(),
        )
    }
}

/// Reads a response to its end or the limit, and keeps its beginning.
async fn read(answer: &mut Response, kept: &mut Vec<u8>) {
    let mut read = 0;
    while let Ok(Some(piece)) = answer.chunk().await {
        kept.extend(piece.iter().take(KEPT - kept.len()));
        read += piece.len();
        if read > ANSWER {
            break;
        }
    }
}

fn judge(answer: &Response, kept: String, now: Timestamp) -> Result<Taken, Failure> {
    let status = answer.status();
    if status.is_success() {
        return Ok(Taken {
            status: status.as_u16(),
            answer: kept,
        });
    }
    // These concern our credentials, the address or the timing, not the event.
    let is_about_us = matches!(
        status.as_u16(),
        401 | 403 | 404 | 405 | 407 | 408 | 410 | 425 | 429
    );
    let wish = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|wish| wait(wish.to_str().ok()?, now));
    let error = match moved_to(answer) {
        Some(to) => {
            format!(
                "it answered {} and redirects to {to}; posts do not follow, so set that address",
                status.as_u16()
            )
        }
        None => format!("it answered {}", status.as_u16()),
    };
    let status = status.as_u16();
    Err(Failure {
        error: Failed {
            error,
            status: Some(status),
            answer: Some(kept),
        },
        is_about_the_event: answer.status().is_client_error() && !is_about_us,
        retry_after: wish,
    })
}

/// Returns the target of a redirect.
fn moved_to(answer: &Response) -> Option<String> {
    let to = answer
        .headers()
        .get(LOCATION)
        .filter(|_| answer.status().is_redirection())?;
    Some(shown(&answer.url().join(to.to_str().ok()?).ok()?))
}

/// Parses `Retry-After`: seconds, or a date.
fn wait(wish: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = wish.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTimeParser::new().parse_timestamp(wish).ok()?;
    Some(at.duration_since(now).try_into().unwrap_or(Duration::ZERO))
}

/// Builds a failure without a response.
pub(super) fn failure(error: String) -> Failure {
    Failure {
        error: Failed {
            error,
            ..Failed::default()
        },
        is_about_the_event: false,
        retry_after: None,
    }
}

/// Formats an error with its sources, where `reqwest` keeps the interesting part.
fn unreachable(error: &reqwest::Error) -> Failure {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    failure(format!("it cannot be reached: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_may_ask_for_seconds_or_for_a_date() {
        let now: Timestamp = "1994-11-06T08:49:00Z".parse().unwrap();
        assert_eq!(wait("120", now), Some(Duration::from_secs(120)));
        assert_eq!(
            wait("Sun, 06 Nov 1994 08:49:37 GMT", now),
            Some(Duration::from_secs(37))
        );
        assert_eq!(
            wait("Sun, 06 Nov 1994 08:00:00 GMT", now),
            Some(Duration::ZERO),
            "it is over"
        );
        assert_eq!(wait("soon", now), None);
    }
}
