//! Files on the local disk.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::try_unfold;
use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::{LocalFile, PIECE_BYTES, SpooledFile, Storage, hash_prefix};
use crate::media::ByteStream;
use crate::system::durable_files;

/// Files on the local disk.
pub struct DiskStorage {
    folder: PathBuf,
}

impl DiskStorage {
    pub async fn open(folder: &Path) -> io::Result<Self> {
        durable_files::create_folder(folder).await?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    fn file_path(&self, sha256: &str) -> io::Result<PathBuf> {
        Ok(self.folder.join(hash_prefix(sha256)?).join(sha256))
    }
}

#[async_trait]
impl Storage for DiskStorage {
    async fn store_file(&self, spooled: &SpooledFile, sha256: &str) -> io::Result<()> {
        let path = self.file_path(sha256)?;
        durable_files::create_folder(path.parent().expect("it is in a folder")).await?;
        match fs::try_exists(&path).await? {
            // The task that put it there may not have synced it yet.
            true => durable_files::sync_parent(&path).await,
            false => durable_files::put_file(spooled.path(), &path).await,
        }
    }

    async fn read_range(&self, sha256: &str, range: Range<u64>) -> io::Result<ByteStream> {
        let mut file = fs::File::open(self.file_path(sha256)?).await?;
        file.seek(io::SeekFrom::Start(range.start)).await?;
        let remaining = range.end.saturating_sub(range.start);
        Ok(try_unfold(file.take(remaining), |mut file| async move {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            let read = (&mut file)
                .take(PIECE_BYTES as u64)
                .read_to_end(&mut piece)
                .await?;
            Ok((read > 0).then(|| (Bytes::from(piece), file)))
        })
        .boxed())
    }

    async fn open_local(&self, sha256: &str, _place: SpooledFile) -> io::Result<LocalFile> {
        let path = self.file_path(sha256)?;
        fs::metadata(&path).await?;
        Ok(LocalFile::Stored(path))
    }

    async fn remove_file(&self, sha256: &str) -> io::Result<()> {
        durable_files::remove_file(&self.file_path(sha256)?).await
    }
}
