//! Parsing of requests, and the layers around each.

pub mod extract;
pub mod idempotency;
pub mod layers;
pub mod query;
pub mod unreadable;
