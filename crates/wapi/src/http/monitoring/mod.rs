//! Health and metrics.

pub mod exposition;
pub mod health;
pub mod metrics;
