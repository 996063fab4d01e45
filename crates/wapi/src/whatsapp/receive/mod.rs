//! Received messages: the engine's durability hook, and the translation into our events.

pub mod change_claim;
pub mod decode;
pub mod edit_rights;
pub mod hook;
pub mod lid_migration;
pub mod newsletter_backfill;
pub mod poll_votes;
pub mod undecryptable;
