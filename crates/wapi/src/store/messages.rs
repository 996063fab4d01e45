//! Messages sent by callers: accepted once, queued, and edited before they leave.

use jiff::{SignedDuration, Timestamp};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::time;
use super::writer::Change;
use super::{Life, Store, StoreError};
use crate::ids;
use crate::message::Message;

/// Lifetime of an idempotency key.
pub const KEY_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// The sequence number of an accepted message; a later message has a larger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub i64);

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
    pub departure: Departure,
    pub key: Option<IdempotencyKey>,
}

/// Whether a message may leave as soon as it is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// It may leave without another write to the store: after a crash it counts as possibly sent.
    AtOnce,
    /// [`Store::mark_attempted`] must come first.
    Later,
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
pub struct Accepted {
    pub place: Place,
    /// WhatsApp's id.
    pub id: String,
    pub accepted_at: Timestamp,
}

/// The result of accepting a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    New(Accepted),
    /// The same request was accepted before, under the same key; contains the id of its message.
    Repeated(String),
    /// A different request used the same key.
    KeyTaken,
}

/// The result of editing a queued message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewording {
    Done,
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
pub struct OpenMessage {
    pub place: Place,
    pub id: String,
    pub chat: String,
    pub accepted_at: Timestamp,
    pub send_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    /// Whether the message may have left.
    pub may_have_left: bool,
    /// Whether a download must precede the sending.
    pub needs_fetching: bool,
    /// Whether it is a vote in a poll or a response to an event.
    pub is_vote: bool,
}

impl Store {
    /// Accepts a message: assigns its id, and saves the request's key with it.
    pub async fn accept(&self, message: NewMessage) -> Result<Acceptance, StoreError> {
        self.writer.change(message).await
    }

    /// Returns the message that was accepted under this key, if any: [`Acceptance::Repeated`] or
    /// [`Acceptance::KeyTaken`].
    pub async fn accepted_before(
        &self,
        key: &IdempotencyKey,
    ) -> Result<Option<Acceptance>, StoreError> {
        let now = self.clock.now();
        let mut connection = self.readers.acquire().await?;
        Ok(repeated(&mut connection, key, now).await?)
    }

    /// Records, before it can happen, that these messages may have left.
    pub async fn mark_attempted(&self, places: Vec<Place>) -> Result<(), StoreError> {
        self.writer.change(Attempted(places)).await
    }

    /// After a start: marks queued messages that may have left in an earlier run as unconfirmed.
    pub async fn doubt_attempted(&self) -> Result<(), StoreError> {
        self.writer.change(Doubt).await
    }

    /// Replaces the content of a message that has not left, and saves the request's key with it.
    pub async fn reword(
        &self,
        place: Place,
        message: Message,
        key: Option<IdempotencyKey>,
    ) -> Result<Rewording, StoreError> {
        self.writer
            .change(Reword {
                place,
                message,
                key,
            })
            .await
    }

    /// Returns the unsettled messages of a session, in the order they were accepted.
    pub async fn open_messages(&self, session: &Life) -> Result<Vec<OpenMessage>, StoreError> {
        Ok(open(&self.readers, session).await?)
    }

    /// Returns the content of a message.
    pub async fn content(&self, place: Place) -> Result<Message, StoreError> {
        let sql = sqlx::query_scalar("SELECT content FROM messages WHERE place = $1").bind(place.0);
        let json: String = sql.fetch_one(&self.readers).await?;
        serde_json::from_str(&json)
            .map_err(|error| StoreError::new(format!("a message cannot be read back: {error}")))
    }
}

impl Change for NewMessage {
    type Answer = Acceptance;

    fn moves_lanes(_: &Self::Answer) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<Acceptance, sqlx::Error> {
        if let Some(key) = &self.key
            && let Some(before) = repeated(connection, key, now).await?
        {
            return Ok(before);
        }
        let accepted = insert(connection, self, now).await?;
        if let Some(key) = &self.key {
            remember(connection, key, accepted.place, now).await?;
        }
        Ok(Acceptance::New(accepted))
    }
}

