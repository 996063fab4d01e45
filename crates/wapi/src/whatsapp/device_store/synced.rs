//! Sync state of a session's file: the writes that are on the disk, and syncing the others on
//! demand.
//!
//! SQLite writes changes to a log beside the file and, in the mode these files are opened in, syncs
//! it only before it checkpoints it into the file. So a session that only reads costs no sync, and
//! many changes share one: code that makes a promise resting on them asks for it.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::store::session_file;
use crate::system::lifecycle::run_blocking;

/// Syncs the log at a path.
type SyncLogFn = dyn Fn(&Path) -> io::Result<()> + Send + Sync;

/// One session's file and its log.
pub(in crate::whatsapp) struct FileSync {
    file: PathBuf,
    log: PathBuf,
    sync_log: Arc<SyncLogFn>,
    state: Arc<SyncState>,
    /// Held during a sync to its very end, also when nobody waits for it any more: a disk that
    /// hangs blocks one thread, not one for each try.
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct SyncState {
    /// Number of changes so far. Those of an earlier run count as one.
    written: AtomicU64,
    /// Number of changes that are on the disk.
    synced: AtomicU64,
    /// Whether the disk has refused to sync. The kernel may have dropped the data it could not
    /// write, and reports success for the rest.
    has_refused: AtomicBool,
    /// Last failure, until an operation succeeds.
    last_error: Mutex<Option<String>>,
}

impl FileSync {
    pub fn new(file: &Path) -> Self {
        Self::from_sync_log(file, make_sync_log())
    }

    fn from_sync_log(
        file: &Path,
        sync_log: impl Fn(&Path) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let mut log = file.as_os_str().to_owned();
        log.push("-wal");
        let state = SyncState {
            written: AtomicU64::new(1),
            synced: AtomicU64::new(0),
            has_refused: AtomicBool::new(false),
            last_error: Mutex::default(),
        };
        let (state, turn) = (Arc::new(state), Arc::default());
        Self {
            file: file.to_owned(),
            log: log.into(),
            sync_log: Arc::new(sync_log),
            state,
            turn,
        }
    }

    /// Returns the state of the same file on a disk of the test's own.
    #[cfg(test)]
    pub(crate) fn with_sync_log(
        &self,
        sync_log: impl Fn(&Path) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::from_sync_log(&self.file, sync_log)
    }

    /// Records that a write has, or may have, changed the file, and its error if it failed.
    pub fn record_write(&self, failed: Option<&dyn std::fmt::Display>) {
        self.state.written.fetch_add(1, Ordering::AcqRel);
        if let Some(error) = failed {
            self.state.set_last_error(Some(error.to_string()));
        }
    }

    /// Returns the disk's last error, until an operation succeeds.
    pub fn last_error(&self) -> Option<String> {
        self.state.last_error.lock().clone()
    }

    /// Returns when everything written so far is on the disk. After an error it may not be.
    pub async fn sync(&self) -> io::Result<()> {
        let wanted = self.state.written.load(Ordering::Acquire);
        if self.state.is_synced(wanted) {
            return Ok(());
        }
        let turn = Arc::clone(&self.turn).lock_owned().await;
        // The previous holder of the turn may have synced these changes, too.
        if self.state.is_synced(wanted) {
            return Ok(());
        }
        let upto = self.state.written.load(Ordering::Acquire);
        if self.state.has_refused.load(Ordering::Acquire) {
            return self.checkpoint_log(upto).await;
        }
        let (state, sync_log, log) = (
            Arc::clone(&self.state),
            Arc::clone(&self.sync_log),
            self.log.clone(),
        );
        let synced = run_blocking(move || {
            let _turn = turn;
            let synced = sync_log(&log);
            state.record_sync(upto, &synced);
            synced
        });
        match synced
            .await
            .unwrap_or_else(|| Err(io::Error::other("syncing crashed")))
        {
            // The last user has closed the file, and SQLite has checkpointed the log into it; the
            // next user makes another.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.checkpoint_log(upto).await
            }
            synced => synced,
        }
    }

    async fn checkpoint_log(&self, upto: u64) -> io::Result<()> {
        let taken = session_file::checkpoint_log(&self.file)
            .await
            .map_err(io::Error::other);
        self.state.record_sync(upto, &taken);
        taken
    }
}

