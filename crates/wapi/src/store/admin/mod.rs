//! Sessions' commands and settings, API keys, connect links, and statistics.

pub mod activity;
pub mod api_keys;
pub mod commands;
pub mod connect_links;
pub mod linked_sessions;
pub mod login_links;
pub mod logins;
pub mod session_settings;
pub mod stats;
