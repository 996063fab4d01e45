//! Queries for messages: of a chat, and by full-text search.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use futures_util::{Stream, TryStreamExt};
use jiff::Timestamp;

use super::contacts::names;
use super::contents::{self, StoredContent};
use super::mutation::MessageProgress;
use super::words::{self, WordPart};
use super::{MOST_BYTES, tokenizer};
use crate::model::event::Person;
use crate::model::message::Message;
use crate::store::db::{self, Connection, QueryBuilder, Row};
use crate::store::{HistoryStore, Life, StoreError, to_timestamp};

/// Most matches inspected for one page, including those of other lives.
const MOST_MATCHES: i64 = 5_000;

/// A message in the history.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredMessage {
    pub cursor: HistoryCursor,
    pub chat: String,
    pub id: String,
    /// `None`: the account itself.
    pub from: Option<Person>,
    pub at: Timestamp,
    /// The current content; `None` once it was deleted.
    pub message: Option<Message>,
    pub status: Option<MessageProgress>,
    pub edited_at: Option<Timestamp>,
    pub deleted_at: Option<Timestamp>,
    pub reactions: Vec<StoredReaction>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReaction {
    /// `None`: the account itself.
    pub by: Option<Person>,
    pub emoji: String,
}

/// A position among messages or chats in order of time. It stays valid while others are added or
/// removed around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryCursor {
    pub(crate) at: i64,
    pub(crate) row_id: i64,
}

impl HistoryCursor {
    pub(crate) const END: Self = Self {
        at: i64::MAX,
        row_id: i64::MAX,
    };
}

impl fmt::Display for HistoryCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at, self.row_id)
    }
}

impl FromStr for HistoryCursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (at, row_id) = text.split_once('.').ok_or("is no cursor of an answer")?;
        match (at.parse(), row_id.parse()) {
            (Ok(at), Ok(row_id)) => Ok(Self { at, row_id }),
            _ => Err("is no cursor of an answer"),
        }
    }
}

/// The direction of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageAnchor {
    /// The newest page.
    Newest,
    Before(HistoryCursor),
    After(HistoryCursor),
    /// The message itself, and those before it.
    UpTo(HistoryCursor),
}

/// A message with its chat and its author. They are joined in this order: SQLite would rather walk all messages of a session.
const SELECT: &str = "SELECT m.place, m.id, m.sender, m.at, {contents}, m.status, m.edited_at, m.deleted_at, \
                             c.id AS chat, p.phone, p.lid, p.saved_name, p.verified_name, p.push_name, p.username \
                      FROM history_messages m CROSS JOIN history_chats c ON c.place = m.chat \
                      LEFT JOIN history_contacts p ON p.session = c.session AND p.id = m.sender ";

fn select() -> String {
    SELECT.replace("{contents}", contents::COLUMNS)
}

