//! Cleanup of the history, in small steps.

use jiff::Timestamp;

use super::batch::rows_to_json;
use super::words;
use crate::store::db::{self, Connection};
use crate::store::writer::PlainChange;
use crate::store::{HistoryStore, Life, StoreError};

/// Of these lives, as a JSON list.
const HIDE_LIVES: [&str; 2] = [
    "UPDATE history_chats SET session = -1, id = place WHERE session IN (SELECT value FROM json_each($1))",
    "DELETE FROM history_contacts WHERE session IN (SELECT value FROM json_each($1))",
];
/// Events that are not read yet would bring them back.
const IGNORE_EVENTS: &str = "INSERT INTO history_forgotten (session, seq) \
     SELECT value, newest.seq FROM json_each($1), \
     (SELECT seq FROM sqlite_sequence WHERE name = 'events') AS newest WHERE newest.seq > (SELECT seq FROM history_progress) \
     ON CONFLICT (session) DO UPDATE SET seq = max(history_forgotten.seq, excluded.seq)";
const FORGET_ALL: &[&str] = &[
    "UPDATE history_chats SET session = -1, id = place WHERE session <> -1",
    "DELETE FROM history_contacts",
    "DELETE FROM history_forgotten",
    // What the log still has of deleted messages and sessions must not come back.
    "UPDATE history_progress SET seq = newest.seq FROM (SELECT seq FROM sqlite_sequence WHERE name = 'events') AS newest \
     WHERE newest.seq > history_progress.seq",
];
/// Of forgotten sessions.
const REMOVE_EMPTY_CHATS: &[&str] = &["DELETE FROM history_chats WHERE session = -1 \
     AND NOT EXISTS (SELECT 1 FROM history_messages WHERE chat = history_chats.place)"];

impl HistoryStore<'_> {
    /// Removes up to `limit` messages written before a time, the oldest first; returns the number
    /// removed.
    pub async fn remove_before(self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let sql = "SELECT place FROM history_messages WHERE at < $1 ORDER BY at LIMIT $2";
        let query = db::query_scalar(sql)
            .bind(before.as_millisecond())
            .bind(limit);
        let row_ids = query.fetch_all(&self.store.background).await?;
        self.remove(row_ids, before.as_millisecond()).await
    }

    /// Forgets lives of sessions: from now on their data is unreachable, and their events so far are
    /// ignored. Their messages are removed by [`Self::remove_forgotten`].
    pub async fn forget_lives(self, lives: &[Life]) -> Result<(), StoreError> {
        let lives = lives.to_vec();
        self.store.writer.apply_plain(ForgetLives { lives }).await
    }

    /// Forgets everything. If the history is recorded again, it begins with the events after this one.
    pub async fn forget_all(self) -> Result<(), StoreError> {
        self.run(FORGET_ALL).await
    }

    /// Removes up to `limit` messages of forgotten sessions; returns the number removed.
    pub async fn remove_forgotten(self, limit: u32) -> Result<u64, StoreError> {
        let sql = "SELECT m.place FROM history_chats c JOIN history_messages m ON m.chat = c.place WHERE c.session = -1 LIMIT $1";
        let row_ids: Vec<i64> = db::query_scalar(sql)
            .bind(limit)
            .fetch_all(&self.store.background)
            .await?;
        if !row_ids.is_empty() {
            return self.remove(row_ids, i64::MIN).await;
        }
        let sql = "SELECT EXISTS (SELECT 1 FROM history_chats WHERE session = -1)";
        let query = db::query_scalar(sql);
        if query.fetch_one(&self.store.background).await? {
            self.run(REMOVE_EMPTY_CHATS).await?;
        }
        Ok(0)
    }

    async fn remove(self, row_ids: Vec<i64>, written_before: i64) -> Result<u64, StoreError> {
        if row_ids.is_empty() {
            return Ok(0);
        }
        let change = RemoveMessages {
            row_ids,
            written_before,
        };
        self.store.writer.apply_plain(change).await
    }

    async fn run(self, statements: &'static [&'static str]) -> Result<(), StoreError> {
        let change = HistoryStatements { statements };
        self.store.writer.apply_plain(change).await
    }
}

/// Makes a chat unreachable, for its messages to be removed in small steps: no life has the number
/// -1, and row ids are never reused.
pub(super) async fn abandon(connection: &mut Connection, row_id: i64) -> Result<(), db::Error> {
    let sql = "UPDATE history_chats SET session = -1, id = place WHERE place = $1";
    db::query(sql)
        .bind(row_id)
        .execute(connection)
        .await
        .map(drop)
}

/// Makes the data of lives unreachable, for their messages to be removed in small steps.
pub(in crate::store) async fn hide_lives(
    connection: &mut Connection,
    lives: &[Life],
) -> Result<(), db::Error> {
    let lives = rows_to_json(lives.iter().map(Life::id));
    for sql in HIDE_LIVES {
        let query = db::query(sql).bind(&lives);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

struct ForgetLives {
    lives: Vec<Life>,
}

impl PlainChange for ForgetLives {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        hide_lives(connection, &self.lives).await?;
        let lives = rows_to_json(self.lives.iter().map(Life::id));
        let query = db::query(IGNORE_EVENTS).bind(lives);
        query.execute(connection).await.map(drop)
    }
}

/// Statements about all of the history.
struct HistoryStatements {
    statements: &'static [&'static str],
}

impl PlainChange for HistoryStatements {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        for sql in self.statements {
            db::query(*sql).execute(&mut *connection).await?;
        }
        Ok(())
    }
}

/// Removes those of these messages that were written before a time, or whose chat is forgotten: others
/// may have been given their row ids meanwhile.
struct RemoveMessages {
    row_ids: Vec<i64>,
    written_before: i64,
}

impl PlainChange for RemoveMessages {
    type Answer = u64;

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<u64, db::Error> {
        let sql = "SELECT m.place FROM json_each($1) v JOIN history_messages m ON m.place = v.value \
                   WHERE m.at < $2 OR m.chat IN (SELECT place FROM history_chats WHERE session = -1)";
        let query = db::query_scalar(sql)
            .bind(rows_to_json(&self.row_ids))
            .bind(self.written_before);
        let row_ids: Vec<i64> = query.fetch_all(&mut *connection).await?;
        let numbers = rows_to_json(&row_ids);
        for sql in [
            "DELETE FROM history_reactions WHERE message IN (SELECT value FROM json_each($1))",
            "DELETE FROM history_messages WHERE place IN (SELECT value FROM json_each($1))",
        ] {
            let query = db::query(sql).bind(&numbers);
            query.execute(&mut *connection).await?;
        }
        words::remove(connection, &row_ids).await?;
        Ok(row_ids.len() as u64)
    }
}
