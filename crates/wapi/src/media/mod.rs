//! Files of messages: downloaded from WhatsApp, stored by their hash, served and removed.

mod content_inspection;
pub mod convert;
mod downloads;
pub mod filename;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod link_download;
mod probe;
pub mod qr_image;
mod retention;
mod spool_writer;
mod storage;
pub mod types;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::sync::{Notify, RwLock, watch};

use crate::config::{MediaPolicy, StorageConfig};
use crate::model::ids;
use crate::model::remote_file::RemoteFileKind;
use crate::store::{Life, MediaFacts, MediaRecord, MediaState, NewMedia, Store, StoreError};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;

pub use convert::conversion_pool::ConversionPool;
use convert::ffmpeg::Ffmpeg;
pub use convert::ffmpeg::{ConversionError, ConversionPurpose, ConverterPrograms};
pub use downloads::{MediaDownloadError, MediaSource, run_downloads};
pub use probe::MediaProperties;
use probe::read_properties;
pub use retention::run_media_cleanup;
pub use spool_writer::{SpoolError, SpoolWriter};
use storage::{BucketStorage, DiskStorage, LocalFile, Storage};
pub use storage::{SpoolFolder, SpooledFile};

/// All files; cheap to clone.
#[derive(Clone)]
pub struct Media {
    inner: Arc<MediaInner>,
}

struct MediaInner {
    store: Store,
    storage: Box<dyn Storage>,
    pool: ConversionPool,
    policy: MediaPolicy,
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
pub struct ReceivedFile {
    pub spooled: SpooledFile,
    /// Bytes.
    pub size: u64,
    /// In hexadecimal.
    pub sha256: String,
}

/// The bytes of a file, read as a stream.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// A file that can be sent, and read for as long as this handle exists.
#[derive(Debug)]
pub struct MediaFile {
    content: FileContent,
    pub mime_type: String,
    /// Its original name.
    pub name: Option<String>,
    pool: ConversionPool,
}

/// The location of a file's bytes.
#[derive(Debug)]
enum FileContent {
    Received(ReceivedFile),
    Stored(PathBuf),
    Derived(SpooledFile),
}

impl MediaFile {
    /// Wraps a file that has just come in.
    pub fn new(
        taken: ReceivedFile,
        mime_type: String,
        name: Option<String>,
        pool: ConversionPool,
    ) -> Self {
        Self {
            content: FileContent::Received(taken),
            mime_type,
            name,
            pool,
        }
    }

    pub fn path(&self) -> &Path {
        match &self.content {
            FileContent::Received(taken) => taken.spooled.path(),
            FileContent::Stored(path) => path,
            FileContent::Derived(spooled) => spooled.path(),
        }
    }

    /// Returns the hash of a file that has just come in.
    pub fn received_sha256(&self) -> Option<&str> {
        match &self.content {
            FileContent::Received(taken) => Some(&taken.sha256),
            FileContent::Stored(_) | FileContent::Derived(_) => None,
        }
    }

    /// Returns the file's properties, without the thumbnail of a video.
    async fn basic_properties(&self) -> MediaProperties {
        let (path, mime_type) = (self.path().to_owned(), self.mime_type.clone());
        self.pool
            .run_decoder(move || read_properties(&path, &mime_type))
            .await
            .unwrap_or_default()
    }

    /// Converts the file to a profile picture. `None` if it is no readable image.
    pub async fn to_avatar(&self) -> Option<Vec<u8>> {
        let picture = self.path().to_owned();
        self.pool
            .run_decoder(move || convert::avatar::make_avatar(&picture))
            .await?
    }

