//! The history: chats, contacts and messages as callers query them, a projection of the log.
//!
//! A message that an event brings has the event's position, and no content of its own: it is read from
//! the log. When retention removes the event, the message takes its content over. A history sync comes
//! only once, and is no event; its messages have their contents.

mod batch;
mod changes;
mod chats;
mod contacts;
mod contents;
mod import;
mod merging;
mod moving;
mod mutation;
mod removal;
mod search;
mod tokenizer;
mod words;

use super::{HistoryStore, StoreError};
use crate::store::db;

pub(super) use contents::keep_contents;
pub(super) use moving::move_history;
pub(super) use removal::hide_lives;

pub use chats::{OldestMessage, StoredChat};
pub use import::{HistoryImport, ImportedChat};
pub use mutation::{
    ChangeTarget, HistoryChange, HistoryMutation, MessageProgress, NewHistoryMessage,
};
pub use search::{HistoryCursor, PageAnchor, StoredMessage, StoredReaction};

/// Bytes of messages in a page; exceeded only by a single larger message.
const MOST_BYTES: usize = 4 * 1024 * 1024;

impl HistoryStore<'_> {
    /// Returns the sequence number of the last processed event.
    pub async fn processed_seq(self) -> Result<i64, StoreError> {
        let query = db::query_scalar("SELECT seq FROM history_progress");
        Ok(query.fetch_one(&self.store.background).await?)
    }

    /// Returns about how many bytes of the database the history takes.
    pub async fn size(self) -> Result<u64, StoreError> {
        let query = db::query_scalar("SELECT bytes FROM history_progress");
        let bytes: i64 = query.fetch_one(&self.store.background).await?;
        Ok(u64::try_from(bytes).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
