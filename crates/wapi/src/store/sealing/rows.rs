//! All rows with values that may be sealed, for a change of all of them at start.

use anyhow::{Context, Result};

use super::unreadable::UnreadableRows;
use super::{SealScope, SealedPlace, Sealer, TEXT_MARK};
use crate::store::StoreError;
use crate::store::db::{self, Connection, Row};

/// Rows looked at in one transaction.
const BATCH_ROWS: i64 = 500;

/// Values after which a line in the log says how far the work is: it takes minutes with millions.
const PROGRESS_VALUES: u64 = 20_000;

/// A column whose values may be sealed. Its rows have `place`, `session`, `kind`, the parts of the
/// key as `k1` to `k3`, and `value`.
struct SealedColumn {
    table: &'static str,
    column: &'static str,
    scope: SealScope,
    is_text: bool,
    order: RowOrder,
    /// Ends with a condition on the place of the last row.
    select: &'static str,
    /// How rows follow each other, and how many there are.
    then: &'static str,
    /// Sets the value `$1` of a row, which is found by `$2`, its place, or by `$2` to `$4`.
    update: &'static str,
}

impl SealedColumn {
    /// The condition of the rows that are not yet as they should be. One that is empty is neither
    /// plain nor sealed, and is looked at, so that the log has it.
    fn condition(&self, wants_seal: bool) -> String {
        let value = self.column;
        match (self.is_text, wants_seal) {
            (false, true) => format!("substr({value}, 1, 1) IN (x'00', x'')"),
            (false, false) => format!("substr({value}, 1, 1) <> x'00'"),
            (true, true) => format!("substr({value}, 1, 7) <> '{TEXT_MARK}'"),
            (true, false) => format!("substr({value}, 1, 7) = '{TEXT_MARK}'"),
        }
    }
}

/// How the next rows are found.
#[derive(PartialEq, Eq)]
enum RowOrder {
    /// After `$1`, the `place`, up to `$2` rows.
    Place,
    /// After `$1`, `$2`, and `$3`: the life, the kind, and the key; up to `$4` rows.
    Key,
}

/// All columns. A value whose column is not here is never sealed.
const COLUMNS: &[SealedColumn] = &[
    SealedColumn {
        table: "engine",
        column: "value",
        scope: SealScope::Device,
        is_text: false,
        order: RowOrder::Key,
        select: "SELECT 0 AS place, session, kind, key AS k1, NULL AS k2, NULL AS k3, value FROM engine \
                 WHERE (session, kind, key) > ($1, $2, $3)",
        then: "ORDER BY session, kind, key LIMIT $4",
        update: "UPDATE engine SET value = $1 WHERE session = $2 AND kind = $3 AND key = $4",
    },
    SealedColumn {
        table: "pending",
        column: "message",
        scope: SealScope::Life,
        is_text: false,
        order: RowOrder::Place,
        select: "SELECT rowid AS place, session, 0 AS kind, chat AS k1, sender AS k2, message_id AS k3, \
                 message AS value FROM pending WHERE rowid > $1",
        then: "ORDER BY rowid LIMIT $2",
        update: "UPDATE pending SET message = $1 WHERE rowid = $2",
    },
    SealedColumn {
        table: "payloads",
        column: "payload",
        scope: SealScope::Life,
        is_text: false,
        order: RowOrder::Place,
        select: "SELECT rowid AS place, session, 0 AS kind, chat AS k1, id AS k2, NULL AS k3, \
                 payload AS value FROM payloads WHERE rowid > $1",
        then: "ORDER BY rowid LIMIT $2",
        update: "UPDATE payloads SET payload = $1 WHERE rowid = $2",
    },
    SealedColumn {
        table: "polls",
        column: "secret",
        scope: SealScope::Life,
        is_text: false,
        order: RowOrder::Key,
        select: "SELECT 0 AS place, session, 0 AS kind, id AS k1, NULL AS k2, NULL AS k3, secret AS value \
                 FROM polls WHERE (session, id) > ($1, $3) AND $2 = 0",
        then: "ORDER BY session, id LIMIT $4",
        update: "UPDATE polls SET secret = $1 WHERE session = $2 AND id = $4 AND $3 = 0",
    },
    SealedColumn {
        table: "media",
        column: "source",
        scope: SealScope::Life,
        is_text: true,
        order: RowOrder::Place,
        select: "SELECT rowid AS place, session, 0 AS kind, id AS k1, NULL AS k2, NULL AS k3, \
                 source AS value FROM media WHERE rowid > $1 AND source IS NOT NULL",
        then: "ORDER BY rowid LIMIT $2",
        update: "UPDATE media SET source = $1 WHERE rowid = $2",
    },
    SealedColumn {
        table: "endpoints",
        column: "headers",
        scope: SealScope::Life,
        is_text: true,
        order: RowOrder::Place,
        select: "SELECT rowid AS place, 0 AS session, 0 AS kind, id AS k1, NULL AS k2, NULL AS k3, \
                 headers AS value FROM endpoints WHERE rowid > $1",
        then: "ORDER BY rowid LIMIT $2",
        update: "UPDATE endpoints SET headers = $1 WHERE rowid = $2",
    },
    SealedColumn {
        table: "endpoint_keys",
        column: "secret",
        scope: SealScope::Life,
        is_text: true,
        order: RowOrder::Place,
        select: "SELECT rowid AS place, 0 AS session, 0 AS kind, endpoint AS k1, CAST(created_at AS TEXT) AS k2, \
                 NULL AS k3, secret AS value FROM endpoint_keys WHERE rowid > $1",
        then: "ORDER BY rowid LIMIT $2",
        update: "UPDATE endpoint_keys SET secret = $1 WHERE rowid = $2",
    },
];

