//! Authorization: keys, their scopes, and requests without a key.

pub mod api_keys;
pub(super) mod auth;
mod caller;
pub(super) mod key_guesses;
pub(super) mod table;
pub(super) mod unkeyed;
