//! Key barrier: holds each outgoing message until the keys it was encrypted with are on the disk.
//!
//! Reading a message can change the key that the next one is sent with, and the recipient of that
//! one encrypts the answers for it. The engine writes keys it has read with a moment later, since
//! nothing is lost by reading once more; but it sends a message encrypted with such a key at once.
//! After a crash in between nobody could read the answers: they come again only because the gateway
//! asks, and out of order. And what the engine has written may still be in the key buffer: after a
//! crash a key would be used a second time.
//!
//! So the connection to WhatsApp waits for the engine to have written, and then for the synced commit
//! with the keys, which all sessions share. The barrier does not make the engine write, unless it
//! takes very long: that could fall between decrypting a message of another chat and handing it over,
//! and a crash would lose that one. A disk that does not respond ends the connection, and the next
//! one waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use anyhow::{Result, bail};
use async_trait::async_trait;
use whatsapp_rust::Client;
use whatsapp_rust::bytes::Bytes;
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::transport::{Transport, TransportFactory};
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind};
use whatsapp_rust::wacore::stats::TransportResourceReport;

use super::write_failures::{LinkFailure, WriteFailures};
use super::{DecryptedBuffer, EngineStore};
use crate::system::clock::Clock;
use crate::whatsapp::connection::link_events::{LinkEvent, LinkEventSender};
use crate::whatsapp::connection::transport::DialledTransport;

/// Smallest frame with a message, in bytes after its length: a Signal message is at least its
/// version, a ratchet key (35), two counters (4), a block (18) and a MAC (8); around it are the
/// tags and lengths of two stanzas (10) and the MAC of the frame (16). Receipts and pings are
/// smaller.
const SMALLEST_MESSAGE: usize = 92;
/// A message waits for the disk for at most [`MAX_WAIT_STEPS`] steps of this length: a jump of the clock
/// takes one step, however far it goes.
const WAIT_STEP: Duration = Duration::from_secs(1);
const MAX_WAIT_STEPS: usize = 10;
/// Time for the engine to write by itself; it does so 25 ms after it has read.
const ENGINE_WRITE_TIME: Duration = Duration::from_millis(500);

/// Holders of the keys of one session.
pub(in crate::whatsapp) struct KeyStorage {
    pub decrypted: Arc<DecryptedBuffer>,
    pub backend: Arc<EngineStore>,
    pub persistence: Arc<PersistenceManager>,
}

/// Key barrier of one session's connection.
pub(in crate::whatsapp) struct KeyBarrier {
    key_storage: KeyStorage,
    /// Whether the messages that waited at WhatsApp have come in. Before that the engine itself
    /// keeps keys and messages together.
    is_live: AtomicBool,
    client: OnceLock<Weak<Client>>,
    failure: LinkFailure,
    has_failed: AtomicBool,
    reports: LinkEventSender,
    clock: Clock,
}

impl KeyBarrier {
    pub fn new(
        kept: KeyStorage,
        troubles: WriteFailures,
        reports: LinkEventSender,
        clock: Clock,
    ) -> Arc<Self> {
        let (is_live, client, is_troubled) = Default::default();
        Arc::new(Self {
            key_storage: kept,
            is_live,
            client,
            failure: troubles.register_link(),
            has_failed: is_troubled,
            reports,
            clock,
        })
    }

    /// Sets the client that is made to write as a last resort.
    pub fn set_client(&self, client: &Arc<Client>) {
        // The client is built once.
        let _ = self.client.set(Arc::downgrade(client));
    }

    /// Returns once everything that a frame may rest on is on the disk, or fails with the reason.
    async fn hold_until_safe(&self) -> Result<()> {
        let Err(reason) = self.wait_until_safe().await else {
            if self.has_failed.swap(false, Ordering::AcqRel) {
                self.failure.clear_failure();
            }
            return Ok(());
        };
        self.has_failed.store(true, Ordering::Release);
        self.failure.set_failure(&reason);
        self.reports.send(LinkEvent::Unreachable {
            reason: reason.clone(),
        });
        bail!(reason)
    }

