//! Where files lie: on the disk or in a bucket, by their hash; and where they lie while they come in.
//!
//! ```text
//! ROOT/media/3f/3f79bb…      a file, named by its SHA-256; or in the bucket: PREFIX/3f/3f79bb…
//! ROOT/media/incoming/…      files that are not whole yet; emptied at start
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

use super::Bytestream;
use crate::durable;
use crate::ids;

pub(super) use bucket::Bucket;
pub use bucket::S3;
pub(super) use disk::Disk;

/// How much of a file is in memory at a time, in bytes.
const PIECE: usize = 64 * 1024;

/// Where the operator wants files to lie.
#[derive(Debug, Clone)]
pub enum Place {
    /// Under the data folder.
    Disk,
    S3(S3),
}

/// What must be possible with files, wherever they are. A file is named by the SHA-256 of its content, in hexadecimal, so the same
/// name always means the same bytes. Only a file that is certainly not there is [`io::ErrorKind::NotFound`]: whoever is told so gives it up.
#[async_trait]
pub(super) trait Storage: Send + Sync {
    /// Takes a file that is whole. One that is there already stays. Afterwards it outlives a crash.
    async fn keep(&self, spooled: &Spooled, sha256: &str) -> io::Result<()>;

    /// The bytes from one place to before another.
    async fn read(&self, sha256: &str, range: Range<u64>) -> io::Result<Bytestream>;

    /// The whole file on the local disk; in `place`, if it is not there anyway.
    async fn local(&self, sha256: &str, place: Spooled) -> io::Result<Local>;

    /// Removes a file; one that is not there is no error.
    async fn remove(&self, sha256: &str) -> io::Result<()>;
}

/// A file on the local disk.
#[derive(Debug)]
pub(super) enum Local {
    /// Where it is kept.
    Kept(PathBuf),
    /// A copy, which goes with its handle.
    Copied(Spooled),
}

/// The folder or prefix of a file, since many names in one folder would be slow to list. What is no hash is refused, so that no name
/// leads anywhere else.
fn shelf(sha256: &str) -> io::Result<&str> {
    let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    sha256
        .get(..2)
        .filter(|_| is_hash)
        .ok_or_else(|| io::Error::other("this is no SHA-256"))
}

/// The folder for files that come in.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: PathBuf,
}

impl Spool {
    /// Throws away what an earlier run left unfinished.
    pub async fn open(folder: &Path) -> io::Result<Self> {
        match fs::remove_dir_all(folder).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        durable::make_folder(folder).await?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// A place for one file.
    pub fn place(&self) -> Spooled {
        Spooled {
            path: self.folder.join(ids::media_id()),
        }
    }
}

/// A file that is removed with this handle, unless it was moved elsewhere.
#[derive(Debug)]
pub struct Spooled {
    path: PathBuf,
}

impl Spooled {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        // It may have been moved; and what stays is thrown away at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}
