//! Conversion pool: inspects and converts files, with limits on concurrent work, in a spool for the
//! results.

use std::path::Path;
use std::sync::Arc;

use super::ffmpeg::Ffmpeg;
use super::types::{self, Told};
use super::{File, Spool, Spooled, Taken, inside};
use crate::lifecycle::blocking;
use crate::shares::Shares;

/// Files inspected at the same time. Decoding an image takes up to 128 MiB, whatever the size of
/// its file.
const AT_ONCE: usize = 2;

/// Runs work on media files; cheap to clone.
#[derive(Debug, Clone)]
pub struct Workshop {
    spool: Spool,
    room: Shares,
    /// The session that owns the files.
    whose: Arc<str>,
    ffmpeg: Arc<Ffmpeg>,
}

impl Workshop {
    pub(super) fn new(spool: Spool, ffmpeg: Ffmpeg) -> Self {
        Self {
            spool,
            room: Shares::new(AT_ONCE, AT_ONCE),
            whose: Arc::default(),
            ffmpeg: Arc::new(ffmpeg),
        }
    }

    /// Returns a pool for the files of this session. Other sessions wait for at most one of its
    /// files.
    pub fn of(&self, session: &str) -> Self {
        Self {
            whose: session.into(),
            ..self.clone()
        }
    }

    pub(super) fn ffmpeg(&self) -> &Ffmpeg {
        &self.ffmpeg
    }

    /// Returns the session that owns the files.
    pub(super) fn whose(&self) -> &str {
        &self.whose
    }

    /// Returns a place for a file.
    pub fn place(&self) -> Spooled {
        self.spool.place()
    }

    /// Wraps a file that has just come in, after detecting its type from its first bytes and the
    /// claims about it.
    pub async fn file(
        &self,
        taken: Taken,
        head: &[u8],
        name: Option<String>,
        said: Option<&str>,
    ) -> File {
        let mime_type = self
            .type_of(
                taken.spooled.path(),
                head,
                Told {
                    name: name.as_deref(),
                    said,
                },
            )
            .await;
        File::new(taken, mime_type, name, self.clone())
    }

    async fn type_of(&self, path: &Path, head: &[u8], told: Told<'_>) -> String {
        let path = path.to_owned();
        let inside = match types::is_container(head) {
            true => self.decode(move || inside::look(&path)).await.flatten(),
            false => None,
        };
        types::of(head, inside, told)
    }

    /// Runs work that decodes a file, once there is room for it. Returns `None` if the work
    /// panicked.
    pub async fn decode<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let room = self.room.enter(&self.whose).await;
        // The work continues after its caller is gone, so it owns its place.
        blocking(move || {
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

    use super::*;
    use crate::clock::Clock;
    use crate::lifecycle::Lifecycle;
    use crate::media::Programs;

    #[tokio::test(flavor = "multi_thread")]
    async fn only_some_files_are_looked_into_at_a_time_even_if_nobody_waits_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let lifecycle = Lifecycle::new();
        let ffmpeg = Ffmpeg::new(Programs::default(), Clock::system(), lifecycle.clone());
        let workshop = Workshop::new(Spool::open(folder.path()).await.unwrap(), ffmpeg);
        let (begun, beginnings) = mpsc::channel();
        let mut ends = Vec::new();
        for number in 0..AT_ONCE + 2 {
            let (end, ended) = mpsc::channel::<()>();
            ends.push(end);
            let (workshop, begun) = (workshop.clone(), begun.clone());
            let mut work = Box::pin(async move {
                let work = move || {
                    begun.send(number).unwrap();
                    let _ = ended.recv();
                };
                workshop.decode(work).await
            });
            // Either started or queued. The started ones lose their callers.
            assert!(work.as_mut().now_or_never().is_none());
            if number >= AT_ONCE {
                lifecycle.spawn(work.map(drop));
            }
        }
        let patience = Duration::from_secs(10);
        for _ in 0..AT_ONCE {
            assert!(beginnings.recv_timeout(patience).unwrap() < AT_ONCE);
        }
        let none = beginnings.recv_timeout(Duration::from_millis(100));
        assert!(none.is_err(), "{none:?} was begun beside the others");
        drop(ends.remove(0));
        assert!(beginnings.recv_timeout(patience).unwrap() >= AT_ONCE);
    }
}
