//! Batched writing of history changes: a handful of statements with constant texts, however many
//! messages there are. Their rows are JSON.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::mutation::{HistoryChange, HistoryMutation, MessageProgress, NewHistoryMessage};
use super::{changes, tokenizer, words};
use crate::model::event::{Person, PersonNames};
use crate::model::message::Message;
use crate::store::db::{self, Connection, Row};
use crate::store::writer::PlainChange;
use crate::store::{HistoryStore, Life, StoreError};

impl HistoryStore<'_> {
    /// Writes steps in order, together with the position `seq` they were read up to. Skips steps of
    /// events that were processed already, or that precede the deletion of their session. They wait
    /// a moment for a commit of others, unless `urgent` completes. If this ends in the middle, the
    /// position says from where to read again.
    pub async fn write_mutations(
        self,
        mut steps: Vec<HistoryMutation>,
        seq: i64,
        urgent: impl Future<Output = ()>,
    ) -> Result<(), StoreError> {
        // What two ids that became one have is moved in changes of its own, since it may be a lot, and
        // after all that happened before.
        while let Some(index) = steps.iter().position(|step| step.change.is_merge()) {
            let merge = steps[index].seq;
            let first = steps.partition_point(|step| step.seq < merge);
            let end = steps.partition_point(|step| step.seq <= merge);
            let rest = steps.split_off(end);
            let event = steps.split_off(first);
            if !steps.is_empty() {
                self.write_now(steps, merge - 1).await?;
            }
            for step in &event {
                if let HistoryChange::Merged { old, new } = &step.change {
                    self.begin_merge(&step.session, old, new).await?;
                }
            }
            self.write_now(event, merge).await?;
            steps = rest;
        }
        let writer = &self.store.writer;
        let change = WriteMutations {
            steps: steps.into(),
            seq,
        };
        match writer.apply_deferred(change.clone(), urgent).await? {
            Some(()) => Ok(()),
            // What was applied already is skipped.
            None => writer.apply_plain(change).await,
        }
    }

    async fn write_now(self, steps: Vec<HistoryMutation>, seq: i64) -> Result<(), StoreError> {
        let steps = steps.into();
        let change = WriteMutations { steps, seq };
        self.store.writer.apply_plain(change).await
    }
}

#[derive(Clone)]
struct WriteMutations {
    steps: Arc<[HistoryMutation]>,
    seq: i64,
}

