//! Batched writing of history changes: a handful of statements, however many messages there are.

use std::collections::{BTreeMap, HashMap, HashSet};

use sha2::{Digest, Sha256};
use sqlx::sqlite::{Sqlite, SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Row};

use super::mutation::{HistoryChange, HistoryMutation, MessageProgress, NewHistoryMessage};
use super::{HistoryDb, StoreError, changes, tokenizer};
use crate::model::event::{Person, PersonNames};
use crate::model::ids::to_hex;
use crate::store::Life;

impl HistoryDb {
    /// Writes steps in order, together with the position `seq` they were read up to; all or
    /// nothing. Skips steps of events that were processed already, or that precede the deletion of
    /// their session.
    ///
    /// SQLite takes 32,766 parameters in a statement, so there must not be more than a few
    /// thousand.
    pub async fn write_mutations(
        &self,
        steps: &[HistoryMutation],
        seq: i64,
    ) -> Result<(), StoreError> {
        let mut open = self.begin().await?;
        let connection = open.connection();
        let known: i64 = sqlx::query_scalar("SELECT seq FROM progress")
            .fetch_one(&mut *connection)
            .await?;
        let gone: Vec<(i64, i64)> = sqlx::query_as("SELECT session, seq FROM forgotten")
            .fetch_all(&mut *connection)
            .await?;
        let gone: HashMap<i64, i64> = gone.into_iter().collect();
        let is_new = |step: &&HistoryMutation| {
            step.seq > known
                && gone
                    .get(&step.session.id())
                    .is_none_or(|seq| step.seq > *seq)
        };
        let new: Vec<&HistoryMutation> = steps.iter().filter(is_new).collect();
        write_all(connection, &new).await?;
        sqlx::query("UPDATE progress SET seq = $1")
            .bind(seq)
            .execute(&mut *connection)
            .await?;
        sqlx::query("DELETE FROM forgotten WHERE seq <= $1")
            .bind(seq)
            .execute(&mut *connection)
            .await?;
        Ok(open.commit().await?)
    }
}

/// Writes steps in order.
pub(crate) async fn write_all(
    connection: &mut SqliteConnection,
    steps: &[&HistoryMutation],
) -> Result<(), sqlx::Error> {
    for steps in steps.split_inclusive(|step| step.change.empties()) {
        write(connection, steps).await?;
    }
    Ok(())
}

/// The row ids of chats, by life and id.
pub(crate) type ChatRows<'a> = HashMap<(&'a Life, &'a str), i64>;

async fn write(
    connection: &mut SqliteConnection,
    steps: &[&HistoryMutation],
) -> Result<(), sqlx::Error> {
    if steps.is_empty() {
        return Ok(());
    }
    let chat_rows = chats(connection, steps).await?;
    let messages: Vec<(i64, &Life, &NewHistoryMessage)> = steps
        .iter()
        .filter_map(|step| match &step.change {
            HistoryChange::Message(new) => Some((
                *chat_rows.get(&(&step.session, new.chat.as_str()))?,
                &step.session,
                &**new,
            )),
            _ => None,
        })
        .collect();
    let mut new = self::messages(connection, &messages, None).await?;
    count(connection, steps, &chat_rows, &mut new).await?;
    for step in steps {
        changes::apply(connection, step, &chat_rows).await?;
    }
    statuses(connection, steps, &chat_rows).await?;
    let people = steps
        .iter()
        .filter_map(|step| Some((&step.session, step.change.person()?)));
    contacts(connection, people).await
}

/// Returns the chats of these steps, and creates the new ones.
async fn chats<'a>(
    connection: &mut SqliteConnection,
    steps: &[&'a HistoryMutation],
) -> Result<ChatRows<'a>, sqlx::Error> {
    let mut active: BTreeMap<(&Life, &str), i64> = BTreeMap::new();
    for step in steps {
        let Some(chat) = step.change.chat_id() else {
            continue;
        };
        let at = if let HistoryChange::Message(new) = &step.change {
            new.at.as_millisecond()
        } else {
            0
        };
        let active = active.entry((&step.session, chat)).or_default();
        *active = at.max(*active);
    }
    insert_chats(connection, &active).await
}

/// Returns the row ids of these chats, each given with the time of a message in it, or 0.
pub(crate) async fn insert_chats<'a>(
    connection: &mut SqliteConnection,
    active: &BTreeMap<(&'a Life, &'a str), i64>,
) -> Result<ChatRows<'a>, sqlx::Error> {
    if active.is_empty() {
        return Ok(ChatRows::new());
    }
    let mut sql = QueryBuilder::<Sqlite>::new("INSERT INTO chats (session, id, active_at) ");
    sql.push_values(active, |mut row, ((session, chat), at)| {
        row.push_bind(session.id()).push_bind(*chat).push_bind(*at);
    });
    sql.push(
        " ON CONFLICT (session, id) DO UPDATE SET active_at = max(chats.active_at, excluded.active_at) \
         RETURNING place, session, id",
    );
    let rows = sql.build().fetch_all(connection).await?;
    let row_id = |row: &SqliteRow| ((row.get("session"), row.get("id")), row.get("place"));
    let chat_rows: HashMap<(i64, String), i64> = rows.iter().map(row_id).collect();
    let find = |(session, chat): &(&Life, &str)| {
        chat_rows.get(&(session.id(), (*chat).to_owned())).copied()
    };
    Ok(active
        .keys()
        .filter_map(|key| Some((*key, find(key)?)))
        .collect())
}

