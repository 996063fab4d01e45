//! Session files and the master key.

use std::io;
use std::path::Path;

use anyhow::{Result, bail};
use tokio::fs;

use super::{DATABASE_SUFFIXES, DRAFT_SUFFIX, SESSION_SUFFIX, SessionFiles};
use crate::model::masking;
use crate::store::session_file::{ResealError, is_sealed_otherwise, reseal_file};
use crate::store::{Sealer, Store};
use crate::system::durable_files;
use crate::system::master_key::{MasterKeys, SealPolicy};

impl SessionFiles {
    /// Refuses a master key that a session's file is not sealed with, where no database says which one
    /// is right: it is missing, or plain, since it or the files are from another folder. Otherwise the
    /// key would be taken for good, and the sessions lost. Writes nothing.
    pub async fn check_master_key(&self, keys: &MasterKeys, database: &Path) -> Result<()> {
        if keys.policy != SealPolicy::Keys {
            return Ok(());
        }
        let sealer = Sealer::for_files(keys);
        for name in self.list_sessions().await?.names {
            let path = self.session_path(&name);
            if !is_sealed_otherwise(&path, &sealer).await {
                continue;
            }
            if Store::is_sealed(database).await? {
                return Ok(());
            }
            bail!(
                "WAPI_MASTER_KEY is not the master key that {} is sealed with, nor is WAPI_MASTER_KEY_OLD: set the right \
                 one. If it is lost, remove the file, and link its session anew",
                masking::mask_path(&path)
            );
        }
        Ok(())
    }

    /// Seals all session files with the master key, or takes the seal off them, as the sealer says;
    /// those of former devices, too. A file that cannot be opened stays as it is: its session says
    /// why. Returns the number of those that may be opened another time.
    pub async fn reseal_all(&self, sealer: &Sealer) -> io::Result<u64> {
        if !sealer.has_master_key() {
            return Ok(0);
        }
        let mut folders = vec![self.sessions.clone()];
        let (mut rewritten, mut failed) = (0, 0);
        while let Some(folder) = folders.pop() {
            let mut entries = fs::read_dir(&folder).await?;
            while let Some(entry) = entries.next_entry().await? {
                let path = entry.path();
                if is_orphan(&path, sealer).await? {
                    durable_files::remove_file(&path).await?;
                }
                if entry.file_type().await?.is_dir() {
                    folders.push(path);
                    continue;
                }
                if entry.file_name().to_string_lossy().ends_with(DRAFT_SUFFIX) {
                    // A crash has left it, and nobody would ever seal it.
                    durable_files::remove_file(&path).await?;
                }
                if path
                    .extension()
                    .is_none_or(|suffix| suffix != SESSION_SUFFIX)
                {
                    continue;
                }
                let reason = match reseal_file(&path, sealer).await {
                    Ok(is_rewritten) => {
                        rewritten += u32::from(is_rewritten);
                        continue;
                    }
                    Err(ResealError::Unusable(reason)) => reason,
                    Err(ResealError::Failed(reason)) => {
                        failed += 1;
                        reason
                    }
                };
                let file = masking::mask_path(&path);
                tracing::warn!(file, reason, "left a session's file as it is");
            }
        }
        if rewritten > 0 {
            tracing::info!(
                files = rewritten,
                "wrote session files anew for the master key"
            );
        }
        Ok(failed)
    }
}

