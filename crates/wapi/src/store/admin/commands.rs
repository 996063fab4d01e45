//! Commands for sessions, as last given, and the time each session last received a message.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::model::send_hold::Pacing;
use crate::net::proxy::ProxyAddress;
use crate::store::db::{self, Connection, Pool, Row};
use crate::store::inbound::history_sync;
use crate::store::writer::StoreChange;
use crate::store::{Life, SessionStore, Store, StoreError, SyncProgress};

/// The saved commands of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedSession {
    /// The session was stopped by a caller, and not started since.
    pub is_stopped: bool,
    /// The session was removed, and the program ended before that was complete; says which data to
    /// leave.
    pub removed: Option<RemovalMode>,
    /// Metadata that the owner attached to it.
    pub metadata: Map<String, Value>,
    /// The pace at which its messages leave.
    pub pacing: Pacing,
    /// The proxy of its own.
    pub proxy: Option<ProxyAddress>,
    /// Progress of its history sync, if one was requested.
    pub sync_progress: Option<SyncProgress>,
}

/// Whether a session stays disconnected from WhatsApp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopState {
    Stopped,
    Running,
}

/// The data that a removed session leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovalMode {
    /// The data of its lives, for the case that the same account is linked under this name again,
    /// and the pending deliveries of its events.
    KeepLives,
    Purge,
}

/// The values of the column `stopped`: the session runs, or the reason why it does not. A version
/// that does not know removals treats a session to be removed as stopped.
const RUNS: i64 = 0;
const STOPPED: i64 = 1;
const REMOVED: i64 = 2;
/// The same, and no data is left.
const PURGED: i64 = 3;

impl Store {
    /// Writes a row that reaches the disk, to check that this works.
    pub async fn probe_disk(&self) -> Result<(), StoreError> {
        self.writer.apply_change(ProbeDisk).await
    }
}

