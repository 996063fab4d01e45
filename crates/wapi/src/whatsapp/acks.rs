//! Waits for the server's word on each message that was sent: the engine is done when it has written to the socket.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind};

/// The server's word on one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ack {
    /// Seconds since 1970, when WhatsApp said so.
    pub timestamp: Option<i64>,
    /// WhatsApp's code, when it did not take the message.
    pub refused: Option<String>,
}

type Waiting = Mutex<HashMap<String, oneshot::Sender<Ack>>>;

/// Who waits for which message.
#[derive(Default)]
pub(super) struct Acks {
    waiting: Arc<Waiting>,
}

/// A place in the queue; giving it up forgets it.
pub(super) struct Expected {
    id: String,
    waiting: Arc<Waiting>,
    ack: oneshot::Receiver<Ack>,
}

impl Acks {
    /// Must be called before the message leaves, or its ack may come first.
    pub fn expect(&self, id: &str) -> Expected {
        let (sender, ack) = oneshot::channel();
        lock(&self.waiting).insert(id.to_owned(), sender);
        Expected { id: id.to_owned(), waiting: Arc::clone(&self.waiting), ack }
    }
}

impl Expected {
    /// `None` when the link ended first.
    pub async fn arrived(&mut self) -> Option<Ack> {
        (&mut self.ack).await.ok()
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        lock(&self.waiting).remove(&self.id);
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<Ack>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EventHandler for Acks {
    /// Matched by id alone: servers leave the class out at times.
    fn handle_event(&self, event: Arc<Event>) {
        let Event::ServerAck(ack) = &*event else { return };
        if let Some(waiting) = lock(&self.waiting).remove(&ack.id) {
            let timestamp = ack.timestamp.map(|at| at.timestamp());
            // Whoever waited may have given up meanwhile.
            let _ = waiting.send(Ack { timestamp, refused: ack.error.clone() });
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::ServerAck])
    }
}
