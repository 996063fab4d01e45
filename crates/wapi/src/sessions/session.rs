//! A handle on one session: what is known of it, and the link to send through.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};

use super::{SessionName, SessionState, Status};
use crate::clock::Clock;
use crate::whatsapp::{Inbox, Incoming, Link};

/// One session. Its [actor](super::actor) writes to it, everyone else reads.
pub struct Session {
    pub name: SessionName,
    state: watch::Sender<SessionState>,
    link: watch::Sender<Option<Arc<Link>>>,
    pub(super) asked: Notify,
    clock: Clock,
}

impl Session {
    pub(super) fn new(name: SessionName, clock: Clock) -> Self {
        let (state, link) = (watch::Sender::new(SessionState::new(clock.now())), watch::Sender::new(None));
        Self { name, state, link, asked: Notify::new(), clock }
    }

    /// What is known right now.
    pub fn state(&self) -> SessionState {
        self.state.borrow().clone()
    }

    /// Ends a rest, or a long wait between two tries.
    pub fn ask(&self) {
        self.asked.notify_one();
    }

    /// Waits at most `limit` for a state that `is_it` likes; the state there is then.
    pub async fn wait_for(&self, limit: Duration, is_it: impl FnMut(&SessionState) -> bool) -> SessionState {
        let mut changes = self.state.subscribe();
        // The sender lives as long as this session, so the only other end is the limit.
        let _ = self.clock.timeout(limit, changes.wait_for(is_it)).await;
        self.state()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut SessionState)) {
        self.state.send_modify(change);
    }

    pub(super) fn move_to(&self, status: Status, reason: Option<String>) {
        self.update(|state| state.move_to(status, reason, self.clock.now()));
    }

    /// The link, while there is one.
    pub(super) fn link(&self) -> Option<Arc<Link>> {
        self.link.borrow().clone()
    }

    pub(super) fn set_link(&self, link: Option<Arc<Link>>) {
        self.link.send_replace(link);
    }
}

/// Notes when the last message came in on its way to the real inbox.
pub(super) struct NotingInbox {
    pub session: Arc<Session>,
    pub inbox: Arc<dyn Inbox>,
}

#[async_trait]
impl Inbox for NotingInbox {
    async fn accept(&self, session: &str, incoming: Vec<Incoming>) -> anyhow::Result<()> {
        self.inbox.accept(session, incoming).await?;
        let now = self.session.clock.now();
        self.session.update(|state| state.last_received_at = Some(now));
        Ok(())
    }
}
