//! Files in a bucket of an S3-compatible server. While the server is away, nothing is lost, and
//! everything is retried.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3Builder;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, Error, GetOptions, GetRange, ObjectStore,
    ObjectStoreExt, RetryConfig,
};
use secrecy::ExposeSecret;
use tokio::fs;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::sync::Semaphore;

use super::{LocalFile, PIECE_BYTES, SpooledFile, Storage, hash_prefix};
use crate::config::S3Config;
use crate::media::ByteStream;
use crate::net::tls;

/// Bytes per part of an upload; S3 accepts no smaller ones, and at most 10,000 per file.
const PART_BYTES: usize = 5 * 1024 * 1024;
/// Parts of a file in flight, besides the one being read.
const MAX_PARTS: usize = 2;
/// Concurrent uploads: together they take up to 30 MiB.
const MAX_UPLOADS: usize = 2;
/// Time without data after which a request fails.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Limits for retries. They are short, since callers wait, and a failed operation is retried later
/// as a whole.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_RETRIES: usize = 2;

/// Files in any `object_store` backend.
pub struct BucketStorage {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    uploads: Semaphore,
}

impl BucketStorage {
    /// Creates a client without connecting, as the server may be away.
    pub fn from_s3(at: &S3Config) -> Result<Self> {
        let options = ClientOptions::new()
            .with_allow_http(
                at.endpoint
                    .as_ref()
                    .is_some_and(|endpoint| endpoint.scheme() == "http"),
            )
            .with_connect_timeout(CONNECT_TIMEOUT)
            // The duration of a large transfer is unlimited.
            .with_timeout_disabled()
            .with_read_timeout(READ_TIMEOUT);
        let options = tls::bundled_roots()
            .iter()
            .filter_map(|root| Certificate::from_der(root).ok())
            .fold(options, ClientOptions::with_root_certificate);
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: MAX_RETRIES,
            retry_timeout: RETRY_TIMEOUT,
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&at.bucket)
            .with_region(&at.region)
            .with_access_key_id(&at.access_key_id)
            .with_secret_access_key(at.secret_access_key.expose_secret())
            .with_client_options(options)
            .with_retry(retry);
        if let Some(endpoint) = &at.endpoint {
            builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
        }
        let store = builder
            .build()
            .context("WAPI_MEDIA_STORAGE: the bucket cannot be used")?;
        Ok(Self::new(Arc::new(store), &at.prefix))
    }

    pub(super) fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        Self {
            store,
            prefix: Path::from(prefix),
            uploads: Semaphore::new(MAX_UPLOADS),
        }
    }

    fn object_path(&self, sha256: &str) -> io::Result<Path> {
        Ok(self.prefix.clone().join(hash_prefix(sha256)?).join(sha256))
    }

    /// Returns the size of an existing file, in bytes.
    async fn object_size(&self, path: &Path) -> io::Result<Option<u64>> {
        match self.store.head(path).await {
            Ok(found) => Ok(Some(found.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(storage_error(error)),
        }
    }
}

/// Converts an error. A missing bucket reports each file as missing, but the bucket may come back.
fn storage_error(error: Error) -> io::Error {
    match &error {
        Error::NotFound { source, .. } if source.to_string().contains("NoSuchBucket") => {
            io::Error::other(error)
        }
        Error::NotFound { .. } => io::Error::new(io::ErrorKind::NotFound, error),
        _ => io::Error::other(error),
    }
}

#[async_trait]
impl Storage for BucketStorage {
    async fn store_file(&self, spooled: &SpooledFile, sha256: &str) -> io::Result<()> {
        let path = self.object_path(sha256)?;
        let file = fs::File::open(spooled.path()).await?;
        if self.object_size(&path).await? == Some(file.metadata().await?.len()) {
            return Ok(());
        }
        let _room = self.uploads.acquire().await.map_err(io::Error::other)?;
        let mut file = BufReader::with_capacity(PIECE_BYTES, file);
        let mut upload = BufWriter::with_capacity(Arc::clone(&self.store), path, PART_BYTES)
            .with_max_concurrency(MAX_PARTS);
        match tokio::io::copy_buf(&mut file, &mut upload).await {
            // The name appears only after this, when the file is complete.
            Ok(_) => upload.shutdown().await,
            Err(error) => {
                if let Err(error) = upload.abort().await {
                    tracing::debug!(%error, "failed to remove the parts of a file from the bucket");
                }
                Err(error)
            }
        }
    }

    async fn read_range(&self, sha256: &str, range: Range<u64>) -> io::Result<ByteStream> {
        let path = self.object_path(sha256)?;
        if range.is_empty() {
            self.object_size(&path)
                .await?
                .ok_or(io::ErrorKind::NotFound)?;
            return Ok(stream::empty().boxed());
        }
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        let found = self
            .store
            .get_opts(&path, options)
            .await
            .map_err(storage_error)?;
        Ok(found.into_stream().map_err(storage_error).boxed())
    }

    async fn open_local(&self, sha256: &str, target: SpooledFile) -> io::Result<LocalFile> {
        let found = self
            .store
            .get(&self.object_path(sha256)?)
            .await
            .map_err(storage_error)?;
        let size = found.meta.size;
        let (mut content, mut written) = (found.into_stream().map_err(storage_error), 0);
        let mut file = fs::File::create_new(target.path()).await?;
        while let Some(piece) = content.try_next().await? {
            file.write_all(&piece).await?;
            written += piece.len() as u64;
        }
        file.flush().await?;
        if written != size {
            return Err(io::Error::other(format!(
                "the bucket gave {written} of {size} bytes"
            )));
        }
        Ok(LocalFile::Copy(target))
    }

    async fn remove_file(&self, sha256: &str) -> io::Result<()> {
        match self.store.delete(&self.object_path(sha256)?).await {
            Err(Error::NotFound { .. }) => Ok(()),
            done => done.map_err(storage_error),
        }
    }
}
