//! Facts that received messages bring along: identities, poll secrets, read positions, labels, history
//! sync.

pub mod history_sync;
pub mod identities;
pub mod labels;
pub mod newsletters;
pub mod polls;
pub mod undelivered;
pub mod unread;
pub mod unreadable;
