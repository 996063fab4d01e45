//! Retention of media files: the ones that may be removed.

use jiff::Timestamp;

use crate::store::db::{self, Connection};
use crate::store::writer::StoreChange;
use crate::store::{MediaStore, StoreError};

/// Condition that nothing depends on the file: for a received file, no delivery of its message is
/// waiting; for an upload, no message that contains it has yet to be sent.
const IS_UNUSED: &str = "NOT EXISTS (SELECT 1 FROM events JOIN deliveries ON deliveries.event = events.seq \
       WHERE events.session = media.session AND events.message_chat = media.message_chat \
         AND events.sender = media.sender AND events.message_id = media.message_id AND deliveries.state = 'waiting') \
     AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.settled_at IS NULL AND messages.session = media.session \
         AND instr(messages.content, media.id) > 0)";

impl MediaStore<'_> {
    /// Returns up to `limit` files stored before `before` that nothing depends on, the oldest first:
    /// id and hash.
    pub async fn find_expired_media(
        self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.store.deliveries().write_open_rows().await?;
        // The SQL contains only constants.
        let sql = format!(
            "SELECT id, sha256 FROM media WHERE state = 'stored' AND created_at < $1 AND {IS_UNUSED} \
             ORDER BY created_at LIMIT $2"
        );
        Ok(db::query_as(sql)
            .bind(before.as_millisecond())
            .bind(limit)
            .fetch_all(&self.store.background)
            .await?)
    }

    /// Records that a file may exist in the storage without a record that refers to it.
    pub async fn add_media_leftover(self, sha256: &str) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(SetMediaLeftover {
                sha256: sha256.to_owned(),
                is_gone: false,
            })
            .await
    }

    /// Removes such an entry: the file is deleted, or needed again.
    pub async fn remove_media_leftover(self, sha256: &str) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(SetMediaLeftover {
                sha256: sha256.to_owned(),
                is_gone: true,
            })
            .await
    }

    /// Returns up to `limit` hashes of files that may still exist in the storage.
    pub async fn find_media_leftovers(self, limit: u32) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT sha256 FROM media_leftovers ORDER BY rowid LIMIT $1";
        Ok(db::query_scalar(sql)
            .bind(limit)
            .fetch_all(&self.store.background)
            .await?)
    }

    /// Returns the total size of all stored files in bytes, counting each content once.
    pub async fn media_size(self) -> Result<u64, StoreError> {
        let sql = "SELECT COALESCE(sum(size), 0) FROM (SELECT max(size) AS size FROM media WHERE state = 'stored' GROUP BY sha256)";
        let size: i64 = db::query_scalar(sql)
            .fetch_one(&self.store.background)
            .await?;
        Ok(size.unsigned_abs())
    }

    /// Deletes up to `limit` records from before `before` of files that are neither stored nor
    /// expected; returns the number deleted.
    pub async fn delete_media_records(
        self,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        self.store
            .writer
            .apply_change(DeleteMediaRecords { before, limit })
            .await
    }
}

struct SetMediaLeftover {
    sha256: String,
    is_gone: bool,
}

impl StoreChange for SetMediaLeftover {
    type Answer = ();

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        let sql = match self.is_gone {
            true => "DELETE FROM media_leftovers WHERE sha256 = $1",
            false => "INSERT INTO media_leftovers (sha256) VALUES ($1) ON CONFLICT DO NOTHING",
        };
        db::query(sql)
            .bind(&self.sha256)
            .execute(connection)
            .await?;
        Ok(())
    }
}

struct DeleteMediaRecords {
    before: Timestamp,
    limit: u32,
}

impl StoreChange for DeleteMediaRecords {
    type Answer = u64;

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<u64, db::Error> {
        let sql = "DELETE FROM media WHERE id IN (SELECT id FROM media \
                   WHERE created_at < $1 AND state NOT IN ('stored', 'waiting') ORDER BY created_at LIMIT $2)";
        let query = db::query(sql)
            .bind(self.before.as_millisecond())
            .bind(self.limit);
        Ok(query.execute(connection).await?.rows_affected())
    }
}
