//! Data without behaviour that all rooms share: events, messages, names and ids.

pub mod access;
pub mod event;
pub mod ids;
pub mod masking;
pub mod message;
pub mod remote_file;
pub mod session_name;
pub mod signing_key;
pub mod suggestions;
pub mod timestamp;
