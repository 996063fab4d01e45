//! Databases of sessions, as earlier versions kept them: inspection, read-only except for rolling
//! back a change that a crash interrupted.

use std::path::Path;

use super::row::RowKind;
use super::session_file::SessionFile;
use crate::model::masking;
use crate::store::StoreError;
use crate::store::db::{self, Connection, LiteFile, Row};

/// The time to wait while another process has locked the file.
const BUSY: std::time::Duration = std::time::Duration::from_secs(1);

/// SQLite's codes for a damaged or foreign file, and for a query that does not fit a table of the
/// right name. All other codes concern the moment, not the file.
const BROKEN: [i32; 3] = [11, 26, 1];

/// Inspects the file without writing to it. A change that a crash interrupted is rolled back first,
/// since SQLite cannot read the file before.
pub async fn inspect_file(path: &Path) -> SessionFile {
    match tokio::fs::metadata(path).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return SessionFile::Absent,
        Err(error) => {
            return SessionFile::Unreadable(format!("its file cannot be read now: {error}"));
        }
        Ok(found) if !found.is_file() => {
            return SessionFile::Unusable("its path is not a file".to_owned());
        }
        // The engine creates an empty file first; a crash right then leaves it behind.
        Ok(found) if found.len() == 0 => return SessionFile::NeverPaired,
        Ok(_) => {}
    }
    let is_half_done = has_content(&path.with_extension("db-journal")).await;
    match inspect_database(path, is_half_done).await {
        Ok(found) => found,
        Err(error) if is_broken(&error) => {
            SessionFile::Unusable(format!("its file is damaged or not a session: {error}"))
        }
        Err(error) if is_half_done => SessionFile::Unreadable(format!(
            "a crash left a change of its file half done, and undoing it failed ({error}): wapi must be allowed to write to {} and to \
             the -journal beside it, on a disk that has room",
            masking::mask_path(path)
        )),
        Err(error) => SessionFile::Unreadable(format!("its file cannot be read now: {error}")),
    }
}

/// Row of a device in the database of an earlier version.
pub struct OldRow {
    pub key: String,
    pub extra: i64,
    /// The time of a secret's message, in seconds; 0 for all other kinds.
    pub at: i64,
    pub value: Vec<u8>,
}

/// Reads the rows of a kind, with the keys that they have in the table. The values of some kinds are
/// in a form that only the engine reads: these are empty.
pub async fn read_rows(path: &Path, kind: RowKind) -> Result<Vec<OldRow>, StoreError> {
    let options = LiteFile::new(path).patient(BUSY);
    let mut connection = options.connect().await?;
    let rows = db::query(old_rows(kind)).fetch_all(&mut connection).await;
    connection.close().await?;
    let row = |row: &Row| -> Result<OldRow, db::Error> {
        Ok(OldRow {
            key: row.try_get("key")?,
            extra: row.try_get("extra")?,
            at: row.try_get("at")?,
            value: row.try_get("value")?,
        })
    };
    let rows = rows?.iter().map(row).collect::<Result<_, _>>();
    Ok(rows?)
}

const fn old_rows(kind: RowKind) -> &'static str {
    match kind {
        RowKind::Device => "SELECT '' AS key, 0 AS extra, 0 AS at, x'' AS value FROM device",
        RowKind::Identity => {
            "SELECT address AS key, 0 AS extra, 0 AS at, key AS value FROM identities"
        }
        RowKind::Session => {
            "SELECT address AS key, 0 AS extra, 0 AS at, record AS value FROM sessions"
        }
        RowKind::PreKey => {
            "SELECT printf('%08x', id) AS key, uploaded AS extra, 0 AS at, key AS value FROM prekeys"
        }
        RowKind::SignedPreKey => {
            "SELECT printf('%08x', id) AS key, 0 AS extra, 0 AS at, record AS value FROM signed_prekeys"
        }
        RowKind::SenderKey => {
            "SELECT address AS key, 0 AS extra, 0 AS at, record AS value FROM sender_keys"
        }
        RowKind::SyncKey => {
            "SELECT lower(hex(key_id)) AS key, 0 AS extra, 0 AS at, x'' AS value FROM app_state_keys"
        }
        RowKind::Version => {
            "SELECT name AS key, 0 AS extra, 0 AS at, x'' AS value FROM app_state_versions"
        }
        RowKind::Mac => {
            "SELECT name || char(10) || lower(hex(index_mac)) AS key, 0 AS extra, 0 AS at, \
             value_mac AS value FROM app_state_mutation_macs"
        }
        RowKind::SenderKeyDevice => {
            "SELECT group_jid || char(10) || device_jid AS key, has_key AS extra, 0 AS at, \
             x'' AS value FROM sender_key_devices"
        }
        RowKind::LidMapping => {
            "SELECT lid AS key, 0 AS extra, 0 AS at, x'' AS value FROM lid_pn_mapping"
        }
        RowKind::BaseKey => {
            "SELECT address || char(10) || message_id AS key, 0 AS extra, 0 AS at, \
             base_key AS value FROM base_keys"
        }
        RowKind::DeviceList => {
            "SELECT user_id AS key, 0 AS extra, 0 AS at, x'' AS value FROM device_registry"
        }
        RowKind::Group => {
            "SELECT group_jid AS key, 0 AS extra, 0 AS at, info AS value FROM group_metadata"
        }
        RowKind::TrustToken => {
            "SELECT jid AS key, 0 AS extra, 0 AS at, x'' AS value FROM tc_tokens"
        }
        RowKind::Secret => {
            "SELECT chat || char(10) || sender || char(10) || msg_id AS key, expires_at AS extra, \
             message_ts AS at, secret AS value FROM msg_secrets"
        }
    }
}

