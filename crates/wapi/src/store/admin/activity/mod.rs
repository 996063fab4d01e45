//! Activity: what callers did to the gateway. The rows of changes, and counts of everything else.

pub mod notes;
pub mod reading;
