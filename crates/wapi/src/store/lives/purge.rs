//! Purge of the data of ended lives, in small steps. An interrupted purge continues after a
//! restart.

use jiff::Timestamp;

use crate::store::db::{self, Connection, QueryBuilder};
use crate::store::sealing::{SealScope, Sealer};
use crate::store::webhooks::deliveries;
use crate::store::writer::StoreChange;
use crate::store::{Life, Store, StoreError};

/// Rows per step: these keep the writer busy for a few milliseconds.
const BATCH_ROWS: i64 = 300;

/// Deletes from the tables that are purged in steps; dependent rows cascade.
const LARGE_TABLES: [&str; 7] = [
    "DELETE FROM messages WHERE place IN (SELECT place FROM messages WHERE session = $1 LIMIT $2)",
    "DELETE FROM payloads WHERE rowid IN (SELECT rowid FROM payloads WHERE session = $1 LIMIT $2)",
    "DELETE FROM pending WHERE rowid IN (SELECT rowid FROM pending WHERE session = $1 LIMIT $2)",
    "DELETE FROM polls WHERE session = $1 AND id IN (SELECT id FROM polls WHERE session = $1 LIMIT $2)",
    "DELETE FROM identities WHERE place IN (SELECT place FROM identities WHERE session = $1 LIMIT $2)",
    "DELETE FROM reads WHERE rowid IN (SELECT rowid FROM reads WHERE session = $1 LIMIT $2)",
    "DELETE FROM engine WHERE (session, kind, key) IN (SELECT session, kind, key FROM engine WHERE session = $1 LIMIT $2)",
];

/// Statements for small tables. The `received` row stays: its position marks the messages accounted
/// for.
const SMALL_TABLES: &[&str] = &[
    "DELETE FROM account_limits WHERE session = $1",
    "DELETE FROM eventless WHERE session = $1",
    "DELETE FROM timers WHERE session = $1",
    "DELETE FROM newsletters WHERE session = $1",
    "DELETE FROM labels WHERE session = $1",
    "DELETE FROM chat_labels WHERE session = $1",
    "DELETE FROM labels_read WHERE session = $1",
    "UPDATE received SET last_at = 0 WHERE session = $1",
];

impl Store {
    /// Marks these lives, which have ended, for the purge. The mark is on disk before the purge
    /// begins.
    pub async fn schedule_purge(&self, lives: &[Life]) -> Result<(), StoreError> {
        self.lives.mark_for_purge(lives.to_vec());
        self.probe_disk().await
    }

    /// Removes all data of these lives, waiting deliveries included; delivered events cannot be
    /// taken back. Their media files become leftovers. Nothing may be written for these lives any
    /// more.
    pub async fn purge_lives(&self, lives: &[Life]) -> Result<(), StoreError> {
        for life in lives {
            self.purge_life(life).await?;
            self.recent.forget_life(life);
            self.lives.mark_purged(life);
        }
        self.identities().clear_identity_caches();
        Ok(())
    }

    /// Resumes an interrupted purge.
    pub async fn resume_purge(&self) -> Result<(), StoreError> {
        self.purge_lives(&self.lives.lives_to_purge()).await
    }

    async fn purge_life(&self, life: &Life) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let sql =
                "SELECT seq FROM events WHERE seq > $1 AND session = $2 ORDER BY seq LIMIT $3";
            let query = db::query(sql).bind(after).bind(life).bind(BATCH_ROWS);
            let rows = query.fetch_all(&self.background).await?;
            let seqs: Vec<i64> = rows.iter().map(|row| row.get("seq")).collect();
            let Some(last) = seqs.last().copied() else {
                break;
            };
            self.writer.apply_change(PurgeEvents { seqs }).await?;
            after = last;
        }
        for sql in LARGE_TABLES {
            while self
                .writer
                .apply_change(PurgeRows {
                    life: life.clone(),
                    sql,
                })
                .await?
                >= BATCH_ROWS.unsigned_abs()
            {}
        }
        while self
            .writer
            .apply_change(PurgeFiles { life: life.clone() })
            .await?
            >= BATCH_ROWS.unsigned_abs()
        {}
        for sql in SMALL_TABLES {
            self.writer
                .apply_change(PurgeRows {
                    life: life.clone(),
                    sql,
                })
                .await?;
        }
        self.timers.forget_life(life);
        let change = DropKeys {
            life: life.clone(),
            sealer: self.sealer.clone(),
        };
        self.writer.apply_change(change).await?;
        // Once more: the last events of the life may have been recorded after it was forgotten.
        self.history()
            .forget_lives(std::slice::from_ref(life))
            .await
    }
}