async fn has_content(path: &Path) -> bool {
    tokio::fs::metadata(path)
        .await
        .is_ok_and(|found| found.len() > 0)
}

fn is_broken(error: &db::Error) -> bool {
    let db::Error::Database(error) = error else {
        return matches!(error, db::Error::ColumnDecode { .. });
    };
    // The low byte is the code; the other bytes specify it.
    let code = error.code().and_then(|code| code.parse::<i32>().ok());
    code.is_some_and(|code| BROKEN.contains(&(code & 0xff)))
}

async fn inspect_database(path: &Path, is_half_done: bool) -> Result<SessionFile, db::Error> {
    // `immutable` keeps SQLite from creating lock files beside a file that may be foreign. It must
    // not be used when there is a write-ahead log, since its content would be missed.
    let has_log = tokio::fs::try_exists(path.with_extension("db-wal"))
        .await
        .unwrap_or(true);
    let mut file = LiteFile::new(path).patient(BUSY);
    if !is_half_done {
        file = file.read_only();
        if !has_log {
            file = file.immutable();
        }
    }
    let mut connection = file.connect().await?;
    let found = examine_tables(&mut connection).await;
    connection.close().await?;
    found
}

async fn examine_tables(connection: &mut Connection) -> Result<SessionFile, db::Error> {
    let result: String = db::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(&mut *connection)
        .await?;
    if result != "ok" {
        return Ok(SessionFile::Unusable(format!(
            "its file is damaged: {result}"
        )));
    }
    let tables: i64 = db::query_scalar(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('device', 'identities')",
    )
    .fetch_one(&mut *connection)
    .await?;
    match tables {
        2 => {}
        // A crash before the first table was created.
        0 if is_empty(connection).await? => return Ok(SessionFile::NeverPaired),
        _ => {
            return Ok(SessionFile::Unusable(
                "its file is a database, but not that of a session".to_owned(),
            ));
        }
    }
    // Pairing writes the account's number; before that it is an empty text.
    let paired: bool = db::query_scalar("SELECT EXISTS (SELECT 1 FROM device WHERE pn <> '')")
        .fetch_one(connection)
        .await?;
    Ok(if paired {
        SessionFile::Paired
    } else {
        SessionFile::NeverPaired
    })
}

