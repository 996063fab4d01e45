//! Webhook endpoints and their deliveries.

pub mod deliveries;
pub mod delivery_log;
pub mod due;
pub mod endpoint_changes;
pub mod endpoints;
pub mod open;
pub mod redelivery;
pub mod unrowed;
