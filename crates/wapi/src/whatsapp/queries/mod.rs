//! Requests to WhatsApp besides sending: contacts, groups, profiles, newsletters, catalogues,
//! privacy, limits.

pub mod acked_stanzas;
pub mod call_links;
pub mod catalog;
pub mod communities;
pub mod contacts;
pub mod groups;
pub mod invites;
pub mod labels;
pub mod limits;
pub mod newsletters;
pub mod older_messages;
pub mod profile;
pub mod requests;
pub mod unreadable;
