//! Remembers in Redis which messages were forwarded, so that several processes, or one that lost its database, do not forward twice.
//!
//! The database knows by itself what this process has delivered. Redis may lose everything: then a message may be forwarded twice,
//! never not at all.

mod folder;
mod redis;

use anyhow::Result;
use secrecy::SecretString;

use crate::clock::Clock;
use crate::event::MessageKey;
use crate::lifecycle::Lifecycle;
use crate::store::Due;

pub use self::folder::Folder;
use self::redis::Shared;

/// What was forwarded by any process that shares the same Redis; nothing without one.
pub struct Seen {
    shared: Option<Shared>,
    folder: Folder,
    clock: Clock,
}

impl Seen {
    /// Fails when Redis is wanted and does not answer. Only who has the same data folder, or a copy of it, remembers the same.
    pub async fn open(
        redis: Option<&SecretString>,
        folder: Folder,
        clock: Clock,
        lifecycle: Lifecycle,
    ) -> Result<Self> {
        let shared = match redis {
            Some(address) => Some(Shared::connect(address, clock.clone(), lifecycle).await?),
            None => None,
        };
        Ok(Self {
            shared,
            folder,
            clock,
        })
    }

    /// Whether some process has forwarded this message. When Redis does not answer, nobody has: twice is better than not at all.
    pub async fn was_forwarded(&self, due: &Due) -> bool {
        let (Some(shared), Some(name)) = (&self.shared, name(due)) else {
            return false;
        };
        let mut keys = vec![self.key(due, &name)];
        if self.clock.now() < self.folder.old_names_until {
            keys.push(format!("wapi:forwarded:{name}"));
        }
        shared.contains(&keys).await.unwrap_or(false)
    }

    /// Said after the webhook has taken it, and not before: a crash in between repeats it instead of losing it.
    pub async fn forwarded(&self, due: &Due) {
        if let (Some(shared), Some(name)) = (&self.shared, name(due)) {
            shared.insert(&self.key(due, &name)).await;
        }
    }

    /// The same message may come to several accounts that have one name after the other.
    fn key(&self, due: &Due, name: &str) -> String {
        format!(
            "wapi:forwarded:{}:{}:{name}",
            self.folder.id,
            due.session.id()
        )
    }
}

/// Message ids are unique only within a session, a chat and a sender, and several events can be about one message. `None` for
/// events that are not about a message.
fn name(due: &Due) -> Option<String> {
    let Due {
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
