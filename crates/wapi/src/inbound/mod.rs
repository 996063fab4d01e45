//! The way in: everything that happens to a received message before WhatsApp is acknowledged.

pub mod event_log;
pub mod identity;
pub mod media_files;
pub mod push_names;
