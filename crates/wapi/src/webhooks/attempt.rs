//! One HTTP post of one event.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::Response;
use reqwest::header::{LOCATION, RETRY_AFTER};
use url::Url;

use super::destination::Destination;
use super::schedule::PostFailure;
use crate::config::Environment;
use crate::net::egress::{EgressClients, EgressPolicy as Allowed, redact_url};
use crate::net::tls::trust_bundled_roots;
use crate::store::AttemptFailure;
use crate::system::clock::Clock;

/// Time limit for connecting, sending and the response together.
const POST_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a response that are read: enough to reuse the connection after an ordinary one.
const MAX_RESPONSE_READ: usize = 64 * 1024;
/// Bytes of a response that are kept.
const MAX_RESPONSE_KEPT: usize = 1024;

/// Posts events.
pub(super) struct EventPoster {
    /// For the operator's own webhook, which may be anywhere.
    own: reqwest::Client,
    /// For webhooks of callers, which may not.
    guarded: EgressClients,
    allowed: Allowed,
    clock: Clock,
}

/// A 2xx response.
#[derive(Debug)]
pub(super) struct AcceptedPost {
    pub status: u16,
    pub answer: String,
}

impl EventPoster {
    pub fn new(environment: Environment, allowed: Allowed, clock: Clock) -> Result<Self> {
        let client = || {
            reqwest::Client::builder()
                .user_agent(concat!("wapi/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .tls_danger_accept_invalid_certs(environment == Environment::Dev)
        };
        let (own, guarded) = (
            trust_bundled_roots(client()).build()?,
            allowed.build_clients(client)?,
        );
        Ok(Self {
            own,
            guarded,
            allowed,
            clock,
        })
    }

    /// Posts the envelope `body` of the event `id`. Anything but a 2xx is a failure. Redirects are
    /// failures, too: a receiver that has moved must inform the operator, not the gateway.
    pub async fn post_event(
        &self,
        target: &Destination,
        address: Url,
        id: &str,
        body: &str,
    ) -> Result<AcceptedPost, PostFailure> {
        let client = if target.is_operators || target.keeps_its_address {
            &self.own
        } else {
            self.allowed
                .check_url(&address)
                .map_err(|error| plain_failure(format!("its address {error}")))?;
            self.guarded.current()
        };
        let now = self.clock.now();
        let timestamp = now.as_second();
        let signatures: Vec<_> = target
            .live_keys(now)
            .map(|key| key.sign_event(id, timestamp, body))
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
        self.send_request(request).await
    }

    async fn send_request(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<AcceptedPost, PostFailure> {
        let timed_out = |_| plain_failure(format!("it did not answer within {POST_TIMEOUT:?}"));
        let started = self.clock.uptime();
        let answer = self
            .clock
            .timeout(POST_TIMEOUT, request.send())
            .await
            .map_err(timed_out)?;
        let mut answer = answer.map_err(|error| connection_failure(&error.without_url()))?;
        // The status alone decides. The rest is read in order to keep its beginning and reuse the
        // connection, but never awaited for long.
        let time_left = POST_TIMEOUT.saturating_sub(self.clock.uptime().saturating_sub(started));
        let mut kept = Vec::new();
        let _ = self
            .clock
            .timeout(time_left, read_response(&mut answer, &mut kept))
            .await;
        classify_response(
            &answer,
            String::from_utf8_lossy(&kept).into_owned(),
            self.clock.now(),
        )
    }
}

/// Reads a response to its end or the limit, and keeps its beginning.
async fn read_response(answer: &mut Response, kept: &mut Vec<u8>) {
    let mut read = 0;
    while let Ok(Some(piece)) = answer.chunk().await {
        kept.extend(piece.iter().take(MAX_RESPONSE_KEPT - kept.len()));
        read += piece.len();
        if read > MAX_RESPONSE_READ {
            break;
        }
    }
}

fn classify_response(
    answer: &Response,
    kept: String,
    now: Timestamp,
) -> Result<AcceptedPost, PostFailure> {
    let status = answer.status();
    if status.is_success() {
        return Ok(AcceptedPost {
            status: status.as_u16(),
            answer: kept,
        });
    }
    // These concern our credentials, the address or the timing, not the event.
    let is_about_us = matches!(
        status.as_u16(),
        401 | 403 | 404 | 405 | 407 | 408 | 410 | 425 | 429
    );
    let header = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|header| parse_retry_after(header.to_str().ok()?, now));
    let error = match redirect_target(answer) {
        Some(to) => {
            format!(
                "it answered {} and redirects to {to}; posts do not follow, so set that address",
                status.as_u16()
            )
        }
        None => format!("it answered {}", status.as_u16()),
    };
    let status = status.as_u16();
    Err(PostFailure {
        error: AttemptFailure {
            error,
            status: Some(status),
            answer: Some(kept),
        },
        is_about_the_event: answer.status().is_client_error() && !is_about_us,
        retry_after: header,
    })
}

/// Returns the target of a redirect.
fn redirect_target(answer: &Response) -> Option<String> {
    let to = answer
        .headers()
        .get(LOCATION)
        .filter(|_| answer.status().is_redirection())?;
    Some(redact_url(&answer.url().join(to.to_str().ok()?).ok()?))
}

/// Parses `Retry-After`: seconds, or a date.
fn parse_retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTimeParser::new().parse_timestamp(header).ok()?;
    Some(at.duration_since(now).try_into().unwrap_or(Duration::ZERO))
}

/// Builds a failure without a response.
pub(super) fn plain_failure(error: String) -> PostFailure {
    PostFailure {
        error: AttemptFailure {
            error,
            ..AttemptFailure::default()
        },
        is_about_the_event: false,
        retry_after: None,
    }
}

/// Formats an error with its sources, where `reqwest` keeps the interesting part.
fn connection_failure(error: &reqwest::Error) -> PostFailure {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    plain_failure(format!("it cannot be reached: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_may_ask_for_seconds_or_for_a_date() {
        let now: Timestamp = "1994-11-06T08:49:00Z".parse().unwrap();
        assert_eq!(
            parse_retry_after("120", now),
            Some(Duration::from_secs(120))
        );
        assert_eq!(
            parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now),
            Some(Duration::from_secs(37))
        );
        assert_eq!(
            parse_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now),
            Some(Duration::ZERO),
            "it is over"
        );
        assert_eq!(parse_retry_after("soon", now), None);
    }
}
