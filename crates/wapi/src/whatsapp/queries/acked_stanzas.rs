//! Stanzas that WhatsApp answers with an acknowledgement of their id, other than messages of the
//! outbox.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use whatsapp_rust::OwnedNodeRef;
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind};
use whatsapp_rust::wacore_binary::{Node, NodeRef};

use crate::whatsapp::connection::link::Link;
use crate::whatsapp::request_error::{RequestError, request_failed};

impl Link {
    /// Sends a stanza, and returns WhatsApp's acknowledgement of this id.
    pub(in crate::whatsapp) async fn send_acked(
        &self,
        id: &str,
        node: Node,
    ) -> Result<Arc<OwnedNodeRef>, RequestError> {
        let (answer, answered) = oneshot::channel();
        let waiter = AckWaiter {
            id: id.to_owned(),
            answer: Mutex::new(Some(answer)),
        };
        let _waiting = self.client.subscribe_handler(Arc::new(waiter));
        let acked = self
            .run_request(async {
                self.client.send_node(node).await.map_err(request_failed)?;
                answered.await.map_err(request_failed)
            })
            .await?;
        match read_attribute(acked.get(), "error") {
            None => Ok(acked),
            Some(code) => Err(code
                .parse()
                .map_or(RequestError::Failed, RequestError::Refused)),
        }
    }
}

/// Waits for the acknowledgement of one stanza.
struct AckWaiter {
    id: String,
    answer: Mutex<Option<oneshot::Sender<Arc<OwnedNodeRef>>>>,
}

impl EventHandler for AckWaiter {
    fn handle_event(&self, event: Arc<Event>) {
        let Event::RawNode(node) = &*event else {
            return;
        };
        let stanza = node.get();
        if stanza.tag.as_ref() != "ack" || read_attribute(stanza, "id") != Some(self.id.clone()) {
            return;
        }
        if let Some(answer) = self.answer.lock().take() {
            let _ = answer.send(Arc::clone(node));
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::RawNode])
    }
}

fn read_attribute(node: &NodeRef<'_>, name: &str) -> Option<String> {
    let value = node.get_attr(name)?.as_str().into_owned();
    Some(value).filter(|value| !value.is_empty())
}
