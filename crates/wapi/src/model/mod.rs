//! Data without behaviour that all rooms share: events, messages, names and ids.

pub(crate) mod access;
pub(crate) mod account;
pub mod event;
pub(crate) mod group_change;
pub(crate) mod ids;
pub mod masking;
pub mod message;
pub(crate) mod original;
pub(crate) mod qr_number;
pub(crate) mod remote_file;
pub(crate) mod send_failure;
pub(crate) mod send_hold;
pub(crate) mod session_name;
pub(crate) mod signing_key;
pub(crate) mod suggestions;
pub(crate) mod timestamp;
