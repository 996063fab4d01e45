//! Import of a history sync: it creates no events, and never overrides existing data.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::batch::{self, PlacedMessage, contact_row, rows_to_json};
use super::mutation::{NewHistoryMessage, is_group};
use crate::model::event::Person;
use crate::store::db::{self, Connection};
use crate::store::writer::PlainChange;
use crate::store::{HistoryStore, Life, StoreError};

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

impl HistoryImport {
    /// Splits it into parts for one transaction each, in the order in which they are written.
    fn parts(&self) -> impl Iterator<Item = Self> {
        let chats = self.chats.chunks(AT_ONCE).map(|chats| Self {
            chats: chats.to_vec(),
            ..Self::default()
        });
        let contacts = self.contacts.chunks(AT_ONCE).map(|contacts| Self {
            contacts: contacts.to_vec(),
            ..Self::default()
        });
        // The newest first: each goes before the existing ones.
        let messages = self.messages.rchunks(AT_ONCE).map(|messages| Self {
            messages: messages.to_vec(),
            ..Self::default()
        });
        chats.chain(contacts).chain(messages)
    }
}

impl HistoryStore<'_> {
    /// Imports the data in small transactions; repeating it changes nothing. Existing chats only
    /// get a missing name, contacts missing data, and messages at most a later status.
    pub async fn import_history(
        self,
        session: &Life,
        import: &HistoryImport,
    ) -> Result<(), StoreError> {
        for part in import.parts() {
            let session = session.clone();
            self.store
                .writer
                .apply_plain(WriteImport { session, part })
                .await?;
        }
        Ok(())
    }
}

struct WriteImport {
    session: Life,
    part: HistoryImport,
}

impl PlainChange for WriteImport {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        let Self { session, part } = self;
        for chat in &part.chats {
            import_chat(connection, session, chat).await?;
        }
        let chats = part.chats.iter().map(|chat| &chat.chat);
        let people = chats.filter(|chat| !is_group(&chat.id));
        fill_in(connection, session, people.chain(&part.contacts)).await?;
        if part.messages.is_empty() {
            return Ok(());
        }
        import_messages(connection, session, &part.messages).await
    }
}

async fn import_chat(
    connection: &mut Connection,
    session: &Life,
    imported: &ImportedChat,
) -> Result<(), db::Error> {
    let ImportedChat {
        chat,
        active_at,
        unread,
        marked_unread,
        archived,
        pinned,
        muted_until,
    } = imported;
    let sql = "INSERT INTO history_chats (session, id, name, active_at, unread, marked_unread, archived, pinned, muted_until) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
               ON CONFLICT (session, id) DO UPDATE SET name = COALESCE(history_chats.name, excluded.name), \
               active_at = max(history_chats.active_at, excluded.active_at)";
    let milliseconds = |at: Timestamp| at.as_millisecond();
    let query = db::query(sql).bind(session).bind(&chat.id);
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
    connection: &mut Connection,
    session: &Life,
    people: impl Iterator<Item = &'a Person>,
) -> Result<(), db::Error> {
    let people = people.filter(|person| !person.id.is_empty());
    let rows: Vec<_> = people.map(|person| contact_row(session, person)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO history_contacts (session, id, phone, lid, saved_name, verified_name, push_name, username) \
               SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7 \
               FROM json_each($1) WHERE true \
               ON CONFLICT (session, id) DO UPDATE SET phone = COALESCE(phone, excluded.phone), \
               lid = COALESCE(lid, excluded.lid), saved_name = COALESCE(saved_name, excluded.saved_name), \
               verified_name = COALESCE(verified_name, excluded.verified_name), \
               push_name = COALESCE(push_name, excluded.push_name), \
               username = COALESCE(username, excluded.username)";
    let query = db::query(sql).bind(rows_to_json(rows));
    query.execute(connection).await.map(drop)
}

async fn import_messages(
    connection: &mut Connection,
    session: &Life,
    messages: &[NewHistoryMessage],
) -> Result<(), db::Error> {
    let mut active: BTreeMap<(&Life, &str), i64> = BTreeMap::new();
    for message in messages {
        let active = active.entry((session, &message.chat)).or_default();
        *active = message.at.as_millisecond().max(*active);
    }
    let chat_rows = batch::insert_chats(connection, &active).await?;
    let sql = "SELECT min(0, COALESCE(min(place), 0)) FROM history_messages";
    let lowest: i64 = db::query_scalar(sql).fetch_one(&mut *connection).await?;
    let first = lowest.saturating_sub_unsigned(messages.len() as u64);
    let placed = (first..).zip(messages).filter_map(|(row_id, new)| {
        Some(PlacedMessage {
            row_id,
            chat: *chat_rows.get(&(session, new.chat.as_str()))?,
            session,
            new,
        })
    });
    let placed: Vec<_> = placed.collect();
    let inserted = batch::insert_messages(connection, &placed).await?;
    let is_known = |placed: &&PlacedMessage<'_>| {
        !inserted.contains(&(placed.chat, placed.new.id.clone(), String::new()))
    };
    let statuses = placed
        .iter()
        .filter(|placed| placed.new.from.is_none())
        .filter(is_known)
        .filter_map(|placed| {
            Some((
                placed.chat,
                placed.new.id.as_str(),
                placed.new.status? as i64,
            ))
        });
    batch::raise_statuses(connection, statuses.collect()).await?;
    fill_in(
        connection,
        session,
        messages.iter().filter_map(|message| message.from.as_ref()),
    )
    .await
}
