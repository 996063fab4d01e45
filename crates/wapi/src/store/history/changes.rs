//! Changes to a message or a chat: rare beside new messages, so each is a statement of its own.

use jiff::Timestamp;

use super::batch::{self, ChatRows};
use super::mutation::{ChangeTarget, HistoryChange, HistoryMutation, is_group};
use super::{contents, merging, removal, tokenizer, words};
use crate::model::event::{ChatChange, DeletionRight, Person};
use crate::model::message::Message;
use crate::store::Life;
use crate::store::db::{self, Connection};

/// Applies the parts of a step other than new messages, counters and statuses.
pub(super) async fn apply(
    connection: &mut Connection,
    step: &HistoryMutation,
    chat_rows: &ChatRows<'_>,
) -> Result<(), db::Error> {
    if let HistoryChange::Merged { old, new } = &step.change {
        return merging::merge(connection, &step.session, old, new).await;
    }
    let row_id = step
        .change
        .chat_id()
        .and_then(|chat| chat_rows.get(&(&step.session, chat)));
    let Some(row_id) = row_id.copied() else {
        return Ok(());
    };
    match &step.change {
        HistoryChange::Edited { of, content } => {
            edit(connection, row_id, &step.session, of, content).await
        }
        HistoryChange::Deleted { of, by } => delete(connection, row_id, of, *by).await,
        HistoryChange::Reaction { of, emoji } => {
            react(connection, row_id, of, emoji.as_deref()).await
        }
        HistoryChange::Chat { chat, change } => {
            set(connection, row_id, &step.session, chat, change).await
        }
        HistoryChange::Message(_)
        | HistoryChange::Seen { .. }
        | HistoryChange::Status { .. }
        | HistoryChange::Contact(_)
        | HistoryChange::Merged { .. } => Ok(()),
    }
}

async fn edit(
    connection: &mut Connection,
    row_id: i64,
    session: &Life,
    of: &ChangeTarget,
    content: &Message,
) -> Result<(), db::Error> {
    let sql = "SELECT place FROM history_messages WHERE chat = $1 AND id = $2 AND sender = $3 \
               AND deleted_at IS NULL AND COALESCE(edited_at, 0) <= $4";
    let query = db::query_scalar(sql)
        .bind(row_id)
        .bind(&of.id)
        .bind(of.sender())
        .bind(of.at.as_millisecond());
    let Some(message) = query.fetch_optional(&mut *connection).await? else {
        return Ok(());
    };
    let earlier = contents::read_contents(connection, &[message]).await?;
    let edited = match earlier.into_iter().next() {
        Some((_, earlier)) => earlier.with_edit(content),
        None => content.clone(),
    };
    let sql = "UPDATE history_messages SET content = $1, edited_at = $2 WHERE place = $3";
    let query = db::query(sql)
        .bind(batch::message_to_json(&edited))
        .bind(of.at.as_millisecond())
        .bind(message);
    query.execute(&mut *connection).await?;
    let said = tokenizer::of_message(&edited);
    let scope = words::scope(session.name(), row_id);
    words::replace(connection, vec![(message, scope, said)]).await
}