impl HistoryStore<'_> {
    /// Returns up to `limit` messages of a chat next to a cursor, the newest first, and whether
    /// there may be more. Returns fewer when they are large.
    pub async fn list_messages(
        self,
        session: &Life,
        chat: &str,
        side: PageAnchor,
        limit: u32,
    ) -> Result<(Vec<StoredMessage>, bool), StoreError> {
        let (cursor, condition, order) = match side {
            PageAnchor::Newest => (HistoryCursor::END, "<", "DESC"),
            PageAnchor::Before(cursor) => (cursor, "<", "DESC"),
            PageAnchor::After(cursor) => (cursor, ">", "ASC"),
            PageAnchor::UpTo(cursor) => (cursor, "<=", "DESC"),
        };
        let mut sql = QueryBuilder::new(select());
        sql.push("WHERE m.chat = (SELECT place FROM history_chats WHERE session = ")
            .push_bind(session.id());
        sql.push(" AND id = ")
            .push_bind(chat)
            .push(") AND (m.at, m.place) ")
            .push(condition);
        sql.push(" (")
            .push_bind(cursor.at)
            .push(", ")
            .push_bind(cursor.row_id);
        sql.push(") ORDER BY m.at ")
            .push(order)
            .push(", m.place ")
            .push(order)
            .push(" LIMIT ")
            .push_bind(limit);
        let mut question = self.store.history_readers.acquire().await?;
        let (mut found, is_cut) = some(sql.build().fetch(&mut question)).await?;
        if matches!(side, PageAnchor::After(_)) {
            found.reverse();
        }
        add_reactions(&mut question, session, &mut found).await?;
        let has_more = is_cut || found.len() == limit as usize;
        Ok((found, has_more))
    }

    /// Returns the position of a message in its chat; the last, if several people chose its id.
    pub async fn find_message_cursor(
        self,
        session: &Life,
        chat: &str,
        id: &str,
    ) -> Result<Option<HistoryCursor>, StoreError> {
        let sql = "SELECT at, place FROM history_messages WHERE chat = (SELECT place FROM history_chats WHERE session = $1 AND id = $2) \
                   AND id = $3 ORDER BY at DESC, place DESC LIMIT 1";
        let query = db::query(sql).bind(session).bind(chat).bind(id);
        let mut question = self.store.history_readers.acquire().await?;
        let found = query.fetch_optional(&mut *question).await?;
        Ok(found.map(|row| HistoryCursor {
            at: row.get("at"),
            row_id: row.get("place"),
        }))
    }

    /// Returns whether a message exists in a chat, given by any of its addresses.
    pub async fn has_message(
        self,
        session: &Life,
        chats: &[String],
        id: &str,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM history_messages WHERE chat = (SELECT place FROM history_chats WHERE session = $1 AND id = $2) AND id = $3";
        let mut question = self.store.history_readers.acquire().await?;
        for chat in chats {
            let query = db::query(sql).bind(session).bind(chat).bind(id);
            if query.fetch_optional(&mut *question).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns up to `limit` messages that match a search text, in one chat or in all, before a
    /// cursor: the latest arrivals first, and after them those of the history sync. Also returns
    /// the cursor for the next page, even if the page is not full; `None` at the end. Returns
    /// `None` if the text contains no searchable word.
    pub async fn search_messages(
        self,
        session: &Life,
        chat: Option<&str>,
        text: &str,
        before: Option<HistoryCursor>,
        limit: u32,
    ) -> Result<Option<(Vec<StoredMessage>, Option<HistoryCursor>)>, StoreError> {
        let Some(question) = tokenizer::question(text) else {
            return Ok(None);
        };
        let mut scope = format!("\"{}\"", words::scope_of_session(session.name()));
        let mut connection = self.store.history_readers.acquire().await?;
        let mut reading = connection.begin_reading().await?;
        if let Some(chat) = chat {
            let sql =
                db::query_scalar("SELECT place FROM history_chats WHERE session = $1 AND id = $2");
            let row_id: Option<i64> = sql
                .bind(session)
                .bind(chat)
                .fetch_optional(&mut *reading)
                .await?;
            let Some(row_id) = row_id else {
                reading.commit().await?;
                return Ok(Some((Vec::new(), None)));
            };
            scope += &format!(" \"c{row_id}\"");
        }
        let before = before.unwrap_or(HistoryCursor::END).row_id;
        let matches = Matches {
            session,
            scope,
            question,
            before,
            limit: limit as usize,
        };
        let (row_ids, next) = matches.find(&mut reading).await?;
        let mut found = at(&mut reading, session, &row_ids).await?;
        reading.commit().await?;
        found.sort_by_key(|message| std::cmp::Reverse(message.cursor.row_id));
        let next = next.map(|row_id| HistoryCursor { at: 0, row_id });
        Ok(Some((found, next)))
    }
}

/// The messages that a search asks for.
struct Matches<'a> {
    session: &'a Life,
    /// The terms of the session, and of the chat if it is in one.
    scope: String,
    question: String,
    /// All before this place.
    before: i64,
    limit: usize,
}

impl Matches<'_> {
    /// Returns the row ids of the latest, and the place before which to go on; `None` at the end.
    async fn find(
        &self,
        connection: &mut Connection,
    ) -> Result<(Vec<i64>, Option<i64>), db::Error> {
        let (mut found, mut looked) = (Vec::new(), 0);
        for part in words::parts_before(connection, self.before).await? {
            if !self.is_in_scope(connection, part).await? {
                continue;
            }
            // Other lives of the name may match, too; their matches are skipped, up to a limit.
            let table = part.table();
            let sql = format!(
                "SELECT w.rowid, c.session = $4 FROM {table} w CROSS JOIN history_messages m ON m.place = w.rowid \
                 CROSS JOIN history_chats c ON c.place = m.chat \
                 WHERE {table} MATCH $1 AND w.rowid < $2 ORDER BY w.rowid DESC LIMIT $3"
            );
            let (scope, question) = (&self.scope, &self.question);
            let query = db::query_as::<(i64, bool)>(sql)
                .bind(format!("scope : ({scope}) AND said : ({question})"))
                .bind(self.before)
                .bind(MOST_MATCHES - looked)
                .bind(self.session);
            let mut matches = query.fetch(&mut *connection);
            while let Some((row_id, is_ours)) = matches.try_next().await? {
                looked += 1;
                found.extend(is_ours.then_some(row_id));
                if found.len() >= self.limit || looked >= MOST_MATCHES {
                    return Ok((found, Some(row_id)));
                }
            }
        }
        Ok((found, None))
    }

    /// Returns whether a part has any message there, which is quick to find out, unlike the words.
    async fn is_in_scope(
        &self,
        connection: &mut Connection,
        part: WordPart,
    ) -> Result<bool, db::Error> {
        let table = part.table();
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {table} MATCH $1)");
        let query = db::query_scalar(sql).bind(format!("scope : ({})", self.scope));
        query.fetch_one(connection).await
    }
}

