//! The supervised task of a session: commands, restore, health checks, removal.

pub mod actor;
pub mod commands;
mod conversion;
pub mod health_check;
mod pairing;
pub mod purge;
pub mod removal;
pub mod restore;