impl SessionStore<'_> {
    /// Saves a session with its owner's metadata, and whether its history sync is requested; a
    /// session that was saved before starts over.
    pub async fn save_session(self, name: &str, ordered: &SavedSession) -> Result<(), StoreError> {
        let metadata = Value::Object(ordered.metadata.clone()).to_string();
        self.store
            .writer
            .apply_change(SaveSession {
                name: name.to_owned(),
                metadata,
                pacing: serde_json::to_string(&ordered.pacing).expect("a pace is always JSON"),
                proxy: ordered.proxy.as_ref().map(ProxyAddress::to_secret_url),
                requests_history_sync: ordered.sync_progress.is_some(),
            })
            .await
    }

    /// Returns whether anything is saved of a session: one that was only registered has nothing.
    pub async fn is_saved(self, name: &str) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM sessions WHERE name = $1)";
        let query = db::query_scalar(sql).bind(name);
        Ok(query.fetch_one(&self.store.readers).await?)
    }

    /// Saves whether a session is stopped.
    pub async fn save_stop_state(self, name: &str, stop: StopState) -> Result<(), StoreError> {
        let stopped = if stop == StopState::Stopped {
            STOPPED
        } else {
            RUNS
        };
        self.store
            .writer
            .apply_change(SaveStopState {
                name: name.to_owned(),
                stopped,
            })
            .await
    }

    /// Saves that a session is to be removed, until it is forgotten.
    pub async fn save_removal(self, name: &str, leave: RemovalMode) -> Result<(), StoreError> {
        let stopped = if leave == RemovalMode::Purge {
            PURGED
        } else {
            REMOVED
        };
        self.store
            .writer
            .apply_change(SaveStopState {
                name: name.to_owned(),
                stopped,
            })
            .await
    }

    /// Forgets a session. The data of its lives stays, and is available again if the same account
    /// is linked under this name. Or, with [`RemovalMode::Purge`], the same commit records that the
    /// data must still be purged, see [`Self::purge_lives`].
    pub async fn forget_session(self, name: &str, leave: RemovalMode) -> Result<(), StoreError> {
        if leave == RemovalMode::Purge {
            self.store
                .lives
                .mark_for_purge(self.store.lives.lives_of(name));
        }
        self.store
            .writer
            .apply_change(ForgetSession {
                name: name.to_owned(),
                lives: self.store.lives.lives_of(name),
            })
            .await
    }

    /// Returns the saved commands of each session.
    pub async fn load_sessions(self) -> Result<BTreeMap<String, SavedSession>, StoreError> {
        let rows = db::query("SELECT name, stopped, metadata, pacing, proxy FROM sessions")
            .fetch_all(&self.store.readers)
            .await?;
        let pasts = self.sync_progress().await?;
        let ordered = |row: &Row| {
            let (name, stopped): (String, i64) = (row.get("name"), row.get("stopped"));
            let metadata = serde_json::from_str(row.get("metadata")).unwrap_or_default();
            let pacing: Option<&str> = row.get("pacing");
            let pacing = pacing.and_then(|pacing| serde_json::from_str(pacing).ok());
            let proxy: Option<&str> = row.get("proxy");
            let past = pasts.get(&name).copied();
            let removed = match stopped {
                REMOVED => Some(RemovalMode::KeepLives),
                PURGED => Some(RemovalMode::Purge),
                _ => None,
            };
            (
                name,
                SavedSession {
                    is_stopped: stopped != RUNS,
                    removed,
                    metadata,
                    pacing: pacing.unwrap_or_default(),
                    proxy: proxy.and_then(|proxy| ProxyAddress::parse(proxy).ok()),
                    sync_progress: past,
                },
            )
        };
        Ok(rows.iter().map(ordered).collect())
    }

    /// Records the messages received since the last call, so that their events may be removed and
    /// [`Self::last_received`] stays correct.
    pub async fn record_received(self) -> Result<(), StoreError> {
        let received = query_received(&self.store.readers).await?;
        if received.is_empty() {
            return Ok(());
        }
        self.store
            .writer
            .apply_change(RecordReceived { rows: received })
            .await
    }

    /// Returns the time of the last received message of each life, by its number, as far as
    /// recorded.
    pub async fn last_received(self) -> Result<BTreeMap<i64, Timestamp>, StoreError> {
        let rows =
            db::query("SELECT session, last_at FROM received WHERE last_at > 0 AND session > 0")
                .fetch_all(&self.store.readers)
                .await?;
        let time =
            |row: &Row| Timestamp::from_millisecond(row.get("last_at")).unwrap_or(Timestamp::MAX);
        Ok(rows
            .iter()
            .map(|row| (row.get("session"), time(row)))
            .collect())
    }
}

/// A life, and time and sequence number of its newest message.
type ReceivedRow = (i64, i64, i64);

/// Read outside the writer, since it may scan many events.
async fn query_received(pool: &Pool) -> Result<Vec<ReceivedRow>, db::Error> {
    db::query_as(
        "SELECT session, max(created_at), max(seq) FROM events \
         WHERE seq > (SELECT COALESCE(max(seq), 0) FROM received) AND type = 'message.received' GROUP BY session",
    )
    .fetch_all(pool)
    .await
}

struct SaveSession {
    name: String,
    metadata: String,
    pacing: String,
    proxy: Option<String>,
    requests_history_sync: bool,
}

impl StoreChange for SaveSession {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<(), db::Error> {
        let sql = "INSERT INTO sessions (name, stopped, metadata, created_at, pacing, proxy) \
                   VALUES ($1, 0, $2, $3, $4, $5) \
                   ON CONFLICT (name) DO UPDATE SET stopped = 0, metadata = excluded.metadata, \
                   pacing = excluded.pacing, proxy = excluded.proxy";
        let query = db::query(sql)
            .bind(&self.name)
            .bind(&self.metadata)
            .bind(now.as_millisecond())
            .bind(&self.pacing)
            .bind(&self.proxy);
        query.execute(&mut *connection).await?;
        history_sync::reset_history_sync(connection, &self.name, self.requests_history_sync).await
    }
}

