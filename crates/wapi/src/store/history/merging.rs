//! Merge of two chats that turned out to be with one person.

use sqlx::sqlite::SqliteConnection;

use super::batch::{self, scope};
use super::{contents, removal, tokenizer};
use crate::store::Life;

/// Moves all data of the id `old` to the id `new`.
pub(super) async fn merge(
    connection: &mut SqliteConnection,
    session: &Life,
    old: &str,
    new: &str,
) -> Result<(), sqlx::Error> {
    let row_id = async |connection: &mut SqliteConnection, id: &str| {
        let sql =
            sqlx::query_scalar::<_, i64>("SELECT place FROM history_chats WHERE session = $1 AND id = $2");
        sql.bind(session).bind(id).fetch_optional(connection).await
    };
    match (
        row_id(connection, old).await?,
        row_id(connection, new).await?,
    ) {
        (Some(from), Some(to)) => move_chat(connection, session, from, to).await?,
        (Some(from), None) => {
            let sql = "UPDATE history_chats SET id = $1 WHERE place = $2";
            sqlx::query(sql)
                .bind(new)
                .bind(from)
                .execute(&mut *connection)
                .await?;
        }
        (None, _) => {}
    }
    // They wrote in groups, too. Two rows that are now equal were always the same.
    for sql in [
        "UPDATE OR IGNORE history_messages SET sender = $3 WHERE sender = $2 AND chat IN (SELECT place FROM history_chats WHERE session = $1)",
        "UPDATE OR REPLACE history_reactions SET person = $3 WHERE person = $2 AND message IN \
         (SELECT m.place FROM history_messages m JOIN history_chats c ON c.place = m.chat WHERE c.session = $1)",
        "INSERT INTO history_contacts (session, id, phone, lid, saved_name, verified_name, push_name, username) \
         SELECT session, $3, phone, lid, saved_name, verified_name, push_name, username FROM history_contacts WHERE session = $1 AND id = $2 \
         ON CONFLICT (session, id) DO UPDATE SET phone = COALESCE(phone, excluded.phone), \
         lid = COALESCE(lid, excluded.lid), saved_name = COALESCE(saved_name, excluded.saved_name), \
         verified_name = COALESCE(verified_name, excluded.verified_name), push_name = COALESCE(push_name, excluded.push_name), \
         username = COALESCE(username, excluded.username)",
    ] {
        sqlx::query(sql)
            .bind(session)
            .bind(old)
            .bind(new)
            .execute(&mut *connection)
            .await?;
    }
    let sql = "DELETE FROM history_contacts WHERE session = $1 AND id = $2";
    sqlx::query(sql)
        .bind(session)
        .bind(old)
        .execute(connection)
        .await
        .map(drop)
}

async fn move_chat(
    connection: &mut SqliteConnection,
    session: &Life,
    from: i64,
    to: i64,
) -> Result<(), sqlx::Error> {
    move_messages(connection, session, (from, to), i64::MIN).await?;
    let sql = "UPDATE history_chats SET unread = unread + (SELECT unread FROM history_chats WHERE place = $1), \
               active_at = max(active_at, (SELECT active_at FROM history_chats WHERE place = $1)) WHERE place = $2";
    sqlx::query(sql)
        .bind(from)
        .bind(to)
        .execute(&mut *connection)
        .await?;
    // Duplicates stay behind unreachable, and are removed like the data of forgotten sessions.
    removal::abandon(connection, from).await
}

/// Moves messages after a time, in milliseconds, to another chat, unless they are there.
pub(super) async fn move_messages(
    connection: &mut SqliteConnection,
    session: &Life,
    (from, to): (i64, i64),
    after: i64,
) -> Result<(), sqlx::Error> {
    let sql = "UPDATE OR IGNORE history_messages SET chat = $2 WHERE chat = $1 AND at > $3 RETURNING place";
    let moved: Vec<i64> = sqlx::query_scalar(sql)
        .bind(from)
        .bind(to)
        .bind(after)
        .fetch_all(&mut *connection)
        .await?;
    for (row_id, message) in contents::read_contents(connection, &moved).await? {
        let said = tokenizer::of_message(&message);
        batch::replace_words(connection, row_id, scope(session, to), said).await?;
    }
    Ok(())
}
