//! A handle on one session: what is known of it, what its owner wants of it, and the link to send through.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::journal::Journal;
use super::news::{Before, news};
use super::{Metadata, SessionName, SessionState, Status};
use crate::clock::Clock;
use crate::event::EventData;
use crate::whatsapp::{Inbox, Incoming, Link};

/// What its owner wants of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    Run,
    /// Stay away from WhatsApp until told otherwise.
    Stop,
    /// Be gone, and leave nothing behind that the program would find again.
    Remove,
}

/// One session. Its [actor](super::actor) writes to it, everyone else reads.
pub struct Session {
    pub name: SessionName,
    /// What its owner keeps with it.
    pub metadata: Metadata,
    state: watch::Sender<SessionState>,
    link: watch::Sender<Option<Arc<Link>>>,
    intent: watch::Sender<Intent>,
    pub(super) asked: Notify,
    /// Milliseconds since 1970, 0 for never. Not part of the state: it changes with every message, and nobody waits for it.
    last_received: AtomicI64,
    /// Checks in a row in which nothing came in, not even what was asked for.
    silences: AtomicU32,
    /// Its task has ended.
    ended: CancellationToken,
    journal: Arc<Journal>,
    clock: Clock,
}

impl Session {
    pub(super) fn new(
        name: SessionName,
        intent: Intent,
        metadata: Metadata,
        journal: Arc<Journal>,
        clock: Clock,
    ) -> Self {
        Self {
            name,
            metadata,
            state: watch::Sender::new(SessionState::new(clock.now())),
            link: watch::Sender::new(None),
            intent: watch::Sender::new(intent),
            asked: Notify::new(),
            last_received: AtomicI64::new(0),
            silences: AtomicU32::new(0),
            ended: CancellationToken::new(),
            journal,
            clock,
        }
    }

    /// What is known right now.
    pub fn state(&self) -> SessionState {
        self.state.borrow().clone()
    }

    /// When the last message came in, in this run of the program or an earlier one.
    pub fn last_received_at(&self) -> Option<Timestamp> {
        let at = self.last_received.load(Ordering::Relaxed);
        (at > 0).then(|| Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX))
    }

    pub(super) fn received(&self, at: Timestamp) {
        self.last_received.fetch_max(at.as_millisecond(), Ordering::Relaxed);
    }

    /// A check has found that something comes in.
    pub(super) fn is_heard(&self) {
        self.silences.store(0, Ordering::Relaxed);
    }

    /// A check has found that nothing comes in; how many have, in a row.
    pub(super) fn is_silent(&self) -> u32 {
        self.silences.fetch_add(1, Ordering::Relaxed).saturating_add(1)
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

    /// Changes what is known, and tells what is new of it. Never waits for the disk.
    pub(super) fn update(&self, change: impl FnOnce(&mut SessionState)) {
        self.state.send_modify(|state| {
            let before = Before::of(state);
            change(state);
            // Told while the state is held, so that news are in the order of the changes whoever makes them.
            self.journal.tell(&self.name, news(&self.name, &before, state));
        });
    }

    pub(super) fn move_to(&self, status: Status, reason: Option<String>) {
        self.update(|state| state.move_to(status, reason, self.clock.now()));
    }

    /// Tells something that no change of the state says.
    pub(super) fn tell(&self, data: EventData) {
        self.journal.tell(&self.name, vec![data]);
    }

    pub(super) fn intent(&self) -> Intent {
        *self.intent.borrow()
    }

    pub(super) fn set_intent(&self, intent: Intent) {
        self.intent.send_replace(intent);
    }

    /// Sees every change of the intent from now on.
    pub(super) fn intents(&self) -> watch::Receiver<Intent> {
        self.intent.subscribe()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Its task has ended, and so has everything of it.
    pub(super) fn end(&self) {
        self.ended.cancel();
    }

    /// Completes when its task has ended.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
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
        self.session.received(self.session.clock.now());
        Ok(())
    }
}