async fn is_empty(connection: &mut Connection) -> Result<bool, db::Error> {
    let objects: i64 = db::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(connection)
        .await?;
    Ok(objects == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn make(path: &Path, sql: &[&'static str]) {
        let options = LiteFile::new(path).create();
        let mut connection = options.connect().await.unwrap();
        for statement in sql {
            db::query(*statement)
                .execute(&mut connection)
                .await
                .unwrap();
        }
        connection.close().await.unwrap();
    }

    const TABLES: [&str; 2] = [
        "CREATE TABLE identities (a TEXT)",
        "CREATE TABLE device (id INTEGER, pn TEXT NOT NULL)",
    ];

    #[tokio::test]
    async fn files_are_told_apart_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        make(
            &path("paired.db"),
            &[
                TABLES[0],
                TABLES[1],
                "INSERT INTO device VALUES (1, '1@s.whatsapp.net')",
            ],
        )
        .await;
        make(
            &path("unpaired.db"),
            &[TABLES[0], TABLES[1], "INSERT INTO device VALUES (1, '')"],
        )
        .await;
        make(&path("foreign.db"), &["CREATE TABLE recipes (name TEXT)"]).await;
        std::fs::write(path("empty.db"), b"").unwrap();
        std::fs::write(path("text.db"), b"dear diary, ".repeat(1000)).unwrap();
        let mut torn = std::fs::read(path("paired.db")).unwrap();
        torn[4096..].fill(0xaa);
        std::fs::write(path("torn.db"), &torn).unwrap();

        let before: Vec<_> = listing(folder.path());
        assert_eq!(inspect_file(&path("nothing.db")).await, SessionFile::Absent);
        assert_eq!(
            inspect_file(&path("empty.db")).await,
            SessionFile::NeverPaired
        );
        assert_eq!(
            inspect_file(&path("unpaired.db")).await,
            SessionFile::NeverPaired
        );
        assert_eq!(inspect_file(&path("paired.db")).await, SessionFile::Paired);
        for name in ["foreign.db", "text.db", "torn.db", "."] {
            let found = inspect_file(&path(name)).await;
            assert!(
                matches!(found, SessionFile::Unusable(_)),
                "{name} is {found:?}"
            );
        }
        assert_eq!(
            listing(folder.path()),
            before,
            "inspecting changed something"
        );
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_now_is_not_called_broken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("busy.db");
        let paired = "INSERT INTO device VALUES (1, '1@s.whatsapp.net')";
        make(&path, &[TABLES[0], TABLES[1], paired]).await;
        // Another process has locked the file.
        let options = LiteFile::new(&path).exclusive();
        let mut other = options.with_log().connect().await.unwrap();
        db::query("UPDATE device SET id = 2")
            .execute(&mut other)
            .await
            .unwrap();
        let found = inspect_file(&path).await;
        assert!(matches!(found, SessionFile::Unreadable(_)), "{found:?}");
        other.close().await.unwrap();
        assert_eq!(inspect_file(&path).await, SessionFile::Paired);
        // Nor is a folder that no longer exists, or a circular link.
        let circle = folder.path().join("circle.db");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        let found = inspect_file(&circle).await;
        assert!(matches!(found, SessionFile::Unreadable(_)), "{found:?}");
    }

    /// Returns a copy of a session's file as a crash leaves it in the middle of its first change,
    /// before there is a log.
    async fn half_done(folder: &Path) -> std::path::PathBuf {
        let (made, left) = (folder.join("made.db"), folder.join("left.db"));
        make(
            &made,
            &[TABLES[0], TABLES[1], "INSERT INTO device VALUES (1, '')"],
        )
        .await;
        let options = LiteFile::new(&made)
            .with("cache_size", "1")
            .with("cache_spill", "1");
        let mut connection = options.connect().await.unwrap();
        db::query("BEGIN").execute(&mut connection).await.unwrap();
        // More than the cache holds, so that some of it is in the file.
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
                    INSERT INTO identities SELECT hex(zeroblob(500)) FROM n";
        db::query(fill).execute(&mut connection).await.unwrap();
        db::query("UPDATE device SET pn = 'half'")
            .execute(&mut connection)
            .await
            .unwrap();
        for suffix in ["db", "db-journal"] {
            std::fs::copy(made.with_extension(suffix), left.with_extension(suffix)).unwrap();
        }
        assert!(
            has_content(&left.with_extension("db-journal")).await,
            "nothing is half done"
        );
        left
    }

    #[tokio::test]
    async fn a_change_that_a_crash_left_half_done_is_undone() {
        let folder = tempfile::tempdir().unwrap();
        let left = half_done(folder.path()).await;
        assert_eq!(inspect_file(&left).await, SessionFile::NeverPaired);
        assert!(!has_content(&left.with_extension("db-journal")).await);
    }

    #[tokio::test]
    async fn what_cannot_be_undone_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let left = half_done(folder.path()).await;
        // Another process has it open, so writing is impossible.
        let options = LiteFile::new(&left).exclusive();
        let mut other = options.connect().await.unwrap();
        std::fs::copy(
            left.with_extension("db-journal"),
            folder.path().join("copy"),
        )
        .unwrap();
        db::query("UPDATE device SET id = 2")
            .execute(&mut other)
            .await
            .unwrap();
        std::fs::copy(
            folder.path().join("copy"),
            left.with_extension("db-journal"),
        )
        .unwrap();
        let SessionFile::Unreadable(why) = inspect_file(&left).await else {
            panic!("it is readable")
        };
        assert!(why.contains("wapi must be allowed to write to"), "{why}");
    }

    fn listing(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files
            .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
            .collect();
        files.sort();
        files
    }
}
