//! Lets no message out before the keys it was sealed with are on the disk.
//!
//! Reading a message can change the key that the next one is sent with, and whoever gets that one seals the answers for it. The engine
//! writes keys it has read with a moment later, since nothing is lost by reading once more; but it lets a message go that was sealed
//! with such a key. After a crash in between nobody could read the answers: they come again only because we ask, and out of order.
//!
//! So the line to WhatsApp waits for the engine to have written. It is not made to write: it would do so between opening a message of
//! another chat and handing it over, and a crash would lose that one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use whatsapp_rust::bytes::Bytes;
use whatsapp_rust::transport::{Transport, TransportFactory};
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind};
use whatsapp_rust::wacore::stats::TransportResourceReport;

use super::backend::Opened;
use super::transport::Dialled;
use crate::clock::Clock;

/// No message is smaller than this; receipts and pings are.
const SMALLEST_MESSAGE: usize = 200;
/// How long a message waits for its keys at most; the engine writes them 25 ms after it has read. A disk that is full or slow must not
/// silence the session.
const PATIENCE: Duration = Duration::from_millis(100);

/// What the line of one session waits for.
pub(super) struct Gate {
    opened: Arc<Opened>,
    /// Whether what waited at WhatsApp has come in. Before that the engine itself keeps keys and messages together.
    is_live: AtomicBool,
    clock: Clock,
}

impl Gate {
    pub fn new(opened: Arc<Opened>, clock: Clock) -> Arc<Self> {
        Arc::new(Self { opened, is_live: AtomicBool::new(false), clock })
    }

    /// Returns once the keys of all that was read are on the disk, or it takes too long.
    async fn keys_are_kept(&self) {
        if self.is_live.load(Ordering::Acquire) {
            // Whoever waited in vain goes all the same.
            let _ = self.clock.timeout(PATIENCE, self.opened.keys_are_kept()).await;
        }
    }
}

impl EventHandler for Gate {
    fn handle_event(&self, _: Arc<Event>) {
        self.is_live.store(true, Ordering::Release);
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::OfflineSyncCompleted])
    }
}

/// Dials lines that wait at the gate.
pub(super) struct GatedDialer<D> {
    inner: D,
    gate: Arc<Gate>,
}

impl<D> GatedDialer<D> {
    pub fn new(inner: D, gate: Arc<Gate>) -> Self {
        Self { inner, gate }
    }
}

#[async_trait]
impl<D: TransportFactory> TransportFactory for GatedDialer<D> {
    async fn create_transport(&self) -> Result<Dialled> {
        self.gate.is_live.store(false, Ordering::Release);
        let (inner, events) = self.inner.create_transport().await?;
        Ok((Arc::new(GatedLine { inner, gate: Arc::clone(&self.gate) }), events))
    }
}

struct GatedLine {
    inner: Arc<dyn Transport>,
    gate: Arc<Gate>,
}

#[async_trait]
impl Transport for GatedLine {
    async fn send(&self, data: Bytes) -> Result<()> {
        if data.len() >= SMALLEST_MESSAGE {
            self.gate.keys_are_kept().await;
        }
        self.inner.send(data).await
    }

    async fn disconnect(&self) {
        self.inner.disconnect().await;
    }

    fn resource_report(&self) -> Option<TransportResourceReport> {
        self.inner.resource_report()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::{FutureExt, poll};

    use super::*;
    use crate::event::MessageKey;
    use crate::store::Store;

    /// Keeps the length of what is sent.
    #[derive(Clone, Default)]
    struct Line(Arc<Mutex<Vec<usize>>>);

    #[async_trait]
    impl Transport for Line {
        async fn send(&self, data: Bytes) -> Result<()> {
            self.0.lock().unwrap().push(data.len());
            Ok(())
        }

        async fn disconnect(&self) {}
    }

    async fn session() -> (GatedLine, Line, Arc<Opened>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("wapi.db"), Clock::system()).await.unwrap();
        let opened = Arc::new(Opened::new(store.lifeline("shop"), store));
        let gate = Gate::new(Arc::clone(&opened), Clock::system());
        gate.is_live.store(true, Ordering::Release);
        let line = Line::default();
        (GatedLine { inner: Arc::new(line.clone()), gate }, line, opened, folder)
    }

    fn reads(opened: &Opened, id: &str) {
        let key = MessageKey { chat: "1@lid".to_owned(), sender: "1@lid".to_owned(), id: id.to_owned() };
        opened.add(std::iter::once((key, Vec::new())));
    }

    #[tokio::test]
    async fn a_message_waits_for_the_keys_of_what_was_read_before_it() {
        let (gated, line, opened, _folder) = session().await;
        gated.send(vec![0; 500].into()).await.unwrap();
        reads(&opened, "1");
        let sending = gated.send(vec![0; 600].into());
        tokio::pin!(sending);
        assert!(poll!(&mut sending).is_pending());
        gated.send(vec![0; 50].into()).await.unwrap();
        let moved = opened.moved();
        // What is read while the engine writes is for its next time.
        reads(&opened, "2");
        opened.keep_keys(moved);
        sending.await.unwrap();
        assert_eq!(*line.0.lock().unwrap(), [500, 50, 600]);
    }

    #[tokio::test]
    async fn what_whatsapp_delivers_again_moves_no_key() {
        let (gated, line, opened, _folder) = session().await;
        for id in ["unsaved", "kept"] {
            reads(&opened, id);
            opened.keep_keys(opened.moved());
            if id == "kept" {
                opened.save().await.unwrap();
            }
            let key = MessageKey { chat: "1@lid".to_owned(), sender: "1@lid".to_owned(), id: id.to_owned() };
            assert!(opened.find(&key).await.unwrap().is_some());
            reads(&opened, id);
            assert!(gated.send(vec![0; 500].into()).now_or_never().is_some(), "{id}");
            // The same id with another key: its sender has sealed it anew.
            reads(&opened, id);
            assert!(gated.send(vec![0; 600].into()).now_or_never().is_none(), "{id}");
            opened.keep_keys(opened.moved());
        }
        assert_eq!(*line.0.lock().unwrap(), [500, 500]);
    }

    #[tokio::test]
    async fn keys_that_cannot_be_written_hold_a_message_for_a_moment_only() {
        let (gated, line, opened, _folder) = session().await;
        reads(&opened, "1");
        gated.send(vec![0; 600].into()).await.unwrap();
        assert_eq!(*line.0.lock().unwrap(), [600]);
    }
}
