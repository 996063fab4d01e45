//! The engine's HTTP (media, version), over one client for all sessions, with limits.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use futures_util::StreamExt;
use whatsapp_rust::http::{HttpClient, HttpRequest, HttpResponse};

use super::transport::may_dial;
use crate::config::WhatsappAddress;

/// From the first byte of the request to the last of the answer. WhatsApp's largest media takes a while on a slow line.
const DEADLINE: Duration = Duration::from_secs(120);
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// The largest answer that is read: WhatsApp's own limit for videos and pictures, with room. Documents may be larger, but the
/// gateway does not fetch any yet.
const MAX_ANSWER: usize = 128 * 1024 * 1024;

/// One `reqwest` client behind the engine's trait. Answers are read whole: what streams does so on a blocking thread.
pub(super) struct SharedClient {
    client: reqwest::Client,
}

impl SharedClient {
    pub fn new(address: &WhatsappAddress) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(DEADLINE)
            .redirect(reqwest::redirect::Policy::none());
        if let WhatsappAddress::Simulated { ca_file, .. } = address {
            builder = builder.no_proxy();
            if let Some(file) = ca_file {
                let pem =
                    std::fs::read(file).with_context(|| format!("reading WAPI_WHATSAPP_CA_FILE {}", file.display()))?;
                builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem)?);
            }
        }
        Ok(Self { client: builder.build()? })
    }
}

#[async_trait]
impl HttpClient for SharedClient {
    async fn execute(&self, request: HttpRequest) -> Result<HttpResponse> {
        let url = request.url.parse()?;
        may_dial(&url)?;
        let mut call = self.client.request(request.method.parse()?, url);
        for (name, value) in &request.headers {
            call = call.header(name, value);
        }
        if let Some(body) = request.body {
            call = call.body(body);
        }
        // The address may carry a media token, so it stays out of error texts.
        let response = call.send().await.map_err(reqwest::Error::without_url)?;
        let status_code = response.status().as_u16();
        Ok(HttpResponse { status_code, body: read(response).await? })
    }
}

async fn read(response: reqwest::Response) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(reqwest::Error::without_url)?;
        if body.len() + chunk.len() > MAX_ANSWER {
            bail!("the answer is longer than {MAX_ANSWER} bytes");
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
