//! Requests to WhatsApp besides sending: contacts, groups, profiles, newsletters, catalogues.

pub mod catalog;
pub mod contacts;
pub mod newsletters;
pub mod profile;
pub mod requests;
