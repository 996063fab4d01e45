//! History sync: the sessions it was requested for, and its progress.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::writer::Change;
use super::{Store, StoreError};

/// Progress of a session's history sync.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
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
}

/// The stages in which a phone sends its history: the recent part first, then, if it was requested
/// and the phone agrees, the full one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Recent = 0,
    Full = 1,
}

/// The phone's progress as reported with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    pub stage: Stage,
    pub percent: u8,
}

const SELECT: &str = "SELECT session, progress, started_at, updated_at, \
    (SELECT count(*) FROM past_parts WHERE session = pasts.session AND lost = 0) AS waiting, \
    (SELECT count(*) FROM past_parts WHERE session = pasts.session AND lost = 1) AS lost FROM pasts";

impl Store {
    /// Returns the requested history syncs by session.
    pub(super) async fn pasts(&self) -> Result<BTreeMap<String, Past>, StoreError> {
        let rows = sqlx::query(SELECT).fetch_all(&self.readers).await?;
        Ok(rows
            .iter()
            .map(|row| (row.get("session"), past(row)))
            .collect())
    }

    /// Records the announcement of a part by the message with this id. A part that was announced
    /// before and lost is expected again.
    pub async fn announce_part(&self, session: &str, id: &str) -> Result<Option<Past>, StoreError> {
        let (session, id) = (session.to_owned(), id.to_owned());
        self.writer
            .change(PartChange {
                session,
                id,
                what: What::Announced,
            })
            .await
    }

    /// Records that a part was imported.
    pub async fn take_part(
        &self,
        session: &str,
        id: &str,
        reached: Option<Reached>,
    ) -> Result<Option<Past>, StoreError> {
        let (session, id) = (session.to_owned(), id.to_owned());
        self.writer
            .change(PartChange {
                session,
                id,
                what: What::Taken(reached),
            })
            .await
    }

    /// Records that all parts of a session that are not imported are lost, since nothing works on
    /// them any longer.
    pub async fn lose_parts(&self, session: &str) -> Result<Option<Past>, StoreError> {
        self.writer
            .change(PartChange {
                session: session.to_owned(),
                id: String::new(),
                what: What::AllLost,
            })
            .await
    }

    /// Records the same for all sessions. For the start of the program.
    pub async fn lose_all_parts(&self) -> Result<(), StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM past_parts WHERE lost = 0)";
        if sqlx::query_scalar::<_, i64>(sql)
            .fetch_one(&self.readers)
            .await?
            == 0
        {
            return Ok(());
        }
        self.writer.change(LoseAll).await
    }

    /// Restarts the history sync, because another device will receive everything anew.
    pub async fn restart_past(&self, session: &str) -> Result<(), StoreError> {
        self.writer
            .change(Restart {
                session: session.to_owned(),
            })
            .await
    }
}

fn past(row: &SqliteRow) -> Past {
    let time = |column| {
        row.get::<Option<i64>, _>(column)
            .map(|at| Timestamp::from_millisecond(at).unwrap_or_default())
    };
    Past {
        progress: row.get::<i64, _>("progress").clamp(0, 100) as u8,
        started_at: time("started_at"),
        updated_at: time("updated_at"),
        waiting: row.get("waiting"),
        lost: row.get("lost"),
    }
}

/// Resets a session's history sync, and requests a new one if `asked`; any earlier progress under
/// its name is deleted.
pub(super) async fn order(
    connection: &mut SqliteConnection,
    session: &str,
    asked: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM pasts WHERE session = $1")
        .bind(session)
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM past_parts WHERE session = $1")
        .bind(session)
        .execute(&mut *connection)
        .await?;
    if asked {
        sqlx::query("INSERT INTO pasts (session) VALUES ($1)")
            .bind(session)
            .execute(connection)
            .await?;
    }
    Ok(())
}

const NOTHING: Reached = Reached {
    stage: Stage::Recent,
    percent: 0,
};

enum What {
    Announced,
    Taken(Option<Reached>),
    AllLost,
}

/// A change to a session's parts.
struct PartChange {
    session: String,
    /// Id of the message that announced the part; empty for all parts.
    id: String,
    what: What,
}

impl Change for PartChange {
    /// The current progress; `None` if no history sync was requested.
    type Answer = Option<Past>;

