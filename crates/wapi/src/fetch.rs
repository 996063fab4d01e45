//! Downloads of files from callers' links, to the disk.

mod preview;

use std::io;
use std::time::Duration;

use anyhow::Result;
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use url::Url;

use crate::clock::Clock;
use crate::guard::{Clients, Forbidden, Targets};
use crate::media::filename::{self, Disposition};
use crate::media::types::{self, WrongType};
use crate::media::{File, Intake, Media, NotTaken, Taken};
use crate::message::MediaKind;
use crate::pace::{Pace, TooSlow};
use crate::shares::{Crowded, Shares};

pub use preview::Preview;

/// Time limit for the whole file, including redirects.
const DEADLINE: Duration = Duration::from_secs(30);
/// Time limit for documents, which may be large.
const DOCUMENT_DEADLINE: Duration = Duration::from_secs(30 * 60);
/// Time without data after which a download fails.
const SILENCE: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;
/// Concurrent downloads, in total and per session; more wait.
const AT_ONCE: usize = 64;
const OF_A_SESSION: usize = 16;
/// Maximum number of a session's waiting downloads for callers.
const MOST_WAITING: usize = 32;
const MIB: u64 = 1024 * 1024;

/// Reasons why a file was not fetched. The messages are meant for the caller.
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
    #[error("{0}")]
    TooSlow(TooSlow),
    /// That many links of the session are waiting already.
    #[error("waits behind {0} others of this session; try again later")]
    Crowded(usize),
    #[error("is larger than {0} MiB")]
    TooLarge(u64),
    /// Contains the actual hash.
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

/// The session for which a file is fetched. Each session has its share of the concurrent downloads.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    session: &'a str,
    most_waiting: usize,
}

impl<'a> Whose<'a> {
    /// For a caller waiting for the response to a request.
    pub const fn caller(session: &'a str) -> Self {
        Self {
            session,
            most_waiting: MOST_WAITING,
        }
    }

    /// For an accepted message, which waits as long as necessary.
    pub const fn sender(session: &'a str) -> Self {
        Self {
            session,
            most_waiting: usize::MAX,
        }
    }
}

/// Fetches files over HTTP.
#[derive(Clone)]
pub struct Fetcher {
    clients: Clients,
    allowed: Targets,
    clock: Clock,
    media: Media,
    room: Shares,
}

impl Fetcher {
    /// Creates a fetcher that follows the egress policy, also at every redirect.
    pub fn new(allowed: Targets, media: Media, clock: Clock) -> Result<Self> {
        let clients = allowed.clients(|| {
            reqwest::Client::builder()
                .user_agent(concat!("wapi/", env!("CARGO_PKG_VERSION")))
                .read_timeout(SILENCE)
                .redirect(allowed.redirects(MAX_REDIRECTS))
        })?;
        Ok(Self {
            clients,
            allowed,
            clock,
            media,
            room: Shares::new(AT_ONCE, OF_A_SESSION),
        })
    }

    /// Fetches the file at this address, and checks that it suits this kind, and has this hash, if
    /// one is given.
    pub async fn file(
        &self,
        whose: Whose<'_>,
        address: &str,
        kind: MediaKind,
        sha256: Option<&str>,
    ) -> Result<File, NoFile> {
        let file = self.judged(whose, address, kind, sha256).await?;
        types::fits(kind, &file.mime_type)?;
        Ok(file)
    }

    /// Fetches the file at this address, of any type.
    pub async fn any_file(
        &self,
        whose: Whose<'_>,
        address: &str,
        sha256: Option<&str>,
    ) -> Result<File, NoFile> {
        self.judged(whose, address, MediaKind::Document, sha256)
            .await
    }

    async fn judged(
        &self,
        whose: Whose<'_>,
        address: &str,
        kind: MediaKind,
        sha256: Option<&str>,
    ) -> Result<File, NoFile> {
        let url = web_address(address)?;
        self.allowed.check(&url).map_err(NoFile::Forbidden)?;
        let Fetched {
            taken,
            head,
            said,
            name,
        } = self.fetched(whose, url, kind).await?;
        is_meant(&taken, sha256)?;
        Ok(self
            .media
            .workshop()
            .of(whose.session)
            .file(taken, &head, name, said.as_deref())
            .await)
    }

