//! The gateway as its users see it: driven through HTTP, against phones of a simulated WhatsApp.
//!
//! Nothing here looks inside the gateway, so these tests would survive its rewrite.

mod harness;

mod albums;
mod auth;
mod baileys;
mod baileys_account;
mod baileys_kinds;
mod baileys_stars;
mod bodies;
mod bucket;
mod changes;
mod chat_list;
mod checks;
mod crash;
mod described;
mod disappearing;
mod endpoints;
mod faults;
mod feed;
mod forwards;
mod groups;
mod history;
mod identity;
mod interactive;
mod keys;
mod kinds;
mod marks;
mod media;
mod messages;
mod metrics;
mod misery;
mod names;
mod openapi;
mod patience;
mod polls;
mod previews;
mod private;
mod qr;
mod redis;
mod register;
mod restore;
mod sending;
mod session_events;
mod sessions;
mod shutdown;
mod signals;
mod start;
mod status;
mod stream;
mod unusual;
mod uploads;
mod voice;
mod webhooks;
