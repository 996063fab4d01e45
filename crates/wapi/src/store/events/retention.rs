//! Retention of events and sent messages: removes old ones in small steps, and shrinks the file.

use std::time::Duration;

use jiff::Timestamp;

use crate::store::db::{self, Connection, QueryBuilder, Row};
use crate::store::history;
use crate::store::writer::StoreChange;
use crate::store::{EventStore, StoreError};

/// How long at least a row stays of the event of a message, by which the message is recognised when
/// it comes again. WhatsApp keeps messages it could not hand over for about 30 days and then delivers
/// them, also those delivered before whose acknowledgement was lost. Half as long again, so that no
/// message is published twice.
pub const DEDUP_PERIOD: Duration = Duration::from_secs(45 * 24 * 3600);
/// Pages released to the file system per step.
const SHRINK_PAGES: u32 = 256;

/// Age limits of retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionLimits {
    /// Older events are removed, unless a delivery waits.
    pub events: Timestamp,
    /// An event with a dead delivery stays until that delivery has been dead since before this
    /// time.
    pub dead: Timestamp,
    /// Older events about messages are removed completely; younger ones leave a row that identifies
    /// duplicates.
    pub dedup: Timestamp,
    /// Events after this time were stamped while the system clock was wrong; they are skipped, and
    /// the events behind them are not considered younger.
    pub now: Timestamp,
}

/// The result of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanupStep {
    /// The start of the next step; `None`: the following events are too young.
    pub next: Option<i64>,
    /// Events whose body was removed.
    pub removed: u64,
}

impl EventStore<'_> {
    /// Removes the old ones of the next `window` events after a position; few enough not to keep
    /// the writer busy for long.
    ///
    /// Events with waiting deliveries and events that are [held](Self::hold_events_after) stay. An event
    /// about a message that may be received again leaves an empty row, by which the duplicate is
    /// recognised.
    pub async fn remove_old_events(
        self,
        after: i64,
        window: u16,
        cut: RetentionLimits,
    ) -> Result<CleanupStep, StoreError> {
        let sql = "SELECT seq, created_at, body <> '' AS is_full FROM events WHERE seq > $1 ORDER BY seq LIMIT $2";
        let rows = db::query(sql)
            .bind(after)
            .bind(i64::from(window))
            .fetch_all(&self.store.background)
            .await?;
        let created = |row: &Row| row.get::<i64, _>("created_at");
        let is_old = |row: &&Row| created(row) < cut.events.as_millisecond();
        let is_of_the_future = |row: &&Row| created(row) > cut.now.as_millisecond();
        let reached: Vec<_> = rows
            .iter()
            .take_while(|row| is_old(row) || is_of_the_future(row))
            .collect();
        let next = reached
            .last()
            .filter(|_| reached.len() == usize::from(window))
            .map(|row| row.get("seq"));
        let may_go =
            |row: &&Row| row.get::<bool, _>("is_full") || created(row) < cut.dedup.as_millisecond();
        let seqs = reached
            .into_iter()
            .filter(is_old)
            .filter(may_go)
            .map(|row| row.get("seq"));
        let seqs: Vec<i64> = seqs
            .filter(|seq| *seq <= self.removable_position())
            .collect();
        let removed = match seqs.last() {
            None => 0,
            Some(last) => {
                let position: i64 = db::query_scalar("SELECT seq FROM positions WHERE owner = 0")
                    .fetch_one(&self.store.background)
                    .await?;
                if *last > position {
                    self.store.deliveries().write_open_rows().await?;
                }
                self.store
                    .writer
                    .apply_change(RemoveEvents { seqs, limits: cut })
                    .await?
            }
        };
        self.store.meters.removed_events.inc_by(removed);
        Ok(CleanupStep { next, removed })
    }

    /// Releases some free pages to the file system.
    pub async fn shrink_file(self) -> Result<(), StoreError> {
        self.store.writer.apply_change(ShrinkFile).await
    }
}

struct RemoveEvents {
    seqs: Vec<i64>,
    limits: RetentionLimits,
}

impl StoreChange for RemoveEvents {
    type Answer = u64;

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<u64, db::Error> {
        let gone = self.find_removable(connection).await?;
        if gone.is_empty() {
            return Ok(0);
        }
        history::keep_contents(connection, &gone).await?;
        let mut attempts = bind_list(
            "DELETE FROM attempts WHERE delivery IN (SELECT id FROM deliveries WHERE event IN ",
            &gone,
        );
        attempts.push(")").build().execute(&mut *connection).await?;
        bind_list("DELETE FROM deliveries WHERE event IN ", &gone)
            .build()
            .execute(&mut *connection)
            .await?;
        let mut forget = bind_list("DELETE FROM events WHERE seq IN ", &gone);
        forget
            .push(" AND (message_id IS NULL OR created_at < ")
            .push_bind(self.limits.dedup.as_millisecond())
            .push(")");
        let forgotten = forget
            .build()
            .execute(&mut *connection)
            .await?
            .rows_affected();
        let mut empty = bind_list(
            "UPDATE events SET body = '' WHERE body <> '' AND seq IN ",
            &gone,
        );
        let emptied = empty
            .build()
            .execute(&mut *connection)
            .await?
            .rows_affected();
        Ok(forgotten + emptied)
    }
}

impl RemoveEvents {
    /// Returns the events without a delivery to keep. Checked inside the transaction, since a
    /// delivery may have been added meanwhile.
    async fn find_removable(&self, connection: &mut Connection) -> Result<Vec<i64>, db::Error> {
        let mut sql = bind_list(
            "SELECT DISTINCT event FROM deliveries WHERE event IN ",
            &self.seqs,
        );
        sql.push(" AND (state = 'waiting' OR (state = 'dead' AND settled_at >= ");
        sql.push_bind(self.limits.dead.as_millisecond()).push("))");
        let kept: Vec<i64> = sql.build_query_scalar().fetch_all(&mut *connection).await?;
        // Deliveries of later events may be in memory.
        let sql = "SELECT seq FROM positions WHERE owner = 0";
        let position: i64 = db::query_scalar(sql).fetch_one(connection).await?;
        let seqs = self.seqs.iter().copied();
        Ok(seqs
            .filter(|seq| *seq <= position && !kept.contains(seq))
            .collect())
    }
}

fn bind_list(sql: &'static str, seqs: &[i64]) -> QueryBuilder<'static> {
    let mut sql = QueryBuilder::new(sql);
    sql.push("(");
    let mut list = sql.separated(", ");
    for seq in seqs {
        list.push_bind(*seq);
    }
    sql.push(")");
    sql
}

struct ShrinkFile;

impl StoreChange for ShrinkFile {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        // A pragma takes no parameters; the number is a constant.
        let sql = format!("PRAGMA incremental_vacuum({SHRINK_PAGES})");
        db::query(sql).execute(connection).await?;
        Ok(())
    }
}

/// Makes the database file shrinkable, which is decided at its creation; an existing file with
/// another mode is rewritten once.
pub(in crate::store) async fn make_shrinkable(
    connection: &mut Connection,
) -> Result<(), db::Error> {
    const INCREMENTAL: i64 = 2;
    let mode: i64 = db::query_scalar("PRAGMA auto_vacuum")
        .fetch_one(&mut *connection)
        .await?;
    if mode != INCREMENTAL {
        db::query("PRAGMA auto_vacuum = INCREMENTAL")
            .execute(&mut *connection)
            .await?;
        db::query("VACUUM").execute(connection).await?;
    }
    Ok(())
}
