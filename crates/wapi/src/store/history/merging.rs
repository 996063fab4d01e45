//! Merge of two chats that turned out to be with one person.

use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::batch::scope;
use super::{removal, tokenizer};
use crate::model::message::Message;
use crate::store::Life;

/// Moves all data of the id `old` to the id `new`.
pub(crate) async fn merge(
    connection: &mut SqliteConnection,
    session: &Life,
    old: &str,
    new: &str,
) -> Result<(), sqlx::Error> {
    let row_id = async |connection: &mut SqliteConnection, id: &str| {
        let sql =
            sqlx::query_scalar::<_, i64>("SELECT place FROM chats WHERE session = $1 AND id = $2");
        sql.bind(session).bind(id).fetch_optional(connection).await
    };
    match (
        row_id(connection, old).await?,
        row_id(connection, new).await?,
    ) {
        (Some(from), Some(to)) => move_chat(connection, session, from, to).await?,
        (Some(from), None) => {
            let sql = "UPDATE chats SET id = $1 WHERE place = $2";
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
        "UPDATE OR IGNORE messages SET sender = $3 WHERE sender = $2 AND chat IN (SELECT place FROM chats WHERE session = $1)",
        "UPDATE OR REPLACE reactions SET person = $3 WHERE person = $2 AND message IN \
         (SELECT m.place FROM messages m JOIN chats c ON c.place = m.chat WHERE c.session = $1)",
        "INSERT INTO contacts (session, id, phone, lid, saved_name, verified_name, push_name, username) \
         SELECT session, $3, phone, lid, saved_name, verified_name, push_name, username FROM contacts WHERE session = $1 AND id = $2 \
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
    let sql = "DELETE FROM contacts WHERE session = $1 AND id = $2";
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
    let sql = "UPDATE chats SET unread = unread + (SELECT unread FROM chats WHERE place = $1), \
               active_at = max(active_at, (SELECT active_at FROM chats WHERE place = $1)) WHERE place = $2";
    sqlx::query(sql)
        .bind(from)
        .bind(to)
        .execute(&mut *connection)
        .await?;
    // Duplicates stay behind unreachable, and are removed like the data of forgotten sessions.
    removal::abandon(connection, from).await
}

/// Moves messages after a time, in milliseconds, to another chat, unless they are there.
pub(crate) async fn move_messages(
    connection: &mut SqliteConnection,
    session: &Life,
    (from, to): (i64, i64),
    after: i64,
) -> Result<(), sqlx::Error> {
    let sql = "UPDATE OR IGNORE messages SET chat = $2 WHERE chat = $1 AND at > $3 RETURNING place, content";
    let moved = sqlx::query(sql)
        .bind(from)
        .bind(to)
        .bind(after)
        .fetch_all(&mut *connection)
        .await?;
    for row in moved {
        let row_id: i64 = row.get("place");
        let Ok(message) = serde_json::from_str::<Message>(row.get("content")) else {
            continue;
        };
        sqlx::query("DELETE FROM words WHERE rowid = $1")
            .bind(row_id)
            .execute(&mut *connection)
            .await?;
        let sql = "INSERT INTO words (rowid, scope, said) VALUES ($1, $2, $3)";
        let query = sqlx::query(sql)
            .bind(row_id)
            .bind(scope(session, to))
            .bind(tokenizer::of_message(&message));
        query.execute(&mut *connection).await?;
    }
    Ok(())
}
