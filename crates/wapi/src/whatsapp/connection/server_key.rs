//! WhatsApp's server key, forgotten after a connection that was accepted and brought not one
//! stanza.
//!
//! The engine greets WhatsApp with the key it knows from an earlier login. If the server has
//! another key and does not say so, every greeting fails, forever. Without the key a login takes
//! one round trip more, and no trust is lost: the certificates are checked anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use async_trait::async_trait;
use whatsapp_rust::store::commands::DeviceCommand;
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::transport::TransportFactory;
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind};

use super::transport::DialledTransport;

/// Whether the last accepted connection has brought nothing.
#[derive(Clone, Default)]
pub(in crate::whatsapp) struct SilenceFlag(Arc<AtomicBool>);

impl EventHandler for SilenceFlag {
    /// A decrypted stanza proves the key.
    fn handle_event(&self, _: Arc<Event>) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::RawNode])
    }
}

/// Dials, and then forgets the key, if necessary, before the handshake.
pub(in crate::whatsapp) struct ServerKeyDialer<D> {
    inner: D,
    saved: Arc<PersistenceManager>,
    unheard: SilenceFlag,
}

impl<D> ServerKeyDialer<D> {
    pub fn new(inner: D, saved: Arc<PersistenceManager>, unheard: SilenceFlag) -> Self {
        Self {
            inner,
            saved,
            unheard,
        }
    }
}

#[async_trait]
impl<D: TransportFactory> TransportFactory for ServerKeyDialer<D> {
    async fn create_transport(&self) -> Result<DialledTransport> {
        let dialled = self.inner.create_transport().await?;
        if self.unheard.0.swap(true, Ordering::Relaxed)
            && self.saved.get_device_snapshot().server_cert_chain.is_some()
        {
            tracing::info!("forgot WhatsApp's key; the next login receives it again");
            self.saved
                .process_command(DeviceCommand::ClearServerCertChain)
                .await;
        }
        Ok(dialled)
    }
}
