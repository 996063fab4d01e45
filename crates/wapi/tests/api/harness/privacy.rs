//! What nobody but the gateway may read.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Files and folders in a folder, as deep as they go, that others of this machine could read: `find FOLDER -mindepth 1 -perm /077`.
pub fn open_to_others(folder: &Path) -> Vec<PathBuf> {
    let (mut open, mut left) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry"))
        {
            // SQLite removes its journals when the last connection closes, which may be now.
            let metadata = match entry.metadata() {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                metadata => metadata.expect("it can be looked at"),
            };
            let path = entry.path();
            if metadata.permissions().mode() & 0o077 != 0 {
                open.push(path.clone());
            }
            if metadata.is_dir() {
                left.push(path);
            }
        }
    }
    open
}

/// Fails if there are any.
#[track_caller]
pub fn is_private(folder: &Path) {
    let open = open_to_others(folder);
    assert!(open.is_empty(), "others of this machine can read {open:#?}");
}