impl PlainChange for WriteMutations {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        let known: i64 = db::query_scalar("SELECT seq FROM history_progress")
            .fetch_one(&mut *connection)
            .await?;
        let gone: Vec<(i64, i64)> = db::query_as("SELECT session, seq FROM history_forgotten")
            .fetch_all(&mut *connection)
            .await?;
        let gone: HashMap<i64, i64> = gone.into_iter().collect();
        let is_new = |step: &&HistoryMutation| {
            let forgotten = gone.get(&step.session.id());
            step.seq > known && forgotten.is_none_or(|seq| step.seq > *seq)
        };
        let new: Vec<&HistoryMutation> = self.steps.iter().filter(is_new).collect();
        for steps in new.split_inclusive(|step| step.change.empties()) {
            write_steps(connection, steps).await?;
        }
        db::query("UPDATE history_progress SET seq = max(seq, $1)")
            .bind(self.seq)
            .execute(&mut *connection)
            .await?;
        if !gone.is_empty() {
            db::query("DELETE FROM history_forgotten WHERE seq <= $1")
                .bind(self.seq)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

/// The row ids of chats, by life and id.
pub(super) type ChatRows<'a> = HashMap<(&'a Life, &'a str), i64>;

/// A message with the row ids of its chat and its own.
pub(super) struct PlacedMessage<'a> {
    pub row_id: i64,
    pub chat: i64,
    pub session: &'a Life,
    pub new: &'a NewHistoryMessage,
}

async fn write_steps(
    connection: &mut Connection,
    steps: &[&HistoryMutation],
) -> Result<(), db::Error> {
    if steps.is_empty() {
        return Ok(());
    }
    let chat_rows = insert_step_chats(connection, steps).await?;
    let placed = steps.iter().filter_map(|step| match &step.change {
        HistoryChange::Message(new) => Some(PlacedMessage {
            row_id: step.seq,
            chat: *chat_rows.get(&(&step.session, new.chat.as_str()))?,
            session: &step.session,
            new,
        }),
        _ => None,
    });
    let mut new = insert_messages(connection, &Vec::from_iter(placed)).await?;
    count_unread(connection, steps, &chat_rows, &mut new).await?;
    for step in steps {
        changes::apply(connection, step, &chat_rows).await?;
    }
    update_statuses(connection, steps, &chat_rows).await?;
    let people = steps
        .iter()
        .filter_map(|step| Some((&step.session, step.change.person()?)));
    update_contacts(connection, people).await
}

/// Returns the chats of these steps, and creates the new ones.
async fn insert_step_chats<'a>(
    connection: &mut Connection,
    steps: &[&'a HistoryMutation],
) -> Result<ChatRows<'a>, db::Error> {
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
pub(super) async fn insert_chats<'a>(
    connection: &mut Connection,
    active: &BTreeMap<(&'a Life, &'a str), i64>,
) -> Result<ChatRows<'a>, db::Error> {
    if active.is_empty() {
        return Ok(ChatRows::new());
    }
    let rows = active
        .iter()
        .map(|((session, chat), at)| (session.id(), *chat, *at));
    let sql = "INSERT INTO history_chats (session, id, active_at) \
               SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1) WHERE true \
               ON CONFLICT (session, id) DO UPDATE SET active_at = max(history_chats.active_at, excluded.active_at) \
               RETURNING place, session, id";
    let query = db::query(sql).bind(rows_to_json(rows));
    let rows = query.fetch_all(connection).await?;
    let row_id = |row: &Row| ((row.get("session"), row.get("id")), row.get("place"));
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
pub(super) type MessageRowKey = (i64, String, String);

