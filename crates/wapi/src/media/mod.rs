//! Files of messages: downloaded from WhatsApp, stored by their hash, served and removed.

mod describe;
mod downloads;
pub mod ffmpeg;
pub mod filename;
mod film;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod gif;
mod heif;
mod inbox;
mod inside;
mod intake;
mod picture;
mod portrait;
mod remote;
mod retention;
mod sticker;
mod storage;
pub mod types;
mod voice;
mod waveform;
mod workshop;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::sync::{Notify, RwLock, watch};

use crate::clock::Clock;
use crate::ids;
use crate::lifecycle::Lifecycle;
use crate::store::{Life, MediaFacts, MediaRecord, MediaState, NewMedia, Store, StoreError};

pub use describe::Described;
use describe::describe;
pub use downloads::keep_downloading;
use ffmpeg::Ffmpeg;
pub use ffmpeg::{NotConverted, Programs, Purpose};
pub use inbox::MediaInbox;
pub use intake::{Intake, NotTaken};
pub use remote::{Kind, Remote};
pub use retention::keep_to;
use storage::{Bucket, Disk, Local, Storage};
pub use storage::{Place, S3, Spool, Spooled};
pub use workshop::Workshop;

/// The operator's media policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub download: Download,
    /// Bytes of the largest file that is accepted, from WhatsApp or from callers.
    pub largest: u64,
    /// Retention period of files.
    pub keep_for: Duration,
    /// Maximum number of bytes of all files together; above it, the oldest are removed early.
    pub keep_size: u64,
}

/// When the files of incoming messages are downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Download {
    /// As they come in.
    Eager,
    /// On request.
    OnDemand,
    /// Never; events only describe them.
    Never,
}

/// All files; cheap to clone.
#[derive(Clone)]
pub struct Media {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    storage: Box<dyn Storage>,
    workshop: Workshop,
    policy: Policy,
    clock: Clock,
    lifecycle: Lifecycle,
    /// Notified when there may be a file to download.
    wanted: Notify,
    /// Notified when a download has ended or a file was removed.
    settled: watch::Sender<()>,
    /// Held for reading from the moment a file is moved to its place until it is recorded, and for
    /// writing while one is removed. Otherwise a removal could delete content that has just arrived
    /// again.
    placing: RwLock<()>,
}

/// A complete incoming file.
#[derive(Debug)]
pub struct Taken {
    pub spooled: Spooled,
    /// Bytes.
    pub size: u64,
    /// In hexadecimal.
    pub sha256: String,
}

/// The bytes of a file, read as a stream.
pub type Bytestream = BoxStream<'static, io::Result<Bytes>>;

/// A file that can be sent, and read for as long as this handle exists.
#[derive(Debug)]
pub struct File {
    content: Content,
    /// Bytes.
    pub size: u64,
    pub mime_type: String,
    /// Its original name.
    pub name: Option<String>,
    workshop: Workshop,
}

/// The location of a file's bytes.
#[derive(Debug)]
enum Content {
    Spooled(Taken),
    Kept(PathBuf),
    Made(Spooled),
}

impl File {
    /// Wraps a file that has just come in.
    pub fn new(taken: Taken, mime_type: String, name: Option<String>, workshop: Workshop) -> Self {
        Self {
            size: taken.size,
            content: Content::Spooled(taken),
            mime_type,
            name,
            workshop,
        }
    }

    pub fn path(&self) -> &Path {
        match &self.content {
            Content::Spooled(taken) => taken.spooled.path(),
            Content::Kept(path) => path,
            Content::Made(spooled) => spooled.path(),
        }
    }

    /// Returns the file's properties, without the thumbnail of a video.
    async fn measured(&self) -> Described {
        let (path, mime_type) = (self.path().to_owned(), self.mime_type.clone());
        self.workshop
            .decode(move || describe(&path, &mime_type))
            .await
            .unwrap_or_default()
    }

