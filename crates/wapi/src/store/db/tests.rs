//! Tests of connections: what is left in the middle does not reach the next one who uses them.

use std::future::Future;
use std::task::{Context, Waker};

use super::*;

/// A pool of one connection to a database with a table that has a row.
async fn pool() -> (Pool, tempfile::TempDir) {
    let (file, folder) = file().await;
    (file.pool(1), folder)
}

/// A connection of each kind, to a database each.
async fn connections() -> Vec<(Connection, tempfile::TempDir)> {
    let (own, inline) = (file().await, file().await);
    vec![
        (own.0.connect().await.unwrap(), own.1),
        (inline.0.connect_inline().unwrap(), inline.1),
    ]
}

/// A database with a table that has a row.
async fn file() -> (LiteFile, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = LiteFile::new(folder.path().join("a.db"))
        .create()
        .with_log();
    let mut connection = file.connect().await.unwrap();
    let sql = "CREATE TABLE a (b INTEGER, c TEXT, d BLOB); INSERT INTO a VALUES (1, 'x', x'00')";
    connection.execute(sql).await.unwrap();
    connection.close().await.unwrap();
    (file, folder)
}

async fn count(connection: &mut Connection) -> i64 {
    let counted = query_scalar("SELECT count(*) FROM a").fetch_one(connection);
    counted.await.unwrap()
}

/// Lets a future begin, and drops it.
fn begin_and_drop(future: impl Future) {
    let mut future = Box::pin(future);
    let mut context = Context::from_waker(Waker::noop());
    drop(future.as_mut().poll(&mut context));
}