    fn moves_lanes(_: &Self::Answer) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<Option<Past>, sqlx::Error> {
        let Self { session, id, what } = self;
        let parts = match what {
            What::Announced => {
                "INSERT INTO past_parts (session, id) SELECT session, $2 FROM pasts WHERE session = $1 \
                 ON CONFLICT (session, id) DO UPDATE SET lost = 0"
            }
            What::Taken(_) => "DELETE FROM past_parts WHERE session = $1 AND id = $2",
            What::AllLost => "UPDATE past_parts SET lost = 1 WHERE session = $1 AND $2 = ''",
        };
        sqlx::query(parts)
            .bind(session)
            .bind(id)
            .execute(&mut *connection)
            .await?;
        if !matches!(what, What::AllLost) {
            // The parts of a stage may be imported out of order.
            let sql = "UPDATE pasts SET started_at = COALESCE(started_at, $2), updated_at = $2, stage = max(stage, $3), \
                       progress = CASE WHEN stage < $3 THEN $4 WHEN stage = $3 THEN max(progress, $4) ELSE progress END \
                       WHERE session = $1";
            let reached = if let What::Taken(Some(reached)) = what {
                *reached
            } else {
                NOTHING
            };
            let query = sqlx::query(sql).bind(session).bind(now.as_millisecond());
            let query = query
                .bind(reached.stage as i64)
                .bind(i64::from(reached.percent));
            query.execute(&mut *connection).await?;
        }
        let sql = sqlx::AssertSqlSafe(format!("{SELECT} WHERE session = $1"));
        Ok(sqlx::query(sql)
            .bind(session)
            .fetch_optional(connection)
            .await?
            .as_ref()
            .map(past))
    }
}

struct LoseAll;

impl Change for LoseAll {
    type Answer = ();

    fn moves_lanes((): &()) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        _: Timestamp,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE past_parts SET lost = 1")
            .execute(connection)
            .await
            .map(drop)
    }
}

struct Restart {
    session: String,
}

impl Change for Restart {
    type Answer = ();

    fn moves_lanes((): &()) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        _: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let sql = "SELECT EXISTS (SELECT 1 FROM pasts WHERE session = $1)";
        let asked: i64 = sqlx::query_scalar(sql)
            .bind(&self.session)
            .fetch_one(&mut *connection)
            .await?;
        order(connection, &self.session, asked != 0).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::Ordered;

    #[tokio::test]
    async fn it_counts_what_is_open_and_goes_on_with_the_next_stage() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("wapi.db"), Clock::system())
            .await
            .unwrap();
        assert_eq!(
            store.announce_part("shop", "1").await.unwrap(),
            None,
            "nobody asked for it"
        );
        let asked = Ordered {
            past: Some(Past::default()),
            ..Ordered::default()
        };
        store.order_session("shop", &asked).await.unwrap();
        let counts = |past: Option<Past>| {
            past.map(|past| (past.progress, past.waiting, past.lost))
                .unwrap()
        };
        for id in ["1", "2", "2"] {
            store.announce_part("shop", id).await.unwrap();
        }
        let taken = async |id: &str, stage, percent| {
            counts(
                store
                    .take_part("shop", id, Some(Reached { stage, percent }))
                    .await
                    .unwrap(),
            )
        };
        assert_eq!(taken("2", Stage::Recent, 100).await, (100, 1, 0));
        assert_eq!(taken("1", Stage::Recent, 50).await, (100, 0, 0));
        store.announce_part("shop", "3").await.unwrap();
        assert_eq!(taken("3", Stage::Full, 10).await, (10, 0, 0));
        assert_eq!(
            counts(store.announce_part("shop", "4").await.unwrap()),
            (10, 1, 0)
        );
        assert_eq!(counts(store.lose_parts("shop").await.unwrap()), (10, 0, 1));
        assert_eq!(
            taken("4", Stage::Full, 100).await,
            (100, 0, 0),
            "what was lost has come after all"
        );
        store.restart_past("shop").await.unwrap();
        let ordered = store.ordered_sessions().await.unwrap();
        assert_eq!(ordered["shop"].past, Some(Past::default()));
        store.close().await;
    }
}
