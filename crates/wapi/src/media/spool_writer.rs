//! Writes an incoming file to the spool piece by piece, never holding all of it in memory.

use std::io;

use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::types::HEAD_BYTES;
use super::{ReceivedFile, SpooledFile};

/// Reasons why a file was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// It is larger than this number of bytes.
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
    #[error("it cannot be written to the disk: {0}")]
    Disk(#[from] io::Error),
}

/// An incoming file.
pub struct SpoolWriter {
    spooled: SpooledFile,
    file: File,
    hash: Sha256,
    head: Vec<u8>,
    size: u64,
    largest: u64,
}

impl SpoolWriter {
    /// Starts with an empty file that accepts up to `max_size` bytes.
    pub async fn create(spooled: SpooledFile, largest: u64) -> Result<Self, SpoolError> {
        let file = File::create_new(spooled.path()).await?;
        Ok(Self {
            spooled,
            file,
            hash: Sha256::new(),
            head: Vec::with_capacity(HEAD_BYTES),
            size: 0,
            largest,
        })
    }

    pub async fn write_piece(&mut self, piece: &[u8]) -> Result<(), SpoolError> {
        if self.size + piece.len() as u64 > self.largest {
            return Err(SpoolError::TooLarge(self.largest));
        }
        let wanted = HEAD_BYTES.saturating_sub(self.head.len()).min(piece.len());
        self.head.extend_from_slice(&piece[..wanted]);
        self.hash.update(piece);
        self.size += piece.len() as u64;
        Ok(self.file.write_all(piece).await?)
    }

    /// Returns the complete file, and its first bytes.
    pub async fn finish(mut self) -> Result<(ReceivedFile, Vec<u8>), SpoolError> {
        self.file.flush().await?;
        let sha256 = crate::model::ids::to_hex(&self.hash.finalize());
        Ok((
            ReceivedFile {
                spooled: self.spooled,
                size: self.size,
                sha256,
            },
            self.head,
        ))
    }
}