#[tokio::test]
async fn a_transaction_whose_beginning_nobody_waits_for_is_not_left_in_the_pool() {
    let (pool, _folder) = pool().await;
    for _ in 0..50 {
        let mut left = pool.acquire().await.unwrap();
        begin_and_drop(left.begin_reading());
        drop(left);
        let mut next = pool.acquire().await.unwrap();
        let mut reading = next.begin_reading().await.unwrap();
        assert_eq!(count(&mut reading).await, 1);
        reading.commit().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_not_committed_is_undone_by_the_next_statement() {
    for (mut connection, _folder) in connections().await {
        let mut writing = connection.begin().await.unwrap();
        let done = query("DELETE FROM a").execute(&mut *writing).await.unwrap();
        assert_eq!((done.rows_affected(), count(&mut writing).await), (1, 0));
        drop(writing);
        assert_eq!(count(&mut connection).await, 1);
        // The rollback of what has ended by itself is no error of the next statement.
        let mut writing = connection.begin().await.unwrap();
        writing.execute("ROLLBACK").await.unwrap();
        drop(writing);
        assert_eq!(count(&mut connection).await, 1);
        let writing = connection.begin().await.unwrap();
        writing.commit().await.unwrap();
    }
}

#[tokio::test]
async fn values_are_the_same_after_a_way_through_the_database() {
    for (mut connection, _folder) in connections().await {
        connection.execute("DELETE FROM a").await.unwrap();
        let mut sql = QueryBuilder::new("INSERT INTO a (b, c, d) ");
        let rows = [
            (Some(i64::MIN), Some("\0'?$1"), Some(vec![0, 255])),
            (Some(1), Some(""), Some(vec![])),
            (None, None, None),
        ];
        sql.push_values(&rows, |mut row, (number, text, bytes)| {
            row.push_bind(*number).push_bind(*text).push_bind(bytes);
        });
        sql.build().execute(&mut connection).await.unwrap();
        let sql = "SELECT b, c, d FROM a ORDER BY rowid";
        type Values = (Option<i64>, Option<String>, Option<Vec<u8>>);
        let found: Vec<Values> = query_as(sql).fetch_all(&mut connection).await.unwrap();
        let expected = rows.map(|(number, text, bytes)| (number, text.map(str::to_owned), bytes));
        assert_eq!(found, expected);
        // Numbers of values need not come in their order.
        let sql = "SELECT $2 || $1 || $2";
        let both = query_scalar::<String>(sql).bind("a").bind("b");
        assert_eq!(both.fetch_one(&mut connection).await.unwrap(), "bab");
        let first = query("SELECT b FROM a ORDER BY rowid").fetch_one(&mut connection);
        let first = first.await.unwrap();
        assert!(first.try_get::<u32, _>("b").is_err(), "it is too small");
        assert!(first.try_get::<&str, _>("b").is_err(), "it is no text");
        assert!(first.try_get::<i64, _>("z").is_err(), "there is none");
    }
}

#[tokio::test]
async fn a_damaged_text_costs_only_its_column() {
    for (mut connection, _folder) in connections().await {
        let sql = "SELECT b, CAST(x'61ff' AS TEXT) AS damaged FROM a";
        let row = query(sql).fetch_one(&mut connection).await.unwrap();
        assert_eq!(row.get::<i64, _>("b"), 1);
        assert!(row.try_get::<String, _>("damaged").is_err());
        assert!(row.try_get::<&str, _>("damaged").is_err());
        assert_eq!(row.get::<Vec<u8>, _>("damaged"), [0x61, 0xff]);
    }
}

#[tokio::test]
async fn each_kind_of_connection_says_the_same_of_a_statement() {
    let mut said = Vec::new();
    for (mut connection, _folder) in connections().await {
        let mut words = Vec::new();
        for sql in [
            "CREATE TABLE u (k INTEGER PRIMARY KEY, w TEXT UNIQUE NOT NULL, p INTEGER REFERENCES u)",
            "INSERT INTO u VALUES (1, 'x', NULL), (2, 'y', 1)",
            "INSERT INTO u VALUES (3, 'z', NULL), (4, 'x', NULL)",
            "INSERT INTO u VALUES (3, NULL, NULL)",
            "INSERT INTO u VALUES (3, 'z', 9)",
            "INSERT INTO u VALUES (1, 'z', NULL)",
            "INSERT OR IGNORE INTO u VALUES (1, 'z', NULL)",
            "INSERT INTO u VALUES (5, 'v', NULL), (6, 'w', NULL) RETURNING k",
            "UPDATE u SET w = w || '!'",
            "UPDATE u SET w = 'x' WHERE k = 77",
            "SELECT * FROM u",
            "DELETE FROM u WHERE k = 5",
            "SELECT * FROM missing",
            "SELEC",
            "BEGIN IMMEDIATE",
            "BEGIN",
            "COMMIT",
            "COMMIT",
        ] {
            words.push(match query(sql).execute(&mut connection).await {
                Ok(done) => format!("{sql}: {}", done.rows_affected()),
                Err(Error::Database(error)) => {
                    format!("{sql}: {:?} {}", error.code(), error.message())
                }
                Err(other) => panic!("{sql}: {other}"),
            });
        }
        for sql in ["SELECT k FROM u ORDER BY k", "DELETE FROM u RETURNING k"] {
            let first = query_scalar::<i64>(sql)
                .fetch_optional(&mut connection)
                .await;
            let left = query_scalar::<i64>("SELECT count(*) FROM u").fetch_one(&mut connection);
            words.push(format!(
                "{sql}: {:?}, {}",
                first.unwrap(),
                left.await.unwrap()
            ));
        }
        said.push(words);
    }
    assert_eq!(said[0], said[1]);
}

#[tokio::test]
async fn each_kind_of_connection_has_the_settings_of_the_file() {
    let (file, _folder) = file().await;
    let file = file
        .with_references(false)
        .patient(std::time::Duration::from_millis(1_234))
        .with("cache_size", "-4321")
        .with("wal_autocheckpoint", "77");
    let mut settings = Vec::new();
    for mut connection in [
        file.connect().await.unwrap(),
        file.connect_inline().unwrap(),
    ] {
        let mut found = Vec::new();
        for name in [
            "synchronous",
            "foreign_keys",
            "busy_timeout",
            "cache_size",
            "wal_autocheckpoint",
            "mmap_size",
            "temp_store",
            "locking_mode",
            "journal_mode",
            "recursive_triggers",
            "trusted_schema",
            "secure_delete",
        ] {
            let sql = format!("PRAGMA {name}");
            let row = query(sql).fetch_one(&mut connection).await.unwrap();
            let number = row
                .try_get::<i64, _>(0usize)
                .map(|number| number.to_string());
            found.push((
                name,
                number
                    .or_else(|_| row.try_get::<String, _>(0usize))
                    .unwrap(),
            ));
        }
        settings.push(found);
    }
    assert_eq!(settings[0], settings[1]);
}
