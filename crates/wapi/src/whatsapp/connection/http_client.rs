//! HTTP client of the engine (media, version): one client for all sessions of an outlet, with limits.

use std::io::{self, Read};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::future::join;
use futures_util::stream::unfold;
use reqwest::header::CONTENT_LENGTH;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use whatsapp_rust::http::{HttpClient, HttpRequest, HttpResponse};
use whatsapp_rust::wacore::net::{StreamingHttpResponse, UploadBody};

use super::transport::ensure_may_dial;
use crate::config::WhatsappAddress;
use crate::net::egress::EgressPolicy;
use crate::net::proxy::{ProxyClient, SessionProxy};
use crate::net::tls::trust_bundled_roots;
use crate::system::lifecycle::Lifecycle;

/// Limit from the first byte of the request to the last of the answer, if both are small.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(120);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence in a streamed answer. The duration of a large file has no limit.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer read into memory, in bytes. Files are streamed.
const MAX_ANSWER: usize = 128 * 1024 * 1024;
/// Buffer of an upload: the number of pieces in memory, and the bytes of each.
const MAX_PIECES: usize = 4;
const PIECE_BYTES: usize = 64 * 1024;

/// One `reqwest` client behind the engine's trait. Streams run on blocking threads of their own, as
/// the engine requires.
pub(in crate::whatsapp) struct SharedClient {
    client: OutletClient,
    lifecycle: Lifecycle,
}

/// The client of an outlet; cheap to clone.
#[derive(Clone)]
enum OutletClient {
    Direct(reqwest::Client),
    Proxied(ProxyClient),
}

impl OutletClient {
    fn request(&self, method: reqwest::Method, url: reqwest::Url) -> reqwest::RequestBuilder {
        match self {
            Self::Direct(client) => client.request(method, url),
            Self::Proxied(client) => client.request(method, url),
        }
    }

    /// The address may carry a media token, so it stays out of error texts.
    async fn send(&self, call: reqwest::RequestBuilder) -> reqwest::Result<reqwest::Response> {
        let sent = match self {
            Self::Direct(_) => call.send().await,
            Self::Proxied(client) => client.send(call).await,
        };
        sent.map_err(reqwest::Error::without_url)
    }
}

impl SharedClient {
    /// Creates a client that leaves directly, or through the proxy of the environment.
    pub fn new(address: &WhatsappAddress, lifecycle: Lifecycle) -> Result<Self> {
        let mut builder = trust_bundled_roots(client_builder());
        if let WhatsappAddress::Simulated { ca_file, .. } = address {
            builder = builder.no_proxy();
            if let Some(file) = ca_file {
                let pem = std::fs::read(file)
                    .with_context(|| format!("reading WAPI_WHATSAPP_CA_FILE {}", file.display()))?;
                builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem)?);
            }
        }
        Ok(Self {
            client: OutletClient::Direct(builder.build()?),
            lifecycle,
        })
    }

    /// Creates a client that leaves through the proxy alone.
    pub fn through_proxy(
        proxy: &SessionProxy,
        tls: &rustls::ClientConfig,
        lifecycle: Lifecycle,
    ) -> Result<Self> {
        // The hosts are WhatsApp's.
        let client = ProxyClient::build(proxy, client_builder(), EgressPolicy::All, tls)?;
        Ok(Self {
            client: OutletClient::Proxied(client),
            lifecycle,
        })
    }

    /// Builds the request without its body.
    fn build_request(&self, request: &HttpRequest) -> Result<reqwest::RequestBuilder> {
        let url = request.url.parse()?;
        ensure_may_dial(&url)?;
        let call = self.client.request(request.method.parse()?, url);
        Ok(request
            .headers
            .iter()
            .fold(call, |call, (name, value)| call.header(name, value)))
    }

    async fn fetch_answer(&self, call: reqwest::RequestBuilder) -> Result<HttpResponse> {
        let response = self.client.send(call).await?;
        let status_code = response.status().as_u16();
        Ok(HttpResponse {
            status_code,
            body: read(response).await?,
        })
    }
}

fn client_builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
}

#[async_trait]
impl HttpClient for SharedClient {
    async fn execute(&self, request: HttpRequest) -> Result<HttpResponse> {
        let mut call = self.build_request(&request)?.timeout(EXCHANGE_TIMEOUT);
        if let Some(body) = request.body {
            call = call.body(body);
        }
        self.fetch_answer(call).await
    }

    fn supports_streaming(&self) -> bool {
        true
    }

    fn execute_streaming(&self, request: HttpRequest) -> Result<StreamingHttpResponse> {
        let (call, handle) = (self.build_request(&request)?, Handle::try_current()?);
        let response = handle
            .block_on(self.lifecycle.unless_stopping(self.client.send(call)))
            .context("the program is ending")??;
        let status_code = response.status().as_u16();
        let body = StreamedBody {
            response,
            rest: Bytes::new(),
            handle,
            lifecycle: self.lifecycle.clone(),
        };
        Ok(StreamingHttpResponse {
            status_code,
            body: Box::new(body),
        })
    }

    fn supports_upload_streaming(&self) -> bool {
        true
    }

    fn execute_upload(
        &self,
        request: HttpRequest,
        body: UploadBody,
        length: u64,
    ) -> Result<HttpResponse> {
        let (pieces, coming) = mpsc::channel(MAX_PIECES);
        let stream = unfold(coming, async |mut coming| {
            Some((coming.recv().await?, coming))
        });
        let body_stream = reqwest::Body::wrap_stream(stream.boxed());
        let call = self
            .build_request(&request)?
            .header(CONTENT_LENGTH, length)
            .body(body_stream);
        // An answer before the end of the upload drops the receiver, which ends the reading.
        let exchange = join(self.fetch_answer(call), send_pieces(body, length, pieces));
        let (answer, ()) = Handle::try_current()?
            .block_on(self.lifecycle.unless_stopping(exchange))
            .context("the program is ending")?;
        answer
    }
}

/// Sends the body in pieces, as fast as they are received. Reading blocks, on a thread that may
/// block.
async fn send_pieces(body: UploadBody, length: u64, pieces: mpsc::Sender<io::Result<Bytes>>) {
    let mut body = body.take(length);
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let read = body
            .by_ref()
            .take(PIECE_BYTES as u64)
            .read_to_end(&mut piece);
        let is_last = !matches!(read, Ok(1..));
        let piece = read.map(|_| Bytes::from(piece));
        if matches!(&piece, Ok(piece) if piece.is_empty())
            || pieces.send(piece).await.is_err()
            || is_last
        {
            return;
        }
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

/// Body of an answer, read on a blocking thread as it comes.
struct StreamedBody {
    response: reqwest::Response,
    rest: Bytes,
    handle: Handle,
    lifecycle: Lifecycle,
}

impl Read for StreamedBody {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let chunk = self
                .handle
                .block_on(self.lifecycle.unless_stopping(self.response.chunk()));
            let chunk = chunk.ok_or_else(|| io::Error::other("the program is ending"))?;
            match chunk.map_err(|error| io::Error::other(error.without_url()))? {
                Some(chunk) => self.rest = chunk,
                None => return Ok(0),
            }
        }
        let length = self.rest.len().min(into.len());
        self.rest.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}
