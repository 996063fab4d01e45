//! Posts events to the operator's webhook.

mod attempt;
mod lanes;
mod schedule;

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use tokio::sync::Semaphore;
use url::Url;

use crate::clock::Clock;
use crate::config::Environment;
use crate::event::{Event, EventData, ReceivedMessage};
use crate::ids;
use crate::lifecycle::Lifecycle;
use crate::seen::Seen;
use crate::sessions::SessionName;
use crate::whatsapp::Inbox;

use attempt::Poster;
use lanes::Lanes;

/// Events that may wait in memory. When so many do, WhatsApp is asked to wait, too: it keeps what is not taken over.
const ROOM: usize = 10_000;

/// Forwards each received message to `WEBHOOK/SESSION`, once, in order within a chat.
///
/// What waits here is lost when the program is killed; WhatsApp was told that it arrived.
#[derive(Clone)]
pub struct Forwarder {
    inner: Arc<Inner>,
}

struct Inner {
    base: Url,
    poster: Poster,
    seen: Seen,
    clock: Clock,
    lifecycle: Lifecycle,
    room: Arc<Semaphore>,
    lanes: Lanes,
}

impl Forwarder {
    /// `base` ends in a slash; the session's name is put behind it.
    pub fn new(base: Url, environment: Environment, seen: Seen, clock: Clock, lifecycle: Lifecycle) -> Result<Self> {
        let poster = Poster::new(environment, clock.clone())?;
        let room = Arc::new(Semaphore::new(ROOM));
        Ok(Self { inner: Arc::new(Inner { base, poster, seen, clock, lifecycle, room, lanes: Lanes::default() }) })
    }

    /// Where this session's events go.
    fn address(&self, session: &str) -> Result<Url> {
        Ok(self.inner.base.join(&format!("./{}", SessionName::parse(session)?.url_segment()))?)
    }
}

#[async_trait]
impl Inbox for Forwarder {
    async fn accept(&self, message: ReceivedMessage) -> Result<()> {
        let room = Arc::clone(&self.inner.room).acquire_owned().await?;
        let lane = (message.session.clone(), message.chat.clone());
        let event = Event {
            id: ids::event_id(),
            timestamp: self.inner.clock.now(),
            data: EventData::MessageReceived(Box::new(message)),
        };
        if self.inner.lanes.push(lane.clone(), (event, room)) {
            let forwarder = self.clone();
            self.inner.lifecycle.spawn(async move { forwarder.work(&lane).await });
        }
        Ok(())
    }
}

impl Forwarder {
    /// Empties one lane, in order, and ends.
    async fn work(&self, lane: &lanes::Lane) {
        while let Some((event, _room)) = self.inner.lanes.pop(lane) {
            let EventData::MessageReceived(message) = &event.data;
            if self.inner.seen.is_new(message).await {
                self.deliver(&event, &message.session).await;
            }
        }
    }

    /// Tries until it is taken or the schedule ends. A soft stop ends the waiting, not an attempt under way.
    async fn deliver(&self, event: &Event, session: &str) {
        let address = match self.address(session) {
            Ok(address) => address,
            Err(error) => return tracing::error!(session, %error, "the webhook has no address for this session"),
        };
        for (attempt, pause) in (1..).zip(schedule::pauses()) {
            let waited = self.inner.lifecycle.unless_stopping(self.inner.clock.sleep(pause)).await;
            if waited.is_none() && attempt > 1 {
                break;
            }
            match self.inner.poster.post(&address, event).await {
                Ok(()) => return tracing::debug!(session, event = event.id, attempt, "delivered"),
                Err(error) => {
                    tracing::warn!(session, event = event.id, attempt, %error, "the webhook did not take an event")
                }
            }
        }
        tracing::error!(session, event = event.id, "an event was given up: the webhook did not take it");
    }
}
