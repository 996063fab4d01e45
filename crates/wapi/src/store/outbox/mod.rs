//! Sent messages: accepted once, their outcomes, and lookups.

pub mod attempts;
pub mod chat_timers;
pub mod cleanup;
pub mod departures;
pub mod limits;
pub mod lookup;
pub mod messages;
pub mod outcomes;
pub mod quoted;
pub mod resend_cache;
