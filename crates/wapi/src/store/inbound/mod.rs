//! Facts that received messages bring along: identities, poll secrets, read positions, history sync.

pub mod history_sync;
pub mod identities;
pub mod newsletters;
pub mod polls;
pub mod undelivered;
pub mod unread;
