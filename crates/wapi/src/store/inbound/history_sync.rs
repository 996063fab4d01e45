//! History sync: the sessions it was requested for, and its progress.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::store::db::{self, Connection, Row};
use crate::store::writer::StoreChange;
use crate::store::{SessionStore, StoreError};

/// Progress of a session's history sync.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SyncProgress {
    /// Percent, as reported by the phone.
    pub progress: u8,
    /// The time at which the first part was announced.
    pub started_at: Option<Timestamp>,
    /// The time of the last update.
    pub updated_at: Option<Timestamp>,
    /// Parts that are being imported, or wait for it.
    pub waiting: u32,
    /// Parts that were announced and will not be imported.
    pub lost: u32,
    /// The phone has had its time, and has not begun.
    pub is_missing: bool,
}

/// The stages in which a phone sends its history: the recent part first, then, if it was requested
/// and the phone agrees, the full one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncStage {
    Recent = 0,
    Full = 1,
}

/// The phone's progress as reported with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageProgress {
    pub stage: SyncStage,
    pub percent: u8,
}

const SELECT: &str = "SELECT session, progress, started_at, updated_at, \
    started_at IS NULL AND missing_at IS NOT NULL AS is_missing, \
    (SELECT count(*) FROM past_parts WHERE session = pasts.session AND lost = 0) AS waiting, \
    (SELECT count(*) FROM past_parts WHERE session = pasts.session AND lost = 1) AS lost FROM pasts";

impl SessionStore<'_> {
    /// Returns the requested history syncs by session.
    pub(in crate::store) async fn sync_progress(
        self,
    ) -> Result<BTreeMap<String, SyncProgress>, StoreError> {
        let rows = db::query(SELECT).fetch_all(&self.store.readers).await?;
        Ok(rows
            .iter()
            .map(|row| (row.get("session"), progress_from_row(row)))
            .collect())
    }

    /// Records the announcement of a part by the message with this id. A part that was announced
    /// before and lost is expected again.
    pub async fn announce_sync_part(
        self,
        session: &str,
        id: &str,
    ) -> Result<Option<SyncProgress>, StoreError> {
        let (session, id) = (session.to_owned(), id.to_owned());
        self.store
            .writer
            .apply_change(TransitionSyncPart {
                session,
                id,
                transition: PartTransition::Announced,
            })
            .await
    }

    /// Records that a part was imported.
    pub async fn finish_sync_part(
        self,
        session: &str,
        id: &str,
        reached: Option<StageProgress>,
    ) -> Result<Option<SyncProgress>, StoreError> {
        let (session, id) = (session.to_owned(), id.to_owned());
        self.store
            .writer
            .apply_change(TransitionSyncPart {
                session,
                id,
                transition: PartTransition::Imported(reached),
            })
            .await
    }

    /// Records that all parts of a session that are not imported are lost, since nothing works on
    /// them any longer.
    pub async fn lose_sync_parts(self, session: &str) -> Result<Option<SyncProgress>, StoreError> {
        self.store
            .writer
            .apply_change(TransitionSyncPart {
                session: session.to_owned(),
                id: String::new(),
                transition: PartTransition::AllLost,
            })
            .await
    }

    /// Records the same for all sessions. For the start of the program.
    pub async fn lose_all_sync_parts(self) -> Result<(), StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM past_parts WHERE lost = 0)";
        if db::query_scalar::<i64>(sql)
            .fetch_one(&self.store.readers)
            .await?
            == 0
        {
            return Ok(());
        }
        self.store.writer.apply_change(LoseAllSyncParts).await
    }

    /// Records that the phone has had its time to begin. Returns the progress, in which that counts
    /// only if the phone has not begun.
    pub async fn miss_history_sync(
        self,
        session: &str,
    ) -> Result<Option<SyncProgress>, StoreError> {
        self.store
            .writer
            .apply_change(TransitionSyncPart {
                session: session.to_owned(),
                id: String::new(),
                transition: PartTransition::Missed,
            })
            .await
    }

    /// Restarts the history sync, because another device will receive everything anew.
    pub async fn restart_history_sync(self, session: &str) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(RestartHistorySync {
                session: session.to_owned(),
            })
            .await
    }
}

fn progress_from_row(row: &Row) -> SyncProgress {
    let time = |column| {
        row.get::<Option<i64>, _>(column)
            .map(|at| Timestamp::from_millisecond(at).unwrap_or_default())
    };
    SyncProgress {
        progress: row.get::<i64, _>("progress").clamp(0, 100) as u8,
        started_at: time("started_at"),
        updated_at: time("updated_at"),
        waiting: row.get("waiting"),
        lost: row.get("lost"),
        is_missing: row.get("is_missing"),
    }
}

/// Resets a session's history sync, and requests a new one if `is_requested`; any earlier progress under
/// its name is deleted.
pub(in crate::store) async fn reset_history_sync(
    connection: &mut Connection,
    session: &str,
    is_requested: bool,
) -> Result<(), db::Error> {
    db::query("DELETE FROM pasts WHERE session = $1")
        .bind(session)
        .execute(&mut *connection)
        .await?;
    db::query("DELETE FROM past_parts WHERE session = $1")
        .bind(session)
        .execute(&mut *connection)
        .await?;
    if is_requested {
        db::query("INSERT INTO pasts (session) VALUES ($1)")
            .bind(session)
            .execute(connection)
            .await?;
    }
    Ok(())
}

const NOTHING: StageProgress = StageProgress {
    stage: SyncStage::Recent,
    percent: 0,
};

