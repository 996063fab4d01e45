//! Fetches the files that callers name by their address.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use crate::clock::Clock;
use crate::guard::{Forbidden, Targets};
use crate::message::{ImageType, MediaKind};

/// For the whole file, redirects included.
const DEADLINE: Duration = Duration::from_secs(30);
/// The same for documents, which may be larger.
const DOCUMENT_DEADLINE: Duration = Duration::from_secs(120);
const MAX_REDIRECTS: usize = 5;
/// Room in memory for files that are fetched or uploaded at the same time, in MiB; more wait.
const ROOM_MIB: usize = 256;

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
    TooLarge(u32),
    #[error("is not a picture; JPEG, PNG, WebP and GIF can be sent")]
    NotAPicture,
    #[error("is not a video; MP4 and 3GP can be sent")]
    NotAVideo,
    #[error("is not a sound; Ogg (Opus), MP3, M4A, AAC and AMR can be sent")]
    NotASound,
}

/// A file in memory, and its place there.
pub struct File {
    pub bytes: Bytes,
    pub mime_type: String,
    _room: OwnedSemaphorePermit,
}

/// Fetches over one client.
#[derive(Clone)]
pub struct Fetcher {
    client: reqwest::Client,
    allowed: Targets,
    clock: Clock,
    room: Arc<Semaphore>,
}

impl Fetcher {
    /// Fetches from where callers may send the gateway, at every redirect.
    pub fn new(allowed: Targets, clock: Clock) -> Result<Self> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("wapi/", env!("CARGO_PKG_VERSION")))
            .redirect(allowed.redirects(MAX_REDIRECTS));
        let client = allowed.guard(client).build()?;
        Ok(Self { client, allowed, clock, room: Arc::new(Semaphore::new(ROOM_MIB)) })
    }

    /// The file at this address, once it is known to be of this kind.
    pub async fn file(&self, address: &str, kind: MediaKind) -> Result<File, NoFile> {
        let url = web_address(address)?;
        self.allowed.check(&url).map_err(NoFile::Forbidden)?;
        let room = Arc::clone(&self.room).acquire_many_owned(max_mib(kind)).await.expect("this room is never closed");
        let deadline = if kind == MediaKind::Document { DOCUMENT_DEADLINE } else { DEADLINE };
        let fetched = self.clock.timeout(deadline, self.download(url, max_mib(kind))).await;
        let (bytes, said) = fetched.map_err(|_| NoFile::Timeout(deadline))??;
        let mime_type = mime_type(kind, &bytes, said.as_deref())?;
        Ok(File { bytes, mime_type, _room: room })
    }

    /// The bytes, and the type the server says they have.
    async fn download(&self, url: Url, max_mib: u32) -> Result<(Bytes, Option<String>), NoFile> {
        let max = max_mib as usize * 1024 * 1024;
        let answer = self.client.get(url).send().await.map_err(unreachable)?;
        if !answer.status().is_success() {
            return Err(NoFile::Status(answer.status().as_u16()));
        }
        if answer.content_length().is_some_and(|length| length > max as u64) {
            return Err(NoFile::TooLarge(max_mib));
        }
        let said = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut bytes = BytesMut::new();
        let mut chunks = answer.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(unreachable)?;
            if bytes.len() + chunk.len() > max {
                return Err(NoFile::TooLarge(max_mib));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((bytes.freeze(), said))
    }
}

/// WhatsApp's own limits; for documents, that of the Cloud API, since files are held in memory.
const fn max_mib(kind: MediaKind) -> u32 {
    match kind {
        MediaKind::Image | MediaKind::Video | MediaKind::Audio => 16,
        MediaKind::Document => 100,
    }
}

/// By the first bytes where phones are picky: what servers say about their files is often wrong.
fn mime_type(kind: MediaKind, bytes: &[u8], said: Option<&str>) -> Result<String, NoFile> {
    let found = match kind {
        MediaKind::Image => ImageType::of(bytes).ok_or(NoFile::NotAPicture)?.name(),
        MediaKind::Video => video_type(bytes).ok_or(NoFile::NotAVideo)?,
        MediaKind::Audio => sound_type(bytes).ok_or(NoFile::NotASound)?,
        MediaKind::Document => said.unwrap_or("application/octet-stream"),
    };
    Ok(found.to_owned())
}

fn video_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes.get(4..11)? {
        [b'f', b't', b'y', b'p', b'3', b'g', _] => Some("video/3gpp"),
        [b'f', b't', b'y', b'p', ..] => Some("video/mp4"),
        _ => None,
    }
}

fn sound_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [b'O', b'g', b'g', b'S', ..] => Some("audio/ogg; codecs=opus"),
        [b'I', b'D', b'3', ..] => Some("audio/mpeg"),
        [0xff, second, ..] if second & 0xf6 == 0xf0 => Some("audio/aac"),
        [0xff, second, ..] if second & 0xe0 == 0xe0 => Some("audio/mpeg"),
        [b'#', b'!', b'A', b'M', b'R', ..] => Some("audio/amr"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some("audio/mp4"),
        _ => None,
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

    #[test]
    fn files_are_known_by_their_first_bytes() {
        let found = |kind, bytes: &[u8]| mime_type(kind, bytes, Some("text/html")).map_err(|error| error.to_string());
        assert_eq!(found(MediaKind::Image, b"\x89PNG\r\n\x1a\n....").unwrap(), "image/png");
        assert_eq!(found(MediaKind::Video, b"\0\0\0\x20ftypisom....").unwrap(), "video/mp4");
        assert_eq!(found(MediaKind::Video, b"\0\0\0\x20ftyp3gp4....").unwrap(), "video/3gpp");
        assert_eq!(found(MediaKind::Audio, b"OggS....").unwrap(), "audio/ogg; codecs=opus");
        assert_eq!(found(MediaKind::Audio, b"\xff\xfb\x90").unwrap(), "audio/mpeg");
        assert_eq!(found(MediaKind::Audio, b"\xff\xf1\x50").unwrap(), "audio/aac");
        assert_eq!(found(MediaKind::Document, b"anything").unwrap(), "text/html");
        assert_eq!(mime_type(MediaKind::Document, b"", None).unwrap(), "application/octet-stream");
        for kind in [MediaKind::Image, MediaKind::Video, MediaKind::Audio] {
            assert!(found(kind, b"<html>").unwrap_err().contains("can be sent"));
        }
    }
}
