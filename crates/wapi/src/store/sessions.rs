//! What was ordered for sessions, and when each received its last message.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::writer::Change;
use super::{Life, Past, Store, StoreError, past};

/// What was ordered for a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ordered {
    /// Somebody stopped it, and nobody has started it since.
    pub is_stopped: bool,
    /// Somebody removed it, and the program ended before it was gone; what it was to leave.
    pub removed: Option<Leave>,
    /// What its owner keeps with it.
    pub metadata: Map<String, Value>,
    /// How far its past has come, if it was asked for.
    pub past: Option<Past>,
}

/// Whether a session stays away from WhatsApp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    ByHand,
    No,
}

/// What a session that is removed leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// What is of its lives, for whoever links the same account under this name, and what others are still to be told.
    Lives,
    Nothing,
}

/// What `stopped` says of a session: whether it runs, and, where it does not, why. A program that does not know of removals takes one that
/// is to be removed for one that was stopped.
const RUNS: i64 = 0;
const STOPPED: i64 = 1;
const REMOVED: i64 = 2;
/// The same, and nothing of it stays.
const PURGED: i64 = 3;

impl Store {
    /// Remembers a session with what its owner keeps with it, and whether its past is asked for; one that was remembered before starts
    /// over.
    pub async fn order_session(&self, name: &str, ordered: &Ordered) -> Result<(), StoreError> {
        let metadata = Value::Object(ordered.metadata.clone()).to_string();
        self.writer
            .change(Order {
                name: name.to_owned(),
                metadata,
                asks_for_past: ordered.past.is_some(),
            })
            .await
    }

    /// Remembers whether a session is stopped.
    pub async fn order_stop(&self, name: &str, stop: Stop) -> Result<(), StoreError> {
        let stopped = if stop == Stop::ByHand { STOPPED } else { RUNS };
        self.writer
            .change(OrderStop {
                name: name.to_owned(),
                stopped,
            })
            .await
    }

    /// Remembers that a session is to be removed, until it is forgotten.
    pub async fn order_removal(&self, name: &str, leave: Leave) -> Result<(), StoreError> {
        let stopped = if leave == Leave::Nothing {
            PURGED
        } else {
            REMOVED
        };
        self.writer
            .change(OrderStop {
                name: name.to_owned(),
                stopped,
            })
            .await
    }

    /// Forgets a session. What is of its lives stays: it is there again for whoever links the same account under this name. Or, if nothing
    /// is to stay, it is noted in the same commit that it is still to go, see [`Self::purge`].
    pub async fn forget_session(&self, name: &str, leave: Leave) -> Result<(), StoreError> {
        if leave == Leave::Nothing {
            self.lives.purged(self.lives.of(name));
        }
        self.writer
            .change(Forget {
                name: name.to_owned(),
                lives: self.lives.of(name),
            })
            .await
    }

    /// What was ordered for each session that is remembered.
    pub async fn ordered_sessions(&self) -> Result<BTreeMap<String, Ordered>, StoreError> {
        let rows = sqlx::query("SELECT name, stopped, metadata FROM sessions")
            .fetch_all(&self.readers)
            .await?;
        let pasts = self.pasts().await?;
        let ordered = |row: &SqliteRow| {
            let (name, stopped): (String, i64) = (row.get("name"), row.get("stopped"));
            let metadata = serde_json::from_str(row.get("metadata")).unwrap_or_default();
            let past = pasts.get(&name).copied();
            let removed = match stopped {
                REMOVED => Some(Leave::Lives),
                PURGED => Some(Leave::Nothing),
                _ => None,
            };
            (
                name,
                Ordered {
                    is_stopped: stopped != RUNS,
                    removed,
                    metadata,
                    past,
                },
            )
        };
        Ok(rows.iter().map(ordered).collect())
    }

    /// Writes something that reaches the disk, to see whether that works.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.writer.change(Probe).await
    }

    /// Takes the messages into account that came since the last time, so that their events may be removed and
    /// [`Self::last_received`] is still right.
    pub async fn note_received(&self) -> Result<(), StoreError> {
        let news = received_since(&self.readers).await?;
        if news.is_empty() {
            return Ok(());
        }
        self.writer.change(Note { news }).await
    }

    /// When each life received its last message, by its number, as far as it is noted.
    pub async fn last_received(&self) -> Result<BTreeMap<i64, Timestamp>, StoreError> {
        let rows =
            sqlx::query("SELECT session, last_at FROM received WHERE last_at > 0 AND session > 0")
                .fetch_all(&self.readers)
                .await?;
        let time = |row: &SqliteRow| {
            Timestamp::from_millisecond(row.get("last_at")).unwrap_or(Timestamp::MAX)
        };
        Ok(rows
            .iter()
            .map(|row| (row.get("session"), time(row)))
            .collect())
    }
}