    /// Returns a place for a file derived from this one.
    pub fn reserve_derived(&self) -> SpooledFile {
        self.pool.reserve_file()
    }
}

impl Media {
    /// Opens the media storage; incoming files are always under the data folder. `programs` are the
    /// installed converters.
    pub async fn open(
        root: &Path,
        config: &StorageConfig,
        policy: MediaPolicy,
        programs: ConverterPrograms,
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
        let spool = SpoolFolder::open(&folder.join("incoming"))
            .await
            .with_context(problem)?;
        let storage: Box<dyn Storage> = match config {
            StorageConfig::Disk => {
                Box::new(DiskStorage::open(&folder).await.with_context(problem)?)
            }
            StorageConfig::S3(at) => Box::new(BucketStorage::from_s3(at)?),
        };
        let (wanted, settled, placing) = Default::default();
        let pool = ConversionPool::new(
            spool,
            Ffmpeg::new(programs, clock.clone(), lifecycle.clone()),
        );
        let inner = MediaInner {
            store,
            storage,
            pool,
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

    pub fn policy(&self) -> MediaPolicy {
        self.inner.policy
    }

    /// Saves the records of files.
    pub async fn record_files(&self, files: Vec<NewMedia>) -> Result<(), StoreError> {
        self.inner.store.media().add_media(files).await
    }

    /// Says that there may be a file to download.
    pub fn wake_downloads(&self) {
        self.inner.wanted.notify_one();
    }

    /// Whether a program for this purpose is installed.
    pub fn can_convert(&self, purpose: ConversionPurpose) -> bool {
        let ffmpeg = self.inner.pool.ffmpeg();
        ffmpeg.is_installed()
            || purpose == ConversionPurpose::Jpeg && ffmpeg.heif_program().is_some()
    }

    /// Returns the conversion pool, in which files also lie while they come in.
    pub fn conversion_pool(&self) -> &ConversionPool {
        &self.inner.pool
    }

    pub async fn find_media(&self, id: &str) -> Result<Option<MediaRecord>, StoreError> {
        self.inner.store.media().find_media(id).await
    }

    /// Requests a file that is still at WhatsApp, and waits up to `limit` for the result.
    pub async fn fetch_media(
        &self,
        record: MediaRecord,
        limit: Duration,
    ) -> Result<MediaRecord, StoreError> {
        let mut settled = self.inner.settled.subscribe();
        self.inner.store.media().request_media(&record.id).await?;
        self.inner.wanted.notify_one();
        let became = async {
            loop {
                settled.borrow_and_update();
                match self.inner.store.media().find_media(&record.id).await? {
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
            Err(_) => Ok(self
                .inner
                .store
                .media()
                .find_media(&record.id)
                .await?
                .unwrap_or(record)),
        }
    }

    /// Reads a range of bytes of a stored file.
    pub async fn read_range(
        &self,
        sha256: &str,
        range: std::ops::Range<u64>,
    ) -> io::Result<ByteStream> {
        self.inner.storage.read_range(sha256, range).await
    }

    /// Removes a file for good: it is not downloaded again. Content that cannot be removed now is
    /// removed later.
    pub async fn remove_media(&self, record: &MediaRecord) -> Result<()> {
        let _placing = self.inner.placing.write().await;
        self.inner
            .store
            .media()
            .mark_media_removed(&record.id)
            .await?;
        self.inner.settled.send_replace(());
        match &record.facts.sha256 {
            Some(sha256) if record.state == MediaState::Stored => {
                self.try_drop_content(sha256).await
            }
            _ => {}
        }
        Ok(())
    }

    /// Tries to remove the content of a file that is recorded as a leftover. Called while `placing`
    /// is held for writing.
    async fn try_drop_content(&self, sha256: &str) {
        if let Err(error) = self.drop_content(sha256).await {
            tracing::warn!(
                error = format!("{error:#}"),
                "failed to remove a file; trying again later"
            );
        }
    }

    /// Removes content that is no longer needed, and returns any error.
    async fn drop_content(&self, sha256: &str) -> Result<()> {
        if !self.inner.store.media().is_media_needed(sha256).await? {
            self.inner
                .storage
                .remove_file(sha256)
                .await
                .context("removing a file")?;
        }
        Ok(self
            .inner
            .store
            .media()
            .remove_media_leftover(sha256)
            .await?)
    }

    /// Stores a file that came from WhatsApp, and records it.
    async fn store_download(&self, record: &MediaRecord, taken: ReceivedFile) -> Result<()> {
        let (size, sha256) = (Some(taken.size), Some(taken.sha256.clone()));
        let facts = MediaFacts {
            size,
            sha256,
            pages: self.count_pages(record, &taken).await,
            ..MediaFacts::default()
        };
        let placing = self.inner.placing.read().await;
        self.inner
            .storage
            .store_file(&taken.spooled, &taken.sha256)
            .await
            .context("storing a file")?;
        let is_wanted = self
            .inner
            .store
            .media()
            .mark_media_stored(&record.id, facts)
            .await?;
        drop(placing);
        if !is_wanted {
            // It was removed while it was being downloaded.
            let _placing = self.inner.placing.write().await;
            self.inner
                .store
                .media()
                .add_media_leftover(&taken.sha256)
                .await?;
            self.try_drop_content(&taken.sha256).await;
        }
        Ok(())
    }

    /// Counts the pages of a document whose sender did not give their number.
    async fn count_pages(&self, record: &MediaRecord, taken: &ReceivedFile) -> Option<u32> {
        let is_asked = record.kind.as_deref() == Some(RemoteFileKind::Document.into_str())
            && record.facts.pages.is_none();
        let mime_type = record.facts.mime_type.clone().filter(|_| is_asked)?;
        let path = taken.spooled.path().to_owned();
        self.conversion_pool()
            .for_session(record.session.name())
            .run_decoder(move || read_properties(&path, &mime_type))
            .await?
            .pages
    }

    /// Stores a file that was uploaded for a session.
    pub async fn add_upload(&self, session: &Life, file: MediaFile) -> Result<MediaRecord> {
        let MediaProperties {
            width,
            height,
            duration,
            pages,
            ..
        } = file.basic_properties().await;
        let FileContent::Received(taken) = file.content else {
            bail!("it is stored already")
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
        let (id, session) = (ids::new_media_id(), session.clone());
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
        self.inner
            .store
            .media()
            .add_media_leftover(&taken.sha256)
            .await?;
        self.inner
            .storage
            .store_file(&taken.spooled, &taken.sha256)
            .await
            .context("storing a file")?;
        self.inner.store.media().add_media(vec![new]).await?;
        self.inner
            .store
            .media()
            .find_media(&id)
            .await?
            .context("it was recorded a moment ago")
    }

    /// Opens a stored file for sending.
    pub async fn open_file(&self, record: &MediaRecord) -> io::Result<MediaFile> {
        let Some(sha256) = &record.facts.sha256 else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let content = match self
            .inner
            .storage
            .open_local(sha256, self.conversion_pool().reserve_file())
            .await?
        {
            LocalFile::Stored(path) => FileContent::Stored(path),
            LocalFile::Copy(copy) => FileContent::Derived(copy),
        };
        let mime_type = record.facts.mime_type.clone().unwrap_or_default();
        Ok(MediaFile {
            content,
            mime_type,
            name: record.facts.filename.clone(),
            pool: self.conversion_pool().for_session(record.session.name()),
        })
    }
}

#[cfg(test)]
mod tests;
