//! Conversion pool: inspects and converts files, with limits on concurrent work, in a spool for the
//! results.

use std::path::Path;
use std::sync::Arc;

use super::ffmpeg::Ffmpeg;
use crate::media::types::{self, TypeClaims};
use crate::media::{MediaFile, ReceivedFile, SpoolFolder, SpooledFile, content_inspection};
use crate::system::fair_permits::FairPermits;
use crate::system::lifecycle::run_blocking;

/// Files inspected at the same time. Decoding an image takes up to 128 MiB, whatever the size of
/// its file.
const MAX_DECODING: usize = 2;

/// Runs work on media files; cheap to clone.
#[derive(Debug, Clone)]
pub struct ConversionPool {
    spool: SpoolFolder,
    shares: FairPermits,
    /// The session that owns the files.
    session: Arc<str>,
    ffmpeg: Arc<Ffmpeg>,
}

impl ConversionPool {
    pub(in crate::media) fn new(spool: SpoolFolder, ffmpeg: Ffmpeg) -> Self {
        Self {
            spool,
            shares: FairPermits::new(MAX_DECODING, MAX_DECODING),
            session: Arc::default(),
            ffmpeg: Arc::new(ffmpeg),
        }
    }

    /// Returns a pool for the files of this session. Other sessions wait for at most one of its
    /// files.
    pub fn for_session(&self, session: &str) -> Self {
        Self {
            session: session.into(),
            ..self.clone()
        }
    }

    pub(in crate::media) fn ffmpeg(&self) -> &Ffmpeg {
        &self.ffmpeg
    }

    /// Returns the session that owns the files.
    pub(in crate::media) fn session_name(&self) -> &str {
        &self.session
    }

    /// Returns a place for a file.
    pub fn reserve_file(&self) -> SpooledFile {
        self.spool.reserve_file()
    }

    /// Wraps a file that has just come in, after detecting its type from its first bytes and the
    /// claims about it.
    pub async fn identify_file(
        &self,
        taken: ReceivedFile,
        head: &[u8],
        name: Option<String>,
        claimed: Option<&str>,
    ) -> MediaFile {
        let mime_type = self
            .detect_type(
                taken.spooled.path(),
                head,
                TypeClaims {
                    name: name.as_deref(),
                    mime_type: claimed,
                },
            )
            .await;
        MediaFile::new(taken, mime_type, name, self.clone())
    }

    async fn detect_type(&self, path: &Path, head: &[u8], claims: TypeClaims<'_>) -> String {
        let path = path.to_owned();
        let inside = match types::is_container(head) {
            true => self
                .run_decoder(move || content_inspection::inspect_file(&path))
                .await
                .flatten(),
            false => None,
        };
        types::detect_type(head, inside, claims)
    }

    /// Runs work that decodes a file, once there is room for it. Returns `None` if the work
    /// panicked.
    pub async fn run_decoder<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let room = self.shares.acquire(&self.session).await;
        // The work continues after its caller is gone, so it owns its place.
        run_blocking(move || {
            let done = work();
            drop(room);
            done
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use futures_util::FutureExt;

    use crate::media::ConverterPrograms;
    use crate::media::convert::conversion_pool::*;
    use crate::system::clock::Clock;
    use crate::system::lifecycle::Lifecycle;

    #[tokio::test(flavor = "multi_thread")]
    async fn only_some_files_are_looked_into_at_a_time_even_if_nobody_waits_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let lifecycle = Lifecycle::new();
        let ffmpeg = Ffmpeg::new(
            ConverterPrograms::default(),
            Clock::system(),
            lifecycle.clone(),
        );
        let pool = ConversionPool::new(SpoolFolder::open(folder.path()).await.unwrap(), ffmpeg);
        let (begun, beginnings) = mpsc::channel();
        let mut ends = Vec::new();
        for number in 0..MAX_DECODING + 2 {
            let (end, ended) = mpsc::channel::<()>();
            ends.push(end);
            let (pool, begun) = (pool.clone(), begun.clone());
            let mut work = Box::pin(async move {
                let work = move || {
                    begun.send(number).unwrap();
                    let _ = ended.recv();
                };
                pool.run_decoder(work).await
            });
            // Either started or queued. The started ones lose their callers.
            assert!(work.as_mut().now_or_never().is_none());
            if number >= MAX_DECODING {
                lifecycle.spawn(work.map(drop));
            }
        }
        let patience = Duration::from_secs(10);
        for _ in 0..MAX_DECODING {
            assert!(beginnings.recv_timeout(patience).unwrap() < MAX_DECODING);
        }
        let none = beginnings.recv_timeout(Duration::from_millis(100));
        assert!(none.is_err(), "{none:?} was begun beside the others");
        drop(ends.remove(0));
        assert!(beginnings.recv_timeout(patience).unwrap() >= MAX_DECODING);
    }
}