/// Deletes a message, if its author asks for it, or in a group an admin.
async fn delete(
    connection: &mut Connection,
    row_id: i64,
    of: &ChangeTarget,
    by: DeletionRight,
) -> Result<(), db::Error> {
    let sql = "UPDATE history_messages SET content = '', deleted_at = $1 \
               WHERE chat = $2 AND id = $3 AND (sender = $4 OR $5) AND deleted_at IS NULL RETURNING place";
    let query = db::query_scalar(sql)
        .bind(of.at.as_millisecond())
        .bind(row_id)
        .bind(&of.id)
        .bind(of.sender());
    let gone: Vec<i64> = query
        .bind(by == DeletionRight::Admin && is_group(&of.chat))
        .fetch_all(&mut *connection)
        .await?;
    words::remove(connection, &gone).await?;
    for message in gone {
        db::query("DELETE FROM history_reactions WHERE message = $1")
            .bind(message)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn react(
    connection: &mut Connection,
    row_id: i64,
    of: &ChangeTarget,
    emoji: Option<&str>,
) -> Result<(), db::Error> {
    let sql = match emoji {
        Some(_) => {
            "INSERT INTO history_reactions (message, person, emoji) SELECT place, $3, $4 FROM history_messages \
             WHERE chat = $1 AND id = $2 AND deleted_at IS NULL \
             ON CONFLICT (message, person) DO UPDATE SET emoji = excluded.emoji"
        }
        None => {
            "DELETE FROM history_reactions WHERE person = $3 AND $4 IS NULL \
             AND message IN (SELECT place FROM history_messages WHERE chat = $1 AND id = $2)"
        }
    };
    db::query(sql)
        .bind(row_id)
        .bind(&of.id)
        .bind(of.sender())
        .bind(emoji)
        .execute(connection)
        .await
        .map(drop)
}

/// Removes a chat's messages up to a time; later ones stay. The rows go with those of forgotten
/// sessions, a few at a time.
async fn empty(
    connection: &mut Connection,
    row_id: i64,
    session: &Life,
    stays: bool,
    after: i64,
) -> Result<(), db::Error> {
    let sql = "SELECT id, EXISTS (SELECT 1 FROM history_messages WHERE chat = $1 AND at > $2) AS is_left \
               FROM history_chats WHERE place = $1";
    let row = db::query(sql)
        .bind(row_id)
        .bind(after)
        .fetch_one(&mut *connection)
        .await?;
    let (id, is_left): (String, bool) = (row.get("id"), row.get("is_left"));
    removal::abandon(connection, row_id).await?;
    if !stays && !is_left {
        return Ok(());
    }
    let sql = "INSERT INTO history_chats (session, id, name, active_at, unread, archived, pinned, muted_until) \
               SELECT $2, $3, name, active_at, unread, archived, pinned, muted_until FROM history_chats WHERE place = $1 \
               RETURNING place";
    let query = db::query_scalar(sql).bind(row_id).bind(session).bind(id);
    let emptied: i64 = query.fetch_one(&mut *connection).await?;
    merging::move_messages(connection, session, (row_id, emptied), after).await?;
    see(connection, emptied, after).await
}

/// Marks everything up to a time as read: at most the later messages of others stay unread.
async fn see(connection: &mut Connection, row_id: i64, after: i64) -> Result<(), db::Error> {
    let sql = "UPDATE history_chats SET unread = min(unread, \
               (SELECT count(*) FROM history_messages WHERE chat = $1 AND sender <> '' AND at > $2)) WHERE place = $1";
    db::query(sql)
        .bind(row_id)
        .bind(after)
        .execute(connection)
        .await
        .map(drop)
}

/// Returns the last millisecond of the second of a time; without a time, the maximum.
fn end_of(second: Option<Timestamp>) -> i64 {
    second.map_or(i64::MAX, |second| second.as_second() * 1000 + 999)
}

async fn set(
    connection: &mut Connection,
    row_id: i64,
    session: &Life,
    chat: &Person,
    change: &ChatChange,
) -> Result<(), db::Error> {
    if change.deleted == Some(true) || change.cleared == Some(true) {
        return empty(
            connection,
            row_id,
            session,
            change.cleared == Some(true),
            end_of(change.up_to),
        )
        .await;
    }
    let name = chat.name.as_ref().filter(|_| is_group(&chat.id));
    let (is_muted, muted_until) = (change.muted_until.is_some(), change.muted_until.flatten());
    let sql = "UPDATE history_chats SET name = COALESCE($2, name), archived = COALESCE($3, archived), \
               pinned = COALESCE($4, pinned), muted_until = CASE WHEN $5 THEN $6 ELSE muted_until END, \
               marked_unread = COALESCE($7, marked_unread) WHERE place = $1";
    let query = db::query(sql)
        .bind(row_id)
        .bind(name)
        .bind(change.archived)
        .bind(change.pinned);
    let query = query
        .bind(is_muted)
        .bind(muted_until.map(|at| at.as_millisecond()))
        .bind(change.unread);
    query.execute(&mut *connection).await?;
    // Reading all of the chat is counted by the batch.
    if change.unread != Some(false) || change.is_for_all_messages() {
        return Ok(());
    }
    let Some(id) = &change.read_up_to else {
        return see(connection, row_id, end_of(change.up_to)).await;
    };
    // The later messages, but never more than were unread before. Messages of a history sync have
    // been added later.
    let sql = "UPDATE history_chats SET unread = min(unread, (SELECT count(*) FROM history_messages WHERE chat = $1 AND sender <> '' \
               AND (at, place) > (SELECT at, place FROM history_messages WHERE chat = $1 AND id = $2 \
                                  ORDER BY at DESC, place DESC LIMIT 1))) WHERE place = $1 \
               AND EXISTS (SELECT 1 FROM history_messages WHERE chat = $1 AND id = $2)";
    db::query(sql)
        .bind(row_id)
        .bind(id)
        .execute(connection)
        .await
        .map(drop)
}
