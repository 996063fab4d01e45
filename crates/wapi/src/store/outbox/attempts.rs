//! Marks of messages that may have left: set before that can happen, and taken back when it has not.

use jiff::Timestamp;

use super::messages::MessageSeq;
use crate::store::db::{self, Connection, QueryBuilder};
use crate::store::events::log::MAX_ROWS;
use crate::store::writer::{PlainChange, StoreChange};
use crate::store::{OutboxStore, StoreError};

/// A mark to set: the message may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptMark {
    pub seq: MessageSeq,
    /// Whether it counts as a new contact of the day; `None` if that was not found out.
    pub is_new_chat: Option<bool>,
}

impl OutboxStore<'_> {
    /// Records, before it can happen, that these messages may have left.
    pub async fn record_attempts(self, marks: Vec<AttemptMark>) -> Result<(), StoreError> {
        self.store.writer.apply_plain(RecordAttempts(marks)).await
    }

    /// Records that these messages certainly have not left: they are queued again. Those that are
    /// settled or unconfirmed stay as they are.
    pub async fn clear_attempts(self, seqs: Vec<MessageSeq>) -> Result<(), StoreError> {
        self.store.writer.apply_change(ClearAttempts(seqs)).await
    }

    /// After a start: marks queued messages that may have left in an earlier run as unconfirmed.
    pub async fn mark_unconfirmed(self) -> Result<(), StoreError> {
        self.store.writer.apply_change(MarkUnconfirmed).await
    }
}

struct RecordAttempts(Vec<AttemptMark>);

impl PlainChange for RecordAttempts {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<(), db::Error> {
        for marks in self.0.chunks(MAX_ROWS) {
            let mut sql = QueryBuilder::new("UPDATE messages SET attempted_at = ");
            sql.push_bind(now.as_millisecond())
                .push(", new_chat = v.column2 FROM (");
            sql.push_values(marks, |mut row, mark| {
                row.push_bind(mark.seq.0).push_bind(mark.is_new_chat);
            });
            sql.push(
                ") AS v WHERE messages.place = v.column1 AND attempted_at IS NULL AND settled_at IS NULL",
            );
            sql.build().execute(&mut *connection).await?;
        }
        Ok(())
    }
}

struct ClearAttempts(Vec<MessageSeq>);

impl StoreChange for ClearAttempts {
    type Answer = ();

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        for seqs in self.0.chunks(MAX_ROWS) {
            let mut sql = QueryBuilder::new(
                "UPDATE messages SET attempted_at = NULL, new_chat = NULL \
                 WHERE settled_at IS NULL AND status = 'queued' AND place IN ",
            );
            sql.push_tuples(seqs, |mut row, seq| {
                row.push_bind(seq.0);
            });
            sql.build().execute(&mut *connection).await?;
        }
        Ok(())
    }
}

struct MarkUnconfirmed;

impl StoreChange for MarkUnconfirmed {
    type Answer = ();

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        let sql = "UPDATE messages SET status = 'unknown' \
                   WHERE settled_at IS NULL AND attempted_at IS NOT NULL AND status = 'queued'";
        db::query(sql).execute(connection).await?;
        Ok(())
    }
}
