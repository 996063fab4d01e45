//! Tests of connections: what is left in the middle does not reach the next one who uses them.

use std::future::Future;
use std::task::{Context, Waker};

use super::*;

/// A pool of one connection to a database with a table that has a row.
async fn pool() -> (Pool, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = LiteFile::new(folder.path().join("a.db"))
        .create()
        .with_log();
    let mut connection = file.connect().await.unwrap();
    let sql = "CREATE TABLE a (b INTEGER, c TEXT, d BLOB); INSERT INTO a VALUES (1, 'x', x'00')";
    connection.execute(sql).await.unwrap();
    connection.close().await.unwrap();
    (file.pool(1), folder)
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
    let (pool, _folder) = pool().await;
    let mut connection = pool.acquire().await.unwrap();
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

#[tokio::test]
async fn values_are_the_same_after_a_way_through_the_database() {
    let (pool, _folder) = pool().await;
    let mut connection = pool.acquire().await.unwrap();
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
