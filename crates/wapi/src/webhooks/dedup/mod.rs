//! Deduplication of deliveries through Redis, so that several processes, or one that lost its
//! database, do not forward a message twice.
//!
//! The database alone knows this process's own deliveries. Redis may lose everything: then a
//! message may be forwarded twice, but never not at all.

mod folder_id;
mod redis;

use anyhow::Result;
use secrecy::SecretString;

use crate::model::event::MessageKey;
use crate::store::DueDelivery;
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;

pub use self::folder_id::FolderId;
use self::redis::RedisConnection;

/// The messages forwarded by any process that shares the same Redis; empty without one.
pub struct ForwardedSet {
    shared: Option<RedisConnection>,
    folder: FolderId,
    clock: Clock,
}

impl ForwardedSet {
    /// Connects to Redis, and fails if it does not answer. Only processes with the same data
    /// folder, or a copy of it, share the same memory.
    pub async fn open(
        redis: Option<&SecretString>,
        folder: FolderId,
        clock: Clock,
        lifecycle: Lifecycle,
    ) -> Result<Self> {
        let shared = match redis {
            Some(address) => {
                Some(RedisConnection::connect(address, clock.clone(), lifecycle).await?)
            }
            None => None,
        };
        Ok(Self {
            shared,
            folder,
            clock,
        })
    }

    /// Whether a process has forwarded this message. `false` if Redis does not answer: twice is
    /// better than not at all.
    pub async fn is_forwarded(&self, due: &DueDelivery) -> bool {
        let (Some(shared), Some(name)) = (&self.shared, message_name(due)) else {
            return false;
        };
        let mut keys = vec![self.redis_key(due, &name)];
        if self.clock.now() < self.folder.old_names_until {
            keys.push(format!("wapi:forwarded:{name}"));
        }
        shared.contains_any(&keys).await.unwrap_or(false)
    }

    /// Records a delivery. To be called after the webhook has accepted it, so that a crash in
    /// between repeats the message instead of losing it.
    pub async fn record_forwarded(&self, due: &DueDelivery) {
        if let (Some(shared), Some(name)) = (&self.shared, message_name(due)) {
            shared.insert(&self.redis_key(due, &name)).await;
        }
    }

    /// Contains the life's id, since the same message may reach several accounts that had one
    /// session name after the other.
    fn redis_key(&self, due: &DueDelivery, name: &str) -> String {
        format!(
            "wapi:forwarded:{}:{}:{name}",
            self.folder.id,
            due.session.id()
        )
    }
}

/// Names a message uniquely: message ids are unique only within a session, a chat and a sender, and
/// several events can concern one message. Returns `None` for events that do not concern a message.
fn message_name(due: &DueDelivery) -> Option<String> {
    let DueDelivery {
        session,
        endpoint,
        kind,
        ..
    } = due;
    let (MessageKey { chat, sender, id }, session) = (due.message.as_ref()?, session.name());
    Some(format!(
        "{endpoint}:{kind}:{}:{session}:{chat}:{sender}:{id}",
        session.len()
    ))
}
