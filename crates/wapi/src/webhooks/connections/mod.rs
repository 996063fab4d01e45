//! Connections to the receivers of webhooks: a small pool per receiver, HTTP/1.1 only.
//!
//! A connection has no task: a post moves its own connection, and an idle one waits in the pool until
//! the next post takes it. So a post wakes nobody but itself.

mod connection;
mod dial;

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use hyper::Request;
use parking_lot::Mutex;
use url::Url;

use crate::config::Environment;
use crate::net::egress::EgressPolicy;
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;
use connection::{Connection, SendError};
pub use connection::{PostAnswer, describe_error};
use dial::{DialedConnection, Dialer};

/// Idle connections that are kept per receiver: as many as it gets posts at a time.
const MAX_IDLE: usize = 64;
/// Time after which an idle connection is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Interval at which idle connections are looked through.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(30);
/// Time after which a receiver is asked again whether it prefers HTTP/2.
const HTTP2_MEMORY: Duration = Duration::from_secs(3600);

/// One end of connections: a receiver, and the rule by which its name was resolved. A connection that
/// was made without the rule must not serve a post that is under it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receiver {
    pub is_restricted: bool,
    is_tls: bool,
    /// As in an address, so an IPv6 address has brackets.
    host: String,
    port: u16,
}

impl Receiver {
    /// Returns the receiver of an address of the web.
    pub fn of(address: &Url, is_restricted: bool) -> Option<Self> {
        Some(Self {
            is_restricted,
            is_tls: address.scheme() == "https",
            host: address.host_str()?.to_owned(),
            port: address.port_or_known_default()?,
        })
    }
}

/// The result of handing over a request.
pub enum SentRequest {
    Answered(PostAnswer),
    /// Nothing was sent, since the receiver prefers HTTP/2.
    Unsent(Request<String>),
}

/// The state of one receiver.
enum ReceiverState {
    /// Connections nobody uses, with the uptime since when, the last used at the end.
    Idle(Vec<(Connection, Duration)>),
    /// It chose HTTP/2 at this uptime.
    Http2(Duration),
}

/// The connections to all receivers; cheap to clone.
#[derive(Clone)]
pub struct ConnectionPool {
    dialer: Arc<Dialer>,
    receivers: Arc<Mutex<HashMap<Receiver, ReceiverState>>>,
    clock: Clock,
}

impl ConnectionPool {
    pub fn new(environment: Environment, allowed: &EgressPolicy, clock: Clock) -> Self {
        Self {
            dialer: Arc::new(Dialer::new(environment, allowed)),
            receivers: Arc::default(),
            clock,
        }
    }

    /// Sends a request over an idle connection, or over a new one. A connection that its receiver
    /// closed while it was idle is replaced, as long as nothing of the request was written to it;
    /// later, nobody knows what the receiver has done.
    pub async fn send(
        &self,
        receiver: &Receiver,
        request: Request<String>,
    ) -> Result<SentRequest, Box<dyn Error + Send + Sync>> {
        if self.prefers_http2(receiver) {
            return Ok(SentRequest::Unsent(request));
        }
        let mut request = request;
        while let Some(connection) = self.take_idle(receiver) {
            match connection.send(request).await {
                Ok(answer) => return Ok(SentRequest::Answered(answer)),
                Err(SendError { unsent, cause }) => match unsent {
                    Some(unsent) => request = *unsent,
                    None => return Err(cause.into()),
                },
            }
        }
        match self.dialer.dial(receiver).await? {
            DialedConnection::Http1(connection) => match connection.send(request).await {
                Ok(answer) => Ok(SentRequest::Answered(answer)),
                Err(error) => Err(error.cause.into()),
            },
            DialedConnection::Http2 => {
                let state = ReceiverState::Http2(self.clock.uptime());
                self.receivers.lock().insert(receiver.clone(), state);
                Ok(SentRequest::Unsent(request))
            }
        }
    }

    /// Keeps the connection of an answer that was read to its end.
    pub fn keep(&self, receiver: &Receiver, answer: PostAnswer) {
        let Some(connection) = answer.into_idle_connection() else {
            return;
        };
        let now = self.clock.uptime();
        let mut receivers = self.receivers.lock();
        match receivers.get_mut(receiver) {
            Some(ReceiverState::Idle(idle)) if idle.len() < MAX_IDLE => {
                idle.push((connection, now));
            }
            Some(_) => {}
            None => {
                let idle = ReceiverState::Idle(vec![(connection, now)]);
                receivers.insert(receiver.clone(), idle);
            }
        }
    }

    /// Closes connections that are idle for long, until the soft stop.
    pub async fn keep_closing_idle(self, lifecycle: Lifecycle) {
        while lifecycle
            .unless_stopping(self.clock.sleep(CLEANUP_INTERVAL))
            .await
            .is_some()
        {
            self.close_idle();
        }
    }

    fn close_idle(&self) {
        let now = self.clock.uptime();
        let mut closing = Vec::new();
        self.receivers.lock().retain(|_, state| match state {
            ReceiverState::Idle(idle) => {
                closing.extend(idle.extract_if(.., |(_, since)| is_over(*since, now)));
                !idle.is_empty()
            }
            ReceiverState::Http2(since) => now.saturating_sub(*since) < HTTP2_MEMORY,
        });
        // Outside of the lock.
        drop(closing);
    }

    /// Returns an idle connection that is still open, as far as anybody can know.
    fn take_idle(&self, receiver: &Receiver) -> Option<Connection> {
        let now = self.clock.uptime();
        loop {
            let (mut connection, since) = match self.receivers.lock().get_mut(receiver)? {
                ReceiverState::Idle(idle) => idle.pop()?,
                ReceiverState::Http2(_) => return None,
            };
            if !is_over(since, now) && connection.is_open() {
                return Some(connection);
            }
        }
    }

    fn prefers_http2(&self, receiver: &Receiver) -> bool {
        matches!(
            self.receivers.lock().get(receiver),
            Some(ReceiverState::Http2(_))
        )
    }
}

fn is_over(since: Duration, now: Duration) -> bool {
    now.saturating_sub(since) >= IDLE_TIMEOUT
}

#[cfg(test)]
mod tests;
