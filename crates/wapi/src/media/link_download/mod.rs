//! Downloads of files from callers' links, to the disk.

mod clients;
mod preview;

use std::io;
use std::time::Duration;

use anyhow::Result;
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use url::Url;

use crate::media::filename::{self, ContentDisposition};
use crate::media::types::{self, MediaTypeError};
use crate::media::{Media, MediaFile, ReceivedFile, SpoolError, SpoolWriter};
use crate::model::message::MediaKind;
use crate::net::egress::{EgressPolicy, ForbiddenTargetError};
use crate::net::pace::{PaceWatch, TooSlowError};
use crate::net::proxy::SessionProxies;
use crate::system::clock::Clock;
use crate::system::fair_permits::{CrowdedError, FairPermits};

use clients::LinkClients;
pub use preview::LinkPreview;

/// Time limit for the whole file, including redirects.
const FILE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time limit for documents, which may be large.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Concurrent downloads, in total and per session; more wait.
const MAX_FETCHES: usize = 64;
const MAX_PER_SESSION: usize = 16;
/// Maximum number of a session's waiting downloads for callers.
const MAX_WAITING: usize = 32;
const MIB: u64 = 1024 * 1024;

/// Reasons why a file was not fetched. The messages are meant for the caller.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("is not an http:// or https:// address")]
    InvalidAddress,
    #[error("{0}")]
    Forbidden(ForbiddenTargetError),
    #[error("cannot be fetched: {0}")]
    Unreachable(String),
    #[error("answered {0}")]
    Status(u16),
    #[error("did not arrive within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    TooSlow(TooSlowError),
    /// That many links of the session are waiting already.
    #[error("waits behind {0} others of this session; try again later")]
    QueueFull(usize),
    #[error("is larger than {0} MiB")]
    TooLarge(u64),
    /// Contains the actual hash.
    #[error("is not the expected file: its SHA-256 is {0}")]
    OtherHash(String),
    #[error(transparent)]
    WrongType(#[from] MediaTypeError),
    #[error("cannot be stored: {0}")]
    Disk(io::Error),
}

impl From<SpoolError> for FetchError {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::TooLarge(limit) => Self::TooLarge(limit / MIB),
            SpoolError::Disk(error) => Self::Disk(error),
        }
    }
}

/// The session for which a file is fetched. Each session has its share of the concurrent downloads.
#[derive(Debug, Clone, Copy)]
pub struct FetchRequester<'a> {
    session: &'a str,
    most_waiting: usize,
}

impl<'a> FetchRequester<'a> {
    /// For a caller waiting for the response to a request.
    pub const fn for_caller(session: &'a str) -> Self {
        Self {
            session,
            most_waiting: MAX_WAITING,
        }
    }

    /// For an accepted message, which waits as long as necessary.
    pub const fn for_sender(session: &'a str) -> Self {
        Self {
            session,
            most_waiting: usize::MAX,
        }
    }
}

/// Fetches files over HTTP.
#[derive(Clone)]
pub struct FileFetcher {
    clients: LinkClients,
    clock: Clock,
    media: Media,
    shares: FairPermits,
}

impl FileFetcher {
    /// Creates a fetcher that follows the egress policy, also at every redirect, and leaves through
    /// the proxies of sessions.
    pub fn new(
        allowed: EgressPolicy,
        proxies: SessionProxies,
        media: Media,
        clock: Clock,
    ) -> Result<Self> {
        Ok(Self {
            clients: LinkClients::new(allowed, proxies)?,
            clock,
            media,
            shares: FairPermits::new(MAX_FETCHES, MAX_PER_SESSION),
        })
    }

    /// Fetches the file at this address, and checks that it suits this kind, and has this hash, if
    /// one is given.
    pub async fn fetch_file(
        &self,
        tenant: FetchRequester<'_>,
        address: &str,
        kind: MediaKind,
        sha256: Option<&str>,
    ) -> Result<MediaFile, FetchError> {
        let file = self.fetch_identified(tenant, address, kind, sha256).await?;
        types::check_type(kind, &file.mime_type)?;
        Ok(file)
    }

    /// Fetches the file at this address, of any type.
    pub async fn fetch_any_file(
        &self,
        tenant: FetchRequester<'_>,
        address: &str,
        sha256: Option<&str>,
    ) -> Result<MediaFile, FetchError> {
        self.fetch_identified(tenant, address, MediaKind::Document, sha256)
            .await
    }

    async fn fetch_identified(
        &self,
        tenant: FetchRequester<'_>,
        address: &str,
        kind: MediaKind,
        sha256: Option<&str>,
    ) -> Result<MediaFile, FetchError> {
        let url = parse_web_address(address)?;
        self.clients.check_link(tenant.session, &url)?;
        let FetchedFile {
            taken,
            head,
            mime_type: declared,
            name,
        } = self.fetch_in_turn(tenant, url, kind).await?;
        check_hash(&taken, sha256)?;
        Ok(self
            .media
            .conversion_pool()
            .for_session(tenant.session)
            .identify_file(taken, &head, name, declared.as_deref())
            .await)
    }