struct SaveStopState {
    name: String,
    stopped: i64,
}

impl StoreChange for SaveStopState {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<(), db::Error> {
        let sql = "INSERT INTO sessions (name, stopped, created_at) VALUES ($1, $2, $3) \
                   ON CONFLICT (name) DO UPDATE SET stopped = excluded.stopped";
        let query = db::query(sql)
            .bind(&self.name)
            .bind(self.stopped)
            .bind(now.as_millisecond());
        query.execute(connection).await.map(drop)
    }
}

struct ForgetSession {
    name: String,
    lives: Vec<Life>,
}

impl StoreChange for ForgetSession {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        db::query("DELETE FROM sessions WHERE name = $1")
            .bind(&self.name)
            .execute(&mut *connection)
            .await?;
        for sql in [
            "DELETE FROM connect_links WHERE session = $1",
            "DELETE FROM linked_sessions WHERE name = $1",
        ] {
            db::query(sql)
                .bind(&self.name)
                .execute(&mut *connection)
                .await?;
        }
        // If a newsletter is followed again, the posts in between are not delivered.
        for life in &self.lives {
            let sql = "DELETE FROM newsletters WHERE session = $1";
            db::query(sql).bind(life).execute(&mut *connection).await?;
        }
        history_sync::reset_history_sync(connection, &self.name, false).await
    }
}

/// Writes to a row that belongs to no life.
struct ProbeDisk;

impl StoreChange for ProbeDisk {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<(), db::Error> {
        let sql = "INSERT INTO received (session, last_at, seq) VALUES (0, $1, 0) \
                   ON CONFLICT (session) DO UPDATE SET last_at = excluded.last_at";
        db::query(sql)
            .bind(now.as_millisecond())
            .execute(connection)
            .await
            .map(drop)
    }
}

struct RecordReceived {
    rows: Vec<ReceivedRow>,
}

impl StoreChange for RecordReceived {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        for (session, last_at, seq) in &self.rows {
            let sql = "INSERT INTO received (session, last_at, seq) VALUES ($1, $2, $3) \
                       ON CONFLICT (session) DO UPDATE SET last_at = excluded.last_at, seq = excluded.seq";
            db::query(sql)
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
    use crate::store::Store;
    use crate::store::admin::commands::*;
    use crate::system::clock::Clock;

    #[tokio::test]
    async fn a_session_of_the_same_name_begins_with_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("wapi.db"), Clock::system())
            .await
            .unwrap();
        let (number, lid, received) = (
            "375440000001@s.whatsapp.net",
            "100000000000001@lid",
            "120363000000000001@newsletter",
        );
        let shop = store.lives().ensure_life("shop");
        // First seen with the LID alone, then with the number beside it.
        store
            .identities()
            .resolve_identity(&shop, None, Some(lid))
            .await
            .unwrap();
        assert_eq!(
            store
                .identities()
                .resolve_identity(&shop, Some(number), Some(lid))
                .await
                .unwrap()
                .as_deref(),
            Some(lid)
        );
        store
            .inbound()
            .set_newsletter_position(&shop, received, 100)
            .await
            .unwrap();
        store
            .sessions()
            .forget_session("shop", RemovalMode::KeepLives)
            .await
            .unwrap();
        store.lives().end_life("shop");
        let again = store.lives().ensure_life("shop");
        assert_ne!(shop, again);
        assert_eq!(
            store
                .identities()
                .resolve_identity(&again, Some(number), Some(lid))
                .await
                .unwrap()
                .as_deref(),
            Some(number)
        );
        assert_eq!(
            store
                .inbound()
                .newsletter_position(&again, received)
                .await
                .unwrap(),
            None
        );
    }
}
