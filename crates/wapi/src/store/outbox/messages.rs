//! Messages sent by callers: accepted once, queued, and edited before they leave.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::model::ids;
use crate::model::message::{ChatId, Message};
use crate::store::db::{self, Connection, Pool, Row};
use crate::store::to_timestamp;
use crate::store::writer::{PlainChange, StoreChange};
use crate::store::{Life, OutboxStore, StoreError};

/// Lifetime of an idempotency key.
pub const KEY_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// The sequence number of an accepted message; a later message has a larger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageSeq(pub i64);

/// A message that a caller wants sent.
#[derive(Debug, Clone, PartialEq)]
pub struct SendRequest {
    /// The life of the session in which it was requested. The message leaves in that life or not at
    /// all.
    pub session: Life,
    pub to: ChatId,
    pub message: Message,
    pub send_at: Option<Timestamp>,
    /// The message must not leave after this time.
    pub expires_at: Option<Timestamp>,
    pub key: Option<IdempotencyKey>,
}

/// A message that was accepted and is not settled. Its content is apart from it:
/// [`Store::message_content`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMessage {
    pub seq: MessageSeq,
    /// WhatsApp's id.
    pub id: String,
    pub session: Life,
    pub to: ChatId,
    pub accepted_at: Timestamp,
    pub send_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    /// Whether the store has recorded that it may leave.
    pub is_recorded: bool,
    /// Whether it may have left in an earlier run.
    pub may_have_left: bool,
    /// Whether a download must precede the sending. An edit may change that: the outbox knows.
    pub needs_download: bool,
    /// Whether it is a vote in a poll or a response to an event.
    pub is_vote: bool,
}

/// Whether a message may leave as soon as it is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendIntent {
    /// It may leave without another write to the store: after a crash it counts as possibly sent.
    Recorded,
    /// [`Store::record_attempts`] must come first.
    Unrecorded,
}

/// The key that makes a repeated request the same request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Callers do not share keys.
    pub caller: String,
    pub session: Life,
    pub route: String,
    pub key: String,
    /// Hash of the request.
    pub request: String,
}

/// The result of accepting a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcceptOutcome {
    New(Arc<QueuedMessage>),
    /// The same request was accepted before, under the same key; contains the id of its message.
    Repeated(String),
    /// A different request used the same key.
    KeyTaken,
}

/// The result of editing a queued message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditOutcome {
    Edited,
    /// The same edit was requested before, under the same key; contains the id of the resulting
    /// message.
    Repeated(String),
    /// A different request used the same key.
    KeyTaken,
    /// The message may have left, or is settled.
    TooLate,
}

impl OutboxStore<'_> {
    /// Accepts a message: assigns its id, and saves the request's key with it.
    pub async fn accept_message(
        self,
        request: Arc<SendRequest>,
        intent: SendIntent,
    ) -> Result<AcceptOutcome, StoreError> {
        self.store
            .writer
            .apply_plain(AcceptMessage { request, intent })
            .await
    }

    /// Returns the message that was accepted under this key, if any: [`AcceptOutcome::Repeated`] or
    /// [`AcceptOutcome::KeyTaken`].
    pub async fn find_accepted(
        self,
        key: &IdempotencyKey,
    ) -> Result<Option<AcceptOutcome>, StoreError> {
        let now = self.store.clock.now();
        let mut connection = self.store.readers.acquire().await?;
        Ok(find_repeated(&mut connection, key, now).await?)
    }

    /// Replaces the content of a message that has not left, and saves the request's key with it.
    pub async fn edit_message(
        self,
        seq: MessageSeq,
        message: Message,
        key: Option<IdempotencyKey>,
    ) -> Result<EditOutcome, StoreError> {
        self.store
            .writer
            .apply_change(EditMessage { seq, message, key })
            .await
    }

    /// Returns the unsettled messages of a session, in the order they were accepted.
    pub async fn unsettled_messages(
        self,
        session: &Life,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        Ok(query_unsettled(&self.store.readers, session).await?)
    }

    /// Returns the content of a message.
    pub async fn message_content(self, seq: MessageSeq) -> Result<Message, StoreError> {
        let sql = db::query_scalar("SELECT content FROM messages WHERE place = $1").bind(seq.0);
        let json: String = sql.fetch_one(&self.store.readers).await?;
        serde_json::from_str(&json)
            .map_err(|error| StoreError::new(format!("a message cannot be read back: {error}")))
    }
}

struct AcceptMessage {
    request: Arc<SendRequest>,
    intent: SendIntent,
}

impl PlainChange for AcceptMessage {
    type Answer = AcceptOutcome;

    async fn write(
        &self,
        connection: &mut Connection,
        now: Timestamp,
    ) -> Result<AcceptOutcome, db::Error> {
        let key = self.request.key.as_ref();
        if let Some(key) = key
            && let Some(before) = find_repeated(connection, key, now).await?
        {
            return Ok(before);
        }
        let accepted = insert_message(connection, &self.request, self.intent, now).await?;
        if let Some(key) = key {
            save_key(connection, key, accepted.seq, now).await?;
        }
        Ok(AcceptOutcome::New(Arc::new(accepted)))
    }
}