    async fn fetch_in_turn(
        &self,
        tenant: FetchRequester<'_>,
        url: Url,
        kind: MediaKind,
    ) -> Result<FetchedFile, FetchError> {
        let entered = self
            .shares
            .acquire_unless_crowded(tenant.session, tenant.most_waiting)
            .await;
        let _place = entered.map_err(|CrowdedError| FetchError::QueueFull(tenant.most_waiting))?;
        let deadline = if kind == MediaKind::Document {
            DOCUMENT_TIMEOUT
        } else {
            FILE_TIMEOUT
        };
        let limit = size_limit(kind, self.media.policy().largest);
        let fetched = self
            .clock
            .timeout(deadline, self.download_file(tenant.session, url, limit))
            .await;
        fetched.map_err(|_| FetchError::Timeout(deadline))?
    }

    async fn download_file(
        &self,
        session: &str,
        url: Url,
        limit: u64,
    ) -> Result<FetchedFile, FetchError> {
        let answer = self.clients.get(session, url.clone()).await?;
        if !answer.status().is_success() {
            return Err(FetchError::Status(answer.status().as_u16()));
        }
        if answer.content_length().is_some_and(|length| length > limit) {
            return Err(FetchError::TooLarge(limit / MIB));
        }
        let declared = answer
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let disposition = answer
            .headers()
            .get(CONTENT_DISPOSITION)
            .map(|value| ContentDisposition::parse(value.as_bytes()));
        let name = disposition
            .and_then(|disposition| disposition.filename)
            .or_else(|| name_from_urls(&url, answer.url()));
        let mut intake =
            SpoolWriter::create(self.media.conversion_pool().reserve_file(), limit).await?;
        let (mut chunks, mut pace) = (answer.bytes_stream(), PaceWatch::new(self.clock.clone()));
        while let Some(chunk) = pace.next(&mut chunks).await.map_err(FetchError::TooSlow)? {
            intake
                .write_piece(&chunk.map_err(unreachable_error)?)
                .await?;
        }
        let (taken, head) = intake.finish().await?;
        Ok(FetchedFile {
            taken,
            head,
            mime_type: declared,
            name,
        })
    }
}

fn check_hash(taken: &ReceivedFile, sha256: Option<&str>) -> Result<(), FetchError> {
    let is_other = sha256.is_some_and(|sha256| sha256 != taken.sha256);
    if is_other {
        Err(FetchError::OtherHash(taken.sha256.clone()))
    } else {
        Ok(())
    }
}

/// A fetched file.
struct FetchedFile {
    taken: ReceivedFile,
    /// Its first bytes.
    head: Vec<u8>,
    /// The type according to the server.
    mime_type: Option<String>,
    /// The name according to the server, or else to its address.
    name: Option<String>,
}

/// Returns the file name in the requested or in the final address, preferring one with an
/// extension.
fn name_from_urls(requested: &Url, answered: &Url) -> Option<String> {
    let names = [requested, answered].map(filename::name_from_url);
    let whole = names
        .iter()
        .flatten()
        .find(|name| filename::file_extension(name).is_some())
        .cloned();
    whole.or_else(|| names.into_iter().flatten().next())
}

/// Returns WhatsApp's own limits, in bytes; for documents, the operator's.
pub const fn size_limit(kind: MediaKind, largest: u64) -> u64 {
    match kind {
        MediaKind::Document => largest,
        _ => 16 * MIB,
    }
}

/// Parses a web address. Whether it may be fetched is checked on fetching.
pub fn parse_web_address(address: &str) -> Result<Url, FetchError> {
    let url = Url::parse(address).map_err(|_| FetchError::InvalidAddress)?;
    let fits = matches!(url.scheme(), "http" | "https") && url.has_host();
    if fits {
        Ok(url)
    } else {
        Err(FetchError::InvalidAddress)
    }
}

/// The innermost cause is the most precise one, and names no address.
fn unreachable_error(error: reqwest::Error) -> FetchError {
    let error = error.without_url();
    let innermost =
        std::iter::successors(std::error::Error::source(&error), |cause| cause.source()).last();
    FetchError::Unreachable(innermost.map_or_else(|| error.to_string(), ToString::to_string))
}

#[cfg(test)]
mod tests {
    use crate::media::link_download::*;

    #[test]
    fn only_web_addresses_are_fetched() {
        for address in [
            "",
            "example.com/a.png",
            "ftp://example.com/a.png",
            "file:///etc/passwd",
            "data:image/png;base64,AA",
        ] {
            assert!(parse_web_address(address).is_err(), "{address}");
        }
        assert!(parse_web_address("https://example.com/a.png").is_ok());
    }

    #[test]
    fn a_file_is_called_by_the_address_that_names_one() {
        for (requested, answered, name) in [
            (
                "https://a/inv.pdf",
                "https://b/x/0f3c?signature=1",
                Some("inv.pdf"),
            ),
            (
                "https://a/get?id=5",
                "https://b/x/inv.pdf?signature=1",
                Some("inv.pdf"),
            ),
            ("https://a/inv", "https://b/0f3c", Some("inv")),
            ("https://a/", "https://b/", None),
        ] {
            let url = |text: &str| Url::parse(text).unwrap();
            assert_eq!(
                name_from_urls(&url(requested), &url(answered)).as_deref(),
                name
            );
        }
    }
}
