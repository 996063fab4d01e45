//! Decrypted messages that are not events yet.

use jiff::Timestamp;

use crate::model::event::MessageKey;
use crate::store::db::{self, Connection, QueryBuilder, Row};
use crate::store::events::log::MAX_ROWS;
use crate::store::events::retention::DEDUP_PERIOD;
use crate::store::sealing::{SealedPlace, Sealer, UnreadableRows};
use crate::store::writer::StoreChange;
use crate::store::{InboundStore, Life, StoreError};

const TABLE: &str = "pending";

/// A decrypted message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingMessage {
    pub session: Life,
    /// The addresses as the engine writes them, including devices.
    pub key: MessageKey,
    /// WhatsApp's protobuf.
    pub message: Vec<u8>,
    /// The time at which it was saved.
    pub created_at: Timestamp,
}

/// A place among the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingPlace {
    created_at: i64,
    row: i64,
}

impl PendingPlace {
    /// Before all messages.
    pub const START: Self = Self {
        created_at: i64::MIN,
        row: i64::MIN,
    };
}

/// Some messages, and the place where the next ones begin, unless these are the last.
#[derive(Debug)]
pub struct PendingPage {
    pub messages: Vec<PendingMessage>,
    /// Those that cannot be opened and are so old that their senders are no longer asked.
    pub lost: Vec<(Life, MessageKey)>,
    pub next: Option<PendingPlace>,
}

impl InboundStore<'_> {
    /// Saves messages until they are [released](Self::release_pending). An existing one stays as it is,
    /// unless it cannot be opened.
    pub async fn save_pending(
        self,
        session: &Life,
        messages: Vec<(MessageKey, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let messages = seal_pending(&self.store.sealer, session, messages)?;
        self.store
            .writer
            .apply_change(SavePending {
                session: session.clone(),
                messages,
                sealer: self.store.sealer.clone(),
            })
            .await
    }

    /// Deletes messages that have become events, or that make none.
    pub async fn release_pending(
        self,
        session: &Life,
        keys: Vec<MessageKey>,
    ) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(ReleasePending {
                session: session.clone(),
                keys,
            })
            .await
    }

    /// Returns a saved message. One that cannot be opened is not there: its sender is asked for it
    /// again, and it is saved in the place of this one.
    pub async fn find_pending(
        self,
        session: &Life,
        key: &MessageKey,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT message FROM pending WHERE session = $1 AND chat = $2 AND sender = $3 AND message_id = $4";
        let query = db::query_scalar(sql)
            .bind(session)
            .bind(&key.chat)
            .bind(&key.sender)
            .bind(&key.id);
        let stored: Option<Vec<u8>> = query.fetch_optional(&self.store.readers).await?;
        let mut unreadable = UnreadableRows::new(TABLE);
        let opened = stored.and_then(|stored| {
            let opened = open_pending(&self.store.sealer, session, key, stored);
            unreadable.keep(format_args!("life {}", session.id()), opened)
        });
        unreadable.report();
        Ok(opened)
    }

    /// Returns whether a received message has become an event, or is known to make none. A message
    /// whose event may have left no row any more counts as saved.
    pub async fn was_saved(
        self,
        session: &Life,
        key: &MessageKey,
        sent_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let age = self.store.clock.now().duration_since(sent_at);
        if age >= jiff::SignedDuration::try_from(DEDUP_PERIOD).unwrap_or_default() {
            return Ok(true);
        }
        let sql = "SELECT EXISTS (SELECT 1 FROM events WHERE session = $1 AND message_chat = $2 \
                   AND sender = $3 AND message_id = $4 AND type != 'message.undecryptable') \
                   OR EXISTS (SELECT 1 FROM eventless WHERE session = $1 AND chat = $2 \
                   AND sender = $3 AND message_id = $4)";
        let query = db::query_scalar(sql)
            .bind(session)
            .bind(&key.chat)
            .bind(&key.sender)
            .bind(&key.id);
        Ok(query.fetch_one(&self.store.readers).await?)
    }

    /// Forgets up to `window` messages without an event that came before a time; returns their number.
    pub async fn forget_eventless(self, before: Timestamp, window: u16) -> Result<u64, StoreError> {
        self.store
            .writer
            .apply_change(ForgetEventless { before, window })
            .await
    }

    /// Returns up to `limit` messages saved before a time, the oldest first, from after a place on.
    /// Those that cannot be opened are left out, and stay until they are lost.
    pub async fn find_pending_before(
        self,
        before: Timestamp,
        after: PendingPlace,
        limit: u16,
    ) -> Result<PendingPage, StoreError> {
        let sql = "SELECT rowid, session, chat, sender, message_id, message, created_at FROM pending \
                   WHERE created_at < $1 AND (created_at, rowid) > ($2, $3) ORDER BY created_at, rowid LIMIT $4";
        let query = db::query(sql)
            .bind(before.as_millisecond())
            .bind(after.created_at)
            .bind(after.row)
            .bind(limit);
        let rows = query.fetch_all(&self.store.readers).await?;
        let (mut unreadable, mut lost) = (UnreadableRows::new(TABLE), Vec::new());
        let mut messages = Vec::with_capacity(rows.len());
        for row in &rows {
            let life = Life::from_parts(row.get("session"), "");
            let owner = format_args!("life {}", life.id());
            match unreadable.keep(owner, self.pending_from_row(row)) {
                Some(message) => messages.push(message),
                None if self.is_lost(row) => lost.push((life, key_from_row(row))),
                None => {}
            }
        }
        unreadable.report();
        let next = rows.last().filter(|_| rows.len() == usize::from(limit));
        let next = next.map(|row| PendingPlace {
            created_at: row.get("created_at"),
            row: row.get("rowid"),
        });
        Ok(PendingPage {
            messages,
            lost,
            next,
        })
    }

    /// Returns whether nobody asks for a message any more: see [`Self::was_saved`].
    fn is_lost(self, row: &Row) -> bool {
        let saved_at = Timestamp::from_millisecond(row.get("created_at")).unwrap_or_default();
        let age = self.store.clock.now().duration_since(saved_at);
        age >= jiff::SignedDuration::try_from(DEDUP_PERIOD).unwrap_or_default()
    }

    fn pending_from_row(self, row: &Row) -> Result<PendingMessage, StoreError> {
        let life = Life::from_parts(row.get("session"), "");
        let key = key_from_row(row);
        let stored = row.try_get("message")?;
        let message = open_pending(&self.store.sealer, &life, &key, stored)?;
        let session = self.store.lives.find_life(life.id());
        Ok(PendingMessage {
            session: session.unwrap_or_else(|| Life::for_gateway("")),
            key,
            message,
            created_at: Timestamp::from_millisecond(row.get("created_at")).unwrap_or_default(),
        })
    }
}

