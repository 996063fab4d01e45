//! Keys of devices in data folders: those of other times, and as earlier versions had them.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Row};
use whatsapp_rust::store::SqliteStore;
use whatsapp_rust::wacore::store::Device;
use whatsapp_rust::wacore::store::traits::{AppSyncStore, DeviceStore, SignalStore};

/// Moves what a session's file and the database have of its device into a database of its own, where versions before the table of
/// keys had it. What the engine learns again does not come along.
pub async fn leave_as_earlier(root: &Path, name: &str) {
    let file = root.join(format!("sessions/{name}.session"));
    let head = std::fs::read_to_string(&file).unwrap();
    let head: serde_json::Value = serde_json::from_str(head.lines().nth(1).unwrap()).unwrap();
    let life = head["life"].as_i64().unwrap();
    let options = SqliteConnectOptions::new().filename(root.join("wapi.db"));
    let mut database = options.connect().await.unwrap();
    let earlier = SqliteStore::new(file.with_extension("db").to_str().unwrap())
        .await
        .unwrap();
    for (_, _, value) in rows(&mut database, life, 1).await {
        let device: Device = serde_json::from_slice(&value).unwrap();
        earlier.save(&device).await.unwrap();
    }
    for (address, _, key) in rows(&mut database, life, 2).await {
        let key = key.try_into().unwrap();
        earlier.put_identity(&address, key).await.unwrap();
    }
    for (address, _, session) in rows(&mut database, life, 3).await {
        earlier.put_session(&address, &session).await.unwrap();
    }
    for (id, uploaded, key) in rows(&mut database, life, 4).await {
        let id = u32::from_str_radix(&id, 16).unwrap();
        earlier.store_prekey(id, &key, uploaded == 1).await.unwrap();
    }
    for (name, _, key) in rows(&mut database, life, 6).await {
        earlier.put_sender_key(&name, &key).await.unwrap();
    }
    for (id, _, key) in rows(&mut database, life, 7).await {
        let byte = |at: usize| u8::from_str_radix(&id[at..at + 2], 16).unwrap();
        let id: Vec<u8> = (0..id.len()).step_by(2).map(byte).collect();
        let key = serde_json::from_slice(&key).unwrap();
        earlier.set_sync_key(&id, key).await.unwrap();
    }
    let gone = sqlx::query("DELETE FROM engine WHERE session = ?").bind(life);
    gone.execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    std::fs::remove_file(file).unwrap();
}

/// The keys, numbers, and values of rows of a kind.
async fn rows(
    database: &mut SqliteConnection,
    life: i64,
    kind: i64,
) -> Vec<(String, i64, Vec<u8>)> {
    let sql = "SELECT key, extra, value FROM engine WHERE session = ? AND kind = ?";
    let rows = sqlx::query(sql).bind(life).bind(kind);
    let rows = rows.fetch_all(database).await.unwrap();
    let row = |row: &sqlx::sqlite::SqliteRow| {
        let value: Vec<u8> = row.get("value");
        (row.get("key"), row.get("extra"), value[1..].to_vec())
    };
    rows.iter().map(row).collect()
}

/// Copies the database and its log.
pub fn copy_database(from: &Path, to: &Path) {
    for name in ["wapi.db", "wapi.db-wal", "wapi.db-shm"] {
        let (from, to) = (from.join(name), to.join(name));
        match from.exists() {
            true => drop(std::fs::copy(from, to).unwrap()),
            false if to.exists() => std::fs::remove_file(to).unwrap(),
            false => {}
        }
    }
}

/// Replaces the engine's rows in a database by those of another.
pub async fn take_keys(from: &Path, to: &Path) {
    let options = SqliteConnectOptions::new().filename(to.join("wapi.db"));
    let mut database = options.connect().await.unwrap();
    let attached =
        sqlx::query("ATTACH ? AS other").bind(from.join("wapi.db").display().to_string());
    attached.execute(&mut database).await.unwrap();
    for sql in [
        "DELETE FROM engine",
        "INSERT INTO engine SELECT * FROM other.engine",
    ] {
        sqlx::query(sql).execute(&mut database).await.unwrap();
    }
    database.close().await.unwrap();
}