async fn repeated(
    connection: &mut SqliteConnection,
    key: &IdempotencyKey,
    now: Timestamp,
) -> Result<Option<Acceptance>, sqlx::Error> {
    let sql = "SELECT k.request, m.id FROM idempotency k JOIN messages m ON m.place = k.message \
               WHERE k.caller = $1 AND k.route = $2 AND k.key = $3 AND k.created_at > $4 AND k.session = $5";
    let query = sqlx::query(sql)
        .bind(&key.caller)
        .bind(&key.route)
        .bind(&key.key);
    let Some(row) = query
        .bind(forgotten_until(now))
        .bind(&key.session)
        .fetch_optional(connection)
        .await?
    else {
        return Ok(None);
    };
    let is_same = row.get::<&str, _>("request") == key.request;
    Ok(Some(if is_same {
        Acceptance::Repeated(row.get("id"))
    } else {
        Acceptance::KeyTaken
    }))
}

/// Returns the time up to which keys have expired, in milliseconds.
pub(super) fn forgotten_until(now: Timestamp) -> i64 {
    now.as_millisecond()
        - i64::try_from(KEY_LIFETIME.as_millis()).expect("a day has few milliseconds")
}

async fn insert(
    connection: &mut SqliteConnection,
    new: &NewMessage,
    now: Timestamp,
) -> Result<Accepted, sqlx::Error> {
    let (id, now) = (ids::message_id(), now.as_millisecond());
    let attempted_at = (new.departure == Departure::AtOnce).then_some(now);
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
    let place = Place(query.execute(connection).await?.last_insert_rowid());
    Ok(Accepted {
        place,
        id,
        accepted_at: time(now),
    })
}

