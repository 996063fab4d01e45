//! Merge of two chats that turned out to be with one person: most of it in small changes, so that the
//! writer serves others between them.

use jiff::Timestamp;

use super::batch::rows_to_json;
use super::{contents, removal, tokenizer, words};
use crate::store::db::{self, Connection};
use crate::store::writer::PlainChange;
use crate::store::{HistoryStore, Life, StoreError};

/// Rows in one change.
const AT_ONCE: usize = 300;

impl HistoryStore<'_> {
    /// Moves the messages and reactions of the id `old` to the id `new`. Repeating it changes nothing, and
    /// [`merge`] does the rest.
    pub(super) async fn begin_merge(
        self,
        session: &Life,
        old: &str,
        new: &str,
    ) -> Result<(), StoreError> {
        let sql = "SELECT a.place, b.place FROM history_chats a JOIN history_chats b ON b.session = a.session \
                   WHERE a.session = $1 AND a.id = $2 AND b.id = $3";
        let query = db::query_as(sql).bind(session).bind(old).bind(new);
        let both: Option<(i64, i64)> = query.fetch_optional(&self.store.background).await?;
        if let Some((from, to)) = both {
            self.move_chat_messages(session, from, to).await?;
        }
        let sql = "SELECT m.place FROM history_chats c JOIN history_messages m ON m.chat = c.place \
                   WHERE c.session = $1 AND m.sender = $2";
        let query = db::query_scalar(sql).bind(session).bind(old);
        let written: Vec<i64> = query.fetch_all(&self.store.background).await?;
        let sql = "SELECT r.message FROM history_reactions r CROSS JOIN history_messages m ON m.place = r.message \
                   CROSS JOIN history_chats c ON c.place = m.chat WHERE r.person = $2 AND c.session = $1";
        let query = db::query_scalar(sql).bind(session).bind(old);
        let reacted: Vec<i64> = query.fetch_all(&self.store.background).await?;
        for (sql, row_ids) in [(RENAME_SENDER, written), (RENAME_REACTIONS, reacted)] {
            for row_ids in row_ids.chunks(AT_ONCE) {
                let change = RenamePerson {
                    sql,
                    row_ids: row_ids.to_vec(),
                    old: old.to_owned(),
                    new: new.to_owned(),
                };
                self.store.writer.apply_plain(change).await?;
            }
        }
        Ok(())
    }

    async fn move_chat_messages(
        self,
        session: &Life,
        from: i64,
        to: i64,
    ) -> Result<(), StoreError> {
        let mut last = (i64::MIN, i64::MIN);
        loop {
            let sql = "SELECT at, place FROM history_messages WHERE chat = $1 AND (at, place) > ($2, $3) \
                       ORDER BY at, place LIMIT $4";
            let query = db::query_as(sql).bind(from).bind(last.0).bind(last.1);
            let query = query.bind(i64::try_from(AT_ONCE).unwrap_or(i64::MAX));
            let rows: Vec<(i64, i64)> = query.fetch_all(&self.store.background).await?;
            let Some(end) = rows.last() else {
                return Ok(());
            };
            last = *end;
            let change = MoveMessages {
                session: session.clone(),
                from,
                to,
                row_ids: rows.iter().map(|(_, row_id)| *row_id).collect(),
            };
            self.store.writer.apply_plain(change).await?;
        }
    }
}

// Two rows that are now equal were always the same.
const RENAME_SENDER: &str = "UPDATE OR IGNORE history_messages SET sender = $2 \
    WHERE place IN (SELECT value FROM json_each($3)) AND sender = $1";
const RENAME_REACTIONS: &str = "UPDATE OR REPLACE history_reactions SET person = $2 \
    WHERE message IN (SELECT value FROM json_each($3)) AND person = $1";

struct RenamePerson {
    sql: &'static str,
    row_ids: Vec<i64>,
    old: String,
    new: String,
}

impl PlainChange for RenamePerson {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        let query = db::query(self.sql).bind(&self.old).bind(&self.new);
        let query = query.bind(rows_to_json(&self.row_ids));
        query.execute(connection).await.map(drop)
    }
}

struct MoveMessages {
    session: Life,
    from: i64,
    to: i64,
    row_ids: Vec<i64>,
}