/// Returns a function that keeps the log open: the kernel reports a failed write once, to each
/// handle that is open by then. SQLite checkpoints a long log by itself, and an error that it gets
/// then is reported nowhere.
fn make_sync_log() -> impl Fn(&Path) -> io::Result<()> {
    let kept = Mutex::<Option<File>>::default();
    move |path| {
        let mut kept = kept.lock();
        let log = match kept.take() {
            // Without links, the last user to close the file has removed the log, and another may
            // be there.
            Some(log) if log.metadata()?.nlink() > 0 => log,
            _ => File::open(path)?,
        };
        kept.insert(log).sync_data()
    }
}

impl SyncState {
    fn is_synced(&self, wanted: u64) -> bool {
        self.synced.load(Ordering::Acquire) >= wanted
    }

    fn record_sync(&self, upto: u64, synced: &io::Result<()>) {
        match synced {
            Ok(()) => {
                self.has_refused.store(false, Ordering::Release);
                self.synced.fetch_max(upto, Ordering::AcqRel);
                self.set_last_error(None);
            }
            Err(error) => {
                self.has_refused.store(true, Ordering::Release);
                self.set_last_error(Some(error.to_string()));
            }
        }
    }

    fn set_last_error(&self, trouble: Option<String>) {
        *self.last_error.lock() = trouble;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::future::join_all;
    use futures_util::{FutureExt, poll};

    use crate::whatsapp::device_store::synced::*;

    /// Returns a log with syncs that are counted, and wait for an allowance, which sets their
    /// result.
    fn slow() -> (FileSync, mpsc::Sender<io::Result<()>>, Arc<AtomicU64>) {
        let (allow, allowed) = mpsc::channel();
        let (allowed, count) = (Mutex::new(allowed), Arc::<AtomicU64>::default());
        let counted = Arc::clone(&count);
        let synced = FileSync::from_sync_log(Path::new("/nowhere/shop.db"), move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            allowed.lock().recv().unwrap()
        });
        (synced, allow, count)
    }

    #[tokio::test]
    async fn many_changes_share_a_sync_and_none_is_promised_before_it() {
        let (synced, allow, count) = slow();
        let first = synced.sync();
        tokio::pin!(first);
        assert!(poll!(&mut first).is_pending());
        // Writes during a sync are for the next one, which all of these share.
        for _ in 0..5 {
            synced.record_write(None);
        }
        let others = join_all((0..5).map(|_| synced.sync()));
        tokio::pin!(others);
        assert!(poll!(&mut others).is_pending());
        allow.send(Ok(())).unwrap();
        first.await.unwrap();
        assert!(poll!(&mut others).is_pending());
        allow.send(Ok(())).unwrap();
        assert!(others.await.into_iter().all(|synced| synced.is_ok()));
        assert_eq!(count.load(Ordering::Relaxed), 2);
        assert!(
            synced.sync().now_or_never().is_some(),
            "nothing is left to sync"
        );
    }

    #[tokio::test]
    async fn a_disk_that_hangs_keeps_one_thread() {
        let (synced, allow, count) = slow();
        for _ in 0..3 {
            assert!(synced.sync().now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        allow.send(Ok(())).unwrap();
        synced.sync().await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_log_that_stands_there_is_synced_and_not_one_that_was_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (log, sync) = (folder.path().join("shop.db-wal"), make_sync_log());
        let is_there = |synced: io::Result<()>| match synced {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            synced => synced.is_ok(),
        };
        assert!(!is_there(sync(&log)));
        for _ in 0..2 {
            std::fs::write(&log, b"changes").unwrap();
            assert!(is_there(sync(&log)) && is_there(sync(&log)));
            std::fs::remove_file(&log).unwrap();
            assert!(!is_there(sync(&log)), "what was not taken in would be lost");
        }
    }

    #[tokio::test]
    async fn what_a_disk_refused_once_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shop.db");
        let (count, counted) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let counting = Arc::clone(&counted);
        let synced = FileSync::from_sync_log(&file, move |_| {
            counting.fetch_add(1, Ordering::Relaxed);
            Err(io::Error::other("it is worn out"))
        });
        for _ in 0..2 {
            // There is no file to checkpoint the log into, either.
            synced.sync().await.unwrap_err();
            count.fetch_add(1, Ordering::Relaxed);
        }
        assert_eq!(
            counted.load(Ordering::Relaxed),
            1,
            "what it says the second time is not believed"
        );
        std::fs::write(&file, b"").unwrap();
        synced.sync().await.unwrap();
        assert_eq!(synced.last_error(), None);
    }
}
