//! Remembers which messages were forwarded, so that none is forwarded twice.

mod memory;
mod redis;

use anyhow::Result;
use secrecy::SecretString;

use crate::clock::Clock;
use crate::event::ReceivedMessage;

use self::memory::Memory;
use self::redis::Shared;

/// What was forwarded: in this process, and with Redis in all processes that share it.
pub struct Seen {
    memory: Memory,
    shared: Option<Shared>,
}

impl Seen {
    /// Fails when Redis is wanted and does not answer.
    pub async fn open(redis: Option<&SecretString>, clock: Clock) -> Result<Self> {
        let shared = match redis {
            Some(address) => Some(Shared::connect(address, clock).await?),
            None => None,
        };
        Ok(Self { memory: Memory::default(), shared })
    }

    /// Whether this message was never asked about before; the answer is yes once.
    ///
    /// When Redis does not answer, only this process is asked: forwarding twice is better than not at all.
    pub async fn is_new(&self, message: &ReceivedMessage) -> bool {
        let key = key(message);
        if !self.memory.insert(&key) {
            return false;
        }
        match &self.shared {
            Some(shared) => shared.insert(&key).await.unwrap_or(true),
            None => true,
        }
    }
}

/// Message ids are unique only within a session, a chat and a sender.
fn key(message: &ReceivedMessage) -> String {
    let ReceivedMessage { session, chat, from, id, .. } = message;
    format!("wapi:forwarded:{}:{session}:{chat}:{}:{id}", session.len(), from.id)
}
