//! Conversion of the database that an earlier version kept for each session.

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteLockingMode};
use sqlx::{ConnectOptions, Connection};
use whatsapp_rust::store::SqliteStore;

use super::*;

/// Makes the database of a linked device that shares a key with Bob.
async fn make_earlier(folder: &Path) {
    let path = folder.join("shop.db");
    let earlier = SqliteStore::new(path.to_str().unwrap()).await.unwrap();
    let mut device = Device::new();
    device.pn = Some("375447034810:5@s.whatsapp.net".parse().unwrap());
    earlier.save(&device).await.unwrap();
    earlier.put_session("bob.0", b"old").await.unwrap();
}

async fn convert(folder: &Path, store: &Store) -> Result<bool> {
    let (life, file) = (store.device_life("shop"), folder.join("shop.session"));
    conversion::convert_database(&life, &file, store).await
}

/// Opens what a conversion has moved.
async fn open_converted(folder: &Path, store: &Store) -> EngineStore {
    assert!(convert(folder, store).await.unwrap(), "there is none");
    open(folder, store).await
}

async fn connect(folder: &Path, mode: SqliteLockingMode) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.join("shop.db"));
    options.locking_mode(mode).connect().await.unwrap()
}

async fn key_of_bob(device: &EngineStore) -> Option<Vec<u8>> {
    let key = device.get_session("bob.0").await.unwrap();
    key.map(|key| key.to_vec())
}

#[tokio::test]
async fn the_keys_of_an_earlier_version_are_moved() {
    let folder = tempfile::tempdir().unwrap();
    make_earlier(folder.path()).await;
    let store = open_store(folder.path()).await;
    let device = open_converted(folder.path(), &store).await;
    assert_eq!(key_of_bob(&device).await.as_deref(), Some(&b"old"[..]));
    assert!(folder.path().join("shop.session").exists());
}

#[tokio::test]
async fn a_database_that_cannot_be_read_now_is_no_new_device() {
    let folder = tempfile::tempdir().unwrap();
    make_earlier(folder.path()).await;
    let store = open_store(folder.path()).await;
    let mut other = connect(folder.path(), SqliteLockingMode::Exclusive).await;
    let lock = "BEGIN EXCLUSIVE";
    sqlx::query(lock).execute(&mut other).await.unwrap();
    assert!(!convert(folder.path(), &store).await.unwrap());
    assert!(try_open("shop", folder.path(), &store).await.is_err());
    assert!(!folder.path().join("shop.session").exists());
    other.close().await.unwrap();
    let device = open_converted(folder.path(), &store).await;
    assert!(key_of_bob(&device).await.is_some());
}

#[tokio::test]
async fn what_was_moved_before_is_not_taken_back_to_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    make_earlier(folder.path()).await;
    let store = open_store(folder.path()).await;
    let device = open_converted(folder.path(), &store).await;
    device.put_session("bob.0", b"new").await.unwrap();
    device.save_keys().await.unwrap();
    // The database could not be moved away, and somebody deletes the file.
    std::fs::remove_file(folder.path().join("shop.session")).unwrap();
    let again = open_converted(folder.path(), &store).await;
    assert_eq!(key_of_bob(&again).await.as_deref(), Some(&b"new"[..]));
}

#[tokio::test]
async fn a_secret_that_is_damaged_costs_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    make_earlier(folder.path()).await;
    let mut database = connect(folder.path(), SqliteLockingMode::Normal).await;
    for (id, length) in [("3EB0", 32), ("3EB1", 7)] {
        let sql = "INSERT INTO msg_secrets (chat, sender, msg_id, secret, expires_at, message_ts, device_id) \
                   VALUES ('1@lid', '1@lid', ?, zeroblob(?), 0, 7, 1)";
        let inserting = sqlx::query(sql).bind(id).bind(length);
        inserting.execute(&mut database).await.unwrap();
    }
    database.close().await.unwrap();
    let store = open_store(folder.path()).await;
    let device = open_converted(folder.path(), &store).await;
    let secrets = device.rows.list(RowKind::Secret, KeyRange::ALL).await;
    let keys: Vec<_> = secrets.unwrap().into_iter().map(|row| row.key).collect();
    assert_eq!(keys, ["1@lid\n1@lid\n3EB0"]);
    assert!(key_of_bob(&device).await.is_some());
}

#[tokio::test]
async fn a_database_of_another_device_than_the_file_is_refused_by_name() {
    let session = open_fixture().await;
    let folder = session._folder.path();
    make_earlier(folder).await;
    let refused = convert(folder, &session.store).await.unwrap_err();
    assert!(
        refused.to_string().contains("the files of two devices"),
        "{refused}"
    );
    let device = open(folder, &session.store).await;
    assert_eq!(key_of_bob(&device).await, None, "it has the other's keys");
}
