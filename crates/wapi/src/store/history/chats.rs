//! Queries for chats.

use jiff::Timestamp;

use super::contacts::names;
use super::mutation::by_address;
use super::search::{self, HistoryCursor, StoredMessage};
use crate::model::event::Person;
use crate::store::db::{self, Connection, Row};
use crate::store::{HistoryStore, Life, StoreError, to_timestamp};

/// A chat in the history.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredChat {
    pub cursor: HistoryCursor,
    /// The other person; for a group, its address and subject.
    pub chat: Person,
    pub last_message: Option<StoredMessage>,
    /// Number of unread messages of others.
    pub unread: u32,
    pub marked_unread: bool,
    pub archived: bool,
    pub pinned: bool,
    pub muted_until: Option<Timestamp>,
}

/// The oldest stored message of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldestMessage {
    pub id: String,
    pub from_me: bool,
    pub at: Timestamp,
}

const SELECT: &str = "SELECT c.place, c.id, c.name AS subject, c.active_at, c.unread, c.marked_unread, c.archived, \
                             c.pinned, c.muted_until, p.phone, p.lid, p.saved_name, p.verified_name, p.push_name, p.username, \
                             (SELECT m.place FROM history_messages m WHERE m.chat = c.place \
                              ORDER BY m.at DESC, m.place DESC LIMIT 1) AS last \
                      FROM history_chats c LEFT JOIN history_contacts p ON p.session = c.session AND p.id = c.id WHERE c.session = $1 ";

impl HistoryStore<'_> {
    /// Returns up to `limit` chats of a session before a cursor, the one with the newest message
    /// first.
    pub async fn list_chats(
        self,
        session: &Life,
        before: Option<HistoryCursor>,
        limit: u32,
    ) -> Result<Vec<StoredChat>, StoreError> {
        let before = before.unwrap_or(HistoryCursor::END);
        let sql = format!(
            "{SELECT} AND (c.active_at, c.place) < ($2, $3) ORDER BY c.active_at DESC, c.place DESC LIMIT $4"
        );
        let query = db::query(sql)
            .bind(session)
            .bind(before.at)
            .bind(before.row_id)
            .bind(limit);
        let mut question = self.store.history_readers.acquire().await?;
        let rows = query.fetch_all(&mut *question).await?;
        with_last(&mut question, session, &rows).await
    }

    /// Returns one chat.
    pub async fn find_chat(
        self,
        session: &Life,
        id: &str,
    ) -> Result<Option<StoredChat>, StoreError> {
        let sql = format!("{SELECT} AND c.id = $2");
        let query = db::query(sql).bind(session).bind(id);
        let mut question = self.store.history_readers.acquire().await?;
        let rows = query.fetch_all(&mut *question).await?;
        Ok(with_last(&mut question, session, &rows).await?.pop())
    }

    /// Returns the oldest message of a chat; `None` if there is none.
    pub async fn find_oldest_message(
        self,
        session: &Life,
        chat: &str,
    ) -> Result<Option<OldestMessage>, StoreError> {
        let sql = "SELECT id, sender, at FROM history_messages \
                   WHERE chat = (SELECT place FROM history_chats WHERE session = $1 AND id = $2) \
                   ORDER BY at, place LIMIT 1";
        let mut question = self.store.history_readers.acquire().await?;
        let row = db::query(sql)
            .bind(session)
            .bind(chat)
            .fetch_optional(&mut *question)
            .await?;
        Ok(row.map(|row| OldestMessage {
            id: row.get("id"),
            from_me: row.get::<String, _>("sender").is_empty(),
            at: to_timestamp(row.get("at")),
        }))
    }

    /// Returns the chats with unread messages that contain messages with these ids, each with the
    /// newest of those.
    pub async fn find_unread_chats(
        self,
        session: &Life,
        ids: &[String],
    ) -> Result<Vec<(Person, String)>, StoreError> {
        // The other columns come from the row with the maximum, by time and row id; a row id may be
        // negative.
        let sql = "SELECT c.id, p.phone, p.lid, m.id AS message, \
                          max(printf('%020d %020d', m.at, m.place + (1 << 62))) FROM history_chats c \
                   JOIN history_messages m ON m.chat = c.place LEFT JOIN history_contacts p ON p.session = c.session AND p.id = c.id \
                   WHERE c.session = $1 AND c.unread > 0 AND m.sender <> '' \
                   AND m.id IN (SELECT value FROM json_each($2)) GROUP BY c.place";
        let ids = serde_json::to_string(ids).expect("texts are always JSON");
        let rows = db::query(sql)
            .bind(session)
            .bind(ids)
            .fetch_all(&self.store.background)
            .await?;
        let person = |row: &Row| Person {
            id: row.get("id"),
            phone: row.get("phone"),
            lid: row.get("lid"),
            ..Person::default()
        };
        Ok(rows
            .iter()
            .map(|row| (person(row), row.get("message")))
            .collect())
    }
}

async fn with_last(
    connection: &mut Connection,
    session: &Life,
    rows: &[Row],
) -> Result<Vec<StoredChat>, StoreError> {
    let row_ids: Vec<i64> = rows.iter().filter_map(|row| row.get("last")).collect();
    let mut last = search::at(connection, session, &row_ids).await?;
    let mut chats = Vec::with_capacity(rows.len());
    for row in rows {
        let row_id: Option<i64> = row.get("last");
        let found = last
            .iter()
            .position(|message| Some(message.cursor.row_id) == row_id);
        chats.push(chat(row, found.map(|index| last.swap_remove(index))));
    }
    Ok(chats)
}

fn chat(row: &Row, last_message: Option<StoredMessage>) -> StoredChat {
    let id: String = row.get("id");
    let known = by_address(&id);
    // For a group, the subject.
    let mut names = names(row);
    names.push = names.push.or_else(|| row.get("subject"));
    StoredChat {
        cursor: HistoryCursor {
            at: row.get("active_at"),
            row_id: row.get("place"),
        },
        chat: Person {
            phone: row.get::<Option<String>, _>("phone").or(known.phone),
            lid: row.get::<Option<String>, _>("lid").or(known.lid),
            id,
            ..Person::default()
        }
        .with_names(names),
        last_message,
        unread: u32::try_from(row.get::<i64, _>("unread")).unwrap_or_default(),
        marked_unread: row.get("marked_unread"),
        archived: row.get("archived"),
        pinned: row.get("pinned"),
        muted_until: row.get::<Option<i64>, _>("muted_until").map(to_timestamp),
    }
}
