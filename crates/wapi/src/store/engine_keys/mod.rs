//! Rows of the engine: keys of linked devices and what the engine has learnt of the protocol, in one
//! table for all sessions.
//!
//! They are written by the store's writer, in the same commits as events: a write that has returned
//! is on the disk, and no key is there without the message that it has decrypted, see
//! [`EngineRowStore::write`](table::EngineRowStore::write).

pub mod database_file;
pub mod row;
pub mod session_file;
mod table;
mod writing;
