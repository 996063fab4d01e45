//! Removes what the lives of a name have left, a little at a time. What was begun goes on after a crash.

use jiff::Timestamp;
use sqlx::sqlite::{Sqlite, SqliteConnection};
use sqlx::{QueryBuilder, Row};

use super::writer::Change;
use super::{Life, Store, StoreError, deliveries};

/// Rows in one step: so many keep the writer busy for some milliseconds.
const WINDOW: i64 = 300;

/// What is removed of each table by its own order; what hangs on it goes with it.
const ROWS: [&str; 6] = [
    "DELETE FROM messages WHERE place IN (SELECT place FROM messages WHERE session = $1 LIMIT $2)",
    "DELETE FROM payloads WHERE rowid IN (SELECT rowid FROM payloads WHERE session = $1 LIMIT $2)",
    "DELETE FROM pending WHERE rowid IN (SELECT rowid FROM pending WHERE session = $1 LIMIT $2)",
    "DELETE FROM polls WHERE session = $1 AND id IN (SELECT id FROM polls WHERE session = $1 LIMIT $2)",
    "DELETE FROM identities WHERE place IN (SELECT place FROM identities WHERE session = $1 LIMIT $2)",
    "DELETE FROM reads WHERE rowid IN (SELECT rowid FROM reads WHERE session = $1 LIMIT $2)",
];

/// And what is little. Of when a message last came the place stays: it says which are taken into account.
const LITTLE: [&str; 3] = [
    "DELETE FROM timers WHERE session = $1",
    "DELETE FROM newsletters WHERE session = $1",
    "UPDATE received SET last_at = 0 WHERE session = $1",
];

impl Store {
    /// Notes that everything is to be removed that is of these lives, which are over; it is on the disk before any of it is done.
    pub async fn order_purge(&self, lives: &[Life]) -> Result<(), StoreError> {
        self.lives.purged(lives.to_vec());
        self.probe().await
    }

    /// Removes everything that is of these lives, deliveries that wait included; not what is sent to others already. The files of their
    /// messages become leftovers. For when nothing more is written of them.
    pub async fn purge(&self, lives: &[Life]) -> Result<(), StoreError> {
        for life in lives {
            self.purge_life(life).await?;
            self.lives.is_gone(life);
        }
        self.forget_identities();
        Ok(())
    }

    /// Goes on with what was cut off.
    pub async fn purge_rest(&self) -> Result<(), StoreError> {
        self.purge(&self.lives.to_purge()).await
    }

    async fn purge_life(&self, life: &Life) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let sql =
                "SELECT seq FROM events WHERE seq > $1 AND session = $2 ORDER BY seq LIMIT $3";
            let query = sqlx::query(sql).bind(after).bind(life).bind(WINDOW);
            let rows = query.fetch_all(&self.chores).await?;
            let seqs: Vec<i64> = rows.iter().map(|row| row.get("seq")).collect();
            let Some(last) = seqs.last().copied() else {
                break;
            };
            self.writer.change(Events { seqs }).await?;
            after = last;
        }
        for sql in ROWS {
            while self
                .writer
                .change(Rows {
                    life: life.clone(),
                    sql,
                })
                .await?
                >= WINDOW.unsigned_abs()
            {}
        }
        while self.writer.change(Files { life: life.clone() }).await? >= WINDOW.unsigned_abs() {}
        for sql in LITTLE {
            self.writer
                .change(Rows {
                    life: life.clone(),
                    sql,
                })
                .await?;
        }
        self.timers.forget(life);
        Ok(())
    }
}

/// Events, and whoever still was to be told of them.
struct Events {
    seqs: Vec<i64>,
}

impl Change for Events {
    type Answer = ();

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let drop = "UPDATE deliveries SET state = 'dropped' WHERE state = 'waiting' AND event IN ";
        let waited: Vec<i64> = list(drop, &self.seqs)
            .push(" RETURNING id")
            .build_query_scalar()
            .fetch_all(&mut *connection)
            .await?;
        deliveries::move_on(connection, &waited, now).await?;
        let attempts =
            "DELETE FROM attempts WHERE delivery IN (SELECT id FROM deliveries WHERE event IN ";
        list(attempts, &self.seqs)
            .push(")")
            .build()
            .execute(&mut *connection)
            .await?;
        for sql in [
            "DELETE FROM deliveries WHERE event IN ",
            "DELETE FROM events WHERE seq IN ",
        ] {
            list(sql, &self.seqs)
                .build()
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

struct Rows {
    life: Life,
    sql: &'static str,
}

impl Change for Rows {
    type Answer = u64;

    fn moves_lanes(_: &u64) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        _: Timestamp,
    ) -> Result<u64, sqlx::Error> {
        let query = sqlx::query(self.sql).bind(&self.life);
        let query = if self.sql.contains("$2") {
            query.bind(WINDOW)
        } else {
            query
        };
        Ok(query.execute(connection).await?.rows_affected())
    }
}

/// What is known of files; their content is left over until nobody names it.
struct Files {
    life: Life,
}

impl Change for Files {
    type Answer = u64;

    fn moves_lanes(_: &u64) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        _: Timestamp,
    ) -> Result<u64, sqlx::Error> {
        const THESE: &str = "(SELECT id FROM media WHERE session = $1 ORDER BY id LIMIT $2)";
        let left = sqlx::AssertSqlSafe(format!(
            "INSERT INTO media_leftovers (sha256) SELECT DISTINCT sha256 FROM media \
             WHERE state = 'stored' AND sha256 IS NOT NULL AND id IN {THESE} ON CONFLICT DO NOTHING"
        ));
        sqlx::query(left)
            .bind(&self.life)
            .bind(WINDOW)
            .execute(&mut *connection)
            .await?;
        let gone = sqlx::AssertSqlSafe(format!("DELETE FROM media WHERE id IN {THESE}"));
        Ok(sqlx::query(gone)
            .bind(&self.life)
            .bind(WINDOW)
            .execute(connection)
            .await?
            .rows_affected())
    }
}

fn list(sql: &str, seqs: &[i64]) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(sql);
    sql.push_tuples(seqs, |mut row, seq| {
        row.push_bind(*seq);
    });
    sql
}
