//! Acknowledgements and receipts of sent messages.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;
use whatsapp_rust::Jid;
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::types::events::{
    Event, EventHandler, EventInterest, EventKind, Receipt, ServerAck,
};
use whatsapp_rust::types::presence::ReceiptType;
use whatsapp_rust::wacore_binary::JidExt;

use crate::model::event::Person;
use crate::store::ReceiptKind;
use crate::whatsapp::connection::link_events::{LinkEvent, LinkEventSender};
use crate::whatsapp::receive::decode;

/// An acknowledgement or a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AckOrReceipt {
    /// WhatsApp's acknowledgement. The engine's send ends with the write to the socket; this comes
    /// later.
    Ack {
        id: String,
        /// WhatsApp's error code, if it refused the message.
        refused: Option<String>,
        /// Time of the acknowledgement, if given.
        at: Option<Timestamp>,
    },
    /// A receipt from a recipient's phone. `is_one_of_many`: others may send the same for these
    /// messages.
    Receipt {
        ids: Vec<String>,
        from: Person,
        is_one_of_many: bool,
        kind: ReceiptKind,
        at: Timestamp,
    },
}

/// Queues the engine's acknowledgements and receipts. Unbounded, because the engine's callbacks
/// must not block; the reader decides which to drop.
pub(in crate::whatsapp) struct ReceiptHandler {
    receipts: mpsc::UnboundedSender<AckOrReceipt>,
    reports: LinkEventSender,
    saved: Arc<PersistenceManager>,
}

impl ReceiptHandler {
    pub fn new(
        receipts: mpsc::UnboundedSender<AckOrReceipt>,
        reports: LinkEventSender,
        saved: Arc<PersistenceManager>,
    ) -> Self {
        Self {
            receipts,
            reports,
            saved,
        }
    }

    /// Returns whether the address is the account's own: its other devices send read receipts, too.
    fn is_own_address(&self, jid: &Jid) -> bool {
        let device = self.saved.get_device_snapshot();
        [&device.pn, &device.lid]
            .into_iter()
            .flatten()
            .any(|own| own.is_same_user_as(jid))
    }
}

impl EventHandler for ReceiptHandler {
    fn handle_event(&self, event: Arc<Event>) {
        let report = match &*event {
            Event::ServerAck(ack) => convert_ack(ack),
            Event::Receipt(receipt) if !self.is_own_address(&receipt.source.sender) => {
                convert_receipt(receipt)
            }
            Event::Receipt(receipt)
                if matches!(receipt.r#type, ReceiptType::Read | ReceiptType::ReadSelf) =>
            {
                // In a one-to-one chat, WhatsApp names the other person, and the engine does not.
                let ids = receipt
                    .message_ids
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                return self.reports.send(LinkEvent::ReadElsewhere { ids });
            }
            _ => None,
        };
        if let Some(report) = report {
            // Nobody reads any more when the program ends.
            let _ = self.receipts.send(report);
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::ServerAck, EventKind::Receipt])
    }
}

/// Converts an acknowledgement. Servers sometimes omit the class, so only acknowledgements that
/// surely belong to other stanzas are skipped.
fn convert_ack(ack: &ServerAck) -> Option<AckOrReceipt> {
    if matches!(
        ack.class.as_deref(),
        Some("receipt" | "notification" | "call")
    ) {
        return None;
    }
    let at = ack
        .timestamp
        .and_then(|at| Timestamp::from_second(at.timestamp()).ok());
    Some(AckOrReceipt::Ack {
        id: ack.id.clone(),
        refused: ack.error.clone(),
        at,
    })
}

fn convert_receipt(receipt: &Receipt) -> Option<AckOrReceipt> {
    let kind = match receipt.r#type {
        ReceiptType::Delivered => ReceiptKind::Delivered,
        ReceiptType::Read => ReceiptKind::Read,
        ReceiptType::Played => ReceiptKind::Played,
        _ => return None,
    };
    let source = &receipt.source;
    let from = decode::build_person(&source.sender, source.sender_alt.as_ref(), "");
    let ids = receipt
        .message_ids
        .iter()
        .map(ToString::to_string)
        .collect();
    let at = Timestamp::from_second(receipt.timestamp.timestamp()).unwrap_or_default();
    let is_one_of_many =
        source.is_group || source.chat.is_group() || source.chat.is_status_broadcast();
    Some(AckOrReceipt::Receipt {
        ids,
        from,
        is_one_of_many,
        kind,
        at,
    })
}

#[cfg(test)]
mod tests {
    use crate::whatsapp::send::receipts::*;

    #[test]
    fn an_ack_of_something_else_is_no_word_on_a_message() {
        let ack_of = |class: Option<&str>| {
            let event = ServerAck::builder()
                .id("3EB0".to_owned())
                .maybe_class(class.map(str::to_owned))
                .build();
            convert_ack(&event).is_some()
        };
        assert_eq!(
            [None, Some("message"), Some("receipt")].map(ack_of),
            [true, true, false]
        );
    }
}
