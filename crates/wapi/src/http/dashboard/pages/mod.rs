//! The pages, one file each.

pub mod chat;
pub mod deliveries;
pub mod events;
pub mod keys;
pub mod operator;
pub mod overview;
pub mod people;
pub mod sandbox;
pub mod session;
pub mod session_actions;
pub mod session_passkey;
pub mod sessions;
pub mod try_it;
pub mod webhooks;
