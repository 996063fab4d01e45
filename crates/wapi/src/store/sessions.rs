//! Commands for sessions, as last given, and the time each session last received a message.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::writer::Change;
use super::{Life, Past, Store, StoreError, past};

/// The saved commands of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ordered {
    /// The session was stopped by a caller, and not started since.
    pub is_stopped: bool,
    /// The session was removed, and the program ended before that was complete; says which data to
    /// leave.
    pub removed: Option<Leave>,
    /// Metadata that the owner attached to it.
    pub metadata: Map<String, Value>,
    /// Progress of its history sync, if one was requested.
    pub past: Option<Past>,
}

/// Whether a session stays disconnected from WhatsApp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    ByHand,
    No,
}

/// The data that a removed session leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// The data of its lives, for the case that the same account is linked under this name again,
    /// and the pending deliveries of its events.
    Lives,
    Nothing,
}

/// The values of the column `stopped`: the session runs, or the reason why it does not. A version
/// that does not know removals treats a session to be removed as stopped.
const RUNS: i64 = 0;
const STOPPED: i64 = 1;
const REMOVED: i64 = 2;
/// The same, and no data is left.
const PURGED: i64 = 3;

impl Store {
    /// Saves a session with its owner's metadata, and whether its history sync is requested; a
    /// session that was saved before starts over.
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

    /// Saves whether a session is stopped.
    pub async fn order_stop(&self, name: &str, stop: Stop) -> Result<(), StoreError> {
        let stopped = if stop == Stop::ByHand { STOPPED } else { RUNS };
        self.writer
            .change(OrderStop {
                name: name.to_owned(),
                stopped,
            })
            .await
    }

    /// Saves that a session is to be removed, until it is forgotten.
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

    /// Forgets a session. The data of its lives stays, and is available again if the same account
    /// is linked under this name. Or, with [`Leave::Nothing`], the same commit records that the
    /// data must still be purged, see [`Self::purge`].
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

    /// Returns the saved commands of each session.
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

    /// Writes a row that reaches the disk, to check that this works.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.writer.change(Probe).await
    }

    /// Records the messages received since the last call, so that their events may be removed and
    /// [`Self::last_received`] stays correct.
    pub async fn note_received(&self) -> Result<(), StoreError> {
        let news = received_since(&self.readers).await?;
        if news.is_empty() {
            return Ok(());
        }
        self.writer.change(Note { news }).await
    }

    /// Returns the time of the last received message of each life, by its number, as far as
    /// recorded.
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

/// A life, and time and sequence number of its newest message.
type Received = (i64, i64, i64);

/// Read outside the writer, since it may scan many events.
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
        // If a newsletter is followed again, the posts in between are not delivered.
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

/// Writes to a row that belongs to no life.
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
        // First seen with the LID alone, then with the number beside it.
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
