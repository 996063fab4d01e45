//! The data folder: private, and used by one program at a time.

use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{Mode, OFlags, fstatfs};
use rustix::process::{geteuid, umask};

use crate::model::masking;
use crate::system::clock::Clock;
use crate::system::durable_files;

/// The setting that names the folder.
const SETTING: &str = "WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH";
/// Holds the id of the program that uses the folder, and is locked as long as it does.
const LOCK_FILE: &str = "wapi.lock";
/// The gateway's other entries of the folder.
const OWN_FILES: [&str; 3] = [LOCK_FILE, "folder-id.json", "folder-id.json.new"];
const DATABASES: [&str; 2] = ["wapi.db", "history.db"];
/// SQLite keeps its logs and its index beside a database.
const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];
const FOLDERS: [&str; 3] = ["sessions", "qr-codes", "media"];
/// Permissions of everybody but the owner.
const OTHERS_RIGHTS: u32 = 0o077;
/// The sticky bit marks a shared folder, such as `/tmp`.
const STICKY_BIT: u32 = 0o1000;

/// Makes all files that this process creates from now on private: with a session's file, any user
/// of this machine could act as its account.
pub fn set_private_umask() {
    umask(Mode::from_raw_mode(OTHERS_RIGHTS));
}

/// The data folder, claimed by this program until it is dropped; cheap to clone.
#[derive(Debug, Clone)]
pub struct DataFolder {
    root: PathBuf,
    lock: Arc<File>,
}

impl DataFolder {
    /// Creates the folder if it is missing, locks out other programs, and makes it private. Must
    /// run before anything in it is touched. Blocks on the disk.
    pub fn claim(root: &Path, clock: &Clock) -> Result<Self> {
        let cannot = || {
            format!(
                "{SETTING}: the folder {} cannot be used; name one that may be written",
                root.display()
            )
        };
        durable_files::create_folder_blocking(root).with_context(cannot)?;
        check_owner(root)?;
        let folder = Self {
            root: root.to_owned(),
            lock: Arc::new(acquire_lock(root, clock)?),
        };
        folder.make_private()?;
        Ok(folder)
    }

    /// Releases the folder for other programs.
    pub fn release(&self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "the data folder stays locked until the program has ended");
        }
    }

    /// Returns the free bytes of its disk, and all of them, if the system tells. Blocks on
    /// the disk.
    pub fn disk_space(&self) -> Option<(u64, u64)> {
        let disk = rustix::fs::statvfs(&self.root).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Some((bytes(disk.f_bavail), bytes(disk.f_blocks)))
    }

    /// Returns whether the folder is still in place: not moved, removed or unmounted. Blocks on the
    /// disk.
    pub fn is_in_place(&self) -> bool {
        is_at_path(&self.lock, &self.root.join(LOCK_FILE)).unwrap_or(false)
    }

    /// Removes others' permissions from the gateway's files.
    fn make_private(&self) -> Result<()> {
        let mut is_ours_alone = true;
        for entry in list_entries(&self.root)? {
            let name = entry
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            if is_own_entry(&name) {
                let tightened = tighten_permissions(&entry)?;
                if tightened > 0 {
                    tracing::warn!(
                        name,
                        tightened,
                        "other users of this machine could read these files; now they cannot"
                    );
                }
            } else {
                is_ours_alone &= name == "lost+found";
            }
        }
        let metadata = fs::metadata(&self.root)?;
        let is_own = metadata.uid() == geteuid().as_raw() && metadata.mode() & STICKY_BIT == 0;
        if metadata.mode() & OTHERS_RIGHTS == 0 {
            return Ok(());
        }
        let folder = self.root.display();
        if is_own && is_ours_alone {
            fs::set_permissions(&self.root, owner_permissions(&metadata))?;
            tracing::warn!(%folder, "other users of this machine could look into the data folder; now they cannot");
        } else {
            tracing::warn!(%folder, "other users of this machine can list the data folder, which has other files too; \
             they cannot read wapi's files");
        }
        Ok(())
    }
}

