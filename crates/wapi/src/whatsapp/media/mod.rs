//! Files on WhatsApp's media servers.

pub mod message_upload;
pub mod newsletter_upload;
pub mod transfer;
