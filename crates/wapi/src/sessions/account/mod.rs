//! Operations of an account besides sending messages: groups, chats, profile, files.

pub mod chat_timers;
pub mod chats;
pub mod groups;
pub mod labels;
pub mod limits;
pub mod media_source;
pub mod online;
pub mod privacy;
pub mod profile;
