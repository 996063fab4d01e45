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

/// Covers connecting, sending and the whole answer.
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
        let exchange = async {
            let answer = request.send().await.map_err(|error| unreachable(&error.without_url()))?;
            judge(answer).await
        };
        let late = |_| Failure {
            error: format!("it did not answer within {DEADLINE:?}"),
            is_about_the_event: false,
            retry_after: None,
        };
        self.clock.timeout(DEADLINE, exchange).await.map_err(late)?
    }
}

async fn judge(mut answer: Response) -> Result<(), Failure> {
    let status = answer.status();
    let wish = answer.headers().get(RETRY_AFTER).and_then(|wish| wish.to_str().ok()?.parse().ok());
    let mut read = 0;
    // An answer that breaks off after its status has still been given.
    while let Ok(Some(piece)) = answer.chunk().await {
        read += piece.len();
        if read > ANSWER {
            break;
        }
    }
    if status.is_success() {
        return Ok(());
    }
    let may_pass = matches!(status.as_u16(), 408 | 425 | 429);
    Err(Failure {
        error: format!("it answered {}", status.as_u16()),
        is_about_the_event: status.is_client_error() && !may_pass,
        retry_after: wish.map(Duration::from_secs),
    })
}

/// `reqwest` keeps the interesting part in the sources.
fn unreachable(error: &reqwest::Error) -> Failure {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    Failure { error: format!("it cannot be reached: {text}"), is_about_the_event: false, retry_after: None }
}