async fn remember(
    connection: &mut SqliteConnection,
    key: &IdempotencyKey,
    place: Place,
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

struct Attempted(Vec<Place>);

impl Change for Attempted {
    type Answer = ();

    fn moves_lanes(_: &Self::Answer) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        for places in self.0.chunks(super::events::ROWS) {
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

struct Reword {
    place: Place,
    message: Message,
    key: Option<IdempotencyKey>,
}

impl Change for Reword {
    type Answer = Rewording;

    fn moves_lanes(_: &Self::Answer) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<Rewording, sqlx::Error> {
        if let Some(key) = &self.key {
            match repeated(connection, key, now).await? {
                Some(Acceptance::Repeated(id)) => return Ok(Rewording::Repeated(id)),
                Some(_) => return Ok(Rewording::KeyTaken),
                None => {}
            }
        }
        let content = serde_json::to_string(&self.message).expect("a message is always JSON");
        let sql = "UPDATE messages SET content = $2, edited_at = $3 WHERE place = $1 AND settled_at IS NULL";
        let query = sqlx::query(sql)
            .bind(self.place.0)
            .bind(content)
            .bind(now.as_millisecond());
        if query.execute(&mut *connection).await?.rows_affected() == 0 {
            return Ok(Rewording::TooLate);
        }
        if let Some(key) = &self.key {
            remember(connection, key, self.place, now).await?;
        }
        Ok(Rewording::Done)
    }
}

struct Doubt;

impl Change for Doubt {
    type Answer = ();

    fn moves_lanes(_: &Self::Answer) -> bool {
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

async fn open(pool: &SqlitePool, session: &Life) -> Result<Vec<OpenMessage>, sqlx::Error> {
    let sql = "SELECT place, id, chat, accepted_at, send_at, expires_at, attempted_at, type, content \
               FROM messages WHERE session = $1 AND settled_at IS NULL ORDER BY place";
    let rows = sqlx::query(sql).bind(session).fetch_all(pool).await?;
    let open = |row: &SqliteRow| OpenMessage {
        place: Place(row.get("place")),
        id: row.get("id"),
        chat: row.get("chat"),
        accepted_at: time(row.get("accepted_at")),
        send_at: row.get::<Option<i64>, _>("send_at").map(time),
        expires_at: row.get::<Option<i64>, _>("expires_at").map(time),
        may_have_left: row.get::<Option<i64>, _>("attempted_at").is_some(),
        // An unreadable message is reported when it is due to leave.
        needs_fetching: serde_json::from_str::<Message>(row.get("content"))
            .is_ok_and(|message| message.content.needs_fetching()),
        is_vote: matches!(row.get("type"), "poll_vote" | "event_response"),
    };
    Ok(rows.iter().map(open).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::store;
    use super::*;

    fn message(content: serde_json::Value) -> Message {
        serde_json::from_value(content).unwrap()
    }

    async fn accepted(store: &Store, session: &Life, message: &Message) -> Place {
        let (session, chat, message) = (session.clone(), "ann".to_owned(), message.clone());
        let (departure, key) = (Departure::Later, None);
        let new = NewMessage {
            session,
            chat,
            message,
            send_at: None,
            expires_at: None,
            departure,
            key,
        };
        let Acceptance::New(accepted) = store.accept(new).await.unwrap() else {
            panic!("it came without a key")
        };
        accepted.place
    }

    #[tokio::test]
    async fn what_the_next_run_has_to_fetch_is_what_the_message_asks_for_now() {
        let (store, _folder) = store().await;
        let session = store.lives().begun("shop");
        let image = json!({"link": "http://a/b.png"});
        let kinds = [
            (json!({"type": "text", "text": {"body": "http://a"}}), false),
            (
                json!({"type": "text", "text": {"body": "http://a", "preview_url": true}}),
                true,
            ),
            (json!({"type": "image", "image": image}), true),
            (
                json!({"type": "location", "location": {"latitude": 1.0, "longitude": 2.0}}),
                false,
            ),
        ];
        for (content, needs_fetching) in &kinds {
            let place = accepted(&store, &session, &message(content.clone())).await;
            let open = store.open_messages(&session).await.unwrap();
            let open = open.iter().find(|open| open.place == place).unwrap();
            assert_eq!(open.needs_fetching, *needs_fetching, "{content}");
            // And after an edit.
            for (other, needs_fetching) in &kinds {
                assert_eq!(
                    store
                        .reword(place, message(other.clone()), None)
                        .await
                        .unwrap(),
                    Rewording::Done
                );
                let open = store.open_messages(&session).await.unwrap();
                let open = open.iter().find(|open| open.place == place).unwrap();
                assert_eq!(
                    open.needs_fetching, *needs_fetching,
                    "{content}, then {other}"
                );
            }
        }
    }

    #[tokio::test]
    async fn other_words_are_kept_with_the_key_they_came_under() {
        let (store, _folder) = store().await;
        let session = store.lives().begun("shop");
        let text = |body: &str| message(json!({"type": "text", "text": {"body": body}}));
        let place = accepted(&store, &session, &text("first")).await;
        let key = |request: &str| {
            let [caller, route, key, request] = ["me", "PATCH", "1", request].map(str::to_owned);
            Some(IdempotencyKey {
                caller,
                session: session.clone(),
                route,
                key,
                request,
            })
        };
        assert_eq!(
            store.reword(place, text("second"), key("a")).await.unwrap(),
            Rewording::Done
        );
        let again = store.reword(place, text("third"), key("a")).await.unwrap();
        assert!(matches!(again, Rewording::Repeated(_)), "{again:?}");
        assert_eq!(
            store.reword(place, text("third"), key("b")).await.unwrap(),
            Rewording::KeyTaken
        );
        assert_eq!(
            store
                .reword(Place(place.0 + 1), text("third"), None)
                .await
                .unwrap(),
            Rewording::TooLate
        );
        assert_eq!(store.content(place).await.unwrap(), text("second"));
    }
}
