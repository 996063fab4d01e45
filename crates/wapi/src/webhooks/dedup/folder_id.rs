//! Id of a data folder, which distinguishes folders that share a Redis. It is stored in its own
//! file, so that it outlives the database.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::ids;

const ID_FILE: &str = "folder-id.json";
/// Time during which keys from before folder ids are honoured.
const OLD_KEYS_TIME: SignedDuration = SignedDuration::from_hours(24 * 30);

/// The id of a data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderId {
    pub id: String,
    /// Until this time, keys without a folder id may belong to this folder.
    pub old_names_until: Timestamp,
}

impl FolderId {
    /// Reads the id, or assigns one to a folder without it. To be called before the database is
    /// created, since an existing database means that the folder is older than ids.
    pub fn open(root: &Path, now: Timestamp) -> Result<Self> {
        let file = root.join(ID_FILE);
        match std::fs::read(&file) {
            Ok(bytes) => {
                let advice = || {
                    format!(
                        "{} cannot be read; remove it to give the folder a new id",
                        file.display()
                    )
                };
                serde_json::from_slice(&bytes).with_context(advice)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let was_used = root
                    .join("wapi.db")
                    .try_exists()
                    .context("checking for the database")?;
                let until = if was_used {
                    now.saturating_add(OLD_KEYS_TIME)?
                } else {
                    Timestamp::UNIX_EPOCH
                };
                let folder = Self {
                    id: ids::new_folder_id(),
                    old_names_until: until,
                };
                folder
                    .write_file(root)
                    .with_context(|| format!("writing {}", file.display()))?;
                Ok(folder)
            }
            Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
        }
    }

    /// Writes the file atomically, safe against a power failure.
    fn write_file(&self, root: &Path) -> io::Result<()> {
        let draft = root.join(format!("{ID_FILE}.new"));
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        std::fs::rename(&draft, root.join(ID_FILE))?;
        std::fs::File::open(root)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use crate::webhooks::dedup::folder_id::*;

    #[test]
    fn a_folder_keeps_its_id_and_one_of_before_is_known_by_its_name_for_a_while() {
        let (new, used) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(used.path().join("wapi.db"), b"").unwrap();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let [fresh, old] = [&new, &used].map(|folder| FolderId::open(folder.path(), now).unwrap());
        assert_ne!(fresh.id, old.id);
        assert_eq!(
            (fresh.old_names_until, old.old_names_until),
            (Timestamp::UNIX_EPOCH, now + OLD_KEYS_TIME)
        );
        let later = now + OLD_KEYS_TIME;
        assert_eq!(
            [&new, &used].map(|folder| FolderId::open(folder.path(), later).unwrap()),
            [fresh, old]
        );
    }
}
