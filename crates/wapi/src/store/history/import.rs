//! Import of a history sync: it creates no events, and never overrides existing data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;

use super::mutation::{NewHistoryMessage, is_group};
use super::{HistoryDb, StoreError, batch};
use crate::model::event::{Person, PersonNames};
use crate::store::Life;

/// Messages in one transaction: the projection waits for it.
const AT_ONCE: usize = 200;

/// The part of a history sync to import for one account.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HistoryImport {
    pub chats: Vec<ImportedChat>,
    pub contacts: Vec<Person>,
    /// Older than all earlier imports, also within the same second; the oldest first.
    pub messages: Vec<NewHistoryMessage>,
}

/// A chat as the phone sends it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportedChat {
    /// The other person; for a group, its address and subject.
    pub chat: Person,
    /// The time of the last message.
    pub active_at: Option<Timestamp>,
    pub unread: u32,
    pub marked_unread: bool,
    pub archived: bool,
    pub pinned: bool,
    pub muted_until: Option<Timestamp>,
}

impl HistoryDb {
    /// Imports the data in small transactions; repeating it changes nothing. Existing chats only
    /// get a missing name, contacts missing data, and messages at most a later status.
    pub async fn import_history(
        &self,
        session: &Life,
        imports: &HistoryImport,
    ) -> Result<(), StoreError> {
        for chats in imports.chats.chunks(AT_ONCE) {
            let mut open = self.begin().await?;
            for chat in chats {
                import_chat(open.connection(), session, chat).await?;
            }
            let people = chats
                .iter()
                .map(|chat| &chat.chat)
                .filter(|chat| !is_group(&chat.id));
            fill_in(open.connection(), session, people).await?;
            open.commit().await?;
        }
        for contacts in imports.contacts.chunks(AT_ONCE) {
            let mut open = self.begin().await?;
            fill_in(open.connection(), session, contacts.iter()).await?;
            open.commit().await?;
        }
        // The newest first: each goes before the existing ones.
        for messages in imports.messages.rchunks(AT_ONCE) {
            let mut open = self.begin().await?;
            import_messages(open.connection(), session, messages).await?;
            open.commit().await?;
        }
        Ok(())
    }
}

async fn import_chat(
    connection: &mut SqliteConnection,
    session: &Life,
    imported: &ImportedChat,
) -> Result<(), sqlx::Error> {
    let ImportedChat {
        chat,
        active_at,
        unread,
        marked_unread,
        archived,
        pinned,
        muted_until,
    } = imported;
    let sql = "INSERT INTO chats (session, id, name, active_at, unread, marked_unread, archived, pinned, muted_until) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
               ON CONFLICT (session, id) DO UPDATE SET name = COALESCE(chats.name, excluded.name), \
               active_at = max(chats.active_at, excluded.active_at)";
    let milliseconds = |at: Timestamp| at.as_millisecond();
    let query = sqlx::query(sql).bind(session).bind(&chat.id);
    let query = query.bind(chat.name.as_ref().filter(|_| is_group(&chat.id)));
    let query = query
        .bind(active_at.map_or(0, milliseconds))
        .bind(i64::from(*unread))
        .bind(*marked_unread);
    let query = query
        .bind(*archived)
        .bind(*pinned)
        .bind(muted_until.map(milliseconds));
    query.execute(connection).await.map(drop)
}

/// Adds missing data of people.
async fn fill_in<'a>(
    connection: &mut SqliteConnection,
    session: &Life,
    people: impl Iterator<Item = &'a Person>,
) -> Result<(), sqlx::Error> {
    for person in people.filter(|person| !person.id.is_empty()) {
        let sql = "INSERT INTO contacts (session, id, phone, lid, saved_name, verified_name, push_name, username) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                   ON CONFLICT (session, id) DO UPDATE SET phone = COALESCE(phone, excluded.phone), \
                   lid = COALESCE(lid, excluded.lid), saved_name = COALESCE(saved_name, excluded.saved_name), \
                   verified_name = COALESCE(verified_name, excluded.verified_name), \
                   push_name = COALESCE(push_name, excluded.push_name), \
                   username = COALESCE(username, excluded.username)";
        let PersonNames {
            saved,
            verified,
            push,
            username,
        } = person.all_names();
        let query = sqlx::query(sql)
            .bind(session)
            .bind(&person.id)
            .bind(&person.phone)
            .bind(&person.lid);
        query
            .bind(saved)
            .bind(verified)
            .bind(push)
            .bind(username)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn import_messages(
    connection: &mut SqliteConnection,
    session: &Life,
    messages: &[NewHistoryMessage],
) -> Result<(), sqlx::Error> {
    let mut active: BTreeMap<(&Life, &str), i64> = BTreeMap::new();
    for message in messages {
        let active = active.entry((session, &message.chat)).or_default();
        *active = message.at.as_millisecond().max(*active);
    }
    let chat_rows = batch::insert_chats(connection, &active).await?;
    let placed: Vec<(i64, &Life, &NewHistoryMessage)> = messages
        .iter()
        .filter_map(|message| {
            Some((
                *chat_rows.get(&(session, message.chat.as_str()))?,
                session,
                message,
            ))
        })
        .collect();
    let sql = "SELECT min(0, COALESCE(min(place), 0)) FROM messages";
    let lowest: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await?;
    let new = batch::messages(connection, &placed, Some(lowest)).await?;
    for (chat, _, message) in placed {
        let (Some(status), None) = (message.status, &message.from) else {
            continue;
        };
        if !new.contains(&(chat, message.id.clone(), String::new())) {
            let sql = "UPDATE messages SET status = max(COALESCE(status, 0), $3) \
                       WHERE chat = $1 AND id = $2 AND sender = ''";
            sqlx::query(sql)
                .bind(chat)
                .bind(&message.id)
                .bind(status as i64)
                .execute(&mut *connection)
                .await?;
        }
    }
    fill_in(
        connection,
        session,
        messages.iter().filter_map(|message| message.from.as_ref()),
    )
    .await
}
