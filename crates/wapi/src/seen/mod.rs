//! Remembers in Redis which messages were forwarded, so that several processes, or one that lost its database, do not forward twice.
//!
//! The database knows by itself what this process has delivered. Redis may lose everything: then a message may be forwarded twice,
//! never not at all.

mod redis;

use anyhow::Result;
use secrecy::SecretString;

use crate::clock::Clock;
use crate::event::MessageKey;
use crate::lifecycle::Lifecycle;
use crate::store::Due;

use self::redis::Shared;

/// What was forwarded by any process that shares the same Redis; nothing without one.
pub struct Seen {
    shared: Option<Shared>,
}

impl Seen {
    /// Fails when Redis is wanted and does not answer.
    pub async fn open(redis: Option<&SecretString>, clock: Clock, lifecycle: Lifecycle) -> Result<Self> {
        let shared = match redis {
            Some(address) => Some(Shared::connect(address, clock, lifecycle).await?),
            None => None,
        };
        Ok(Self { shared })
    }

    /// Whether some process has forwarded this message. When Redis does not answer, nobody has: twice is better than not at all.
    pub async fn was_forwarded(&self, due: &Due) -> bool {
        match (&self.shared, key(due)) {
            (Some(shared), Some(key)) => shared.contains(&key).await.unwrap_or(false),
            _ => false,
        }
    }

    /// Said after the webhook has taken it, and not before: a crash in between repeats it instead of losing it.
    pub async fn forwarded(&self, due: &Due) {
        if let (Some(shared), Some(key)) = (&self.shared, key(due)) {
            shared.insert(&key).await;
        }
    }
}

/// Message ids are unique only within a session, a chat and a sender, and several events can be about one message. `None` for
/// events that are not about a message.
fn key(due: &Due) -> Option<String> {
    let Due { session, endpoint, kind, .. } = due;
    let MessageKey { chat, sender, id } = due.message.as_ref()?;
    Some(format!("wapi:forwarded:{endpoint}:{kind}:{}:{session}:{chat}:{sender}:{id}", session.len()))
}
