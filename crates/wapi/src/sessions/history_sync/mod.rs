//! History sync: importing it, and its progress.

pub mod import;
pub mod missing;
pub mod progress;