/// A life, and the time and place of its newest message.
type Received = (i64, i64, i64);

/// Asked beside the writer, since it may look at many events.
async fn received_since(pool: &SqlitePool) -> Result<Vec<Received>, sqlx::Error> {
    sqlx::query_as(
        "SELECT session, max(created_at), max(seq) FROM events \
         WHERE seq > (SELECT COALESCE(max(seq), 0) FROM received) AND type = 'message.received' GROUP BY session",
    )
    .fetch_all(pool)
    .await
}

struct Order {
    name: String,
    metadata: String,
    asks_for_past: bool,
}

impl Change for Order {
    type Answer = ();

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let sql = "INSERT INTO sessions (name, stopped, metadata, created_at) VALUES ($1, 0, $2, $3) \
                   ON CONFLICT (name) DO UPDATE SET stopped = 0, metadata = excluded.metadata";
        let query = sqlx::query(sql)
            .bind(&self.name)
            .bind(&self.metadata)
            .bind(now.as_millisecond());
        query.execute(&mut *connection).await?;
        past::order(connection, &self.name, self.asks_for_past).await
    }
}

struct OrderStop {
    name: String,
    stopped: i64,
}

impl Change for OrderStop {
    type Answer = ();

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let sql = "INSERT INTO sessions (name, stopped, created_at) VALUES ($1, $2, $3) \
                   ON CONFLICT (name) DO UPDATE SET stopped = excluded.stopped";
        let query = sqlx::query(sql)
            .bind(&self.name)
            .bind(self.stopped)
            .bind(now.as_millisecond());
        query.execute(connection).await.map(drop)
    }
}

struct Forget {
    name: String,
    lives: Vec<Life>,
}

impl Change for Forget {
    type Answer = ();

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        _: Timestamp,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM sessions WHERE name = $1")
            .bind(&self.name)
            .execute(&mut *connection)
            .await?;
        // Whoever follows one again is not told what was posted in between.
        for life in &self.lives {
            let sql = "DELETE FROM newsletters WHERE session = $1";
            sqlx::query(sql)
                .bind(life)
                .execute(&mut *connection)
                .await?;
        }
        past::order(connection, &self.name, false).await
    }
}

/// Writes to a row that is nobody's.
struct Probe;

impl Change for Probe {
    type Answer = ();

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let sql = "INSERT INTO received (session, last_at, seq) VALUES (0, $1, 0) \
                   ON CONFLICT (session) DO UPDATE SET last_at = excluded.last_at";
        sqlx::query(sql)
            .bind(now.as_millisecond())
            .execute(connection)
            .await
            .map(drop)
    }
}

struct Note {
    news: Vec<Received>,
}

impl Change for Note {
    type Answer = ();

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        _: Timestamp,
    ) -> Result<(), sqlx::Error> {
        for (session, last_at, seq) in &self.news {
            let sql = "INSERT INTO received (session, last_at, seq) VALUES ($1, $2, $3) \
                       ON CONFLICT (session) DO UPDATE SET last_at = excluded.last_at, seq = excluded.seq";
            sqlx::query(sql)
                .bind(session)
                .bind(last_at)
                .bind(seq)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn a_session_of_the_same_name_begins_with_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("wapi.db"), Clock::system())
            .await
            .unwrap();
        let (number, lid, news) = (
            "375440000001@s.whatsapp.net",
            "100000000000001@lid",
            "120363000000000001@newsletter",
        );
        let shop = store.lives().begun("shop");
        // First told by the LID, then with the number beside it.
        store.identify(&shop, None, Some(lid)).await.unwrap();
        assert_eq!(
            store
                .identify(&shop, Some(number), Some(lid))
                .await
                .unwrap()
                .as_deref(),
            Some(lid)
        );
        store.set_newsletter_place(&shop, news, 100).await.unwrap();
        store.forget_session("shop", Leave::Lives).await.unwrap();
        store.lives().ended("shop");
        let again = store.lives().begun("shop");
        assert_ne!(shop, again);
        assert_eq!(
            store
                .identify(&again, Some(number), Some(lid))
                .await
                .unwrap()
                .as_deref(),
            Some(number)
        );
        assert_eq!(store.newsletter_place(&again, news).await.unwrap(), None);
    }
}