    async fn fetched(
        &self,
        whose: Whose<'_>,
        url: Url,
        kind: MediaKind,
    ) -> Result<Fetched, NoFile> {
        let entered = self
            .room
            .enter_before(whose.session, whose.most_waiting)
            .await;
        let _place = entered.map_err(|Crowded| NoFile::Crowded(whose.most_waiting))?;
        let deadline = if kind == MediaKind::Document {
            DOCUMENT_DEADLINE
        } else {
            DEADLINE
        };
        let most = most(kind, self.media.policy().largest);
        let fetched = self.clock.timeout(deadline, self.download(url, most)).await;
        fetched.map_err(|_| NoFile::Timeout(deadline))?
    }

    async fn download(&self, url: Url, most: u64) -> Result<Fetched, NoFile> {
        let answer = self
            .clients
            .now()
            .get(url.clone())
            .send()
            .await
            .map_err(unreachable)?;
        if !answer.status().is_success() {
            return Err(NoFile::Status(answer.status().as_u16()));
        }
        if answer.content_length().is_some_and(|length| length > most) {
            return Err(NoFile::TooLarge(most / MIB));
        }
        let said = answer
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let disposition = answer
            .headers()
            .get(CONTENT_DISPOSITION)
            .map(|value| Disposition::read(value.as_bytes()));
        let name = disposition
            .and_then(|disposition| disposition.filename)
            .or_else(|| named(&url, answer.url()));
        let mut intake = Intake::begin(self.media.workshop().place(), most).await?;
        let (mut chunks, mut pace) = (answer.bytes_stream(), Pace::new(self.clock.clone()));
        while let Some(chunk) = pace.next(&mut chunks).await.map_err(NoFile::TooSlow)? {
            intake.take(&chunk.map_err(unreachable)?).await?;
        }
        let (taken, head) = intake.finish().await?;
        Ok(Fetched {
            taken,
            head,
            said,
            name,
        })
    }
}

fn is_meant(taken: &Taken, sha256: Option<&str>) -> Result<(), NoFile> {
    let is_other = sha256.is_some_and(|sha256| sha256 != taken.sha256);
    if is_other {
        Err(NoFile::OtherHash(taken.sha256.clone()))
    } else {
        Ok(())
    }
}

/// A fetched file.
struct Fetched {
    taken: Taken,
    /// Its first bytes.
    head: Vec<u8>,
    /// The type according to the server.
    said: Option<String>,
    /// The name according to the server, or else to its address.
    name: Option<String>,
}

/// Returns the file name in the requested or in the final address, preferring one with an
/// extension.
fn named(asked: &Url, answered: &Url) -> Option<String> {
    let names = [asked, answered].map(filename::of_address);
    let whole = names
        .iter()
        .flatten()
        .find(|name| filename::extension(name).is_some())
        .cloned();
    whole.or_else(|| names.into_iter().flatten().next())
}

/// Returns WhatsApp's own limits, in bytes; for documents, the operator's.
pub const fn most(kind: MediaKind, largest: u64) -> u64 {
    match kind {
        MediaKind::Document => largest,
        _ => 16 * MIB,
    }
}

/// Parses a web address. Whether it may be fetched is checked on fetching.
pub fn web_address(address: &str) -> Result<Url, NoFile> {
    let url = Url::parse(address).map_err(|_| NoFile::Address)?;
    let fits = matches!(url.scheme(), "http" | "https") && url.has_host();
    if fits { Ok(url) } else { Err(NoFile::Address) }
}

/// The innermost cause is the most precise one, and names no address.
fn unreachable(error: reqwest::Error) -> NoFile {
    let error = error.without_url();
    let innermost =
        std::iter::successors(std::error::Error::source(&error), |cause| cause.source()).last();
    NoFile::Unreachable(innermost.map_or_else(|| error.to_string(), ToString::to_string))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_are_fetched() {
        for address in [
            "",
            "example.com/a.png",
            "ftp://example.com/a.png",
            "file:///etc/passwd",
            "data:image/png;base64,AA",
        ] {
            assert!(web_address(address).is_err(), "{address}");
        }
        assert!(web_address("https://example.com/a.png").is_ok());
    }

    #[test]
    fn a_file_is_called_by_the_address_that_names_one() {
        for (asked, answered, name) in [
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
            assert_eq!(named(&url(asked), &url(answered)).as_deref(), name);
        }
    }
}