/// The key of a message: its chat's row id, its own id, and its sender.
pub(crate) type MessageRowKey = (i64, String, String);

/// Inserts the messages that are not there yet, each given with its chat's row id and session;
/// returns the keys of the inserted ones. They follow all existing messages, or precede the row id
/// `before`.
pub(crate) async fn messages(
    connection: &mut SqliteConnection,
    messages: &[(i64, &Life, &NewHistoryMessage)],
    before: Option<i64>,
) -> Result<HashSet<MessageRowKey>, sqlx::Error> {
    if messages.is_empty() {
        return Ok(HashSet::new());
    }
    let mut sql = QueryBuilder::<Sqlite>::new(
        "INSERT INTO messages (place, chat, id, sender, at, content, status) ",
    );
    let mut next = before.map(|row_id| row_id.saturating_sub_unsigned(messages.len() as u64));
    sql.push_values(messages, |mut row, (chat, _, new)| {
        row.push_bind(next);
        next = next.map(|row_id| row_id + 1);
        let content = serde_json::to_string(&new.message).expect("a message is always JSON");
        row.push_bind(*chat)
            .push_bind(&new.id)
            .push_bind(new.sender())
            .push_bind(new.at.as_millisecond());
        row.push_bind(content)
            .push_bind(new.status.map(|status| status as i64));
    });
    sql.push(" ON CONFLICT DO NOTHING RETURNING place, chat, id, sender");
    let rows = sql.build().fetch_all(&mut *connection).await?;
    let mut by_name: HashMap<(i64, &str, &str), (&Life, &NewHistoryMessage)> = HashMap::new();
    for (chat, session, new) in messages {
        by_name
            .entry((*chat, &new.id, new.sender()))
            .or_insert((session, new));
    }
    let (mut kept, mut said, mut reactions) = (HashSet::new(), Vec::new(), Vec::new());
    for row in &rows {
        let (row_id, chat): (i64, i64) = (row.get("place"), row.get("chat"));
        let (id, sender): (String, String) = (row.get("id"), row.get("sender"));
        if let Some((session, new)) = by_name.get(&(chat, &id, &sender)) {
            let words = tokenizer::of_message(&new.message);
            said.extend((!words.is_empty()).then(|| (row_id, scope(session, chat), words)));
            reactions.extend(
                new.reactions
                    .iter()
                    .map(|(by, emoji)| (row_id, by.as_ref(), emoji)),
            );
        }
        kept.insert((chat, id, sender));
    }
    if !said.is_empty() {
        let mut sql = QueryBuilder::<Sqlite>::new("INSERT INTO words (rowid, scope, said) ");
        sql.push_values(said, |mut row, (row_id, scope, words)| {
            row.push_bind(row_id).push_bind(scope).push_bind(words);
        });
        sql.build().execute(&mut *connection).await?;
    }
    for (row_id, by, emoji) in reactions {
        let sql = "INSERT INTO reactions (message, person, emoji) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let query = sqlx::query(sql)
            .bind(row_id)
            .bind(by.map_or("", |by| by.id.as_str()))
            .bind(emoji);
        query.execute(&mut *connection).await?;
    }
    Ok(kept)
}

/// Returns the search terms that restrict a search to a session and a chat.
pub(crate) fn scope(session: &Life, chat: i64) -> String {
    format!("{} c{chat}", scope_of_session(session))
}

/// Session names may contain anything; this is a single term. It is the same for all lives of a
/// name, as it was before lives were distinguished.
pub(crate) fn scope_of_session(session: &Life) -> String {
    format!("s{}", to_hex(&Sha256::digest(session.name())[..8]))
}

