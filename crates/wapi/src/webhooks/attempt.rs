//! One HTTP post of one event.

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Request;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION,
    RETRY_AFTER, USER_AGENT,
};
use hyper_util::client::proxy::matcher::Matcher;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use percent_encoding::percent_decode_str;
use url::{Position, Url};

use super::connections::{ConnectionPool, Receiver, SentRequest, describe_error};
use super::destination::Destination;
use super::schedule::PostFailure;
use crate::config::Environment;
use crate::net::egress::{EgressClients, EgressPolicy as Allowed, redact_url};
use crate::net::tls::trust_bundled_roots;
use crate::store::AttemptFailure;
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;

/// Time limit for connecting, sending and the response together.
const POST_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a response that are read: enough to reuse the connection after an ordinary one.
const MAX_RESPONSE_READ: usize = 64 * 1024;
/// Bytes of a response that are kept.
const MAX_RESPONSE_KEPT: usize = 1024;
const USER_AGENT_VALUE: &str = concat!("wapi/", env!("CARGO_PKG_VERSION"));
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Posts events.
pub(super) struct EventPoster {
    connections: ConnectionPool,
    /// For receivers that prefer HTTP/2 or are behind a proxy: the client of the operator's own
    /// webhook, which may be anywhere.
    own: reqwest::Client,
    /// The same for webhooks of callers, which may not.
    guarded: EgressClients,
    /// The proxies that the environment names.
    proxies: Matcher,
    allowed: Allowed,
    clock: Clock,
}

/// A 2xx response.
#[derive(Debug)]
pub(super) struct AcceptedPost {
    pub status: u16,
    pub answer: String,
}

/// A response, as far as it was read.
struct PostResponse {
    status: u16,
    headers: HeaderMap,
    /// The beginning of its body.
    kept: Vec<u8>,
}

impl EventPoster {
    pub fn new(environment: Environment, allowed: Allowed, clock: Clock) -> Result<Self> {
        let client = || {
            reqwest::Client::builder()
                .user_agent(USER_AGENT_VALUE)
                .redirect(reqwest::redirect::Policy::none())
                .tls_danger_accept_invalid_certs(environment == Environment::Dev)
        };
        let (own, guarded) = (
            trust_bundled_roots(client()).build()?,
            allowed.build_clients(client)?,
        );
        Ok(Self {
            connections: ConnectionPool::new(environment, &allowed, clock.clone()),
            own,
            guarded,
            proxies: Matcher::from_system(),
            allowed,
            clock,
        })
    }

    /// Closes connections that are idle for long, until the soft stop.
    pub fn keep_closing_idle(&self, lifecycle: Lifecycle) -> impl Future<Output = ()> + use<> {
        self.connections.clone().keep_closing_idle(lifecycle)
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
        let is_guarded = !(target.is_operators || target.keeps_its_address);
        if is_guarded {
            self.allowed
                .check_url(&address)
                .map_err(|error| plain_failure(format!("its address {error}")))?;
        }
        let receiver = Receiver::of(&address, is_guarded && !self.allowed.is_unrestricted())
            .ok_or_else(|| plain_failure("its address names no host".to_owned()))?;
        let request = self
            .build_request(target, &address, id, body)
            .map_err(|error| plain_failure(format!("it cannot be addressed: {error}")))?;
        let timed_out = |_| plain_failure(format!("it did not answer within {POST_TIMEOUT:?}"));
        let started = self.clock.uptime();
        let time_left = || POST_TIMEOUT.saturating_sub(self.clock.uptime().saturating_sub(started));
        let sent = if self.needs_proxy(&receiver, &address) {
            SentRequest::Unsent(request)
        } else {
            self.clock
                .timeout(POST_TIMEOUT, self.connections.send(&receiver, request))
                .await
                .map_err(timed_out)?
                .map_err(|error| unreachable_failure(&*error))?
        };
        // The status alone decides. The rest is read in order to keep its beginning and reuse the
        // connection, but never awaited for long.
        let response = match sent {
            SentRequest::Answered(mut answer) => {
                let mut kept = ResponseBeginning::default();
                let reading = async {
                    while let Ok(Some(chunk)) = answer.next_chunk().await {
                        if kept.add(&chunk).is_break() {
                            break;
                        }
                    }
                };
                let _ = self.clock.timeout(time_left(), reading).await;
                let response = PostResponse {
                    status: answer.status(),
                    headers: answer.headers().clone(),
                    kept: kept.bytes,
                };
                self.connections.keep(&receiver, answer);
                response
            }
            SentRequest::Unsent(request) => {
                let client = match is_guarded {
                    true => self.guarded.current(),
                    false => &self.own,
                };
                let sending = send_by_client(client, &address, request);
                let answer = self.clock.timeout(time_left(), sending).await;
                let mut answer = answer
                    .map_err(timed_out)?
                    .map_err(|error| unreachable_failure(&error.without_url()))?;
                let mut kept = ResponseBeginning::default();
                let reading = async {
                    while let Ok(Some(chunk)) = answer.chunk().await {
                        if kept.add(&chunk).is_break() {
                            break;
                        }
                    }
                };
                let _ = self.clock.timeout(time_left(), reading).await;
                PostResponse {
                    status: answer.status().as_u16(),
                    headers: std::mem::take(answer.headers_mut()),
                    kept: kept.bytes,
                }
            }
        };
        classify_response(&response, &address, self.clock.now())
    }

