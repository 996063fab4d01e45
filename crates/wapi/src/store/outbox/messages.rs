//! Messages sent by callers: accepted once, queued, and edited before they leave.

use jiff::{SignedDuration, Timestamp};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use crate::model::ids;
use crate::model::message::Message;
use crate::store::to_timestamp;
use crate::store::writer::StoreChange;
use crate::store::{Life, Store, StoreError};

/// Lifetime of an idempotency key.
pub const KEY_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// The sequence number of an accepted message; a later message has a larger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageSeq(pub i64);

/// A message to accept.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMessage {
    pub session: Life,
    /// As callers address it, e.g. `375447034810@s.whatsapp.net`.
    pub chat: String,
    pub message: Message,
    pub send_at: Option<Timestamp>,
    /// The message must not leave after this time.
    pub expires_at: Option<Timestamp>,
    pub intent: SendIntent,
    pub key: Option<IdempotencyKey>,
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

/// A message that was accepted, now or earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedMessage {
    pub seq: MessageSeq,
    /// WhatsApp's id.
    pub id: String,
    pub accepted_at: Timestamp,
}

/// The result of accepting a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcceptOutcome {
    New(AcceptedMessage),
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

/// A message that is not settled.
#[derive(Debug, Clone, PartialEq)]
pub struct UnsettledMessage {
    pub seq: MessageSeq,
    pub id: String,
    pub chat: String,
    pub accepted_at: Timestamp,
    pub send_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    /// Whether the message may have left.
    pub may_have_left: bool,
    /// Whether a download must precede the sending.
    pub needs_download: bool,
    /// Whether it is a vote in a poll or a response to an event.
    pub is_vote: bool,
}

impl Store {
    /// Accepts a message: assigns its id, and saves the request's key with it.
    pub async fn accept_message(&self, message: NewMessage) -> Result<AcceptOutcome, StoreError> {
        self.writer.apply_change(message).await
    }

    /// Returns the message that was accepted under this key, if any: [`AcceptOutcome::Repeated`] or
    /// [`AcceptOutcome::KeyTaken`].
    pub async fn find_accepted(
        &self,
        key: &IdempotencyKey,
    ) -> Result<Option<AcceptOutcome>, StoreError> {
        let now = self.clock.now();
        let mut connection = self.readers.acquire().await?;
        Ok(find_repeated(&mut connection, key, now).await?)
    }

    /// Records, before it can happen, that these messages may have left.
    pub async fn record_attempts(&self, places: Vec<MessageSeq>) -> Result<(), StoreError> {
        self.writer.apply_change(RecordAttempts(places)).await
    }

    /// After a start: marks queued messages that may have left in an earlier run as unconfirmed.
    pub async fn mark_unconfirmed(&self) -> Result<(), StoreError> {
        self.writer.apply_change(MarkUnconfirmed).await
    }

    /// Replaces the content of a message that has not left, and saves the request's key with it.
    pub async fn edit_message(
        &self,
        place: MessageSeq,
        message: Message,
        key: Option<IdempotencyKey>,
    ) -> Result<EditOutcome, StoreError> {
        self.writer
            .apply_change(EditMessage {
                seq: place,
                message,
                key,
            })
            .await
    }

    /// Returns the unsettled messages of a session, in the order they were accepted.
    pub async fn unsettled_messages(
        &self,
        session: &Life,
    ) -> Result<Vec<UnsettledMessage>, StoreError> {
        Ok(query_unsettled(&self.readers, session).await?)
    }

    /// Returns the content of a message.
    pub async fn message_content(&self, place: MessageSeq) -> Result<Message, StoreError> {
        let sql = sqlx::query_scalar("SELECT content FROM messages WHERE place = $1").bind(place.0);
        let json: String = sql.fetch_one(&self.readers).await?;
        serde_json::from_str(&json)
            .map_err(|error| StoreError::new(format!("a message cannot be read back: {error}")))
    }
}

impl StoreChange for NewMessage {
    type Answer = AcceptOutcome;

    fn invalidates_ready_queue(_: &Self::Answer) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<AcceptOutcome, sqlx::Error> {
        if let Some(key) = &self.key
            && let Some(before) = find_repeated(connection, key, now).await?
        {
            return Ok(before);
        }
        let accepted = insert_message(connection, self, now).await?;
        if let Some(key) = &self.key {
            save_key(connection, key, accepted.seq, now).await?;
        }
        Ok(AcceptOutcome::New(accepted))
    }
}

