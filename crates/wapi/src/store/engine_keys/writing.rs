//! Statements that change the engine's rows, for the writer.

use jiff::Timestamp;

use super::row::{EngineRow, RowChange, RowKind};
use crate::model::event::MessageKey;
use crate::store::Life;
use crate::store::db::{self, Connection};
use crate::store::inbound::undelivered;
use crate::store::sealing::{SealScope, SealedPlace, Sealer};
use crate::store::writer::PlainChange;

/// Rows deleted in one transaction: these keep the writer busy for a few milliseconds.
pub(super) const BATCH_ROWS: i64 = 300;

/// Changes of one session's rows, with the messages that were decrypted with them.
pub(super) struct RowWrite {
    pub session: Life,
    pub changes: Vec<RowChange>,
    pub decrypted: Vec<(MessageKey, Vec<u8>)>,
    /// Values are sealed here, where nothing comes between them and the end of their key.
    pub sealer: Sealer,
}

/// Passes the place of a row's value on.
pub(super) fn with_place<T>(
    session: &Life,
    kind: RowKind,
    key: &str,
    work: impl FnOnce(&SealedPlace<'_>) -> T,
) -> T {
    work(&SealedPlace {
        scope: SealScope::Device,
        table: "engine",
        life: session.id(),
        kind: kind.number(),
        key: &[key],
    })
}

impl PlainChange for RowWrite {
    /// The number of rows deleted.
    type Answer = u64;

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<u64, db::Error> {
        let (sealer, session, decrypted) = (&self.sealer, &self.session, &self.decrypted);
        undelivered::insert_pending(connection, sealer, session, decrypted, now).await?;
        let mut deleted = 0;
        for change in &self.changes {
            deleted += write_change(connection, self, change).await?;
        }
        Ok(deleted)
    }
}

/// Makes one change; returns the number of rows deleted.
async fn write_change(
    connection: &mut Connection,
    write: &RowWrite,
    change: &RowChange,
) -> Result<u64, db::Error> {
    let session = &write.session;
    let query = match change {
        RowChange::Put(EngineRow {
            kind,
            key,
            extra,
            value,
        }) => {
            let sql = "INSERT INTO engine (session, kind, key, extra, value) VALUES ($1, $2, $3, $4, $5) \
                       ON CONFLICT (session, kind, key) DO UPDATE SET extra = excluded.extra, value = excluded.value";
            let query = db::query(sql).bind(session).bind(kind.number());
            let sealed = with_place(session, *kind, key, |place| write.sealer.seal(place, value))?;
            query.bind(key).bind(extra).bind(sealed)
        }
        RowChange::SetExtra(kind, key, extra) => {
            let sql = "UPDATE engine SET extra = $4 WHERE session = $1 AND kind = $2 AND key = $3";
            let query = db::query(sql).bind(session).bind(kind.number());
            query.bind(key).bind(extra)
        }
        RowChange::Delete(kind, key) => {
            let sql = "DELETE FROM engine WHERE session = $1 AND kind = $2 AND key = $3";
            db::query(sql).bind(session).bind(kind.number()).bind(key)
        }
        RowChange::DeleteRange(kind, range) => {
            let sql = "DELETE FROM engine WHERE session = $1 AND kind = $2 AND key >= $3 \
                       AND ($4 IS NULL OR key < $4)";
            let query = db::query(sql).bind(session).bind(kind.number());
            query.bind(&range.from).bind(&range.to)
        }
        RowChange::Expire(kind, upto) => {
            let sql =
                "DELETE FROM engine WHERE session = $1 AND kind = $2 AND extra > 0 AND extra <= $3";
            db::query(sql).bind(session).bind(kind.number()).bind(upto)
        }
    };
    let changed = query.execute(connection).await?.rows_affected();
    Ok(match change {
        RowChange::Put(_) | RowChange::SetExtra(..) => 0,
        RowChange::Delete(..) | RowChange::DeleteRange(..) | RowChange::Expire(..) => changed,
    })
}

/// The next rows of a life that is closed, in the order of their kinds.
pub(super) struct CloseRows {
    pub session: Life,
    pub sealer: Sealer,
}

impl PlainChange for CloseRows {
    type Answer = u64;

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<u64, db::Error> {
        let sql = "DELETE FROM engine WHERE (session, kind, key) IN \
                   (SELECT session, kind, key FROM engine WHERE session = $1 ORDER BY kind, key LIMIT $2)";
        let query = db::query(sql).bind(&self.session).bind(BATCH_ROWS);
        let deleted = query.execute(&mut *connection).await?.rows_affected();
        if deleted < BATCH_ROWS.unsigned_abs() {
            let (life, scope) = (&self.session, SealScope::Device);
            self.sealer.drop_key(connection, life, scope).await?;
        }
        Ok(deleted)
    }
}
