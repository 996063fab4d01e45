//! The description of each route, one file a resource.

pub mod api_keys;
pub mod events;
pub mod groups;
pub mod history;
pub mod media;
pub mod messages;
pub mod monitoring;
pub mod newsletters;
pub mod original;
pub mod presence;
pub mod products;
pub mod profile;
pub mod sessions;
pub mod webhooks;
