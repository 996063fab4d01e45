//! Health, metrics, settings, and activity.

pub mod activity;
pub mod health;
pub mod metrics;
pub mod settings;