enum PartTransition {
    Announced,
    Imported(Option<StageProgress>),
    AllLost,
    /// None was announced in time.
    Missed,
}

/// A change to a session's parts.
struct TransitionSyncPart {
    session: String,
    /// Id of the message that announced the part; empty for all parts, or none.
    id: String,
    transition: PartTransition,
}

impl StoreChange for TransitionSyncPart {
    /// The current progress; `None` if no history sync was requested.
    type Answer = Option<SyncProgress>;

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut Connection,
        now: Timestamp,
    ) -> Result<Option<SyncProgress>, db::Error> {
        let Self {
            session,
            id,
            transition: what,
        } = self;
        let parts = match what {
            PartTransition::Announced => {
                "INSERT INTO past_parts (session, id) SELECT session, $2 FROM pasts WHERE session = $1 \
                 ON CONFLICT (session, id) DO UPDATE SET lost = 0"
            }
            PartTransition::Imported(_) => "DELETE FROM past_parts WHERE session = $1 AND id = $2",
            PartTransition::AllLost => {
                "UPDATE past_parts SET lost = 1 WHERE session = $1 AND $2 = ''"
            }
            PartTransition::Missed => {
                "UPDATE pasts SET missing_at = $3 WHERE session = $1 AND $2 = ''"
            }
        };
        let query = db::query(parts).bind(session).bind(id);
        let query = match what {
            PartTransition::Missed => query.bind(now.as_millisecond()),
            _ => query,
        };
        query.execute(&mut *connection).await?;
        if matches!(
            what,
            PartTransition::Announced | PartTransition::Imported(_)
        ) {
            // The parts of a stage may be imported out of order.
            let sql = "UPDATE pasts SET started_at = COALESCE(started_at, $2), updated_at = $2, stage = max(stage, $3), \
                       progress = CASE WHEN stage < $3 THEN $4 WHEN stage = $3 THEN max(progress, $4) ELSE progress END \
                       WHERE session = $1";
            let reached = if let PartTransition::Imported(Some(reached)) = what {
                *reached
            } else {
                NOTHING
            };
            let query = db::query(sql).bind(session).bind(now.as_millisecond());
            let query = query
                .bind(reached.stage as i64)
                .bind(i64::from(reached.percent));
            query.execute(&mut *connection).await?;
        }
        let sql = format!("{SELECT} WHERE session = $1");
        Ok(db::query(sql)
            .bind(session)
            .fetch_optional(connection)
            .await?
            .as_ref()
            .map(progress_from_row))
    }
}

struct LoseAllSyncParts;

impl StoreChange for LoseAllSyncParts {
    type Answer = ();

    fn concerns_deliveries((): &()) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        db::query("UPDATE past_parts SET lost = 1")
            .execute(connection)
            .await
            .map(drop)
    }
}

struct RestartHistorySync {
    session: String,
}

impl StoreChange for RestartHistorySync {
    type Answer = ();

    fn concerns_deliveries((): &()) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        let sql = "SELECT EXISTS (SELECT 1 FROM pasts WHERE session = $1)";
        let is_requested: i64 = db::query_scalar(sql)
            .bind(&self.session)
            .fetch_one(&mut *connection)
            .await?;
        reset_history_sync(connection, &self.session, is_requested != 0).await
    }
}

#[cfg(test)]
mod tests {
    use crate::store::inbound::history_sync::*;
    use crate::store::{SavedSession, Store};
    use crate::system::clock::Clock;

    #[tokio::test]
    async fn it_counts_what_is_open_and_goes_on_with_the_next_stage() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("wapi.db"), Clock::system())
            .await
            .unwrap();
        assert_eq!(
            store
                .sessions()
                .announce_sync_part("shop", "1")
                .await
                .unwrap(),
            None,
            "nobody asked for it"
        );
        let is_requested = SavedSession {
            sync_progress: Some(SyncProgress::default()),
            ..SavedSession::default()
        };
        store
            .sessions()
            .save_session("shop", &is_requested)
            .await
            .unwrap();
        let counts = |past: Option<SyncProgress>| {
            past.map(|past| (past.progress, past.waiting, past.lost))
                .unwrap()
        };
        for id in ["1", "2", "2"] {
            store
                .sessions()
                .announce_sync_part("shop", id)
                .await
                .unwrap();
        }
        let taken = async |id: &str, stage, percent| {
            counts(
                store
                    .sessions()
                    .finish_sync_part("shop", id, Some(StageProgress { stage, percent }))
                    .await
                    .unwrap(),
            )
        };
        assert_eq!(taken("2", SyncStage::Recent, 100).await, (100, 1, 0));
        assert_eq!(taken("1", SyncStage::Recent, 50).await, (100, 0, 0));
        store
            .sessions()
            .announce_sync_part("shop", "3")
            .await
            .unwrap();
        assert_eq!(taken("3", SyncStage::Full, 10).await, (10, 0, 0));
        assert_eq!(
            counts(
                store
                    .sessions()
                    .announce_sync_part("shop", "4")
                    .await
                    .unwrap()
            ),
            (10, 1, 0)
        );
        assert_eq!(
            counts(store.sessions().lose_sync_parts("shop").await.unwrap()),
            (10, 0, 1)
        );
        assert_eq!(
            taken("4", SyncStage::Full, 100).await,
            (100, 0, 0),
            "what was lost has come after all"
        );
        store.sessions().restart_history_sync("shop").await.unwrap();
        let ordered = store.sessions().load_sessions().await.unwrap();
        assert_eq!(ordered["shop"].sync_progress, Some(SyncProgress::default()));
        store.close().await;
    }
}
