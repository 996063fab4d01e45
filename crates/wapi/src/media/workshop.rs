//! Where files are looked into and changed: room for what is made of them, and for how much at the same time.

use std::path::Path;
use std::sync::Arc;

use super::ffmpeg::Ffmpeg;
use super::types::{self, Told};
use super::{File, Spool, Spooled, Taken, inside};
use crate::lifecycle::blocking;
use crate::shares::Shares;

/// Files that are looked into at the same time. A picture takes up to 128 MiB while it is, whatever the size of its file.
const AT_ONCE: usize = 2;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Workshop {
    spool: Spool,
    room: Shares,
    /// Whose files these are.
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

    /// The same, for files of this session: those of others wait no longer for it than for one file.
    pub fn of(&self, session: &str) -> Self {
        Self {
            whose: session.into(),
            ..self.clone()
        }
    }

    pub(super) fn ffmpeg(&self) -> &Ffmpeg {
        &self.ffmpeg
    }

    /// Whose files these are.
    pub(super) fn whose(&self) -> &str {
        &self.whose
    }

    /// A place for a file.
    pub fn place(&self) -> Spooled {
        self.spool.place()
    }

    /// A file that has just come in, once it is known what it is: by its first bytes, and by what is told of it.
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

    /// Runs work that decodes a file, when there is room for it; `None` when it panicked.
    pub async fn decode<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let room = self.room.enter(&self.whose).await;
        // The work goes on when nobody waits for it any more, so it takes its room along.
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
            // It is begun, or stands in line. Nobody waits for those that are begun.
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
