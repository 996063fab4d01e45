//! wapi, a WhatsApp HTTP gateway.
//!
//! Messages come in through [`whatsapp`], leave as [`webhooks`], and are sent by way of [`http`];
//! [`sessions`] keeps the accounts connected; [`app`] puts it all together from a [`config`].

pub mod config;

pub mod clock;
pub mod descriptors;
pub mod durable;
pub mod folder;
pub mod ids;
pub mod lifecycle;
pub mod meters;
pub mod pace;
pub mod stamp;
pub mod telemetry;

pub mod event;
pub mod media;
pub mod message;
pub mod nearest;
pub mod qr;

pub mod access;
pub mod fetch;
pub mod guard;
pub mod history;
pub mod identity;
pub mod keys;
pub mod names;
pub mod retention;
pub mod roots;
pub mod seen;
pub mod sessions;
pub mod shares;
pub mod store;
pub mod webhooks;
pub mod whatsapp;

pub mod app;
pub mod http;

#[cfg(feature = "sandbox")]
pub mod sandbox;
