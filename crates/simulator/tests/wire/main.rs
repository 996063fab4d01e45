//! The simulator seen from its socket: by the engine, and by a strict client of these tests' own.

mod admin;
mod answers;
mod companion;
mod corruption;
mod device_lists;
mod endings;
mod group_stanzas;
mod groups;
mod history;
mod labels;
mod media;
mod messages;
mod newsletters;
mod offline;
mod own_affairs;
mod pairing;
mod passkeys;
mod peer_data;
mod profile;
mod raw;
mod requests;
mod settings;
mod strict;
mod trust;
