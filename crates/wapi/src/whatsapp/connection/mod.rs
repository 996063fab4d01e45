//! One device's connection: dialling, readiness, liveness, its end.

pub mod http_client;
pub mod link;
pub mod link_events;
pub mod liveness;
pub mod outlet;
mod outlet_claim;
pub mod own_proxy;
mod passkey;
mod qr_references;
pub mod readiness;
pub mod runtime;
pub mod server_key;
pub mod skipped_syncs;
pub mod transport;
pub mod web_version;
