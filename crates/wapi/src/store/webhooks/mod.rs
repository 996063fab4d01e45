//! Webhook endpoints, their deliveries, and the ready queue.

pub mod deliveries;
pub mod delivery_log;
pub mod due;
pub mod endpoint_changes;
pub mod endpoints;
pub mod ready_queue;
pub mod redelivery;