    async fn wait_until_safe(&self) -> Result<(), String> {
        let safe = self.secure_keys();
        tokio::pin!(safe);
        for _ in 0..MAX_WAIT_STEPS {
            if self.clock.timeout(WAIT_STEP, &mut safe).await.is_ok() {
                return Ok(());
            }
        }
        Err(match self.key_storage.backend.write_error() {
            Some(error) => format!("a session's keys cannot be saved: {error}"),
            None => format!(
                "the disk takes longer than {} s to save a session's keys",
                MAX_WAIT_STEPS
            ),
        })
    }

    /// Completes when everything is on the disk. Failures are retried: the keys stay in memory.
    async fn secure_keys(&self) {
        loop {
            if self.is_live.load(Ordering::Acquire) {
                self.wait_for_keys().await;
            }
            let KeyStorage {
                backend,
                persistence: saved,
                ..
            } = &self.key_storage;
            let linked = backend
                .save_account(&saved.get_device_snapshot().core)
                .await
                .is_ok();
            if linked && backend.secure_keys().await.is_ok() {
                return;
            }
            self.clock.sleep(ENGINE_WRITE_TIME).await;
        }
    }

    async fn wait_for_keys(&self) {
        let opened = &self.key_storage.decrypted;
        while self
            .clock
            .timeout(ENGINE_WRITE_TIME, opened.wait_for_keys())
            .await
            .is_err()
        {
            let Some(client) = self.client.get().and_then(Weak::upgrade) else {
                continue;
            };
            let moved = opened.advanced_count();
            if client.flush_pending_signal_state().await.is_ok() {
                opened.record_written_keys(moved);
            }
        }
    }
}

/// Beginning of a connection: two bytes with the protocol's version follow.
const CONNECTION_HEADER: &[u8] = b"WA";

/// Returns whether a message may be in these frames, each of which is prefixed with its length.
fn may_hold_message(frames: &[u8]) -> bool {
    let mut rest = frames
        .strip_prefix(CONNECTION_HEADER)
        .and_then(|greeting| greeting.get(2..))
        .unwrap_or(frames);
    while let [high, middle, low, after @ ..] = rest {
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        match after.get(length..) {
            Some(next) if length < SMALLEST_MESSAGE => rest = next,
            _ => return true,
        }
    }
    !rest.is_empty()
}

impl EventHandler for KeyBarrier {
    fn handle_event(&self, _: Arc<Event>) {
        self.is_live.store(true, Ordering::Release);
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::OfflineSyncCompleted])
    }
}

/// Dials connections that wait at the key barrier.
pub(in crate::whatsapp) struct BarrierDialer<D> {
    inner: D,
    barrier: Arc<KeyBarrier>,
}

impl<D> BarrierDialer<D> {
    pub fn new(inner: D, barrier: Arc<KeyBarrier>) -> Self {
        Self { inner, barrier }
    }
}

#[async_trait]
impl<D: TransportFactory> TransportFactory for BarrierDialer<D> {
    async fn create_transport(&self) -> Result<DialledTransport> {
        self.barrier.is_live.store(false, Ordering::Release);
        // Keys that could not be saved for the last message could not be saved for the next one,
        // either.
        if self.barrier.has_failed.load(Ordering::Acquire) {
            self.barrier.hold_until_safe().await?;
        }
        let (inner, events) = self.inner.create_transport().await?;
        Ok((
            Arc::new(BarrierTransport {
                inner,
                barrier: Arc::clone(&self.barrier),
            }),
            events,
        ))
    }
}

struct BarrierTransport {
    inner: Arc<dyn Transport>,
    barrier: Arc<KeyBarrier>,
}

#[async_trait]
impl Transport for BarrierTransport {
    async fn send(&self, data: Bytes) -> Result<()> {
        if may_hold_message(&data)
            && let Err(error) = self.barrier.hold_until_safe().await
        {
            self.inner.disconnect().await;
            return Err(error);
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
mod tests;