/// Inserts the messages that are not there yet, and returns the keys of the inserted ones.
pub(super) async fn insert_messages(
    connection: &mut Connection,
    messages: &[PlacedMessage<'_>],
) -> Result<HashSet<MessageRowKey>, db::Error> {
    if messages.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = messages.iter().map(|placed| {
        let new = placed.new;
        let content = (!new.is_in_log).then(|| message_to_json(&new.message));
        let status = new.status.map(|status| status as i64);
        let at = new.at.as_millisecond();
        (
            placed.row_id,
            placed.chat,
            &new.id,
            new.sender(),
            at,
            content,
            status,
        )
    });
    let sql = "INSERT INTO history_messages (place, chat, id, sender, at, content, status) \
               SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6 \
               FROM json_each($1) WHERE true ON CONFLICT DO NOTHING RETURNING place";
    let query = db::query_scalar(sql).bind(rows_to_json(rows));
    let inserted: HashSet<i64> = query
        .fetch_all(&mut *connection)
        .await?
        .into_iter()
        .collect();
    let inserted = messages
        .iter()
        .filter(|placed| inserted.contains(&placed.row_id));
    let (mut keys, mut said, mut reactions) = (HashSet::new(), Vec::new(), Vec::new());
    for placed in inserted {
        let (row_id, new) = (placed.row_id, placed.new);
        let terms = tokenizer::of_message(&new.message);
        if !terms.is_empty() {
            let scope = words::scope(placed.session.name(), placed.chat);
            said.push((row_id, scope, terms));
        }
        let by = |by: &Option<Person>| by.as_ref().map_or(String::new(), |by| by.id.clone());
        let reacted = new.reactions.iter();
        reactions.extend(reacted.map(|(person, emoji)| (row_id, by(person), emoji)));
        keys.insert((placed.chat, new.id.clone(), new.sender().to_owned()));
    }
    words::insert(connection, said).await?;
    if !reactions.is_empty() {
        let sql = "INSERT INTO history_reactions (message, person, emoji) \
                   SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1) WHERE true ON CONFLICT DO NOTHING";
        let query = db::query(sql).bind(rows_to_json(reactions));
        query.execute(connection).await?;
    }
    Ok(keys)
}

/// Updates the unread counters: each message of others adds one, and seeing the chat resets the
/// counter.
async fn count_unread(
    connection: &mut Connection,
    steps: &[&HistoryMutation],
    chat_rows: &ChatRows<'_>,
    new: &mut HashSet<MessageRowKey>,
) -> Result<(), db::Error> {
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
    let rows = counts
        .into_iter()
        .map(|(row_id, (was_seen, count))| (row_id, was_seen, count));
    let sql = "UPDATE history_chats SET \
               unread = CASE WHEN v.value ->> 1 THEN v.value ->> 2 ELSE unread + (v.value ->> 2) END, \
               marked_unread = CASE WHEN v.value ->> 1 THEN 0 ELSE marked_unread END \
               FROM json_each($1) v WHERE place = v.value ->> 0";
    let query = db::query(sql).bind(rows_to_json(rows));
    query.execute(connection).await.map(drop)
}

/// Updates the statuses of the account's own messages.
async fn update_statuses(
    connection: &mut Connection,
    steps: &[&HistoryMutation],
    chat_rows: &ChatRows<'_>,
) -> Result<(), db::Error> {
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
    let rows = furthest
        .into_iter()
        .map(|((chat, id), status)| (chat, id, status as i64));
    raise_statuses(connection, rows.collect()).await
}

/// Raises the statuses of own messages to these, each given with the row id of its chat and its id.
pub(super) async fn raise_statuses(
    connection: &mut Connection,
    statuses: Vec<(i64, &str, i64)>,
) -> Result<(), db::Error> {
    if statuses.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE history_messages SET status = max(COALESCE(status, 0), v.value ->> 2) FROM json_each($1) v \
               WHERE chat = v.value ->> 0 AND history_messages.id = v.value ->> 1 AND sender = ''";
    let query = db::query(sql).bind(rows_to_json(statuses));
    query.execute(connection).await.map(drop)
}

/// Saves the given data of people; missing data leaves the saved data as it is.
async fn update_contacts<'a>(
    connection: &mut Connection,
    people: impl Iterator<Item = (&'a Life, Person)>,
) -> Result<(), db::Error> {
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
    let rows = by_id
        .iter()
        .map(|((session, _), person)| contact_row(session, person));
    // An unchanged row costs no write.
    let sql = "INSERT INTO history_contacts (session, id, phone, lid, saved_name, verified_name, push_name, username) \
               SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7 \
               FROM json_each($1) WHERE true \
               ON CONFLICT (session, id) DO UPDATE SET phone = COALESCE(excluded.phone, phone), \
               lid = COALESCE(excluded.lid, lid), saved_name = COALESCE(excluded.saved_name, saved_name), \
               verified_name = COALESCE(excluded.verified_name, verified_name), \
               push_name = COALESCE(excluded.push_name, push_name), \
               username = COALESCE(excluded.username, username) \
               WHERE COALESCE(excluded.phone, phone) IS NOT phone OR COALESCE(excluded.lid, lid) IS NOT lid \
                  OR COALESCE(excluded.saved_name, saved_name) IS NOT saved_name \
                  OR COALESCE(excluded.verified_name, verified_name) IS NOT verified_name \
                  OR COALESCE(excluded.push_name, push_name) IS NOT push_name \
                  OR COALESCE(excluded.username, username) IS NOT username";
    let query = db::query(sql).bind(rows_to_json(rows));
    query.execute(connection).await.map(drop)
}

/// Returns the row of a person's data.
pub(super) fn contact_row<'a>(session: &Life, person: &'a Person) -> impl Serialize + use<'a> {
    let PersonNames {
        saved,
        verified,
        push,
        username,
    } = person.all_names();
    (
        session.id(),
        person.id.as_str(),
        person.phone.as_deref(),
        person.lid.as_deref(),
        saved,
        verified,
        push,
        username,
    )
}

/// Returns rows as a JSON list of lists, for `json_each`.
pub(super) fn rows_to_json<T: Serialize>(rows: impl IntoIterator<Item = T>) -> String {
    serde_json::to_string(&Vec::from_iter(rows)).expect("numbers and texts are always JSON")
}

/// Returns the message object as it is stored.
pub(super) fn message_to_json(message: &Message) -> String {
    serde_json::to_string(message).expect("a message is always JSON")
}
