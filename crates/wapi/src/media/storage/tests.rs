//! The requirements for every storage backend.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::memory::InMemory;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use url::Url;

use super::*;
use crate::config::S3Config;
use crate::model::ids::to_hex;
use crate::system::clock::Clock;

const NAME: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// An S3 server on a free loopback port, which ends with the test.
struct S3Server {
    _child: Child,
    endpoint: Url,
}

impl S3Server {
    /// Starts a server with the bucket `files`. Returns `None`, and reports it, if moto, which
    /// `scripts/test` installs, is missing.
    async fn start() -> Option<Self> {
        let Some(program) = std::env::var_os("WAPI_TESTS_MOTO") else {
            let why = "WAPI_TESTS_MOTO does not name the program moto_server";
            assert!(
                std::env::var_os("WAPI_TESTS_SKIP_NOTHING").is_none(),
                "{why}"
            );
            eprintln!("skipped: {why}");
            return None;
        };
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = Command::new(program);
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let endpoint = Url::parse(&format!("http://127.0.0.1:{port}")).unwrap();
        let (clock, http) = (Clock::system(), reqwest::Client::new());
        let made = async {
            while http
                .put(endpoint.join("files").unwrap())
                .send()
                .await
                .is_err()
            {
                clock.sleep(Duration::from_millis(50)).await;
            }
        };
        clock
            .timeout(Duration::from_secs(60), made)
            .await
            .expect("moto starts");
        Some(Self {
            _child: child,
            endpoint,
        })
    }
}

fn s3(endpoint: &Url) -> BucketStorage {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let at = S3Config {
        bucket: "files".to_owned(),
        prefix: "of/wapi".to_owned(),
        endpoint: Some(endpoint.clone()),
        region: "us-east-1".to_owned(),
        access_key_id: "key".to_owned(),
        secret_access_key: "secret".to_owned().into(),
    };
    BucketStorage::from_s3(&at).unwrap()
}

async fn spooled(spool: &SpoolFolder, bytes: &[u8]) -> SpooledFile {
    let spooled = spool.reserve_file();
    fs::write(spooled.path(), bytes).await.unwrap();
    spooled
}

async fn read(storage: &dyn Storage, name: &str, range: Range<u64>) -> io::Result<Vec<u8>> {
    let pieces: Vec<Bytes> = storage.read_range(name, range).await?.try_collect().await?;
    Ok(pieces.concat())
}

async fn local(storage: &dyn Storage, spool: &SpoolFolder, name: &str) -> io::Result<Vec<u8>> {
    match storage.open_local(name, spool.reserve_file()).await? {
        LocalFile::Stored(path) => fs::read(path).await,
        LocalFile::Copy(copy) => fs::read(copy.path()).await,
    }
}

/// All storage backends, by name.
async fn all(folder: &TempDir) -> (Vec<(&'static str, Box<dyn Storage>)>, Option<S3Server>) {
    let disk = DiskStorage::open(&folder.path().join("disk"))
        .await
        .unwrap();
    let mut all: Vec<(_, Box<dyn Storage>)> = vec![
        ("disk", Box::new(disk)),
        (
            "memory",
            Box::new(BucketStorage::new(Arc::new(InMemory::new()), "a/b")),
        ),
    ];
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = S3Server::start().await;
    if let Some(server) = &server {
        all.push(("s3", Box::new(s3(&server.endpoint))));
    }
    (all, server)
}

#[tokio::test]
async fn a_file_is_kept_once_read_in_parts_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let incoming = folder.path().join("incoming");
    let spool = SpoolFolder::open(&incoming).await.unwrap();
    let (all, _server) = all(&folder).await;
    // More than two parts, and not a whole number of them.
    let large: Vec<u8> = (0..11 * 1024 * 1024 + 5).map(|at| (at / 7) as u8).collect();
    for (which, storage) in all {
        let storage = storage.as_ref();
        for _ in 0..2 {
            storage
                .store_file(&spooled(&spool, b"hello").await, NAME)
                .await
                .unwrap();
        }
        assert_eq!(
            read(storage, NAME, 0..5).await.unwrap(),
            b"hello",
            "{which}"
        );
        assert_eq!(read(storage, NAME, 1..3).await.unwrap(), b"el", "{which}");
        assert_eq!(
            local(storage, &spool, NAME).await.unwrap(),
            b"hello",
            "{which}"
        );
        storage.remove_file(NAME).await.unwrap();
        storage.remove_file(NAME).await.unwrap();
        let gone = [
            read(storage, NAME, 0..5).await,
            read(storage, NAME, 0..0).await,
            local(storage, &spool, NAME).await,
        ];
        for gone in gone {
            assert_eq!(gone.unwrap_err().kind(), io::ErrorKind::NotFound, "{which}");
        }

        let (empty, name) = ("0".repeat(64), to_hex(&[7; 32]));
        storage
            .store_file(&spooled(&spool, b"").await, &empty)
            .await
            .unwrap();
        assert_eq!(read(storage, &empty, 0..0).await.unwrap(), b"", "{which}");
        storage
            .store_file(&spooled(&spool, &large).await, &name)
            .await
            .unwrap();
        assert!(
            read(storage, &name, 0..large.len() as u64).await.unwrap() == large,
            "{which}"
        );
        let middle = 5 * 1024 * 1024 - 3..6 * 1024 * 1024;
        let part = read(storage, &name, middle.clone()).await.unwrap();
        assert!(
            part == large[middle.start as usize..middle.end as usize],
            "{which}"
        );
        assert!(
            local(storage, &spool, &name).await.unwrap() == large,
            "{which}"
        );
        assert_eq!(
            std::fs::read_dir(&incoming).unwrap().count(),
            0,
            "{which}: nothing is left behind"
        );
    }
}

#[tokio::test]
async fn no_name_leads_anywhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let spool = SpoolFolder::open(&folder.path().join("incoming"))
        .await
        .unwrap();
    for (which, storage) in all(&folder).await.0 {
        for name in ["", "..", "../../etc/passwd", &"é".repeat(32)] {
            assert!(
                storage
                    .store_file(&spooled(&spool, b"x").await, name)
                    .await
                    .is_err(),
                "{which}: {name}"
            );
            assert!(
                read(storage.as_ref(), name, 0..1).await.is_err(),
                "{which}: {name}"
            );
        }
    }
}

#[tokio::test]
async fn a_bucket_that_is_away_has_lost_nothing_and_says_so_soon() {
    let folder = tempfile::tempdir().unwrap();
    let spool = SpoolFolder::open(folder.path()).await.unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let away = s3(&Url::parse(&format!("http://127.0.0.1:{port}")).unwrap());
    let answers = async {
        let kept = away
            .store_file(&spooled(&spool, b"hello").await, NAME)
            .await
            .map(|()| Vec::new());
        for result in [
            kept,
            read(&away, NAME, 0..5).await,
            local(&away, &spool, NAME).await,
        ] {
            assert_ne!(result.unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    };
    Clock::system()
        .timeout(Duration::from_secs(45), answers)
        .await
        .expect("it is told soon");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_no_reason_to_give_a_file_up() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Some(server) = S3Server::start().await else {
        return;
    };
    reqwest::Client::new()
        .delete(server.endpoint.join("files").unwrap())
        .send()
        .await
        .unwrap();
    let bucket = s3(&server.endpoint);
    let error = read(&bucket, NAME, 0..5).await.unwrap_err();
    assert_ne!(error.kind(), io::ErrorKind::NotFound, "{error}");
}
