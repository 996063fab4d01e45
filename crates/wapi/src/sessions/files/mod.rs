//! Session files, all of them under the data folder.
//!
//! ```text
//! ROOT/sessions/NAME.session         credentials of a linked device; the rest is in the database
//! ROOT/sessions/NAME.db              state of a device, by an earlier version (and -wal, -shm beside it)
//! ROOT/sessions/converted/TIME/…     such states whose content has moved into the database
//! ROOT/sessions/logged-out/TIME/…    files of devices that were logged out
//! ROOT/sessions/removed/TIME/…       files of devices of removed sessions
//! ROOT/qr-codes/NAME.png             QR code waiting to be scanned
//! ```

mod sealed;

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use jiff::Timestamp;
use tokio::fs;

use crate::model::session_name::SessionName;
use crate::store::Sealer;
use crate::store::session_file::{SessionFile, inspect_file};
use crate::system::durable_files;

/// Suffix of a session's file.
const SESSION_SUFFIX: &str = "session";

/// Suffix of the next content of a session's file, which a crash may leave behind.
const DRAFT_SUFFIX: &str = "session.new";

/// SQLite keeps its log and index beside the database, and a rollback journal before there is a
/// log. The database comes first: without it, the other files are not used again, see
/// [`SessionFiles::move_aside`].
const DATABASE_SUFFIXES: [&str; 4] = ["db", "db-wal", "db-shm", "db-journal"];

/// Format of the folder names for files moved aside: a UTC timestamp.
const FOLDER_TIME_FORMAT: &str = "%Y%m%dT%H%M%S%.3fZ";

/// The reason why a session's file is moved aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AsideReason {
    /// Its content is in the database. Concerns only the state that an earlier version has left.
    Converted,
    LoggedOut,
    Removed,
}

/// All reasons.
const ASIDE_REASONS: [AsideReason; 3] = [
    AsideReason::Converted,
    AsideReason::LoggedOut,
    AsideReason::Removed,
];

impl AsideReason {
    const fn folder_name(self) -> &'static str {
        match self {
            Self::Converted => "converted",
            Self::LoggedOut => "logged-out",
            Self::Removed => "removed",
        }
    }
}

/// What the folder of sessions has.
#[derive(Debug, Default)]
pub struct ListedFiles {
    /// The sessions that have a file, sorted.
    pub names: Vec<SessionName>,
    /// Files whose names are no session's.
    pub strangers: Vec<PathBuf>,
    /// Number of files of the original, for a protocol that WhatsApp has ended.
    pub originals: usize,
}

/// The data folder.
#[derive(Debug, Clone)]
pub struct SessionFiles {
    sessions: PathBuf,
    qr_codes: PathBuf,
}

impl SessionFiles {
    /// Creates missing folders, readable by the owner only: anybody able to read them can act as
    /// the account.
    pub async fn open(root: &Path) -> Result<Self> {
        let files = Self {
            sessions: root.join("sessions"),
            qr_codes: root.join("qr-codes"),
        };
        for folder in [&files.sessions, &files.qr_codes] {
            let problem = || {
                format!(
                    "WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH: the folder {} cannot be made; name one that may be written",
                    folder.display()
                )
            };
            durable_files::create_folder(folder)
                .await
                .with_context(problem)?;
            let probe = folder.join(".writable");
            fs::write(&probe, b"").await.with_context(problem)?;
            fs::remove_file(&probe).await.with_context(problem)?;
        }
        Ok(files)
    }

    /// Returns the path of a session's file.
    pub fn session_path(&self, name: &SessionName) -> PathBuf {
        self.sessions
            .join(format!("{}.{SESSION_SUFFIX}", name.file_stem()))
    }

    fn qr_code_path(&self, name: &SessionName) -> PathBuf {
        self.qr_codes.join(format!("{}.png", name.file_stem()))
    }

    /// Lists the sessions that have a file, and the files that only look like one.
    pub async fn list_sessions(&self) -> Result<ListedFiles> {
        let mut listed = ListedFiles::default();
        let mut entries = fs::read_dir(&self.sessions)
            .await
            .context("listing saved sessions")?;
        while let Some(entry) = entries
            .next_entry()
            .await
            .context("listing saved sessions")?
        {
            let path = entry.path();
            match path.extension().and_then(|suffix| suffix.to_str()) {
                Some(SESSION_SUFFIX | "db") => {}
                Some("gob") => {
                    listed.originals += 1;
                    continue;
                }
                _ => continue,
            }
            match path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .and_then(SessionName::from_file_stem)
            {
                Some(name) => listed.names.push(name),
                None => listed.strangers.push(path),
            }
        }
        listed.names.sort();
        // A session may have both, for a moment.
        listed.names.dedup();
        Ok(listed)
    }

