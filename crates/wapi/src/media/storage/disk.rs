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

use super::{Local, PIECE, Spooled, Storage, shelf};
use crate::durable;
use crate::media::Bytestream;

/// Files on the local disk.
pub struct Disk {
    folder: PathBuf,
}

impl Disk {
    pub async fn open(folder: &Path) -> io::Result<Self> {
        durable::make_folder(folder).await?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    fn path(&self, sha256: &str) -> io::Result<PathBuf> {
        Ok(self.folder.join(shelf(sha256)?).join(sha256))
    }
}

#[async_trait]
impl Storage for Disk {
    async fn keep(&self, spooled: &Spooled, sha256: &str) -> io::Result<()> {
        let path = self.path(sha256)?;
        durable::make_folder(path.parent().expect("it is in a folder")).await?;
        match fs::try_exists(&path).await? {
            // The task that put it there may not have synced it yet.
            true => durable::sync_names(&path).await,
            false => durable::put(spooled.path(), &path).await,
        }
    }

    async fn read(&self, sha256: &str, range: Range<u64>) -> io::Result<Bytestream> {
        let mut file = fs::File::open(self.path(sha256)?).await?;
        file.seek(io::SeekFrom::Start(range.start)).await?;
        let left = range.end.saturating_sub(range.start);
        Ok(try_unfold(file.take(left), |mut file| async move {
            let mut piece = Vec::with_capacity(PIECE);
            let read = (&mut file)
                .take(PIECE as u64)
                .read_to_end(&mut piece)
                .await?;
            Ok((read > 0).then(|| (Bytes::from(piece), file)))
        })
        .boxed())
    }

    async fn local(&self, sha256: &str, _place: Spooled) -> io::Result<Local> {
        let path = self.path(sha256)?;
        fs::metadata(&path).await?;
        Ok(Local::Kept(path))
    }

    async fn remove(&self, sha256: &str) -> io::Result<()> {
        durable::remove(&self.path(sha256)?).await
    }
}