async fn find_repeated(
    connection: &mut SqliteConnection,
    key: &IdempotencyKey,
    now: Timestamp,
) -> Result<Option<AcceptOutcome>, sqlx::Error> {
    let sql = "SELECT k.request, m.id FROM idempotency k JOIN messages m ON m.place = k.message \
               WHERE k.caller = $1 AND k.route = $2 AND k.key = $3 AND k.created_at > $4 AND k.session = $5";
    let query = sqlx::query(sql)
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
    connection: &mut SqliteConnection,
    new: &NewMessage,
    now: Timestamp,
) -> Result<AcceptedMessage, sqlx::Error> {
    let (id, now) = (ids::new_message_id(), now.as_millisecond());
    let attempted_at = (new.intent == SendIntent::Recorded).then_some(now);
    let content = serde_json::to_string(&new.message).expect("a message is always JSON");
    let sql = "INSERT INTO messages (session, id, chat, type, content, accepted_at, send_at, expires_at, attempted_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let query = sqlx::query(sql)
        .bind(&new.session)
        .bind(&id)
        .bind(&new.chat);
    let query = query
        .bind(new.message.content.kind())
        .bind(content)
        .bind(now);
    let query = query.bind(new.send_at.map(Timestamp::as_millisecond));
    let query = query
        .bind(new.expires_at.map(Timestamp::as_millisecond))
        .bind(attempted_at);
    let place = MessageSeq(query.execute(connection).await?.last_insert_rowid());
    Ok(AcceptedMessage {
        seq: place,
        id,
        accepted_at: to_timestamp(now),
    })
}

async fn save_key(
    connection: &mut SqliteConnection,
    key: &IdempotencyKey,
    place: MessageSeq,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    // A conflicting row is older than a day.
    let sql = "INSERT INTO idempotency (caller, route, key, request, message, created_at, session) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (caller, session, route, key) DO UPDATE \
               SET request = excluded.request, message = excluded.message, created_at = excluded.created_at";
    let query = sqlx::query(sql)
        .bind(&key.caller)
        .bind(&key.route)
        .bind(&key.key)
        .bind(&key.request);
    query
        .bind(place.0)
        .bind(now.as_millisecond())
        .bind(&key.session)
        .execute(connection)
        .await?;
    Ok(())
}

struct RecordAttempts(Vec<MessageSeq>);

impl StoreChange for RecordAttempts {
    type Answer = ();

    fn invalidates_ready_queue(_: &Self::Answer) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        for places in self.0.chunks(crate::store::events::log::MAX_ROWS) {
            let mut sql =
                sqlx::QueryBuilder::<sqlx::Sqlite>::new("UPDATE messages SET attempted_at = ");
            sql.push_bind(now.as_millisecond())
                .push(" WHERE attempted_at IS NULL AND place IN ");
            sql.push_tuples(places, |mut row, place| {
                row.push_bind(place.0);
            });
            sql.build().execute(&mut *connection).await?;
        }
        Ok(())
    }
}

struct EditMessage {
    seq: MessageSeq,
    message: Message,
    key: Option<IdempotencyKey>,
}

impl StoreChange for EditMessage {
    type Answer = EditOutcome;

    fn invalidates_ready_queue(_: &Self::Answer) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<EditOutcome, sqlx::Error> {
        if let Some(key) = &self.key {
            match find_repeated(connection, key, now).await? {
                Some(AcceptOutcome::Repeated(id)) => return Ok(EditOutcome::Repeated(id)),
                Some(_) => return Ok(EditOutcome::KeyTaken),
                None => {}
            }
        }
        let content = serde_json::to_string(&self.message).expect("a message is always JSON");
        let sql = "UPDATE messages SET content = $2, edited_at = $3 WHERE place = $1 AND settled_at IS NULL";
        let query = sqlx::query(sql)
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

struct MarkUnconfirmed;

impl StoreChange for MarkUnconfirmed {
    type Answer = ();

    fn invalidates_ready_queue(_: &Self::Answer) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        _: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let sql = "UPDATE messages SET status = 'unknown' \
                   WHERE settled_at IS NULL AND attempted_at IS NOT NULL AND status = 'queued'";
        sqlx::query(sql).execute(connection).await?;
        Ok(())
    }
}

async fn query_unsettled(
    pool: &SqlitePool,
    session: &Life,
) -> Result<Vec<UnsettledMessage>, sqlx::Error> {
    let sql = "SELECT place, id, chat, accepted_at, send_at, expires_at, attempted_at, type, content \
               FROM messages WHERE session = $1 AND settled_at IS NULL ORDER BY place";
    let rows = sqlx::query(sql).bind(session).fetch_all(pool).await?;
    let open = |row: &SqliteRow| UnsettledMessage {
        seq: MessageSeq(row.get("place")),
        id: row.get("id"),
        chat: row.get("chat"),
        accepted_at: to_timestamp(row.get("accepted_at")),
        send_at: row.get::<Option<i64>, _>("send_at").map(to_timestamp),
        expires_at: row.get::<Option<i64>, _>("expires_at").map(to_timestamp),
        may_have_left: row.get::<Option<i64>, _>("attempted_at").is_some(),
        // An unreadable message is reported when it is due to leave.
        needs_download: serde_json::from_str::<Message>(row.get("content"))
            .is_ok_and(|message| message.content.needs_download()),
        is_vote: matches!(row.get("type"), "poll_vote" | "event_response"),
    };
    Ok(rows.iter().map(open).collect())
}

#[cfg(test)]
mod tests;
