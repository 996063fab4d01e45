//! Looks into the saved state of a session without changing it.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

/// What is at the place where a session's state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionFile {
    /// Nothing.
    Absent,
    /// The state of a session whose QR was never scanned.
    NeverPaired,
    /// The keys of a linked device.
    Paired,
    /// Something else, or something broken; it must be left as it is. The text says what is wrong, for the operator.
    Unusable(String),
    /// It cannot be read now, which may pass: locked, no file descriptors, no permission. The text says why.
    Unreadable(String),
}

/// How long to wait for whoever has the file locked.
const BUSY: std::time::Duration = std::time::Duration::from_secs(1);

/// SQLite's codes for a file that is broken or none of its own, and for a question that a table of the right name does not answer.
/// Every other code is about the moment, not about the file.
const BROKEN: [i32; 3] = [11, 26, 1];

/// Inspects the file without writing to it.
pub async fn inspect(path: &Path) -> SessionFile {
    match tokio::fs::metadata(path).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return SessionFile::Absent,
        Err(error) => return SessionFile::Unreadable(format!("its file cannot be read now: {error}")),
        Ok(found) if !found.is_file() => return SessionFile::Unusable("what is in its place is not a file".to_owned()),
        // The engine makes an empty file first; a crash right then leaves it behind.
        Ok(found) if found.len() == 0 => return SessionFile::NeverPaired,
        Ok(_) => {}
    }
    match look(path).await {
        Ok(found) => found,
        Err(error) if is_broken(&error) => SessionFile::Unusable(format!("its file is damaged or no session: {error}")),
        Err(error) => SessionFile::Unreadable(format!("its file cannot be read now: {error}")),
    }
}

fn is_broken(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return matches!(error, sqlx::Error::ColumnDecode { .. }) };
    // The low byte is the code, the others say more of it.
    let code = error.code().and_then(|code| code.parse::<i32>().ok());
    code.is_some_and(|code| BROKEN.contains(&(code & 0xff)))
}

async fn look(path: &Path) -> Result<SessionFile, sqlx::Error> {
    // `immutable` keeps SQLite from making lock files beside a file that may be anybody's. It must not be used when there is a
    // write-ahead log, whose content would be missed.
    let has_log = tokio::fs::try_exists(path.with_extension("db-wal")).await.unwrap_or(true);
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .immutable(!has_log)
        .busy_timeout(BUSY)
        .disable_statement_logging()
        .connect()
        .await?;
    let found = examine(&mut connection).await;
    connection.close().await?;
    found
}

async fn examine(connection: &mut SqliteConnection) -> Result<SessionFile, sqlx::Error> {
    let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut *connection).await?;
    if verdict != "ok" {
        return Ok(SessionFile::Unusable(format!("its file is damaged: {verdict}")));
    }
    let tables: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('device', 'identities')",
    )
    .fetch_one(&mut *connection)
    .await?;
    match tables {
        2 => {}
        // A crash before the first table was made.
        0 if is_empty(connection).await? => return Ok(SessionFile::NeverPaired),
        _ => return Ok(SessionFile::Unusable("its file is a database, but not that of a session".to_owned())),
    }
    // Pairing writes the account's number; before that it is an empty text.
    let paired: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM device WHERE pn <> '')").fetch_one(connection).await?;
    Ok(if paired { SessionFile::Paired } else { SessionFile::NeverPaired })
}

async fn is_empty(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let objects: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(connection).await?;
    Ok(objects == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn make(path: &Path, sql: &[&'static str]) {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        for statement in sql {
            sqlx::query(*statement).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    }

    const TABLES: [&str; 2] =
        ["CREATE TABLE identities (a TEXT)", "CREATE TABLE device (id INTEGER, pn TEXT NOT NULL)"];

    #[tokio::test]
    async fn files_are_told_apart_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        make(&path("paired.db"), &[TABLES[0], TABLES[1], "INSERT INTO device VALUES (1, '1@s.whatsapp.net')"]).await;
        make(&path("unpaired.db"), &[TABLES[0], TABLES[1], "INSERT INTO device VALUES (1, '')"]).await;
        make(&path("foreign.db"), &["CREATE TABLE recipes (name TEXT)"]).await;
        std::fs::write(path("empty.db"), b"").unwrap();
        std::fs::write(path("text.db"), b"dear diary, ".repeat(1000)).unwrap();
        let mut torn = std::fs::read(path("paired.db")).unwrap();
        torn[4096..].fill(0xaa);
        std::fs::write(path("torn.db"), &torn).unwrap();

        let before: Vec<_> = listing(folder.path());
        assert_eq!(inspect(&path("nothing.db")).await, SessionFile::Absent);
        assert_eq!(inspect(&path("empty.db")).await, SessionFile::NeverPaired);
        assert_eq!(inspect(&path("unpaired.db")).await, SessionFile::NeverPaired);
        assert_eq!(inspect(&path("paired.db")).await, SessionFile::Paired);
        for name in ["foreign.db", "text.db", "torn.db", "."] {
            let found = inspect(&path(name)).await;
            assert!(matches!(found, SessionFile::Unusable(_)), "{name} is {found:?}");
        }
        assert_eq!(listing(folder.path()), before, "inspecting changed something");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_now_is_not_called_broken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("busy.db");
        let paired = "INSERT INTO device VALUES (1, '1@s.whatsapp.net')";
        make(&path, &[TABLES[0], TABLES[1], paired]).await;
        // Somebody else has it for themselves.
        let options =
            SqliteConnectOptions::new().filename(&path).locking_mode(sqlx::sqlite::SqliteLockingMode::Exclusive);
        let mut other = options.journal_mode(sqlx::sqlite::SqliteJournalMode::Wal).connect().await.unwrap();
        sqlx::query("UPDATE device SET id = 2").execute(&mut other).await.unwrap();
        let found = inspect(&path).await;
        assert!(matches!(found, SessionFile::Unreadable(_)), "{found:?}");
        other.close().await.unwrap();
        assert_eq!(inspect(&path).await, SessionFile::Paired);
        // Neither is a folder that does not exist any more, or a link that leads in a circle.
        let circle = folder.path().join("circle.db");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        let found = inspect(&circle).await;
        assert!(matches!(found, SessionFile::Unreadable(_)), "{found:?}");
    }

    fn listing(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect();
        files.sort();
        files
    }
}
