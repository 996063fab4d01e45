//! The simulated WhatsApp that the gateway talks to, by its admin API.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::Value;
use url::Url;

use crate::config::WhatsappAddress;
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::system::clock::Clock;

/// A simulated WhatsApp that has not answered by then hangs, and a page must not hang with it.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// A client of the admin API; cheap to clone.
#[derive(Clone)]
pub struct SimulatorClient {
    http: Client,
    base: Url,
    clock: Clock,
}

impl SimulatorClient {
    /// Returns the client for the WhatsApp of the settings, if it is a simulated one: a single port
    /// speaks its wire and its admin API.
    pub fn for_whatsapp(whatsapp: &WhatsappAddress, clock: &Clock) -> Option<Self> {
        let WhatsappAddress::Simulated { url, .. } = whatsapp else {
            return None;
        };
        let mut base = Url::parse("http://localhost/admin").ok()?;
        base.set_host(url.host_str()).ok()?;
        base.set_port(url.port()).ok()?;
        let http = Client::builder().no_proxy().tls_certs_only([]).build();
        Some(Self {
            http: http.ok()?,
            base,
            clock: clock.clone(),
        })
    }

    /// Returns the client of a gateway; on other gateways there are no such pages.
    pub fn of(gateway: &Gateway) -> Result<&Self, Problem> {
        gateway.dashboard.simulator().ok_or(Problem::NoRoute)
    }

    /// Reads a document. The parts of the path are encoded.
    pub async fn read(&self, path: &[&str]) -> Result<Value, Problem> {
        self.call(Method::GET, self.address(path), Value::Null)
            .await
    }

    /// Reads the last messages that a phone has decrypted.
    pub async fn read_messages(&self, number: &str, last: usize) -> Result<Value, Problem> {
        let mut address = self.address(&["phones", number, "messages"]);
        address
            .query_pairs_mut()
            .append_pair("last", &last.to_string());
        self.call(Method::GET, address, Value::Null).await
    }

    /// Asks for something to be done.
    pub async fn order(
        &self,
        method: Method,
        path: &[&str],
        body: Value,
    ) -> Result<Value, Problem> {
        self.call(method, self.address(path), body).await
    }

    fn address(&self, path: &[&str]) -> Url {
        let mut address = self.base.clone();
        if let Ok(mut segments) = address.path_segments_mut() {
            segments.extend(path);
        }
        address
    }

    async fn call(&self, method: Method, address: Url, body: Value) -> Result<Value, Problem> {
        let mut call = self.http.request(method, address);
        if !body.is_null() {
            call = call
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let exchange = async {
            let answer = call.send().await?;
            Ok::<_, reqwest::Error>((answer.status(), answer.text().await?))
        };
        let answered = self.clock.timeout(ANSWER_LIMIT, exchange).await;
        let Ok(Ok((status, text))) = answered else {
            return Err(Problem::WhatsappRefused {
                detail: "the simulated WhatsApp does not answer".to_owned(),
            });
        };
        let document: Value = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() {
            return Ok(document);
        }
        let detail = document["error"].as_str().unwrap_or(&text).to_owned();
        Err(Problem::WhatsappRefused { detail })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;
    use jiff::Timestamp;

    use super::*;
    use crate::system::clock::TimeSource;

    /// A clock on which every wait is over at once.
    struct PassedTime;

    impl TimeSource for PassedTime {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }

        fn uptime(&self) -> Duration {
            Duration::ZERO
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(async {})
        }
    }

    #[tokio::test]
    async fn a_simulated_whatsapp_that_hangs_is_not_waited_for() {
        crate::net::tls::install_crypto();
        // It takes the connection, and never answers.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/ws/chat", silent.local_addr().unwrap());
        let whatsapp = WhatsappAddress::Simulated {
            url: Url::parse(&url).unwrap(),
            ca_file: None,
        };
        let clock = Clock::new(PassedTime);
        let client = SimulatorClient::for_whatsapp(&whatsapp, &clock).unwrap();
        let refused = client.read(&["phones"]).await.unwrap_err();
        assert_eq!(
            refused.into_document().detail,
            "the simulated WhatsApp does not answer"
        );
    }

    #[test]
    fn only_a_simulated_whatsapp_has_an_admin_api() {
        crate::net::tls::install_crypto();
        let clock = Clock::system();
        assert!(SimulatorClient::for_whatsapp(&WhatsappAddress::Real, &clock).is_none());
        for (url, base) in [
            ("ws://127.0.0.1:4711/ws/chat", "http://127.0.0.1:4711/admin"),
            ("wss://[::1]:4711/ws/chat", "http://[::1]:4711/admin"),
        ] {
            let whatsapp = WhatsappAddress::Simulated {
                url: Url::parse(url).unwrap(),
                ca_file: None,
            };
            let client = SimulatorClient::for_whatsapp(&whatsapp, &clock).unwrap();
            assert_eq!(client.base.as_str(), base);
            let address = client.address(&["phones", "../x", "scan"]);
            assert_eq!(address.as_str(), format!("{base}/phones/..%2Fx/scan"));
        }
    }
}
