//! The routes below `/v1`, one file a resource.

pub mod api_keys;
pub mod calls;
pub mod catalog;
pub mod chats;
pub mod contacts;
pub mod events;
pub mod groups;
pub mod history;
pub mod media;
pub mod messages;
pub mod newsletters;
pub mod presence;
pub mod profile;
pub mod sessions;
pub mod webhooks;