async fn find_repeated(
    connection: &mut Connection,
    key: &IdempotencyKey,
    now: Timestamp,
) -> Result<Option<AcceptOutcome>, db::Error> {
    let sql = "SELECT k.request, m.id FROM idempotency k JOIN messages m ON m.place = k.message \
               WHERE k.caller = $1 AND k.route = $2 AND k.key = $3 AND k.created_at > $4 AND k.session = $5";
    let query = db::query(sql)
        .bind(&key.caller)
        .bind(&key.route)
        .bind(&key.key);
    let Some(row) = query
        .bind(key_expiry(now))
        .bind(&key.session)
        .fetch_optional(connection)
        .await?
    else {
        return Ok(None);
    };
    let is_same = row.get::<&str, _>("request") == key.request;
    Ok(Some(if is_same {
        AcceptOutcome::Repeated(row.get("id"))
    } else {
        AcceptOutcome::KeyTaken
    }))
}

/// Returns the time up to which keys have expired, in milliseconds.
pub(in crate::store) fn key_expiry(now: Timestamp) -> i64 {
    now.as_millisecond()
        - i64::try_from(KEY_LIFETIME.as_millis()).expect("a day has few milliseconds")
}

async fn insert_message(
    connection: &mut Connection,
    new: &SendRequest,
    intent: SendIntent,
    now: Timestamp,
) -> Result<QueuedMessage, db::Error> {
    let (id, now) = (ids::new_message_id(), now.as_millisecond());
    let attempted_at = (intent == SendIntent::Recorded).then_some(now);
    let content = serde_json::to_string(&new.message).expect("a message is always JSON");
    let sql = "INSERT INTO messages (session, id, chat, type, content, accepted_at, send_at, expires_at, attempted_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING place";
    let query = db::query_scalar(sql)
        .bind(&new.session)
        .bind(&id)
        .bind(new.to.to_string());
    let query = query
        .bind(new.message.content.kind())
        .bind(content)
        .bind(now);
    let query = query.bind(new.send_at.map(Timestamp::as_millisecond));
    let query = query
        .bind(new.expires_at.map(Timestamp::as_millisecond))
        .bind(attempted_at);
    let seq = MessageSeq(query.fetch_one(connection).await?);
    Ok(QueuedMessage {
        seq,
        id,
        session: new.session.clone(),
        to: new.to.clone(),
        accepted_at: to_timestamp(now),
        send_at: new.send_at,
        expires_at: new.expires_at,
        is_recorded: intent == SendIntent::Recorded,
        may_have_left: false,
        needs_download: new.message.content.needs_download(),
        is_vote: new.message.content.chosen_options().is_some(),
    })
}

async fn save_key(
    connection: &mut Connection,
    key: &IdempotencyKey,
    seq: MessageSeq,
    now: Timestamp,
) -> Result<(), db::Error> {
    // A conflicting row is older than a day.
    let sql = "INSERT INTO idempotency (caller, route, key, request, message, created_at, session) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (caller, session, route, key) DO UPDATE \
               SET request = excluded.request, message = excluded.message, created_at = excluded.created_at";
    let query = db::query(sql)
        .bind(&key.caller)
        .bind(&key.route)
        .bind(&key.key)
        .bind(&key.request);
    query
        .bind(seq.0)
        .bind(now.as_millisecond())
        .bind(&key.session)
        .execute(connection)
        .await?;
    Ok(())
}

struct EditMessage {
    seq: MessageSeq,
    message: Message,
    key: Option<IdempotencyKey>,
}

impl StoreChange for EditMessage {
    type Answer = EditOutcome;

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut Connection,
        now: Timestamp,
    ) -> Result<EditOutcome, db::Error> {
        if let Some(key) = &self.key {
            match find_repeated(connection, key, now).await? {
                Some(AcceptOutcome::Repeated(id)) => return Ok(EditOutcome::Repeated(id)),
                Some(_) => return Ok(EditOutcome::KeyTaken),
                None => {}
            }
        }
        let content = serde_json::to_string(&self.message).expect("a message is always JSON");
        let sql = "UPDATE messages SET content = $2, edited_at = $3 WHERE place = $1 AND settled_at IS NULL";
        let query = db::query(sql)
            .bind(self.seq.0)
            .bind(content)
            .bind(now.as_millisecond());
        if query.execute(&mut *connection).await?.rows_affected() == 0 {
            return Ok(EditOutcome::TooLate);
        }
        if let Some(key) = &self.key {
            save_key(connection, key, self.seq, now).await?;
        }
        Ok(EditOutcome::Edited)
    }
}

async fn query_unsettled(pool: &Pool, session: &Life) -> Result<Vec<QueuedMessage>, db::Error> {
    let sql = "SELECT place, id, chat, accepted_at, send_at, expires_at, attempted_at, type, content \
               FROM messages WHERE session = $1 AND settled_at IS NULL ORDER BY place";
    let rows = db::query(sql).bind(session).fetch_all(pool).await?;
    let queued = |row: &Row| {
        let may_have_left = row.get::<Option<i64>, _>("attempted_at").is_some();
        Some(QueuedMessage {
            seq: MessageSeq(row.get("place")),
            id: row.get("id"),
            session: session.clone(),
            // A newer version may have known other kinds of chats.
            to: ChatId::parse_with_status(row.get("chat")).ok()?,
            accepted_at: to_timestamp(row.get("accepted_at")),
            send_at: row.get::<Option<i64>, _>("send_at").map(to_timestamp),
            expires_at: row.get::<Option<i64>, _>("expires_at").map(to_timestamp),
            is_recorded: may_have_left,
            may_have_left,
            // An unreadable message is reported when it is due to leave.
            needs_download: serde_json::from_str::<Message>(row.get("content"))
                .is_ok_and(|message| message.content.needs_download()),
            is_vote: matches!(row.get("type"), "poll_vote" | "event_response"),
        })
    };
    Ok(rows.iter().filter_map(queued).collect())
}

#[cfg(test)]
mod tests;
