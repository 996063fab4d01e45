//! Foreign hosts: which may be contacted, with which certificates, and how slow they may be.

pub mod egress;
pub mod pace;
pub mod tls;
pub mod web_address;
