//! Reads of the engine's rows, and the entrance for their changes.

use super::row::{EngineRow, KeyRange, RowChange, RowKind};
use super::writing::{self, CloseRows, RowWrite, with_place};
use crate::model::event::MessageKey;
use crate::store::db::{self, QueryBuilder, Row};
use crate::store::inbound::undelivered;
use crate::store::{Life, Store, StoreError};

/// Keys asked for in one statement.
const MAX_KEYS: usize = 500;

/// The engine's rows of all sessions.
#[derive(Clone, Copy)]
pub struct EngineRowStore<'a> {
    store: &'a Store,
}

impl Store {
    /// The engine's rows of all sessions.
    pub fn engine_rows(&self) -> EngineRowStore<'_> {
        EngineRowStore { store: self }
    }
}

impl EngineRowStore<'_> {
    /// Returns a row.
    pub async fn find(
        self,
        session: &Life,
        kind: RowKind,
        key: &str,
    ) -> Result<Option<EngineRow>, StoreError> {
        let sql =
            "SELECT key, extra, value FROM engine WHERE session = $1 AND kind = $2 AND key = $3";
        let query = db::query(sql).bind(session).bind(kind.number()).bind(key);
        let row = query.fetch_optional(&self.store.readers).await?;
        row.map(|row| self.read_row(session, kind, &row))
            .transpose()
    }

    /// Returns the rows of these keys that there are.
    pub async fn find_many(
        self,
        session: &Life,
        kind: RowKind,
        keys: &[String],
    ) -> Result<Vec<EngineRow>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(MAX_KEYS) {
            let sql = "SELECT key, extra, value FROM engine WHERE session = ";
            let mut sql = QueryBuilder::new(sql);
            sql.push_bind(session.id())
                .push(" AND kind = ")
                .push_bind(kind.number())
                .push(" AND key IN ")
                .push_tuples(keys, |mut row, key| {
                    row.push_bind(key);
                });
            let rows = sql.build().fetch_all(&self.store.readers).await?;
            for row in &rows {
                found.push(self.read_row(session, kind, row)?);
            }
        }
        Ok(found)
    }

    /// Returns the rows of a range, by their keys.
    pub async fn list(
        self,
        session: &Life,
        kind: RowKind,
        range: &KeyRange,
    ) -> Result<Vec<EngineRow>, StoreError> {
        let sql = "SELECT key, extra, value FROM engine WHERE session = $1 AND kind = $2 \
                   AND key >= $3 AND ($4 IS NULL OR key < $4) ORDER BY key";
        let query = db::query(sql).bind(session).bind(kind.number());
        let query = query.bind(&range.from).bind(&range.to);
        let rows = query.fetch_all(&self.store.readers).await?;
        let rows = rows.iter().map(|row| self.read_row(session, kind, row));
        rows.collect()
    }

    /// Returns the row of a kind with the last key.
    pub async fn last(
        self,
        session: &Life,
        kind: RowKind,
    ) -> Result<Option<EngineRow>, StoreError> {
        let sql = "SELECT key, extra, value FROM engine WHERE session = $1 AND kind = $2 \
                   ORDER BY key DESC LIMIT 1";
        let query = db::query(sql).bind(session).bind(kind.number());
        let row = query.fetch_optional(&self.store.readers).await?;
        row.map(|row| self.read_row(session, kind, &row))
            .transpose()
    }

    /// Returns whether there is a row in one of the ranges.
    pub async fn has_any(
        self,
        session: &Life,
        kind: RowKind,
        range: &KeyRange,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM engine WHERE session = $1 AND kind = $2 \
                   AND key >= $3 AND ($4 IS NULL OR key < $4))";
        let query = db::query_scalar(sql).bind(session).bind(kind.number());
        let query = query.bind(&range.from).bind(&range.to);
        Ok(query.fetch_one(&self.store.readers).await?)
    }

    /// Makes all changes, in their order, in one transaction, and saves in the same one the messages
    /// that were decrypted with what is in them, until they are [released]. Returns the number of
    /// rows deleted, once all is on the disk.
    ///
    /// [released]: crate::store::InboundStore::release_pending
    pub async fn write(
        self,
        session: &Life,
        changes: Vec<RowChange>,
        decrypted: Vec<(MessageKey, Vec<u8>)>,
    ) -> Result<u64, StoreError> {
        let change = self.row_write(session, changes, decrypted)?;
        self.store.writer.apply_plain(change).await
    }

    /// As [`write`](Self::write), but the changes wait a moment for a commit of others. Returns `None` if
    /// `urgent` completes first; they may be made all the same, then before any that are given later.
    pub async fn write_deferred(
        self,
        session: &Life,
        changes: Vec<RowChange>,
        decrypted: Vec<(MessageKey, Vec<u8>)>,
        urgent: impl Future<Output = ()>,
    ) -> Result<Option<u64>, StoreError> {
        let change = self.row_write(session, changes, decrypted)?;
        self.store.writer.apply_deferred(change, urgent).await
    }

    fn row_write(
        self,
        session: &Life,
        changes: Vec<RowChange>,
        decrypted: Vec<(MessageKey, Vec<u8>)>,
    ) -> Result<RowWrite, StoreError> {
        let sealer = self.store.sealer.clone();
        let decrypted = undelivered::seal_pending(&sealer, session, decrypted)?;
        Ok(RowWrite {
            session: session.clone(),
            changes,
            decrypted,
            sealer,
        })
    }

    /// Deletes all rows of a life, the device first: without it, nobody uses the rest. What they are
    /// sealed with goes last.
    pub async fn close(self, session: &Life) -> Result<(), StoreError> {
        // Not decided by a look, which sees no row that is on its way to the disk.
        loop {
            let change = CloseRows {
                session: session.clone(),
                sealer: self.store.sealer.clone(),
            };
            let deleted = self.store.writer.apply_plain(change).await?;
            if deleted < writing::BATCH_ROWS.unsigned_abs() {
                return Ok(());
            }
        }
    }

    fn read_row(self, session: &Life, kind: RowKind, row: &Row) -> Result<EngineRow, StoreError> {
        let key: String = row.get("key");
        let sealer = &self.store.sealer;
        let value = with_place(session, kind, &key, |place| {
            sealer.open(place, row.get("value"))
        })?;
        let extra = row.get("extra");
        Ok(EngineRow {
            kind,
            key,
            extra,
            value,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::new_store;

    fn put(kind: RowKind, key: &str, extra: i64) -> RowChange {
        RowChange::Put(EngineRow {
            kind,
            key: key.to_owned(),
            extra,
            value: key.as_bytes().to_vec(),
        })
    }

    async fn keys(store: &Store, life: &Life, kind: RowKind) -> Vec<String> {
        let rows = store.engine_rows().list(life, kind, &KeyRange::ALL).await;
        rows.unwrap().into_iter().map(|row| row.key).collect()
    }

    #[tokio::test]
    async fn the_numbers_of_the_kinds_are_all_different_and_stay() {
        let numbers = RowKind::ALL.map(RowKind::number);
        assert_eq!(numbers, std::array::from_fn(|at| at as i64 + 1));
    }

    #[tokio::test]
    async fn keys_and_what_they_opened_are_saved_together_or_not_at_all() {
        let (store, _folder) = new_store().await;
        let life = store.lives().ensure_life("shop");
        let message = MessageKey {
            chat: "1@lid".to_owned(),
            sender: "1@lid".to_owned(),
            id: "3EB0".to_owned(),
        };
        let changes = vec![put(RowKind::Session, "bob", 0)];
        let decrypted = vec![(message.clone(), b"hi".to_vec())];
        let rows = store.engine_rows();
        rows.write(&life, changes.clone(), decrypted.clone())
            .await
            .unwrap();
        assert_eq!(keys(&store, &life, RowKind::Session).await, ["bob"]);
        let found = store.inbound().find_pending(&life, &message).await;
        assert_eq!(found.unwrap().as_deref(), Some(&b"hi"[..]));
        store.close().await;
        let refused = rows.write(&life, changes, decrypted).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the database failed: the program is ending"
        );
    }

    #[tokio::test]
    async fn changes_are_made_in_their_order() {
        let (store, _folder) = new_store().await;
        let life = store.lives().ensure_life("shop");
        let (keep, drop) = (RowKind::PreKey, RowKind::Secret);
        let changes = vec![
            put(keep, "1", 0),
            RowChange::SetExtra(keep, "1".to_owned(), 1),
            RowChange::SetExtra(keep, "2".to_owned(), 1),
            put(drop, "a/1", 0),
            put(drop, "a/2", 7),
            put(drop, "a/3", 8),
            put(drop, "b", 0),
            RowChange::Expire(drop, 7),
            RowChange::Delete(drop, "b".to_owned()),
            RowChange::Delete(drop, "c".to_owned()),
        ];
        let rows = store.engine_rows();
        assert_eq!(rows.write(&life, changes, Vec::new()).await.unwrap(), 2);
        assert_eq!(rows.last(&life, keep).await.unwrap().unwrap().extra, 1);
        assert_eq!(keys(&store, &life, keep).await, ["1"]);
        assert_eq!(keys(&store, &life, drop).await, ["a/1", "a/3"]);
        let range = KeyRange::starting_with("a/");
        let changes = vec![RowChange::DeleteRange(drop, range)];
        rows.write(&life, changes, Vec::new()).await.unwrap();
        assert_eq!(keys(&store, &life, drop).await, [""; 0]);
    }

    #[tokio::test]
    async fn a_closed_life_has_no_rows_and_others_keep_theirs() {
        let (store, _folder) = new_store().await;
        let (shop, other) = (
            store.lives().ensure_life("shop"),
            store.lives().ensure_life("other"),
        );
        let many = (0..writing::BATCH_ROWS * 2)
            .map(|at| put(RowKind::PreKey, &format!("{at:08x}"), 0))
            .chain([put(RowKind::Device, "", 0)]);
        let rows = store.engine_rows();
        rows.write(&shop, many.collect(), Vec::new()).await.unwrap();
        let changes = vec![put(RowKind::Device, "", 0)];
        rows.write(&other, changes, Vec::new()).await.unwrap();
        rows.close(&shop).await.unwrap();
        for kind in RowKind::ALL {
            assert!(!rows.has_any(&shop, kind, &KeyRange::ALL).await.unwrap());
        }
        assert_eq!(keys(&store, &other, RowKind::Device).await, [""]);
        // What is on its way to the disk goes, too.
        let writing = rows.write(&shop, vec![put(RowKind::Device, "", 0)], Vec::new());
        let (written, closed) = tokio::join!(writing, rows.close(&shop));
        written.and(closed.map(|()| 0)).unwrap();
        assert_eq!(keys(&store, &shop, RowKind::Device).await, [""; 0]);
    }
}