/// What the data of a life is sealed with: traces of it in free parts of the file cannot be opened
/// without.
struct DropKeys {
    life: Life,
    sealer: Sealer,
}

impl StoreChange for DropKeys {
    type Answer = ();

    fn concerns_deliveries(_: &()) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        for scope in SealScope::ALL {
            let dropping = self.sealer.drop_key(connection, &self.life, scope);
            dropping.await?;
        }
        Ok(())
    }
}

/// Events with their deliveries; waiting deliveries are dropped.
struct PurgeEvents {
    seqs: Vec<i64>,
}

impl StoreChange for PurgeEvents {
    type Answer = ();

    fn needs_rows(&self) -> bool {
        true
    }

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<(), db::Error> {
        let drop = "UPDATE deliveries SET state = 'dropped' WHERE state = 'waiting' AND event IN ";
        let waited: Vec<i64> = bind_list(drop, &self.seqs)
            .push(" RETURNING id")
            .build_query_scalar()
            .fetch_all(&mut *connection)
            .await?;
        deliveries::advance_lanes(connection, &waited, now).await?;
        let attempts =
            "DELETE FROM attempts WHERE delivery IN (SELECT id FROM deliveries WHERE event IN ";
        bind_list(attempts, &self.seqs)
            .push(")")
            .build()
            .execute(&mut *connection)
            .await?;
        for sql in [
            "DELETE FROM deliveries WHERE event IN ",
            "DELETE FROM events WHERE seq IN ",
        ] {
            bind_list(sql, &self.seqs)
                .build()
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

struct PurgeRows {
    life: Life,
    sql: &'static str,
}

impl StoreChange for PurgeRows {
    type Answer = u64;

    fn concerns_deliveries(_: &u64) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<u64, db::Error> {
        let query = db::query(self.sql).bind(&self.life);
        let query = if self.sql.contains("$2") {
            query.bind(BATCH_ROWS)
        } else {
            query
        };
        Ok(query.execute(connection).await?.rows_affected())
    }
}

/// Media records; the files become leftovers until no record refers to them.
struct PurgeFiles {
    life: Life,
}

impl StoreChange for PurgeFiles {
    type Answer = u64;

    fn concerns_deliveries(_: &u64) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<u64, db::Error> {
        const THESE: &str = "(SELECT id FROM media WHERE session = $1 ORDER BY id LIMIT $2)";
        let left = format!(
            "INSERT INTO media_leftovers (sha256) SELECT DISTINCT sha256 FROM media \
             WHERE state = 'stored' AND sha256 IS NOT NULL AND id IN {THESE} ON CONFLICT DO NOTHING"
        );
        db::query(left)
            .bind(&self.life)
            .bind(BATCH_ROWS)
            .execute(&mut *connection)
            .await?;
        let gone = format!("DELETE FROM media WHERE id IN {THESE}");
        Ok(db::query(gone)
            .bind(&self.life)
            .bind(BATCH_ROWS)
            .execute(connection)
            .await?
            .rows_affected())
    }
}

fn bind_list(sql: &'static str, seqs: &[i64]) -> QueryBuilder<'static> {
    let mut sql = QueryBuilder::new(sql);
    sql.push_tuples(seqs, |mut row, seq| {
        row.push_bind(*seq);
    });
    sql
}
