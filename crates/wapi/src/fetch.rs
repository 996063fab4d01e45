//! Fetches the files that callers name by their address, to the disk.

mod preview;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use futures_util::StreamExt;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::Semaphore;
use url::Url;

use crate::clock::Clock;
use crate::guard::{Forbidden, Targets};
use crate::media::types::{self, WrongType};
use crate::media::{File, Intake, Media, NotTaken, Taken};
use crate::message::MediaKind;

pub use preview::Preview;

/// For the whole file, redirects included.
const DEADLINE: Duration = Duration::from_secs(30);
/// The same for documents, which may be large.
const DOCUMENT_DEADLINE: Duration = Duration::from_secs(30 * 60);
/// How long nothing may come.
const SILENCE: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;
/// Files that are fetched at the same time; more wait.
const AT_ONCE: usize = 32;
const MIB: u64 = 1024 * 1024;

/// Why there is no file; the texts are for the caller.
#[derive(Debug, thiserror::Error)]
pub enum NoFile {
    #[error("is not an http:// or https:// address")]
    Address,
    #[error("{0}")]
    Forbidden(Forbidden),
    #[error("cannot be fetched: {0}")]
    Unreachable(String),
    #[error("answered {0}")]
    Status(u16),
    #[error("did not arrive within {0:?}")]
    Timeout(Duration),
    #[error("is larger than {0} MiB")]
    TooLarge(u64),
    /// The one it has.
    #[error("is not the one that was meant: its SHA-256 is {0}")]
    OtherHash(String),
    #[error(transparent)]
    WrongType(#[from] WrongType),
    #[error("cannot be kept: {0}")]
    NotKept(io::Error),
}

impl From<NotTaken> for NoFile {
    fn from(error: NotTaken) -> Self {
        match error {
            NotTaken::TooLarge(most) => Self::TooLarge(most / MIB),
            NotTaken::Disk(error) => Self::NotKept(error),
        }
    }
}

/// Fetches over one client.
#[derive(Clone)]
pub struct Fetcher {
    client: reqwest::Client,
    allowed: Targets,
    clock: Clock,
    media: Media,
    room: Arc<Semaphore>,
}

impl Fetcher {
    /// Fetches from where callers may send the gateway, at every redirect.
    pub fn new(allowed: Targets, media: Media, clock: Clock) -> Result<Self> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("wapi/", env!("CARGO_PKG_VERSION")))
            .read_timeout(SILENCE)
            .redirect(allowed.redirects(MAX_REDIRECTS));
        let client = allowed.guard(client).build()?;
        Ok(Self { client, allowed, clock, media, room: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// The file at this address, once it is known to be of this kind, and to have this hash, if one is given.
    pub async fn file(&self, address: &str, kind: MediaKind, sha256: Option<&str>) -> Result<File, NoFile> {
        let url = web_address(address)?;
        self.allowed.check(&url).map_err(NoFile::Forbidden)?;
        let Fetched { taken, head, said } = self.fetched(url, kind).await?;
        is_meant(&taken, sha256)?;
        let mime_type = types::for_kind(kind, &head, said.as_deref())?;
        Ok(File::new(taken, mime_type, self.media.workshop().clone()))
    }

    /// The file at this address, whatever it is.
    pub async fn any_file(&self, address: &str, sha256: Option<&str>) -> Result<File, NoFile> {
        let url = web_address(address)?;
        self.allowed.check(&url).map_err(NoFile::Forbidden)?;
        let Fetched { taken, head, said } = self.fetched(url, MediaKind::Document).await?;
        is_meant(&taken, sha256)?;
        Ok(File::new(taken, types::of(&head, said.as_deref()), self.media.workshop().clone()))
    }

    async fn fetched(&self, url: Url, kind: MediaKind) -> Result<Fetched, NoFile> {
        let _room = self.room.acquire().await.expect("this room is never closed");
        let deadline = if kind == MediaKind::Document { DOCUMENT_DEADLINE } else { DEADLINE };
        let most = most(kind, self.media.policy().largest);
        let fetched = self.clock.timeout(deadline, self.download(url, most)).await;
        fetched.map_err(|_| NoFile::Timeout(deadline))?
    }

    async fn download(&self, url: Url, most: u64) -> Result<Fetched, NoFile> {
        let answer = self.client.get(url).send().await.map_err(unreachable)?;
        if !answer.status().is_success() {
            return Err(NoFile::Status(answer.status().as_u16()));
        }
        if answer.content_length().is_some_and(|length| length > most) {
            return Err(NoFile::TooLarge(most / MIB));
        }
        let said = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut intake = Intake::begin(self.media.workshop().place(), most).await?;
        let mut chunks = answer.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            intake.take(&chunk.map_err(unreachable)?).await?;
        }
        let (taken, head) = intake.finish().await?;
        Ok(Fetched { taken, head, said })
    }
}

fn is_meant(taken: &Taken, sha256: Option<&str>) -> Result<(), NoFile> {
    let is_other = sha256.is_some_and(|sha256| sha256 != taken.sha256);
    if is_other { Err(NoFile::OtherHash(taken.sha256.clone())) } else { Ok(()) }
}

/// A file as it came.
struct Fetched {
    taken: Taken,
    /// Its first bytes.
    head: Vec<u8>,
    /// The type the server says it has.
    said: Option<String>,
}

/// WhatsApp's own limits, in bytes; for documents, what the operator takes.
pub const fn most(kind: MediaKind, largest: u64) -> u64 {
    match kind {
        MediaKind::Document => largest,
        _ => 16 * MIB,
    }
}

/// An address of the web; whether it may be fetched is judged when it is.
pub fn web_address(address: &str) -> Result<Url, NoFile> {
    let url = Url::parse(address).map_err(|_| NoFile::Address)?;
    let fits = matches!(url.scheme(), "http" | "https") && url.has_host();
    if fits { Ok(url) } else { Err(NoFile::Address) }
}

/// The innermost cause says it best, and names no address.
fn unreachable(error: reqwest::Error) -> NoFile {
    let error = error.without_url();
    let innermost = std::iter::successors(std::error::Error::source(&error), |cause| cause.source()).last();
    NoFile::Unreachable(innermost.map_or_else(|| error.to_string(), ToString::to_string))
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
