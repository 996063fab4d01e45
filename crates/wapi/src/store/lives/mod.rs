//! Lives of session names: finding, splitting, and purging them.

pub mod abandoned;
pub mod life;
pub mod purge;
pub mod registry;
pub mod splitting;
