//! Where files lie: on the disk, by their hash; and where they lie while they come in.
//!
//! ```text
//! ROOT/media/3f/3f79bb…      a file, named by its SHA-256
//! ROOT/media/incoming/…      files that are not whole yet; emptied at start
//! ```

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::try_unfold;
use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::Bytestream;
use crate::ids;

/// How much of a file is in memory at a time, in bytes.
const PIECE: usize = 64 * 1024;

/// What must be possible with files, wherever they are. A file is named by the SHA-256 of its content, in hexadecimal, so the same
/// name always means the same bytes.
#[async_trait]
pub(super) trait Storage: Send + Sync {
    /// Takes a file that is whole. One that is there already stays. Afterwards it outlives a crash.
    async fn keep(&self, spooled: &Spooled, sha256: &str) -> io::Result<()>;

    /// The bytes from one place to before another.
    async fn read(&self, sha256: &str, range: Range<u64>) -> io::Result<Bytestream>;

    /// Where the whole file is on the local disk.
    async fn local(&self, sha256: &str) -> io::Result<PathBuf>;

    /// Removes a file; one that is not there is no error.
    async fn remove(&self, sha256: &str) -> io::Result<()>;
}

/// Files on the local disk.
pub(super) struct Disk {
    folder: PathBuf,
}

impl Disk {
    pub async fn open(folder: &Path) -> io::Result<Self> {
        make_private(folder).await?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Many files in one folder would be slow to list.
    fn path(&self, sha256: &str) -> io::Result<PathBuf> {
        let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        let prefix = sha256.get(..2).filter(|_| is_hash).ok_or_else(|| io::Error::other("this is no SHA-256"))?;
        Ok(self.folder.join(prefix).join(sha256))
    }
}

#[async_trait]
impl Storage for Disk {
    async fn keep(&self, spooled: &Spooled, sha256: &str) -> io::Result<()> {
        let path = self.path(sha256)?;
        if fs::try_exists(&path).await? {
            return Ok(());
        }
        let folder = path.parent().expect("it is in a folder");
        make_private(folder).await?;
        // First the bytes, then the name: whatever has the name is whole.
        fs::File::open(spooled.path()).await?.sync_all().await?;
        fs::rename(spooled.path(), &path).await?;
        fs::File::open(folder).await?.sync_all().await
    }

    async fn read(&self, sha256: &str, range: Range<u64>) -> io::Result<Bytestream> {
        let mut file = fs::File::open(self.path(sha256)?).await?;
        file.seek(io::SeekFrom::Start(range.start)).await?;
        let left = range.end.saturating_sub(range.start);
        Ok(try_unfold(file.take(left), |mut file| async move {
            let mut piece = Vec::with_capacity(PIECE);
            let read = (&mut file).take(PIECE as u64).read_to_end(&mut piece).await?;
            Ok((read > 0).then(|| (Bytes::from(piece), file)))
        })
        .boxed())
    }

    async fn local(&self, sha256: &str) -> io::Result<PathBuf> {
        let path = self.path(sha256)?;
        fs::metadata(&path).await?;
        Ok(path)
    }

    async fn remove(&self, sha256: &str) -> io::Result<()> {
        match fs::remove_file(self.path(sha256)?).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
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
        make_private(folder).await?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// A place for one file.
    pub fn place(&self) -> Spooled {
        Spooled { path: self.folder.join(ids::media_id()) }
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

async fn make_private(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).await
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    const NAME: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    async fn read(disk: &Disk, range: Range<u64>) -> io::Result<Vec<u8>> {
        let pieces: Vec<Bytes> = disk.read(NAME, range).await?.try_collect().await?;
        Ok(pieces.concat())
    }

    #[tokio::test]
    async fn a_file_is_kept_once_read_in_parts_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).await.unwrap();
        let spool = Spool::open(&folder.path().join("incoming")).await.unwrap();
        for _ in 0..2 {
            let spooled = spool.place();
            fs::write(spooled.path(), b"hello").await.unwrap();
            disk.keep(&spooled, NAME).await.unwrap();
        }
        assert_eq!(read(&disk, 0..5).await.unwrap(), b"hello");
        assert_eq!(read(&disk, 1..3).await.unwrap(), b"el");
        assert_eq!(std::fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0, "nothing is left behind");
        disk.remove(NAME).await.unwrap();
        disk.remove(NAME).await.unwrap();
        assert_eq!(read(&disk, 0..5).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn no_name_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).await.unwrap();
        for name in ["", "..", "../../etc/passwd", &"é".repeat(32)] {
            assert!(disk.path(name).is_err(), "{name}");
        }
    }
}
