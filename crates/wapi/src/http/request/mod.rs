//! Parsing of requests, and the layers around each.

pub mod extract;
pub mod layers;
pub mod query;
pub mod unreadable;