/// Updates the unread counters: each message of others adds one, and seeing the chat resets the
/// counter.
async fn count(
    connection: &mut SqliteConnection,
    steps: &[&HistoryMutation],
    chat_rows: &ChatRows<'_>,
    new: &mut HashSet<MessageRowKey>,
) -> Result<(), sqlx::Error> {
    let mut counts: HashMap<i64, (bool, i64)> = HashMap::new();
    for step in steps {
        let Some(row_id) = step
            .change
            .chat_id()
            .and_then(|chat| chat_rows.get(&(&step.session, chat)))
        else {
            continue;
        };
        match &step.change {
            // A message that is delivered twice counts once.
            HistoryChange::Message(kept)
                if kept.from.is_some()
                    && new.remove(&(*row_id, kept.id.clone(), kept.sender().to_owned())) =>
            {
                counts.entry(*row_id).or_default().1 += 1;
            }
            HistoryChange::Seen { .. } => drop(counts.insert(*row_id, (true, 0))),
            HistoryChange::Chat { change, .. }
                if change.unread == Some(false) && change.is_for_all_messages() =>
            {
                counts.insert(*row_id, (true, 0));
            }
            _ => {}
        }
    }
    if counts.is_empty() {
        return Ok(());
    }
    let mut sql = QueryBuilder::<Sqlite>::new(
        "UPDATE chats SET unread = CASE WHEN v.column2 THEN v.column3 ELSE chats.unread + v.column3 END, \
         marked_unread = CASE WHEN v.column2 THEN 0 ELSE chats.marked_unread END FROM (",
    );
    sql.push_values(counts, |mut row, (row_id, (was_seen, count))| {
        row.push_bind(row_id).push_bind(was_seen).push_bind(count);
    });
    sql.push(") AS v WHERE chats.place = v.column1")
        .build()
        .execute(connection)
        .await?;
    Ok(())
}

/// Updates the statuses of the account's own messages.
async fn statuses(
    connection: &mut SqliteConnection,
    steps: &[&HistoryMutation],
    chat_rows: &ChatRows<'_>,
) -> Result<(), sqlx::Error> {
    let mut furthest: BTreeMap<(i64, &str), MessageProgress> = BTreeMap::new();
    for step in steps {
        let HistoryChange::Status { chat, id, status } = &step.change else {
            continue;
        };
        let Some(row_id) = chat_rows.get(&(&step.session, chat.as_str())) else {
            continue;
        };
        let known = furthest.entry((*row_id, id)).or_insert(*status);
        *known = (*status).max(*known);
    }
    if furthest.is_empty() {
        return Ok(());
    }
    let mut sql = QueryBuilder::<Sqlite>::new(
        "UPDATE messages SET status = max(COALESCE(status, 0), v.column3) FROM (",
    );
    sql.push_values(furthest, |mut row, ((chat, id), status)| {
        row.push_bind(chat).push_bind(id).push_bind(status as i64);
    });
    sql.push(") AS v WHERE messages.chat = v.column1 AND messages.id = v.column2 AND messages.sender = ''");
    sql.build().execute(connection).await?;
    Ok(())
}

/// Saves the given data of people; missing data leaves the saved data as it is.
pub(crate) async fn contacts<'a>(
    connection: &mut SqliteConnection,
    people: impl Iterator<Item = (&'a Life, Person)>,
) -> Result<(), sqlx::Error> {
    let mut by_id: BTreeMap<(&Life, String), Person> = BTreeMap::new();
    for (session, person) in people.filter(|(_, person)| !person.id.is_empty()) {
        let known = by_id.entry((session, person.id.clone())).or_default();
        let earlier = std::mem::take(known);
        let names = person.all_names().or_earlier(earlier.all_names());
        let Person { id, phone, lid, .. } = person;
        let (phone, lid) = (phone.or(earlier.phone), lid.or(earlier.lid));
        *known = Person {
            id,
            phone,
            lid,
            ..Person::default()
        }
        .with_names(names);
    }
    if by_id.is_empty() {
        return Ok(());
    }
    let mut sql = QueryBuilder::<Sqlite>::new(
        "INSERT INTO contacts (session, id, phone, lid, saved_name, verified_name, push_name, username) ",
    );
    sql.push_values(by_id, |mut row, ((session, id), person)| {
        let PersonNames {
            saved,
            verified,
            push,
            username,
        } = person.all_names();
        row.push_bind(session.id())
            .push_bind(id)
            .push_bind(person.phone)
            .push_bind(person.lid);
        row.push_bind(saved).push_bind(verified).push_bind(push);
        row.push_bind(username);
    });
    // An unchanged row costs no write.
    sql.push(
        " ON CONFLICT (session, id) DO UPDATE SET phone = COALESCE(excluded.phone, phone), \
         lid = COALESCE(excluded.lid, lid), saved_name = COALESCE(excluded.saved_name, saved_name), \
         verified_name = COALESCE(excluded.verified_name, verified_name), \
         push_name = COALESCE(excluded.push_name, push_name), \
         username = COALESCE(excluded.username, username) \
         WHERE COALESCE(excluded.phone, phone) IS NOT phone OR COALESCE(excluded.lid, lid) IS NOT lid \
            OR COALESCE(excluded.saved_name, saved_name) IS NOT saved_name \
            OR COALESCE(excluded.verified_name, verified_name) IS NOT verified_name \
            OR COALESCE(excluded.push_name, push_name) IS NOT push_name \
            OR COALESCE(excluded.username, username) IS NOT username",
    );
    sql.build().execute(connection).await?;
    Ok(())
}
