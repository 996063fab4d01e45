//! The engine's store traits, one file each.

mod app_state;
mod device;
pub(super) mod protocol;
mod secrets;
mod signal;
