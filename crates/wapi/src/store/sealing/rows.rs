//! All rows with values that may be sealed, for a change of all of them at start.

use anyhow::{Context, Result};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row};

use super::{NOT_SEALED, SealScope, SealedPlace, Sealer, TEXT_MARK};

/// Rows looked at in one transaction.
const BATCH_ROWS: i64 = 500;

/// A column whose values may be sealed. Its rows have `place`, `session`, `kind`, the parts of the
/// key as `k1` to `k3`, and `value`.
struct SealedColumn {
    table: &'static str,
    scope: SealScope,
    is_text: bool,
    order: RowOrder,
    select: &'static str,
    /// Sets the value `$1` of a row, which is found by `$2`, its place, or by `$2` to `$4`.
    update: &'static str,
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
        scope: SealScope::Device,
        is_text: false,
        order: RowOrder::Key,
        select: "SELECT 0 AS place, session, kind, key AS k1, NULL AS k2, NULL AS k3, value FROM engine \
                 WHERE (session, kind, key) > ($1, $2, $3) ORDER BY session, kind, key LIMIT $4",
        update: "UPDATE engine SET value = $1 WHERE session = $2 AND kind = $3 AND key = $4",
    },
    SealedColumn {
        table: "pending",
        scope: SealScope::Life,
        is_text: false,
        order: RowOrder::Place,
        select: "SELECT rowid AS place, session, 0 AS kind, chat AS k1, sender AS k2, message_id AS k3, \
                 message AS value FROM pending WHERE rowid > $1 ORDER BY rowid LIMIT $2",
        update: "UPDATE pending SET message = $1 WHERE rowid = $2",
    },
    SealedColumn {
        table: "payloads",
        scope: SealScope::Life,
        is_text: false,
        order: RowOrder::Place,
        select: "SELECT rowid AS place, session, 0 AS kind, chat AS k1, id AS k2, NULL AS k3, \
                 payload AS value FROM payloads WHERE rowid > $1 ORDER BY rowid LIMIT $2",
        update: "UPDATE payloads SET payload = $1 WHERE rowid = $2",
    },
    SealedColumn {
        table: "polls",
        scope: SealScope::Life,
        is_text: false,
        order: RowOrder::Key,
        select: "SELECT 0 AS place, session, 0 AS kind, id AS k1, NULL AS k2, NULL AS k3, secret AS value \
                 FROM polls WHERE (session, id) > ($1, $3) AND $2 = 0 ORDER BY session, id LIMIT $4",
        update: "UPDATE polls SET secret = $1 WHERE session = $2 AND id = $4 AND $3 = 0",
    },
    SealedColumn {
        table: "media",
        scope: SealScope::Life,
        is_text: true,
        order: RowOrder::Place,
        select: "SELECT rowid AS place, session, 0 AS kind, id AS k1, NULL AS k2, NULL AS k3, \
                 source AS value FROM media WHERE rowid > $1 AND source IS NOT NULL ORDER BY rowid LIMIT $2",
        update: "UPDATE media SET source = $1 WHERE rowid = $2",
    },
    SealedColumn {
        table: "endpoints",
        scope: SealScope::Life,
        is_text: true,
        order: RowOrder::Place,
        select: "SELECT rowid AS place, 0 AS session, 0 AS kind, id AS k1, NULL AS k2, NULL AS k3, \
                 headers AS value FROM endpoints WHERE rowid > $1 ORDER BY rowid LIMIT $2",
        update: "UPDATE endpoints SET headers = $1 WHERE rowid = $2",
    },
    SealedColumn {
        table: "endpoint_keys",
        scope: SealScope::Life,
        is_text: true,
        order: RowOrder::Place,
        select: "SELECT rowid AS place, 0 AS session, 0 AS kind, endpoint AS k1, NULL AS k2, NULL AS k3, \
                 secret AS value FROM endpoint_keys WHERE rowid > $1 ORDER BY rowid LIMIT $2",
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

/// Seals all values that are plain, or takes the seal off those that have one, as the sealer writes
/// them. Returns their number.
pub(super) async fn rewrite_rows(
    connection: &mut SqliteConnection,
    sealer: &Sealer,
) -> Result<u64> {
    let mut rewritten = 0;
    for column in COLUMNS {
        let mut cursor = RowCursor {
            place: i64::MIN,
            life: i64::MIN,
            ..RowCursor::default()
        };
        loop {
            let mut transaction = connection.begin().await?;
            let batch = rewrite_batch(&mut transaction, column, &mut cursor, sealer).await;
            let (seen, changed) = batch.with_context(|| format!("the table {}", column.table))?;
            sealer.save_keys(&mut transaction).await?;
            transaction.commit().await?;
            // The start ends at the first error, so nothing goes on with keys that are not saved.
            sealer.end_transaction(true);
            rewritten += changed;
            if seen < BATCH_ROWS {
                break;
            }
        }
    }
    Ok(rewritten)
}

/// Rewrites the next rows; returns how many there were, and how many are changed.
async fn rewrite_batch(
    connection: &mut SqliteConnection,
    column: &SealedColumn,
    cursor: &mut RowCursor,
    sealer: &Sealer,
) -> Result<(i64, u64)> {
    let query = sqlx::query(column.select);
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
        let update = sqlx::query(column.update);
        let update = match (column.is_text, sealer.sealing().is_some()) {
            (true, wants) => match rewrite_text(row, &place, sealer, wants)? {
                Some(text) => update.bind(text),
                None => continue,
            },
            (false, wants) => match rewrite_bytes(row, &place, sealer, wants)? {
                Some(value) => update.bind(value),
                None => continue,
            },
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

fn rewrite_text(
    row: &SqliteRow,
    place: &SealedPlace<'_>,
    sealer: &Sealer,
    wants_seal: bool,
) -> Result<Option<String>> {
    let stored: String = row.get("value");
    if stored.starts_with(TEXT_MARK) == wants_seal {
        return Ok(None);
    }
    Ok(Some(
        sealer.seal_text(place, sealer.open_text(place, stored)?),
    ))
}

fn rewrite_bytes(
    row: &SqliteRow,
    place: &SealedPlace<'_>,
    sealer: &Sealer,
    wants_seal: bool,
) -> Result<Option<Vec<u8>>> {
    let stored: Vec<u8> = row.get("value");
    let is_sealed = stored.first().is_some_and(|first| *first != NOT_SEALED);
    if is_sealed == wants_seal {
        return Ok(None);
    }
    Ok(Some(sealer.seal(place, &sealer.open(place, stored)?)))
}
