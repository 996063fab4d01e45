//! Requests to WhatsApp through an online session: groups, profiles, newsletters, catalogues, files.

pub mod catalog;
pub mod chat_timers;
pub mod chats;
pub mod media;
pub mod newsletters;
pub mod profile;
pub mod statuses;