    /// Returns whether the environment names a proxy for this receiver. Receivers of callers are
    /// never behind one while there are restrictions: see [`EgressClients`].
    fn needs_proxy(&self, receiver: &Receiver, address: &Url) -> bool {
        !receiver.is_restricted
            && address[..Position::BeforePath]
                .parse()
                .is_ok_and(|address| self.proxies.intercept(&address).is_some())
    }

    fn build_request(
        &self,
        target: &Destination,
        address: &Url,
        id: &str,
        body: &str,
    ) -> Result<Request<String>> {
        let now = self.clock.now();
        let timestamp = now.as_second();
        let mut signatures = String::new();
        for key in target.live_keys(now) {
            if !signatures.is_empty() {
                signatures.push(' ');
            }
            signatures.push_str(&key.sign_event(id, timestamp, body));
        }
        let mut request = Request::post(&address[Position::BeforePath..Position::AfterQuery])
            .body(body.to_owned())?;
        let headers = request.headers_mut();
        if let Some(login) = basic_login(address) {
            headers.insert(AUTHORIZATION, login?);
        }
        for (name, value) in &target.headers {
            headers.insert(name, value.clone());
        }
        headers.insert(WEBHOOK_ID, HeaderValue::from_str(id)?);
        headers.insert(WEBHOOK_TIMESTAMP, timestamp.into());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if !signatures.is_empty() {
            headers.insert(WEBHOOK_SIGNATURE, signatures.try_into()?);
        }
        // An endpoint may have others.
        headers
            .entry(ACCEPT)
            .or_insert(HeaderValue::from_static("*/*"));
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(USER_AGENT_VALUE));
        headers.insert(
            HOST,
            HeaderValue::from_str(&address[Position::BeforeHost..Position::AfterPort])?,
        );
        Ok(request)
    }
}

/// Returns the header for the user and the password that an address may carry.
fn basic_login(address: &Url) -> Option<Result<HeaderValue>> {
    if address.username().is_empty() && address.password().is_none() {
        return None;
    }
    let mut login: Vec<u8> = percent_decode_str(address.username()).collect();
    login.push(b':');
    login.extend(percent_decode_str(address.password().unwrap_or_default()));
    let value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(login)));
    Some(value.map_err(Into::into).map(|mut value| {
        value.set_sensitive(true);
        value
    }))
}

/// Sends a request by a client that speaks HTTP/2 and knows the environment's proxies.
async fn send_by_client(
    client: &reqwest::Client,
    address: &Url,
    request: Request<String>,
) -> reqwest::Result<reqwest::Response> {
    let (mut parts, body) = request.into_parts();
    // The client writes it as the protocol wants it.
    parts.headers.remove(HOST);
    client
        .post(address.clone())
        .headers(parts.headers)
        .body(body)
        .send()
        .await
}

/// The beginning of a response's body.
#[derive(Default)]
struct ResponseBeginning {
    bytes: Vec<u8>,
    read: usize,
}

impl ResponseBeginning {
    /// Takes a piece; breaks when enough was read.
    fn add(&mut self, chunk: &[u8]) -> ControlFlow<()> {
        let room = MAX_RESPONSE_KEPT - self.bytes.len();
        self.bytes.extend(chunk.iter().take(room));
        self.read += chunk.len();
        if self.read > MAX_RESPONSE_READ {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

fn classify_response(
    response: &PostResponse,
    address: &Url,
    now: Timestamp,
) -> Result<AcceptedPost, PostFailure> {
    let status = response.status;
    let kept = String::from_utf8_lossy(&response.kept).into_owned();
    if matches!(status, 200..=299) {
        return Ok(AcceptedPost {
            status,
            answer: kept,
        });
    }
    // These concern our credentials, the address or the timing, not the event.
    let is_about_us = matches!(status, 401 | 403 | 404 | 405 | 407 | 408 | 410 | 425 | 429);
    let header = response
        .headers
        .get(RETRY_AFTER)
        .and_then(|header| parse_retry_after(header.to_str().ok()?, now));
    let error = match redirect_target(response, address) {
        Some(to) => {
            format!(
                "it answered {status} and redirects to {to}; posts do not follow, so set that address"
            )
        }
        None => format!("it answered {status}"),
    };
    Err(PostFailure {
        error: AttemptFailure {
            error,
            status: Some(status),
            answer: Some(kept),
        },
        is_about_the_event: matches!(status, 400..=499) && !is_about_us,
        retry_after: header,
    })
}

/// Returns the target of a redirect.
fn redirect_target(response: &PostResponse, address: &Url) -> Option<String> {
    let to = response
        .headers
        .get(LOCATION)
        .filter(|_| matches!(response.status, 300..=399))?;
    Some(redact_url(&address.join(to.to_str().ok()?).ok()?))
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

/// Builds the failure of a connection.
fn unreachable_failure(error: &(dyn std::error::Error + 'static)) -> PostFailure {
    plain_failure(format!("it cannot be reached: {}", describe_error(error)))
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
