//! wapi, a WhatsApp HTTP gateway.
//!
//! Messages come in through `whatsapp` and `inbound`, leave as `webhooks`, and are sent by way of
//! `http`; `sessions` keeps the accounts connected; [`app`] puts it all together from a [`config`].

pub mod app;
pub mod config;
mod history;
mod http;
mod inbound;
mod media;
pub mod model;
pub mod net;
mod sessions;
mod store;
pub mod system;
pub mod telemetry;
mod webhooks;
mod whatsapp;

pub use http::error::{FAILED_SEND_TYPES, PROBLEM_TYPES, ProblemType};
pub use http::{MESSAGE_KINDS, openapi_document};
pub use media::qr_image::QrStyle;
pub use sessions::QrConsole;

/// Fuzz targets.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::http::fuzzing::*;
    pub use crate::media::fuzzing::*;
    pub use crate::whatsapp::fuzzing::*;
}
