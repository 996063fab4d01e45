//! Background downloads of received files, a few at a time, until each is stored or unavailable.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};

use crate::media::{Media, ReceivedFile, SpooledFile};
use crate::model::event::MessageKey;
use crate::model::remote_file::RemoteFile;
use crate::store::{Life, MediaRecord};

/// Concurrent downloads. Each occupies a thread and about 100 KiB.
const MAX_DOWNLOADS: usize = 8;
/// Interval of checking whether a session with waiting downloads is online.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Pauses between attempts. After the last one, the file is given up.
const RETRY_PAUSES: [SignedDuration; 9] = [
    SignedDuration::from_secs(5),
    SignedDuration::from_secs(30),
    SignedDuration::from_mins(2),
    SignedDuration::from_mins(10),
    SignedDuration::from_mins(30),
    SignedDuration::from_hours(2),
    SignedDuration::from_hours(6),
    SignedDuration::from_hours(12),
    SignedDuration::from_hours(24),
];

/// Failure of a download. The texts are for callers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaDownloadError {
    /// The file is not where it was.
    #[error("WhatsApp has deleted it")]
    Gone,
    /// The file will never be valid.
    #[error("{0}")]
    Invalid(String),
    /// Another try may succeed.
    #[error("{0}")]
    Temporary(String),
}

/// The way to received files: through the session that received them.
#[async_trait]
pub trait MediaSource: Send + Sync {
    fn is_online(&self, session: &Life) -> bool;

    /// Downloads a file of up to `largest` bytes, if the session is online.
    async fn download_file(
        &self,
        session: &Life,
        remote: &RemoteFile,
        spooled: SpooledFile,
        largest: u64,
    ) -> Result<ReceivedFile, MediaDownloadError>;

    /// Asks the account's own phone to upload the file of a message again. Returns its new direct
    /// path.
    async fn request_reupload(
        &self,
        session: &Life,
        message: &MessageKey,
        remote: &RemoteFile,
    ) -> Result<String, MediaDownloadError>;
}

/// Downloads until the program stops.
pub async fn run_downloads(media: Media, sessions: Arc<dyn MediaSource>) {
    let inner = &media.inner;
    let mut under_way = FuturesUnordered::new();
    let mut ids: HashSet<String> = HashSet::new();
    loop {
        let mut is_waited_for = true;
        match due_downloads(&media, sessions.as_ref(), &ids).await {
            Ok((due, some_wait)) => {
                is_waited_for = some_wait;
                for record in due {
                    ids.insert(record.id.clone());
                    under_way.push(run_download(&media, sessions.as_ref(), record));
                }
            }
            Err(error) => tracing::error!(%error, "failed to read the pending downloads"),
        }
        tokio::select! {
            () = inner.lifecycle.await_stop() => break,
            Some(id) = under_way.next() => {
                ids.remove(&id);
                inner.settled.send_replace(());
            }
            () = inner.wanted.notified() => {}
            () = inner.clock.sleep(CHECK_INTERVAL), if is_waited_for => {}
        }
    }
}

/// Returns the downloads that can start now, and whether any are waiting at all.
async fn due_downloads(
    media: &Media,
    sessions: &dyn MediaSource,
    under_way: &HashSet<String>,
) -> Result<(Vec<MediaRecord>, bool)> {
    let inner = &media.inner;
    let waiting = inner.store.media().lives_with_downloads().await?;
    let mut due = Vec::new();
    for session in &waiting {
        let room = MAX_DOWNLOADS.saturating_sub(under_way.len() + due.len());
        if room == 0 || !sessions.is_online(session) {
            continue;
        }
        // A session gets at most half of the places while others are waiting.
        let share = if waiting.len() > 1 {
            room.min(MAX_DOWNLOADS / 2)
        } else {
            room
        };
        let limit = u32::try_from(share + under_way.len()).unwrap_or(u32::MAX);
        let found = inner
            .store
            .media()
            .due_downloads(session, inner.clock.now(), limit)
            .await?;
        due.extend(
            found
                .into_iter()
                .filter(|record| !under_way.contains(&record.id))
                .take(share),
        );
    }
    Ok((due, !waiting.is_empty()))
}