/// Returns whether a file belongs to a database that is gone: a crash while it was removed has left it.
/// What is in it is plain.
async fn is_orphan(path: &Path, sealer: &Sealer) -> io::Result<bool> {
    let suffix = path.extension().and_then(|suffix| suffix.to_str());
    let [database, beside @ ..] = DATABASE_SUFFIXES;
    if !sealer.seals() || !suffix.is_some_and(|suffix| beside.contains(&suffix)) {
        return Ok(false);
    }
    Ok(!fs::try_exists(path.with_extension(database)).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::session_file::{SavedDevice, read_file, write_file};
    use crate::system::clock::Clock;
    use crate::system::master_key::MasterKey;

    fn keys(seed: u8, old: Option<u8>) -> MasterKeys {
        let key = |seed| MasterKey::from_bytes([seed; 32]);
        MasterKeys {
            current: key(seed),
            old: old.map(key),
            policy: SealPolicy::Keys,
        }
    }

    fn device() -> SavedDevice {
        SavedDevice {
            life: 1,
            has_own_proxy: false,
            device: b"the keys of the device".to_vec(),
        }
    }

    #[tokio::test]
    async fn all_files_follow_the_master_key_and_half_written_ones_go() {
        let root = tempfile::tempdir().unwrap();
        let files = SessionFiles::open(root.path()).await.unwrap();
        let sessions = root.path().join("sessions");
        let former = sessions.join("removed/20260101T000000.000Z");
        std::fs::create_dir_all(&former).unwrap();
        let saved = device();
        let ours = [sessions.join("shop.session"), former.join("shop.session")];
        for file in &ours {
            write_file(file, &saved, &Sealer::none()).await.unwrap();
        }
        let draft = sessions.join("shop.session.new");
        std::fs::copy(&ours[0], &draft).unwrap();
        let foreign = sessions.join("diary.session");
        std::fs::write(&foreign, "dear diary").unwrap();
        let circle = sessions.join("circle.session");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        assert_eq!(files.reseal_all(&Sealer::none()).await.unwrap(), 0);
        assert!(draft.exists(), "nothing happens without a master key");
        let database = root.path().join("wapi.db");
        let keys = keys(1, None);
        let store = Store::open_sealed(&database, Some(&keys), Clock::system());
        let store = store.await.unwrap();
        // What is no session needs no key, and what cannot be read now may.
        assert_eq!(files.reseal_all(store.sealer()).await.unwrap(), 1);
        for file in &ours {
            let content = std::fs::read(file).unwrap();
            assert!(!content.ends_with(&saved.device));
            let opened = read_file(file, store.sealer()).await;
            assert_eq!(opened.unwrap().as_ref(), Some(&saved));
        }
        assert!(!draft.exists());
        assert_eq!(std::fs::read(&foreign).unwrap(), b"dear diary");
    }

    #[tokio::test]
    async fn a_master_key_that_opens_no_file_is_refused_where_no_database_knows_it() {
        let root = tempfile::tempdir().unwrap();
        let files = SessionFiles::open(root.path()).await.unwrap();
        let database = root.path().join("wapi.db");
        let path = root.path().join("sessions/shop.session");
        let sealer = Sealer::for_files(&keys(1, None));
        write_file(&path, &device(), &sealer).await.unwrap();
        let content = std::fs::read(&path).unwrap();
        for _ in 0..2 {
            for wrong in [keys(2, None), keys(2, Some(3))] {
                let told = files.check_master_key(&wrong, &database).await;
                let told = told.unwrap_err().to_string();
                assert!(told.contains("/sessions/shop.session"), "{told}");
            }
            for right in [keys(1, None), keys(2, Some(1))] {
                let checked = files.check_master_key(&right, &database).await;
                checked.unwrap();
            }
            let taking_off = MasterKeys {
                policy: SealPolicy::Unseal,
                ..keys(2, None)
            };
            let checked = files.check_master_key(&taking_off, &database).await;
            checked.unwrap();
            // A database that is plain knows none, as one that is missing.
            let store = Store::open(&database, Clock::system()).await.unwrap();
            store.close().await;
        }
        assert_eq!(std::fs::read(&path).unwrap(), content);
        let right = keys(2, None);
        let store = Store::open_sealed(&database, Some(&right), Clock::system());
        store.await.unwrap().close().await;
        // It is sealed with this one: the file comes from elsewhere, and concerns its session alone.
        let checked = files.check_master_key(&right, &database).await;
        checked.unwrap();
    }

    #[tokio::test]
    async fn what_a_removed_database_has_left_goes_where_keys_are_sealed() {
        let root = tempfile::tempdir().unwrap();
        let files = SessionFiles::open(root.path()).await.unwrap();
        let path = |name: &str| root.path().join("sessions").join(name);
        let names = ["shop.db-wal", "shop.db-shm", "shop.db-journal"];
        let kept = ["bar.db", "bar.db-wal", "db-wal.txt"];
        for name in names.iter().chain(&kept) {
            std::fs::write(path(name), "keys").unwrap();
        }
        files.reseal_all(&Sealer::none()).await.unwrap();
        assert!(names.iter().all(|name| path(name).exists()));
        let sealer = Sealer::for_files(&keys(1, None));
        files.reseal_all(&sealer).await.unwrap();
        assert!(names.iter().all(|name| !path(name).exists()));
        assert!(kept.iter().all(|name| path(name).exists()));
    }
}
