//! Data of accounts on the server beside their devices, one file a subject.

pub(crate) mod catalog;
pub(crate) mod new_chat_cap;
pub(crate) mod preferences;
pub(crate) mod privacy;
pub(crate) mod profile;
pub(crate) mod trust;
