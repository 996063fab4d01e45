//! Brings the tables up to date, one numbered step after the other.

use anyhow::{Result, bail};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Executor};

/// The steps, oldest first. A step that was released is never changed; what it lacks is a new one.
const STEPS: [&str; 1] = [include_str!("../../../../migrations/sqlite/0001_start.sql")];

/// Runs the steps this database has not seen. Each is one transaction together with its number.
pub(super) async fn run(connection: &mut SqliteConnection) -> Result<()> {
    let done: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    let done = usize::try_from(done)?;
    if done > STEPS.len() {
        bail!(
            "a newer wapi wrote it (step {done}, and this program knows {}); use that program, or another data folder",
            STEPS.len()
        );
    }
    for (number, step) in (1..).zip(STEPS).skip(done) {
        let mut transaction = connection.begin().await?;
        transaction.execute(step).await?;
        // A pragma takes no parameters; the number is ours.
        transaction.execute(sqlx::AssertSqlSafe(format!("PRAGMA user_version = {number}"))).await?;
        transaction.commit().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::ConnectOptions;
    use sqlx::sqlite::SqliteConnectOptions;

    async fn memory() -> SqliteConnection {
        SqliteConnectOptions::new().in_memory(true).connect().await.unwrap()
    }

    #[tokio::test]
    async fn running_again_changes_nothing() {
        let mut connection = memory().await;
        run(&mut connection).await.unwrap();
        let sql = "INSERT INTO endpoints (id, url, created_at) VALUES ('a', 'b', 1)";
        connection.execute(sql).await.unwrap();
        run(&mut connection).await.unwrap();
        let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM endpoints").fetch_one(&mut connection).await.unwrap();
        assert_eq!(kept, 1);
    }

    #[tokio::test]
    async fn a_database_of_a_newer_program_is_refused() {
        let mut connection = memory().await;
        connection.execute("PRAGMA user_version = 99").await.unwrap();
        let refusal = run(&mut connection).await.unwrap_err().to_string();
        assert!(refusal.contains("a newer wapi wrote it"), "{refusal}");
    }
}
