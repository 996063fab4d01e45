//! The simulated WhatsApp that the gateway talks to, by its admin API.

use reqwest::{Client, Method};
use serde_json::Value;
use url::Url;

use crate::config::WhatsappAddress;
use crate::http::Gateway;
use crate::http::error::Problem;

/// A client of the admin API; cheap to clone.
#[derive(Debug, Clone)]
pub struct SimulatorClient {
    http: Client,
    base: Url,
}

impl SimulatorClient {
    /// Returns the client for the WhatsApp of the settings, if it is a simulated one: a single port
    /// speaks its wire and its admin API.
    pub fn for_whatsapp(whatsapp: &WhatsappAddress) -> Option<Self> {
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
        let away = |_| Problem::WhatsappRefused {
            detail: "the simulated WhatsApp does not answer".to_owned(),
        };
        let mut call = self.http.request(method, address);
        if !body.is_null() {
            call = call
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = call.send().await.map_err(away)?;
        let is_success = answer.status().is_success();
        let text = answer.text().await.map_err(away)?;
        let document: Value = serde_json::from_str(&text).unwrap_or_default();
        if is_success {
            return Ok(document);
        }
        let detail = document["error"].as_str().unwrap_or(&text).to_owned();
        Err(Problem::WhatsappRefused { detail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_simulated_whatsapp_has_an_admin_api() {
        crate::net::tls::install_crypto();
        assert!(SimulatorClient::for_whatsapp(&WhatsappAddress::Real).is_none());
        for (url, base) in [
            ("ws://127.0.0.1:4711/ws/chat", "http://127.0.0.1:4711/admin"),
            ("wss://[::1]:4711/ws/chat", "http://[::1]:4711/admin"),
        ] {
            let whatsapp = WhatsappAddress::Simulated {
                url: Url::parse(url).unwrap(),
                ca_file: None,
            };
            let client = SimulatorClient::for_whatsapp(&whatsapp).unwrap();
            assert_eq!(client.base.as_str(), base);
            let address = client.address(&["phones", "../x", "scan"]);
            assert_eq!(address.as_str(), format!("{base}/phones/..%2Fx/scan"));
        }
    }
}