    /// Converts the file to a profile picture. `None` if it is no readable image.
    pub async fn as_portrait(&self) -> Option<Vec<u8>> {
        let picture = self.path().to_owned();
        self.workshop
            .decode(move || portrait::make_portrait(&picture))
            .await?
    }

    /// Returns a place for a file derived from this one.
    pub fn beside(&self) -> Spooled {
        self.workshop.place()
    }
}

impl Media {
    /// Opens the media storage; incoming files are always under the data folder. `programs` are the
    /// installed converters.
    pub async fn open(
        root: &Path,
        place: &Place,
        policy: Policy,
        programs: Programs,
        store: Store,
        clock: Clock,
        lifecycle: Lifecycle,
    ) -> Result<Self> {
        let folder = root.join("media");
        let problem = || {
            format!(
                "WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH: {} cannot be used",
                folder.display()
            )
        };
        let spool = Spool::open(&folder.join("incoming"))
            .await
            .with_context(problem)?;
        let storage: Box<dyn Storage> = match place {
            Place::Disk => Box::new(Disk::open(&folder).await.with_context(problem)?),
            Place::S3(at) => Box::new(Bucket::s3(at)?),
        };
        let (wanted, settled, placing) = Default::default();
        let workshop = Workshop::new(
            spool,
            Ffmpeg::new(programs, clock.clone(), lifecycle.clone()),
        );
        let inner = Inner {
            store,
            storage,
            workshop,
            policy,
            clock,
            lifecycle,
            wanted,
            settled,
            placing,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    pub fn policy(&self) -> Policy {
        self.inner.policy
    }

    /// Whether a program for this purpose is installed.
    pub fn can_convert(&self, purpose: Purpose) -> bool {
        let ffmpeg = self.inner.workshop.ffmpeg();
        ffmpeg.is_there() || purpose == Purpose::Picture && ffmpeg.heif().is_some()
    }

    /// Returns the conversion pool, in which files also lie while they come in.
    pub fn workshop(&self) -> &Workshop {
        &self.inner.workshop
    }

    pub async fn find(&self, id: &str) -> Result<Option<MediaRecord>, StoreError> {
        self.inner.store.media(id).await
    }

    /// Requests a file that is still at WhatsApp, and waits up to `limit` for the result.
    pub async fn fetch(
        &self,
        record: MediaRecord,
        limit: Duration,
    ) -> Result<MediaRecord, StoreError> {
        let mut settled = self.inner.settled.subscribe();
        self.inner.store.want_media(&record.id).await?;
        self.inner.wanted.notify_one();
        let became = async {
            loop {
                settled.borrow_and_update();
                match self.inner.store.media(&record.id).await? {
                    Some(now) if now.state == MediaState::Waiting => {}
                    now => return Ok(now),
                }
                if settled.changed().await.is_err() {
                    return Ok(None);
                }
            }
        };
        match self.inner.clock.timeout(limit, became).await {
            Ok(became) => became.map(|now| now.unwrap_or(record)),
            Err(_) => Ok(self.inner.store.media(&record.id).await?.unwrap_or(record)),
        }
    }

    /// Reads a range of bytes of a stored file.
    pub async fn read(&self, sha256: &str, range: std::ops::Range<u64>) -> io::Result<Bytestream> {
        self.inner.storage.read(sha256, range).await
    }

    /// Removes a file for good: it is not downloaded again. Content that cannot be removed now is
    /// removed later.
    pub async fn remove(&self, record: &MediaRecord) -> Result<()> {
        let _placing = self.inner.placing.write().await;
        self.inner.store.media_is_removed(&record.id).await?;
        self.inner.settled.send_replace(());
        match &record.facts.sha256 {
            Some(sha256) if record.state == MediaState::Stored => self.try_to_drop(sha256).await,
            _ => {}
        }
        Ok(())
    }

    /// Tries to remove the content of a file that is recorded as a leftover. Called while `placing`
    /// is held for writing.
    async fn try_to_drop(&self, sha256: &str) {
        if let Err(error) = self.drop_content(sha256).await {
            tracing::warn!(
                error = format!("{error:#}"),
                "a file cannot be removed for now; it is tried again"
            );
        }
    }

    /// Removes content that is no longer needed, and returns any error.
    async fn drop_content(&self, sha256: &str) -> Result<()> {
        if !self.inner.store.is_media_needed(sha256).await? {
            self.inner
                .storage
                .remove(sha256)
                .await
                .context("removing a file")?;
        }
        Ok(self.inner.store.leftover_is_gone(sha256).await?)
    }

    /// Stores a file that came from WhatsApp, and records it.
    async fn store(&self, record: &MediaRecord, taken: Taken) -> Result<()> {
        let (size, sha256) = (Some(taken.size), Some(taken.sha256.clone()));
        let facts = MediaFacts {
            size,
            sha256,
            pages: self.pages(record, &taken).await,
            ..MediaFacts::default()
        };
        let placing = self.inner.placing.read().await;
        self.inner
            .storage
            .keep(&taken.spooled, &taken.sha256)
            .await
            .context("keeping a file")?;
        let is_wanted = self.inner.store.media_is_stored(&record.id, facts).await?;
        drop(placing);
        if !is_wanted {
            // It was removed while it was being downloaded.
            let _placing = self.inner.placing.write().await;
            self.inner.store.leave_media(&taken.sha256).await?;
            self.try_to_drop(&taken.sha256).await;
        }
        Ok(())
    }

    /// Counts the pages of a document whose sender did not give their number.
    async fn pages(&self, record: &MediaRecord, taken: &Taken) -> Option<u32> {
        let is_asked =
            record.kind.as_deref() == Some(Kind::Document.word()) && record.facts.pages.is_none();
        let mime_type = record.facts.mime_type.clone().filter(|_| is_asked)?;
        let path = taken.spooled.path().to_owned();
        self.workshop()
            .of(record.session.name())
            .decode(move || describe(&path, &mime_type))
            .await?
            .pages
    }

    /// Stores a file that was uploaded for a session.
    pub async fn add(&self, session: &Life, file: File) -> Result<MediaRecord> {
        let Described {
            width,
            height,
            duration,
            pages,
            ..
        } = file.measured().await;
        let Content::Spooled(taken) = file.content else {
            bail!("it is kept already")
        };
        let facts = MediaFacts {
            mime_type: Some(file.mime_type),
            filename: file.name,
            size: Some(taken.size),
            sha256: Some(taken.sha256.clone()),
            width,
            height,
            duration,
            pages,
        };
        let (id, session) = (ids::media_id(), session.clone());
        let state = MediaState::Stored;
        let new = NewMedia {
            id: id.clone(),
            session,
            message: None,
            kind: None,
            facts,
            source: None,
            state,
        };
        let _placing = self.inner.placing.read().await;
        // It is not referenced before it is recorded; if that fails, it will be cleaned up.
        self.inner.store.leave_media(&taken.sha256).await?;
        self.inner
            .storage
            .keep(&taken.spooled, &taken.sha256)
            .await
            .context("keeping a file")?;
        self.inner.store.add_media(vec![new]).await?;
        self.inner
            .store
            .media(&id)
            .await?
            .context("it was noted a moment ago")
    }

    /// Opens a stored file for sending.
    pub async fn file(&self, record: &MediaRecord) -> io::Result<File> {
        let (Some(sha256), Some(size)) = (&record.facts.sha256, record.facts.size) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let content = match self
            .inner
            .storage
            .local(sha256, self.workshop().place())
            .await?
        {
            Local::Kept(path) => Content::Kept(path),
            Local::Copied(copy) => Content::Made(copy),
        };
        let mime_type = record.facts.mime_type.clone().unwrap_or_default();
        let (name, workshop) = (
            record.facts.filename.clone(),
            self.workshop().of(record.session.name()),
        );
        Ok(File {
            content,
            size,
            mime_type,
            name,
            workshop,
        })
    }
}

#[cfg(test)]
mod tests;