/// Returns the messages with these row ids.
pub(super) async fn at(
    connection: &mut Connection,
    session: &Life,
    row_ids: &[i64],
) -> Result<Vec<StoredMessage>, StoreError> {
    if row_ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = QueryBuilder::new(select());
    sql.push("WHERE c.session = ")
        .push_bind(session.id())
        .push(" AND m.place IN (");
    push_list(&mut sql, row_ids);
    let rows = sql.push(")").build().fetch_all(&mut *connection).await?;
    let mut found: Vec<StoredMessage> = rows.iter().map(found).collect();
    add_reactions(connection, session, &mut found).await?;
    Ok(found)
}

/// Reads as many messages as fit in a page, and returns whether there are more.
async fn some(
    mut rows: impl Stream<Item = Result<Row, db::Error>> + Unpin,
) -> Result<(Vec<StoredMessage>, bool), db::Error> {
    let (mut some, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await? {
        bytes += StoredContent::from_row(&row).len();
        if bytes > MOST_BYTES && !some.is_empty() {
            return Ok((some, true));
        }
        some.push(found(&row));
    }
    Ok((some, false))
}

async fn add_reactions(
    connection: &mut Connection,
    session: &Life,
    found: &mut [StoredMessage],
) -> Result<(), StoreError> {
    let row_ids: Vec<i64> = found.iter().map(|message| message.cursor.row_id).collect();
    if row_ids.is_empty() {
        return Ok(());
    }
    let mut sql = QueryBuilder::new(
        "SELECT r.message, r.person, r.emoji, p.phone, p.lid, p.saved_name, p.verified_name, p.push_name, p.username FROM history_reactions r \
         LEFT JOIN history_contacts p ON p.id = r.person AND p.session = ",
    );
    sql.push_bind(session.id()).push(" WHERE r.message IN (");
    push_list(&mut sql, &row_ids);
    let rows = sql
        .push(") ORDER BY r.message, r.person")
        .build()
        .fetch_all(connection)
        .await?;
    let mut by_message: HashMap<i64, Vec<StoredReaction>> = HashMap::new();
    for row in &rows {
        let reaction = StoredReaction {
            by: person(row, "person"),
            emoji: row.get("emoji"),
        };
        by_message
            .entry(row.get("message"))
            .or_default()
            .push(reaction);
    }
    for message in found {
        message.reactions = by_message
            .remove(&message.cursor.row_id)
            .unwrap_or_default();
    }
    Ok(())
}

fn push_list(sql: &mut QueryBuilder<'_>, row_ids: &[i64]) {
    let mut list = sql.separated(", ");
    for row_id in row_ids {
        list.push_bind(*row_id);
    }
}

fn found(row: &Row) -> StoredMessage {
    let at: i64 = row.get("at");
    let optional_time = |column| row.get::<Option<i64>, _>(column).map(to_timestamp);
    StoredMessage {
        cursor: HistoryCursor {
            at,
            row_id: row.get("place"),
        },
        chat: row.get("chat"),
        id: row.get("id"),
        from: person(row, "sender"),
        at: to_timestamp(at),
        message: StoredContent::from_row(row).message(),
        status: row
            .get::<Option<i64>, _>("status")
            .map(MessageProgress::from_rank),
        edited_at: optional_time("edited_at"),
        deleted_at: optional_time("deleted_at"),
        reactions: Vec::new(),
    }
}

/// Reads a person; `None`: the account itself.
fn person(row: &Row, column: &str) -> Option<Person> {
    let id: String = row.get(column);
    let person = |id| Person {
        id,
        phone: row.get("phone"),
        lid: row.get("lid"),
        ..Person::default()
    };
    (!id.is_empty()).then(|| person(id).with_names(names(row)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::db::LiteFile;
    use crate::store::migrations;

    #[tokio::test]
    async fn what_was_found_is_read_by_its_places_and_not_all_that_a_session_has() {
        let mut connection = LiteFile::in_memory().connect().await.unwrap();
        migrations::run_migrations(&mut connection).await.unwrap();
        let sql = format!(
            "EXPLAIN QUERY PLAN {} WHERE c.session = 1 AND m.place IN (1, 2)",
            select()
        );
        let plan = db::query(sql).fetch_all(&mut connection).await.unwrap();
        let first: String = plan[0].get("detail");
        assert_eq!(first, "SEARCH m USING INTEGER PRIMARY KEY (rowid=?)");
    }
}
