//! Where messages come in. WhatsApp deletes a message only after [`Inbox::accept`] said that it is safe.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use whatsapp_rust::types::durability_hook::InboundMessage;
use whatsapp_rust::{Client, InboundDurabilityHook, Jid};

use super::incoming;
use crate::event::ReceivedMessage;

/// Who takes messages over from WhatsApp.
#[async_trait]
pub trait Inbox: Send + Sync + 'static {
    /// Returns once the message will not be lost by us. On an error WhatsApp keeps it and offers it again after the next login; the
    /// same message may come again after a success, too.
    async fn accept(&self, message: ReceivedMessage) -> Result<()>;
}

/// The engine's hook for one session.
pub(super) struct Hook {
    session: String,
    inbox: Arc<dyn Inbox>,
}

impl Hook {
    pub fn new(session: &str, inbox: Arc<dyn Inbox>) -> Self {
        Self { session: session.to_owned(), inbox }
    }
}

#[async_trait]
impl InboundDurabilityHook for Hook {
    async fn on_messages(&self, client: Arc<Client>, batch: &[InboundMessage]) -> Result<()> {
        for message in batch {
            let other = other_address(&client, message).await;
            if let Some(received) = incoming::received(&self.session, &message.message, &message.info, other.as_ref()) {
                self.inbox.accept(received).await?;
            }
        }
        Ok(())
    }
}

/// The sender's phone number when the message names their LID, and the other way round.
async fn other_address(client: &Client, message: &InboundMessage) -> Option<Jid> {
    let source = &message.info.source;
    if source.sender_alt.is_some() {
        return source.sender_alt.clone();
    }
    let known = client.get_lid_pn_entry(&source.sender).await.ok()??;
    Some(if source.sender.is_lid() { Jid::pn(&*known.phone_number) } else { Jid::lid(&*known.lid) })
}