/// Refuses a folder of another user. It may be root's, as a mounted disk is. A program that runs as
/// root, as in many containers, must accept a folder of the host's user.
fn check_owner(root: &Path) -> Result<()> {
    let (owner, own) = (fs::metadata(root)?.uid(), geteuid().as_raw());
    if owner == own || owner == 0 {
        return Ok(());
    }
    let folder = root.display();
    ensure!(
        own == 0,
        "{SETTING}: the folder {folder} belongs to another user ({owner}), who could place any file there; give it to \
         the user that wapi runs as (chown), or name another"
    );
    tracing::warn!(%folder, owner, "the data folder belongs to another user, who could place any file there");
    Ok(())
}

/// Returns whether an entry of the data folder belongs to the gateway.
fn is_own_entry(name: &str) -> bool {
    let is_database = |base: &&str| {
        name.strip_prefix(*base)
            .is_some_and(|suffix| SUFFIXES.contains(&suffix))
    };
    OWN_FILES.contains(&name) || FOLDERS.contains(&name) || DATABASES.iter().any(is_database)
}

/// Returns the lock file, once locked by this program.
fn acquire_lock(root: &Path, clock: &Clock) -> Result<File> {
    let path = root.join(LOCK_FILE);
    loop {
        let mut lock = open_lock(&path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(in_use_message(root, &mut lock)),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| no_locks_message(root));
            }
        }
        // The file may have been removed meanwhile, and the next program would lock another one.
        if !is_at_path(&lock, &path)? {
            continue;
        }
        ensure!(
            is_exclusive(&lock, &open_lock(&path)?),
            no_locks_message(root)
        );
        if is_on_network(&lock) {
            tracing::warn!(
                folder = %root.display(),
                "the data folder is on a network file system, whose lock may not keep out programs of other machines: \
                 never run two on it"
            );
        }
        let written = (|| {
            lock.set_len(0)?;
            lock.rewind()?;
            write!(lock, "{} {}", std::process::id(), clock.now())
        })();
        written.with_context(|| format!("{SETTING}: {} cannot be written", path.display()))?;
        return Ok(lock);
    }
}

/// Returns whether a held lock excludes a second one. On some network file systems, both succeed.
fn is_exclusive(_held: &File, other: &File) -> bool {
    matches!(other.try_lock(), Err(TryLockError::WouldBlock))
}

/// Returns whether other machines may mount the same file system: NFS, SMB in its three versions,
/// AFS, Ceph.
fn is_on_network(file: &File) -> bool {
    const KINDS: [u32; 6] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x5346_414f,
        0x00c3_6400,
    ];
    // Its width differs between platforms; the numbers have 32 bits.
    fstatfs(file).is_ok_and(|found| KINDS.contains(&(found.f_type as u32)))
}

fn no_locks_message(root: &Path) -> String {
    format!(
        "{SETTING} is {}, on a file system without working locks, so a second program could disconnect the first one's \
         devices; name a folder of a local disk",
        root.display()
    )
}

fn in_use_message(root: &Path, lock: &mut File) -> String {
    let mut holder = String::new();
    let read = lock.take(100).read_to_string(&mut holder);
    let holder = match (read, holder.split_once(' ')) {
        (Ok(_), Some((process, since))) => format!("process {process}, since {since}"),
        // It has just begun.
        _ => "unknown process".to_owned(),
    };
    format!(
        "{SETTING} is {}, where another wapi runs ({holder}); two of them would disconnect each other's devices: stop \
         that one, or name another folder",
        root.display()
    )
}

fn open_lock(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    // A link would let its creator choose the file that is written.
    options.custom_flags(OFlags::NOFOLLOW.bits() as i32);
    let problem = || {
        format!(
            "{SETTING}: {} cannot be opened; is it a file of this program's user?",
            path.display()
        )
    };
    options.open(path).with_context(problem)
}

