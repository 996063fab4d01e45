//! Fetches the pictures that callers name by their address.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::sync::Semaphore;
use url::Url;

use crate::clock::Clock;
use crate::guard::{Forbidden, Targets};
use crate::message::{Image, ImageType};

/// WhatsApp's own limit for pictures.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// For the whole picture, redirects included.
const DEADLINE: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;
/// Pictures in memory at the same time; more wait.
const AT_ONCE: usize = 16;

/// Why there is no picture; the texts are for the caller.
#[derive(Debug, thiserror::Error)]
pub enum NoPicture {
    #[error("is not an http:// or https:// address")]
    Address,
    #[error("{0}")]
    Forbidden(Forbidden),
    #[error("cannot be fetched: {0}")]
    Unreachable(String),
    #[error("answered {0}")]
    Status(u16),
    #[error("did not arrive within {DEADLINE:?}")]
    Timeout,
    #[error("is larger than {} MiB", MAX_BYTES / 1024 / 1024)]
    TooLarge,
    #[error("is not a picture; JPEG, PNG, WebP and GIF can be sent")]
    NotAPicture,
}

/// Fetches over one client.
#[derive(Clone)]
pub struct Fetcher {
    client: reqwest::Client,
    allowed: Targets,
    clock: Clock,
    places: Arc<Semaphore>,
}

impl Fetcher {
    /// Fetches from where callers may send the gateway, at every redirect.
    pub fn new(allowed: Targets, clock: Clock) -> Result<Self> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("wapi/", env!("CARGO_PKG_VERSION")))
            .redirect(allowed.redirects(MAX_REDIRECTS));
        let client = allowed.guard(client).build()?;
        Ok(Self { client, allowed, clock, places: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// The picture at this address.
    pub async fn picture(&self, address: &str) -> Result<Image, NoPicture> {
        let url = web_address(address)?;
        self.allowed.check(&url).map_err(NoPicture::Forbidden)?;
        let _place = self.places.acquire().await.expect("these places are never closed");
        let bytes = self.clock.timeout(DEADLINE, self.download(url)).await.map_err(|_| NoPicture::Timeout)??;
        let mime_type = ImageType::of(&bytes).ok_or(NoPicture::NotAPicture)?;
        Ok(Image { bytes, mime_type })
    }

    async fn download(&self, url: Url) -> Result<Bytes, NoPicture> {
        let answer = self.client.get(url).send().await.map_err(unreachable)?;
        if !answer.status().is_success() {
            return Err(NoPicture::Status(answer.status().as_u16()));
        }
        if answer.content_length().is_some_and(|length| length > MAX_BYTES as u64) {
            return Err(NoPicture::TooLarge);
        }
        let mut bytes = BytesMut::new();
        let mut chunks = answer.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(unreachable)?;
            if bytes.len() + chunk.len() > MAX_BYTES {
                return Err(NoPicture::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }
}

fn web_address(address: &str) -> Result<Url, NoPicture> {
    let url = Url::parse(address).map_err(|_| NoPicture::Address)?;
    let fits = matches!(url.scheme(), "http" | "https") && url.has_host();
    if fits { Ok(url) } else { Err(NoPicture::Address) }
}

/// The innermost cause says it best, and names no address.
fn unreachable(error: reqwest::Error) -> NoPicture {
    let error = error.without_url();
    let innermost = std::iter::successors(std::error::Error::source(&error), |cause| cause.source()).last();
    NoPicture::Unreachable(innermost.map_or_else(|| error.to_string(), ToString::to_string))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_are_fetched() {
        for address in
            ["", "example.com/a.png", "ftp://example.com/a.png", "file:///etc/passwd", "data:image/png;base64,AA"]
        {
            assert!(web_address(address).is_err(), "{address}");
        }
        assert!(web_address("https://example.com/a.png").is_ok());
    }
}
