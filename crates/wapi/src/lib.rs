//! wapi, a WhatsApp HTTP gateway.
//!
//! Messages come in through [`whatsapp`] and [`inbound`], leave as [`webhooks`], and are sent by way
//! of [`http`]; [`sessions`] keeps the accounts connected; [`app`] puts it all together from a
//! [`config`].

pub mod app;
pub mod config;
pub mod history;
pub mod http;
pub mod inbound;
pub mod media;
pub mod model;
pub mod net;
pub mod sessions;
pub mod store;
pub mod system;
pub mod telemetry;
pub mod webhooks;
pub mod whatsapp;
