//! Foreign hosts: which may be contacted, through which proxies, with which certificates, and how
//! slow they may be.

pub(crate) mod egress;
pub(crate) mod pace;
pub mod proxy;
pub mod tls;
pub(crate) mod web_address;