    /// Moves the saved state of a device aside for good. A state that no phone has linked is
    /// deleted, because it belongs to no account. Succeeds if there is nothing to move. Parts left
    /// behind by an earlier, interrupted move are moved, too; otherwise they would be taken for the
    /// log of the next device.
    ///
    /// Each move has its own timestamped folder, since a long session name leaves no room for a
    /// time in the file name.
    pub(super) async fn move_aside(
        &self,
        name: &SessionName,
        why: AsideReason,
        now: Timestamp,
    ) -> io::Result<()> {
        let file = self.session_path(name);
        durable_files::remove_file(&file.with_extension(DRAFT_SUFFIX)).await?;
        let own = (why != AsideReason::Converted).then_some(SESSION_SUFFIX);
        let mut there = Vec::new();
        for suffix in own.into_iter().chain(DATABASE_SUFFIXES) {
            let from = file.with_extension(suffix);
            if fs::try_exists(&from).await? {
                there.push(from);
            }
        }
        if there.is_empty() {
            return Ok(());
        }
        if inspect_file(&file, &Sealer::none()).await == SessionFile::NeverPaired {
            return remove_files(&file).await.map(drop);
        }
        let folder = self
            .sessions
            .join(why.folder_name())
            .join(now.strftime(FOLDER_TIME_FORMAT).to_string());
        durable_files::create_folder(&folder).await?;
        for from in there {
            let to = folder.join(from.file_name().expect("a session's file has a name"));
            match durable_files::rename_file(&from, &to).await {
                // SQLite may have closed it meanwhile.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes all files of a session that is being removed.
    pub(super) async fn remove_session_files(&self, name: &SessionName) -> io::Result<()> {
        remove_files(&self.session_path(name)).await?;
        self.remove_former_files(name).await.map(drop)
    }

    /// Removes the files that were moved aside under this name. Returns whether there were any.
    pub(super) async fn remove_former_files(&self, name: &SessionName) -> io::Result<bool> {
        let (file, mut was_there) = (self.session_path(name), false);
        let Some(own) = file.file_name() else {
            return Ok(was_there);
        };
        for why in ASIDE_REASONS {
            let mut moments = match fs::read_dir(self.sessions.join(why.folder_name())).await {
                Ok(moments) => moments,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            while let Some(moment) = moments.next_entry().await? {
                if remove_files(&moment.path().join(own)).await? {
                    was_there = true;
                    // Other sessions may have been moved at the same time.
                    durable_files::remove_empty_folder(&moment.path()).await?;
                }
            }
        }
        Ok(was_there)
    }

    /// Removes the database of an earlier version whose content has moved into the gateway's. SQLite's
    /// own file goes first: without it, the others are not used again, and go at a start at the latest.
    pub(super) async fn remove_converted(&self, name: &SessionName) -> io::Result<()> {
        let file = self.session_path(name);
        for suffix in DATABASE_SUFFIXES {
            durable_files::remove_file(&file.with_extension(suffix)).await?;
        }
        Ok(())
    }

    /// Removes files that were moved aside before a time: unused keys can only be stolen. Returns
    /// the number of devices removed.
    pub async fn remove_old_files(&self, before: Timestamp) -> io::Result<usize> {
        let mut removed = 0;
        for why in ASIDE_REASONS {
            let mut moments = match fs::read_dir(self.sessions.join(why.folder_name())).await {
                Ok(moments) => moments,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            while let Some(moment) = moments.next_entry().await? {
                // Folders with other names are not ours.
                let at = moment.file_name().to_str().and_then(parse_folder_time);
                if at.is_some_and(|at| at < before) {
                    fs::remove_dir_all(moment.path()).await?;
                    durable_files::sync_parent(&moment.path()).await?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// Replaces the session's QR image atomically: a reader sees either the old or the new one,
    /// complete.
    pub async fn write_qr_code(&self, name: &SessionName, png: &[u8]) -> io::Result<()> {
        durable_files::write_file(&self.qr_code_path(name), png).await
    }

    pub async fn remove_qr_code(&self, name: &SessionName) -> io::Result<()> {
        durable_files::remove_file(&self.qr_code_path(name)).await
    }

    /// Removes the QR images of an earlier run; they can no longer be scanned.
    pub async fn remove_all_qr_codes(&self) -> io::Result<()> {
        let mut entries = fs::read_dir(&self.qr_codes).await?;
        while let Some(entry) = entries.next_entry().await? {
            let path = entry.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "png" || extension == "new")
            {
                fs::remove_file(path).await?;
            }
        }
        Ok(())
    }
}

/// Removes a session's file, and a database in its place with the files SQLite keeps beside it.
/// Returns whether there were any.
async fn remove_files(file: &Path) -> io::Result<bool> {
    let mut was_there = false;
    for suffix in [DRAFT_SUFFIX, SESSION_SUFFIX]
        .into_iter()
        .chain(DATABASE_SUFFIXES)
    {
        let part = file.with_extension(suffix);
        was_there |= fs::try_exists(&part).await?;
        durable_files::remove_file(&part).await?;
    }
    Ok(was_there)
}

fn parse_folder_time(name: &str) -> Option<Timestamp> {
    let at = jiff::civil::DateTime::strptime(FOLDER_TIME_FORMAT, name).ok()?;
    at.to_zoned(jiff::tz::TimeZone::UTC)
        .ok()
        .map(|at| at.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_session_is_listed_once_and_what_is_none_is_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let files = SessionFiles::open(root.path()).await.unwrap();
        for name in [
            "shop.session",
            "shop.db",
            "bar.db",
            "shop.db-wal",
            "shop.session.new",
            "old.gob",
            "not ours.session",
        ] {
            std::fs::write(root.path().join("sessions").join(name), "").unwrap();
        }
        let listed = files.list_sessions().await.unwrap();
        let names: Vec<_> = listed.names.iter().map(SessionName::as_str).collect();
        assert_eq!(names, ["bar", "shop"]);
        assert_eq!(listed.originals, 1);
        let strangers = [root.path().join("sessions/not ours.session")];
        assert_eq!(listed.strangers, strangers);
    }

    #[tokio::test]
    async fn nothing_of_a_removed_session_stays() {
        let root = tempfile::tempdir().unwrap();
        let files = SessionFiles::open(root.path()).await.unwrap();
        let name = SessionName::parse("shop").unwrap();
        let file = files.session_path(&name);
        let now: Timestamp = "2026-11-28T12:00:00.25Z".parse().unwrap();
        let parts = ["session", "session.new", "db", "db-wal"];
        for why in [AsideReason::Removed, AsideReason::LoggedOut] {
            for part in parts {
                std::fs::write(file.with_extension(part), "keys").unwrap();
            }
            files.move_aside(&name, why, now).await.unwrap();
            let left = parts.map(|part| file.with_extension(part).exists());
            assert_eq!(left, [false; 4], "{why:?}");
        }
        std::fs::write(file.with_extension("session.new"), "keys").unwrap();
        files.remove_session_files(&name).await.unwrap();
        let left = std::fs::read_dir(root.path().join("sessions")).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().path()).collect();
        let folders = left.iter().filter(|path| path.is_dir()).count();
        assert_eq!((left.len(), folders), (2, 2), "{left:?}");
    }

    #[tokio::test]
    async fn what_was_moved_out_of_the_way_goes_when_it_is_old() {
        let root = tempfile::tempdir().unwrap();
        let files = SessionFiles::open(root.path()).await.unwrap();
        let name = SessionName::parse("shop").unwrap();
        let now: Timestamp = "2026-11-28T12:00:00.25Z".parse().unwrap();
        for (why, hours) in [
            (AsideReason::Removed, 0),
            (AsideReason::LoggedOut, 0),
            (AsideReason::LoggedOut, 2),
        ] {
            std::fs::write(files.session_path(&name), "keys").unwrap();
            files
                .move_aside(&name, why, now + jiff::SignedDuration::from_hours(hours))
                .await
                .unwrap();
        }
        let others = root.path().join("sessions/removed/before the move");
        std::fs::create_dir(&others).unwrap();
        assert_eq!(files.remove_old_files(now).await.unwrap(), 0);
        assert_eq!(
            files
                .remove_old_files(now + jiff::SignedDuration::from_hours(1))
                .await
                .unwrap(),
            2
        );
        let left = |folder: &str| std::fs::read_dir(root.path().join(folder)).unwrap().count();
        assert_eq!(
            (left("sessions/removed"), left("sessions/logged-out")),
            (1, 1)
        );
        assert!(others.exists());
    }
}