/// Makes one attempt, and returns the id of its file.
async fn run_download(media: &Media, sessions: &dyn MediaSource, record: MediaRecord) -> String {
    if let Err(error) = try_download(media, sessions, &record).await {
        tracing::error!(
            id = record.id,
            error = format!("{error:#}"),
            "failed to store a file; trying again later"
        );
        // The failure is not recorded, because recording may be the cause. The file is due again at
        // once, so a pause avoids a busy loop.
        media.inner.clock.sleep(CHECK_INTERVAL).await;
    }
    record.id
}

async fn try_download(
    media: &Media,
    sessions: &dyn MediaSource,
    record: &MediaRecord,
) -> Result<()> {
    let store = &media.inner.store;
    let Some(source) = record.source.as_deref() else {
        // It cannot be opened: it would never succeed, and hold up others. What is stored of it stays.
        let problem = "its location at WhatsApp cannot be read".to_owned();
        return Ok(store.media().mark_media_failed(&record.id, problem).await?);
    };
    let remote: RemoteFile = serde_json::from_str(source).context("its location cannot be read")?;
    match fetch_remote(media, sessions, record, &remote).await {
        Ok(taken) => media.store_download(record, taken).await,
        Err(MediaDownloadError::Gone) => download_from_phone(media, sessions, record, remote).await,
        Err(MediaDownloadError::Invalid(why)) => Ok(media
            .inner
            .store
            .media()
            .mark_media_failed(&record.id, why)
            .await?),
        Err(MediaDownloadError::Temporary(why)) => postpone_download(media, record, why).await,
    }
}

async fn fetch_remote(
    media: &Media,
    sessions: &dyn MediaSource,
    record: &MediaRecord,
    remote: &RemoteFile,
) -> Result<ReceivedFile, MediaDownloadError> {
    let largest = media.inner.policy.largest;
    if remote.size.is_some_and(|size| size > largest) {
        return Err(MediaDownloadError::Invalid(format!(
            "it is larger than {} MiB",
            largest / 1024 / 1024
        )));
    }
    sessions
        .download_file(
            &record.session,
            remote,
            media.conversion_pool().reserve_file(),
            largest,
        )
        .await
}

/// Asks the account's own phone for the file, which WhatsApp deletes after some weeks.
async fn download_from_phone(
    media: &Media,
    sessions: &dyn MediaSource,
    record: &MediaRecord,
    mut remote: RemoteFile,
) -> Result<()> {
    let message = record
        .message
        .as_ref()
        .context("its message is not known")?;
    match sessions
        .request_reupload(&record.session, message, &remote)
        .await
    {
        Ok(direct_path) => {
            remote.direct_path = direct_path;
            let source = serde_json::to_string(&remote).context("saving its location")?;
            media
                .inner
                .store
                .media()
                .set_media_source(&record.id, source)
                .await?;
            match fetch_remote(media, sessions, record, &remote).await {
                Ok(taken) => media.store_download(record, taken).await,
                Err(error) => postpone_download(media, record, error.to_string()).await,
            }
        }
        Err(MediaDownloadError::Gone) => {
            let why = "WhatsApp has deleted it, and the account's phone does not have it either";
            Ok(media
                .inner
                .store
                .media()
                .mark_media_failed(&record.id, why.to_owned())
                .await?)
        }
        Err(MediaDownloadError::Invalid(why) | MediaDownloadError::Temporary(why)) => {
            postpone_download(media, record, why).await
        }
    }
}

async fn postpone_download(media: &Media, record: &MediaRecord, why: String) -> Result<()> {
    tracing::debug!(id = record.id, why, "failed to download a file");
    let store = &media.inner.store;
    match RETRY_PAUSES.get(record.attempts as usize) {
        Some(pause) => {
            let due_at = media
                .inner
                .clock
                .now()
                .saturating_add(*pause)
                .unwrap_or(Timestamp::MAX);
            Ok(store
                .media()
                .postpone_download(&record.id, due_at, why)
                .await?)
        }
        None => Ok(store.media().mark_media_failed(&record.id, why).await?),
    }
}
