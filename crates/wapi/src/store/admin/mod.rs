//! Sessions' commands, API keys, and statistics.

pub mod api_keys;
pub mod commands;
pub mod stats;