fn is_at_path(file: &File, path: &Path) -> std::io::Result<bool> {
    let (held, there) = (file.metadata()?, fs::symlink_metadata(path)?);
    Ok((held.dev(), held.ino()) == (there.dev(), there.ino()))
}

/// Returns the sorted entries of a folder.
fn list_entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = || format!("looking into {}", folder.display());
    let entries = fs::read_dir(folder)
        .with_context(listed)?
        .map(|entry| Ok(entry?.path()));
    let mut entries = entries
        .collect::<std::io::Result<Vec<_>>>()
        .with_context(listed)?;
    entries.sort();
    Ok(entries)
}

/// Makes a file private, or a folder with everything in it, and returns how many entries were not.
/// Refuses entries that may belong to another user. Those that go meanwhile, as the log of a database does
/// when somebody else closes it, are none.
fn tighten_permissions(path: &Path) -> Result<usize> {
    let mut tightened = 0;
    let mut remaining = vec![path.to_owned()];
    while let Some(path) = remaining.pop() {
        let metadata = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            looked => {
                looked.with_context(|| format!("looking at {}", masking::mask_path(&path)))?
            }
        };
        let kind = metadata.file_type();
        ensure!(
            kind.is_file() || kind.is_dir(),
            "{SETTING}: {} is a link or a device; wapi needs the file or folder itself there",
            masking::mask_path(&path)
        );
        ensure!(
            metadata.uid() == geteuid().as_raw(),
            "{SETTING}: {} belongs to another user ({}), who could change it; give it to the user that wapi runs as (chown)",
            masking::mask_path(&path),
            metadata.uid()
        );
        if metadata.mode() & OTHERS_RIGHTS != 0 {
            match fs::set_permissions(&path, owner_permissions(&metadata)) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                made => {
                    made.with_context(|| format!("making {} private", masking::mask_path(&path)))?
                }
            }
            tightened += 1;
        }
        if kind.is_dir() {
            remaining.extend(list_entries(&path)?);
        }
    }
    Ok(tightened)
}

/// Returns the permissions without those of others.
fn owner_permissions(metadata: &Metadata) -> Permissions {
    Permissions::from_mode(metadata.mode() & 0o700)
}

#[cfg(test)]
mod tests {
    use crate::system::data_folder::*;

    #[test]
    fn a_file_system_whose_locks_keep_nobody_out_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("one"), folder.path().join("other"));
        let held = open_lock(&path).unwrap();
        held.try_lock().unwrap();
        assert!(is_exclusive(&held, &open_lock(&path).unwrap()));
        // As on a file system whose locks ignore other holders.
        assert!(!is_exclusive(&held, &open_lock(&other).unwrap()));
    }

    #[test]
    fn a_lock_file_that_was_removed_is_no_longer_there() {
        let folder = tempfile::tempdir().unwrap();
        let claimed = DataFolder::claim(folder.path(), &Clock::system()).unwrap();
        assert!(claimed.is_in_place());
        let moved = folder.path().join("moved");
        fs::create_dir(&moved).unwrap();
        fs::rename(folder.path().join(LOCK_FILE), moved.join(LOCK_FILE)).unwrap();
        assert!(!claimed.is_in_place());
    }

    #[test]
    fn a_file_that_goes_while_it_is_looked_at_is_no_trouble() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("wapi.db-shm");
        assert_eq!(tighten_permissions(&gone).unwrap(), 0);
    }

    #[test]
    fn only_what_the_gateway_makes_is_its_own() {
        for name in [
            "wapi.lock",
            "wapi.db",
            "wapi.db-wal",
            "history.db-shm",
            "sessions",
            "media",
        ] {
            assert!(is_own_entry(name), "{name}");
        }
        for name in ["wapi.db.copy", "session", "", ".env", "wapi.lock2"] {
            assert!(!is_own_entry(name), "{name}");
        }
    }
}