impl PlainChange for MoveMessages {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        // Both chats may have been forgotten meanwhile.
        let sql = "UPDATE OR IGNORE history_messages SET chat = $2 WHERE chat = $1 \
                   AND place IN (SELECT value FROM json_each($3)) \
                   AND EXISTS (SELECT 1 FROM history_chats WHERE place = $2 AND session = $4) RETURNING place";
        let query = db::query(sql).bind(self.from).bind(self.to);
        let query = query.bind(rows_to_json(&self.row_ids)).bind(&self.session);
        let rows = query.fetch_all(&mut *connection).await?;
        let moved: Vec<i64> = rows.iter().map(|row| row.get("place")).collect();
        renew_words(connection, &self.session, self.to, &moved).await
    }
}

/// Moves all other data of the id `old` to the id `new`.
pub(super) async fn merge(
    connection: &mut Connection,
    session: &Life,
    old: &str,
    new: &str,
) -> Result<(), db::Error> {
    let row_id = async |connection: &mut Connection, id: &str| {
        let sql = db::query_scalar::<i64>(
            "SELECT place FROM history_chats WHERE session = $1 AND id = $2",
        );
        sql.bind(session).bind(id).fetch_optional(connection).await
    };
    match (
        row_id(connection, old).await?,
        row_id(connection, new).await?,
    ) {
        (Some(from), Some(to)) => move_chat(connection, session, from, to).await?,
        (Some(from), None) => {
            let sql = "UPDATE history_chats SET id = $1 WHERE place = $2";
            db::query(sql)
                .bind(new)
                .bind(from)
                .execute(&mut *connection)
                .await?;
        }
        (None, _) => {}
    }
    let sql = "INSERT INTO history_contacts (session, id, phone, lid, saved_name, verified_name, push_name, username) \
         SELECT session, $3, phone, lid, saved_name, verified_name, push_name, username FROM history_contacts WHERE session = $1 AND id = $2 \
         ON CONFLICT (session, id) DO UPDATE SET phone = COALESCE(phone, excluded.phone), \
         lid = COALESCE(lid, excluded.lid), saved_name = COALESCE(saved_name, excluded.saved_name), \
         verified_name = COALESCE(verified_name, excluded.verified_name), push_name = COALESCE(push_name, excluded.push_name), \
         username = COALESCE(username, excluded.username)";
    let query = db::query(sql).bind(session).bind(old).bind(new);
    query.execute(&mut *connection).await?;
    let sql = "DELETE FROM history_contacts WHERE session = $1 AND id = $2";
    db::query(sql)
        .bind(session)
        .bind(old)
        .execute(connection)
        .await
        .map(drop)
}

async fn move_chat(
    connection: &mut Connection,
    session: &Life,
    from: i64,
    to: i64,
) -> Result<(), db::Error> {
    move_messages(connection, session, (from, to), i64::MIN).await?;
    let sql = "UPDATE history_chats SET unread = unread + (SELECT unread FROM history_chats WHERE place = $1), \
               active_at = max(active_at, (SELECT active_at FROM history_chats WHERE place = $1)) WHERE place = $2";
    db::query(sql)
        .bind(from)
        .bind(to)
        .execute(&mut *connection)
        .await?;
    // Duplicates stay behind unreachable, and are removed like the data of forgotten sessions.
    removal::abandon(connection, from).await
}

/// Moves messages after a time, in milliseconds, to another chat, unless they are there.
pub(super) async fn move_messages(
    connection: &mut Connection,
    session: &Life,
    (from, to): (i64, i64),
    after: i64,
) -> Result<(), db::Error> {
    let sql = "UPDATE OR IGNORE history_messages SET chat = $2 WHERE chat = $1 AND at > $3 RETURNING place";
    let moved: Vec<i64> = db::query_scalar(sql)
        .bind(from)
        .bind(to)
        .bind(after)
        .fetch_all(&mut *connection)
        .await?;
    renew_words(connection, session, to, &moved).await
}

/// Makes these messages be found in the chat `to`.
async fn renew_words(
    connection: &mut Connection,
    session: &Life,
    to: i64,
    moved: &[i64],
) -> Result<(), db::Error> {
    let scope = words::scope(session.name(), to);
    let contents = contents::read_contents(connection, moved).await?;
    let words = contents
        .iter()
        .map(|(row_id, message)| (*row_id, scope.clone(), tokenizer::of_message(message)));
    words::replace(connection, words.collect()).await
}