fn key_from_row(row: &Row) -> MessageKey {
    MessageKey {
        chat: row.get("chat"),
        sender: row.get("sender"),
        id: row.get("message_id"),
    }
}

fn open_pending(
    sealer: &Sealer,
    session: &Life,
    key: &MessageKey,
    stored: Vec<u8>,
) -> Result<Vec<u8>, StoreError> {
    with_place(session, key, |place| sealer.open(place, stored))
}

/// Passes the place of a message on.
fn with_place<T>(session: &Life, key: &MessageKey, work: impl FnOnce(&SealedPlace<'_>) -> T) -> T {
    let key = [&*key.chat, &*key.sender, &*key.id];
    work(&SealedPlace::of_life(TABLE, session.id(), &key))
}

/// Returns messages as they are stored.
pub(in crate::store) fn seal_pending(
    sealer: &Sealer,
    session: &Life,
    messages: Vec<(MessageKey, Vec<u8>)>,
) -> Result<Vec<(MessageKey, Vec<u8>)>, StoreError> {
    let seal = |(key, message): (MessageKey, Vec<u8>)| {
        let sealed = with_place(session, &key, |place| sealer.seal(place, &message))?;
        Ok((key, sealed))
    };
    messages.into_iter().map(seal).collect()
}

/// Records a message that makes no event.
pub(in crate::store) async fn insert_eventless(
    connection: &mut Connection,
    session: &Life,
    key: &MessageKey,
    now: Timestamp,
) -> Result<(), db::Error> {
    let sql = "INSERT INTO eventless (session, chat, sender, message_id, created_at) \
               VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    db::query(sql)
        .bind(session)
        .bind(&key.chat)
        .bind(&key.sender)
        .bind(&key.id)
        .bind(now.as_millisecond())
        .execute(connection)
        .await?;
    Ok(())
}

struct ForgetEventless {
    before: Timestamp,
    window: u16,
}

impl StoreChange for ForgetEventless {
    type Answer = u64;

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<u64, db::Error> {
        let sql = "DELETE FROM eventless WHERE (session, chat, sender, message_id) IN \
                   (SELECT session, chat, sender, message_id FROM eventless \
                    WHERE created_at < $1 ORDER BY created_at LIMIT $2)";
        let query = db::query(sql)
            .bind(self.before.as_millisecond())
            .bind(i64::from(self.window));
        Ok(query.execute(connection).await?.rows_affected())
    }
}

struct SavePending {
    session: Life,
    messages: Vec<(MessageKey, Vec<u8>)>,
    sealer: Sealer,
}

impl StoreChange for SavePending {
    type Answer = ();

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<(), db::Error> {
        let Self {
            session,
            messages,
            sealer,
        } = self;
        insert_pending(connection, sealer, session, messages, now).await
    }
}

/// Saves decrypted messages, which are sealed; an existing one stays as it is, unless it cannot be
/// opened.
pub(in crate::store) async fn insert_pending(
    connection: &mut Connection,
    sealer: &Sealer,
    session: &Life,
    messages: &[(MessageKey, Vec<u8>)],
    now: Timestamp,
) -> Result<(), db::Error> {
    for messages in messages.chunks(MAX_ROWS) {
        let sql = "INSERT INTO pending (session, chat, sender, message_id, message, created_at) ";
        let mut sql = QueryBuilder::new(sql);
        sql.push_values(messages, |mut row, (key, message)| {
            row.push_bind(session.id())
                .push_bind(&key.chat)
                .push_bind(&key.sender)
                .push_bind(&key.id);
            row.push_bind(message).push_bind(now.as_millisecond());
        });
        let inserted = sql.push(" ON CONFLICT DO NOTHING").build();
        let inserted = inserted.execute(&mut *connection).await?.rows_affected();
        if inserted < messages.len() as u64 {
            replace_unreadable(connection, sealer, session, messages, now).await?;
        }
    }
    Ok(())
}

/// Replaces those of the saved messages that cannot be opened: they came again.
async fn replace_unreadable(
    connection: &mut Connection,
    sealer: &Sealer,
    session: &Life,
    messages: &[(MessageKey, Vec<u8>)],
    now: Timestamp,
) -> Result<(), db::Error> {
    for (key, message) in messages {
        let sql = "SELECT message FROM pending WHERE session = $1 AND chat = $2 AND sender = $3 AND message_id = $4";
        let query = db::query_scalar(sql).bind(session).bind(&key.chat);
        let query = query.bind(&key.sender).bind(&key.id);
        let stored: Vec<u8> = query.fetch_one(&mut *connection).await?;
        if open_pending(sealer, session, key, stored).is_ok() {
            continue;
        }
        let sql = "UPDATE pending SET message = $5, created_at = $6 \
                   WHERE session = $1 AND chat = $2 AND sender = $3 AND message_id = $4";
        let query = db::query(sql).bind(session).bind(&key.chat);
        let query = query.bind(&key.sender).bind(&key.id);
        let query = query.bind(message).bind(now.as_millisecond());
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

struct ReleasePending {
    session: Life,
    keys: Vec<MessageKey>,
}

impl StoreChange for ReleasePending {
    type Answer = ();

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        let sql = "DELETE FROM pending WHERE session = $1 AND chat = $2 AND sender = $3 AND message_id = $4";
        for key in &self.keys {
            let query = db::query(sql)
                .bind(&self.session)
                .bind(&key.chat)
                .bind(&key.sender)
                .bind(&key.id);
            query.execute(&mut *connection).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::store::Store;
    use crate::store::inbound::undelivered::*;
    use crate::system::clock::Clock;

    fn key(id: &str) -> MessageKey {
        MessageKey {
            chat: "1@lid".to_owned(),
            sender: "1:2@lid".to_owned(),
            id: id.to_owned(),
        }
    }

    #[tokio::test]
    async fn what_is_kept_is_there_after_a_restart_until_it_is_released() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wapi.db");
        let open = async || Store::open(&file, Clock::system()).await.unwrap();
        let store = open().await;
        let messages = vec![(key("1"), b"one".to_vec()), (key("2"), b"two".to_vec())];
        store
            .inbound()
            .save_pending(&Life::for_test(1, "shop"), messages)
            .await
            .unwrap();
        store
            .inbound()
            .save_pending(
                &Life::for_test(1, "shop"),
                vec![(key("1"), b"again".to_vec())],
            )
            .await
            .unwrap();
        store.close().await;
        let store = open().await;
        assert_eq!(
            store
                .inbound()
                .find_pending(&Life::for_test(1, "shop"), &key("1"))
                .await
                .unwrap(),
            Some(b"one".to_vec())
        );
        assert_eq!(
            store
                .inbound()
                .find_pending(&Life::for_test(2, "bar"), &key("1"))
                .await
                .unwrap(),
            None
        );
        store
            .inbound()
            .release_pending(&Life::for_test(1, "shop"), vec![key("1")])
            .await
            .unwrap();
        let left = store
            .inbound()
            .find_pending_before(Timestamp::MAX, PendingPlace::START, 10)
            .await
            .unwrap();
        assert_eq!(left.next, None);
        assert_eq!(
            left.messages
                .into_iter()
                .map(|left| left.message)
                .collect::<Vec<_>>(),
            [b"two".to_vec()]
        );
        let none =
            store
                .inbound()
                .find_pending_before(Timestamp::UNIX_EPOCH, PendingPlace::START, 10);
        assert_eq!(none.await.unwrap().messages, []);
    }
}
