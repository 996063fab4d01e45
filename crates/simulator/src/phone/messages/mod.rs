//! Everything that phones send besides plain texts, and how they read the same from others. The
//! protobufs of WhatsApp are built here, so that tests need none.

pub mod files;
pub mod interactive;
pub mod kinds;
pub mod message_edits;
pub mod sealed_answers;
pub mod shop;
pub mod statuses;
pub mod texts;

use waproto::buffa::MessageField;
use waproto::whatsapp as wa;

/// The secret of a message: votes on it, answers to it and edits of it are sealed with that.
pub(crate) fn new_secret() -> MessageField<wa::MessageContextInfo> {
    MessageField::some(wa::MessageContextInfo {
        message_secret: Some(rand::random::<[u8; 32]>().to_vec()),
        ..Default::default()
    })
}
