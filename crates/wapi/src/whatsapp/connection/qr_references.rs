//! References for QR codes: WhatsApp sends all of a link at once, and the engine shows one after
//! another.

use std::sync::Arc;

use parking_lot::Mutex;
use whatsapp_rust::types::events::Event;

use crate::model::qr_number::QrNumber;

/// The references of the current connection, in the order in which they are shown.
#[derive(Clone, Default)]
pub(super) struct QrReferences(Arc<Mutex<Vec<String>>>);

impl QrReferences {
    /// Keeps the references in a stanza, if it has any.
    pub fn read_stanza(&self, event: &Event) {
        let Event::RawNode(node) = event else { return };
        let stanza = node.get();
        if stanza.tag.as_ref() != "iq" {
            return;
        }
        let Some(pairing) = stanza.get_optional_child("pair-device") else {
            return;
        };
        let references = pairing
            .get_children_by_tag("ref")
            .filter_map(|node| String::from_utf8(node.content_bytes()?.to_vec()).ok());
        *self.0.lock() = references.collect();
    }

    /// Returns the number of the code with this text. The same code may be shown again with another
    /// secret in it.
    pub fn number_of(&self, text: &str) -> QrNumber {
        let references = self.0.lock();
        let first = text.split(',').next().unwrap_or_default();
        let place = references
            .iter()
            .position(|reference| first.ends_with(reference.as_str()));
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        QrNumber {
            number: count(place.map_or(1, |place| place + 1)),
            total: count(references.len().max(1)),
        }
    }
}