/// The place of a row, while the next ones are read.
#[derive(Default)]
struct RowCursor {
    place: i64,
    life: i64,
    kind: i64,
    key: String,
}

/// What has become of the rows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct RewrittenRows {
    pub values: u64,
    /// Rows that cannot be opened with any key, and stay as they are.
    pub unreadable: u64,
}

/// Seals all values that are plain, or takes the seal off those that have one, as the sealer writes
/// them. A value that cannot be opened stays as it is.
pub(super) async fn rewrite_rows(
    connection: &mut Connection,
    sealer: &Sealer,
) -> Result<RewrittenRows> {
    let wants_seal = sealer.sealing().is_some();
    let mut total = 0;
    for column in COLUMNS {
        let condition = column.condition(wants_seal);
        // Nothing in these texts is user input.
        let sql = format!("SELECT count(*) FROM {} WHERE {condition}", column.table);
        let counted = db::query_scalar::<i64>(sql);
        total += counted.fetch_one(&mut *connection).await?.unsigned_abs();
    }
    let mut all = RewrittenRows::default();
    if total == 0 {
        return Ok(all);
    }
    let task = match wants_seal {
        true => "sealing the keys in the database; sessions start when it is done",
        false => "taking the seal off the keys in the database; sessions start when it is done",
    };
    tracing::info!(values = total, "{task}");
    for column in COLUMNS {
        let mut cursor = RowCursor {
            place: i64::MIN,
            life: i64::MIN,
            ..RowCursor::default()
        };
        let mut unreadable = UnreadableRows::new(column.table);
        loop {
            let mut transaction = connection.begin().await?;
            let batch = RowBatch {
                column,
                sealer,
                wants_seal,
            };
            let batch = batch.rewrite(&mut transaction, &mut cursor, &mut unreadable);
            let (seen, changed) = batch
                .await
                .with_context(|| format!("the table {}", column.table))?;
            sealer.save_keys(&mut transaction).await?;
            transaction.commit().await?;
            // The start ends at the first error, so nothing goes on with keys that are not saved.
            sealer.end_transaction(true);
            let before = all.values;
            all.values += changed;
            if before / PROGRESS_VALUES < all.values / PROGRESS_VALUES {
                tracing::info!(done = all.values, of = total, "{task}");
            }
            if seen < BATCH_ROWS {
                break;
            }
        }
        all.unreadable += unreadable.report();
    }
    Ok(all)
}

/// The next rows of a column.
struct RowBatch<'a> {
    column: &'static SealedColumn,
    sealer: &'a Sealer,
    wants_seal: bool,
}

impl RowBatch<'_> {
    /// Rewrites them; returns how many there were, and how many are changed.
    async fn rewrite(
        &self,
        connection: &mut Connection,
        cursor: &mut RowCursor,
        unreadable: &mut UnreadableRows,
    ) -> Result<(i64, u64)> {
        let column = self.column;
        let condition = column.condition(self.wants_seal);
        let sql = format!("{} AND {condition} {}", column.select, column.then);
        let query = db::query(sql);
        let query = match column.order {
            RowOrder::Place => query.bind(cursor.place),
            RowOrder::Key => query.bind(cursor.life).bind(cursor.kind).bind(&cursor.key),
        };
        let rows = query.bind(BATCH_ROWS).fetch_all(&mut *connection).await?;
        let mut changed = 0;
        for row in &rows {
            let parts: [Option<&str>; 3] = [row.get("k1"), row.get("k2"), row.get("k3")];
            let parts: Vec<&str> = parts.into_iter().flatten().collect();
            *cursor = RowCursor {
                place: row.get("place"),
                life: row.get("session"),
                kind: row.get("kind"),
                key: parts.first().copied().unwrap_or_default().to_owned(),
            };
            let place = SealedPlace {
                scope: column.scope,
                table: column.table,
                life: cursor.life,
                kind: cursor.kind,
                key: &parts,
            };
            let update = db::query(column.update);
            let rewritten = match column.is_text {
                true => rewrite_text(row, &place, self.sealer).map(|text| update.bind(text)),
                false => rewrite_bytes(row, &place, self.sealer).map(|value| update.bind(value)),
            };
            let update = match rewritten {
                Ok(update) => update,
                Err(error) => {
                    unreadable.note(format_args!("life {}", cursor.life), &error);
                    continue;
                }
            };
            let update = match column.order {
                RowOrder::Place => update.bind(cursor.place),
                RowOrder::Key => {
                    let update = update.bind(cursor.life).bind(cursor.kind);
                    update.bind(&cursor.key)
                }
            };
            update.execute(&mut *connection).await?;
            changed += 1;
        }
        Ok((i64::try_from(rows.len()).unwrap_or(i64::MAX), changed))
    }
}

fn rewrite_text(row: &Row, place: &SealedPlace<'_>, sealer: &Sealer) -> Result<String, StoreError> {
    let stored = row.try_get("value")?;
    sealer.seal_text(place, sealer.open_text(place, stored)?)
}

fn rewrite_bytes(
    row: &Row,
    place: &SealedPlace<'_>,
    sealer: &Sealer,
) -> Result<Vec<u8>, StoreError> {
    let stored = row.try_get("value")?;
    sealer.seal(place, &sealer.open(place, stored)?)
}
