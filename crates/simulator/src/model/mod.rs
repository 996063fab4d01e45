//! Data of the simulated WhatsApp: no sockets, no encryption, no stanzas.

pub(crate) mod behaviour;
pub(crate) mod bounded_list;
pub(crate) mod device;
pub(crate) mod faults;
pub(crate) mod group;
pub(crate) mod history;
pub(crate) mod ids;
pub(crate) mod key_reuse;
pub(crate) mod media_reference;
pub(crate) mod message;
pub(crate) mod message_attributes;
pub(crate) mod newsletter;
pub(crate) mod options;
pub(crate) mod queue;
