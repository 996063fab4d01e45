//! Cleanup of the history database, in small steps.

use jiff::Timestamp;
use sqlx::QueryBuilder;
use sqlx::sqlite::{Sqlite, SqliteConnection};

use super::{HistoryDb, StoreError};
use crate::store::Life;

/// Pages returned to the file system in one go.
const PAGES: u32 = 256;

impl HistoryDb {
    /// Removes up to `limit` messages written before a time, the oldest first; returns the number
    /// removed.
    pub async fn remove_before(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let sql = "SELECT place FROM messages WHERE at < $1 ORDER BY at LIMIT $2";
        let query = sqlx::query_scalar(sql)
            .bind(before.as_millisecond())
            .bind(limit);
        let row_ids: Vec<i64> = query.fetch_all(&self.readers).await?;
        self.remove(&row_ids).await
    }

    /// Forgets a session: from now on its data is unreachable, and its events up to `seq` are
    /// ignored. Its messages are removed by [`Self::remove_forgotten`].
    pub async fn forget_session(&self, session: &Life, seq: i64) -> Result<(), StoreError> {
        let mut open = self.begin().await?;
        let connection = open.connection();
        // No life has the number -1, and row ids are never reused.
        for sql in [
            "UPDATE chats SET session = -1, id = place WHERE session = $1",
            "DELETE FROM contacts WHERE session = $1",
        ] {
            sqlx::query(sql)
                .bind(session)
                .execute(&mut *connection)
                .await?;
        }
        let sql = "INSERT INTO forgotten (session, seq) SELECT $1, $2 WHERE $2 > (SELECT seq FROM progress) \
                   ON CONFLICT (session) DO UPDATE SET seq = max(forgotten.seq, excluded.seq)";
        sqlx::query(sql)
            .bind(session)
            .bind(seq)
            .execute(connection)
            .await?;
        Ok(open.commit().await?)
    }

    /// Removes up to `limit` messages of forgotten sessions; returns the number removed.
    pub async fn remove_forgotten(&self, limit: u32) -> Result<u64, StoreError> {
        let sql = "SELECT m.place FROM chats c JOIN messages m ON m.chat = c.place WHERE c.session = -1 LIMIT $1";
        let row_ids: Vec<i64> = sqlx::query_scalar(sql)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        if row_ids.is_empty() {
            let mut open = self.begin().await?;
            let sql = "DELETE FROM chats WHERE session = -1 \
                       AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.chat = chats.place)";
            sqlx::query(sql).execute(open.connection()).await?;
            open.commit().await?;
        }
        self.remove(&row_ids).await
    }

    /// Resets the progress so that all events are processed again, and returns the position to
    /// start from. Existing data stays as it is.
    pub async fn reset_progress(&self) -> Result<i64, StoreError> {
        let mut open = self.begin().await?;
        for sql in ["UPDATE progress SET seq = 0", "DELETE FROM forgotten"] {
            sqlx::query(sql).execute(open.connection()).await?;
        }
        open.commit().await?;
        Ok(0)
    }

    /// Returns some free pages to the file system.
    pub async fn shrink_file(&self) -> Result<(), StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("PRAGMA incremental_vacuum({PAGES})"));
        let mut writer = self.writer.lock().await;
        sqlx::query(sql).execute(&mut writer.connection).await?;
        Ok(())
    }

    async fn remove(&self, row_ids: &[i64]) -> Result<u64, StoreError> {
        if row_ids.is_empty() {
            return Ok(0);
        }
        let mut open = self.begin().await?;
        for sql in [
            "DELETE FROM words WHERE rowid IN (",
            "DELETE FROM reactions WHERE message IN (",
            "DELETE FROM messages WHERE place IN (",
        ] {
            delete(open.connection(), sql, row_ids).await?;
        }
        open.commit().await?;
        Ok(row_ids.len() as u64)
    }
}

/// Makes a chat unreachable, for its messages to be removed in small steps: no life has the number
/// -1, and row ids are never reused.
pub(crate) async fn abandon(
    connection: &mut SqliteConnection,
    row_id: i64,
) -> Result<(), sqlx::Error> {
    let sql = "UPDATE chats SET session = -1, id = place WHERE place = $1";
    sqlx::query(sql)
        .bind(row_id)
        .execute(connection)
        .await
        .map(drop)
}

async fn delete(
    connection: &mut SqliteConnection,
    sql: &str,
    row_ids: &[i64],
) -> Result<(), sqlx::Error> {
    let mut sql = QueryBuilder::<Sqlite>::new(sql);
    let mut list = sql.separated(", ");
    for row_id in row_ids {
        list.push_bind(*row_id);
    }
    sql.push(")").build().execute(connection).await.map(drop)
}
