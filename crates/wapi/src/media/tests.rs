//! Media on top of a failing storage.

use async_trait::async_trait;
use jiff::ToSpan;
use tempfile::TempDir;

use super::*;
use crate::config::DownloadPolicy;

/// The SHA-256 of `hello`.
const NAME: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
const POLICY: MediaPolicy = MediaPolicy {
    download: DownloadPolicy::Eager,
    largest: 1000,
    keep_for: Duration::from_secs(24 * 3600),
    keep_size: 1_000_000,
};

/// Stores each file and then reports a failure, as if the answer were lost or the program had ended
/// before it.
struct UnconfirmingStorage(DiskStorage);

#[async_trait]
impl Storage for UnconfirmingStorage {
    async fn store_file(&self, spooled: &SpooledFile, sha256: &str) -> io::Result<()> {
        self.0.store_file(spooled, sha256).await?;
        Err(io::ErrorKind::ConnectionReset.into())
    }

    async fn read_range(
        &self,
        sha256: &str,
        range: std::ops::Range<u64>,
    ) -> io::Result<ByteStream> {
        self.0.read_range(sha256, range).await
    }

    async fn open_local(&self, sha256: &str, target: SpooledFile) -> io::Result<LocalFile> {
        self.0.open_local(sha256, target).await
    }

    async fn remove_file(&self, sha256: &str) -> io::Result<()> {
        self.0.remove_file(sha256).await
    }
}

async fn add(media: &Media) -> Result<MediaRecord> {
    let spooled = media.conversion_pool().reserve_file();
    tokio::fs::write(spooled.path(), "hello").await.unwrap();
    let taken = ReceivedFile {
        spooled,
        size: 5,
        sha256: NAME.to_owned(),
    };
    media
        .add_upload(
            &Life::for_test(1, "shop"),
            MediaFile::new(
                taken,
                "text/plain".to_owned(),
                None,
                media.conversion_pool().clone(),
            ),
        )
        .await
}

#[tokio::test]
async fn a_file_that_was_kept_and_never_noted_does_not_stay() {
    let folder = TempDir::new().unwrap();
    let (clock, lifecycle) = (Clock::system(), Lifecycle::new());
    let store = Store::open(&folder.path().join("wapi.db"), clock.clone())
        .await
        .unwrap();
    let open = async || {
        let parts = (store.clone(), clock.clone(), lifecycle.clone());
        Media::open(
            folder.path(),
            &StorageConfig::Disk,
            POLICY,
            ConverterPrograms::default(),
            parts.0,
            parts.1,
            parts.2,
        )
        .await
        .unwrap()
    };
    let mut failing = open().await;
    let disk = DiskStorage::open(&folder.path().join("media"))
        .await
        .unwrap();
    Arc::get_mut(&mut failing.inner).unwrap().storage = Box::new(UnconfirmingStorage(disk));
    let file = folder.path().join("media").join(&NAME[..2]).join(NAME);

    add(&failing).await.unwrap_err();
    assert!(file.exists(), "it was kept");
    let later = clock.now() + 1.minutes();
    failing.remove_expired(later).await.unwrap();
    assert!(!file.exists(), "nothing names it");

    let media = open().await;
    add(&failing).await.unwrap_err();
    add(&media).await.unwrap();
    assert_eq!(
        store.media().find_media_leftovers(10).await.unwrap(),
        Vec::<String>::new()
    );
    media.remove_expired(later).await.unwrap();
    assert!(file.exists(), "it came again, and that was noted");
}
