//! Media storage: files on the disk or in a bucket, named by their hash; and the spool for incoming
//! files.
//!
//! ```text
//! ROOT/media/3f/3f79bb…      a file, named by its SHA-256; or in the bucket: PREFIX/3f/3f79bb…
//! ROOT/media/incoming/…      incomplete files; emptied at start
//! ```

mod bucket;
mod disk;
#[cfg(test)]
mod tests;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio::fs;

use super::ByteStream;
use crate::model::ids;
use crate::system::durable_files;

pub(super) use bucket::BucketStorage;
pub(super) use disk::DiskStorage;

/// Bytes of a file in memory at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// A storage backend. A file is named by the SHA-256 of its content in hexadecimal, so a name
/// always means the same bytes. [`io::ErrorKind::NotFound`] is returned only for a file that
/// certainly does not exist, because callers then give it up.
#[async_trait]
pub(super) trait Storage: Send + Sync {
    /// Stores a complete file durably. An existing file is left unchanged.
    async fn store_file(&self, spooled: &SpooledFile, sha256: &str) -> io::Result<()>;

    /// Reads a range of bytes.
    async fn read_range(&self, sha256: &str, range: Range<u64>) -> io::Result<ByteStream>;

    /// Returns the complete file on the local disk, copied to `target` if necessary.
    async fn open_local(&self, sha256: &str, target: SpooledFile) -> io::Result<LocalFile>;

    /// Removes a file. A missing file is no error.
    async fn remove_file(&self, sha256: &str) -> io::Result<()>;
}

/// A file on the local disk.
#[derive(Debug)]
pub(super) enum LocalFile {
    /// The stored file itself.
    Stored(PathBuf),
    /// A copy, which is removed with its handle.
    Copy(SpooledFile),
}

/// Returns the folder or prefix of a file, since many names in one folder would be slow to list.
/// Rejects names that are no hash, so that none can lead elsewhere.
fn hash_prefix(sha256: &str) -> io::Result<&str> {
    let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    sha256
        .get(..2)
        .filter(|_| is_hash)
        .ok_or_else(|| io::Error::other("this is no SHA-256"))
}

/// The folder for incoming files.
#[derive(Debug, Clone)]
pub struct SpoolFolder {
    folder: PathBuf,
}

impl SpoolFolder {
    /// Opens the spool, deleting unfinished files of an earlier run.
    pub async fn open(folder: &Path) -> io::Result<Self> {
        match fs::remove_dir_all(folder).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        durable_files::create_folder(folder).await?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Returns a place for one file.
    pub fn reserve_file(&self) -> SpooledFile {
        SpooledFile {
            path: self.folder.join(ids::new_media_id()),
        }
    }
}

/// A file that is removed with this handle, unless it was moved elsewhere.
#[derive(Debug)]
pub struct SpooledFile {
    path: PathBuf,
}

impl SpooledFile {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SpooledFile {
    fn drop(&mut self) {
        // It may have been moved; leftovers are deleted at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}
