//! A handle on one session: what is known of it, what its owner wants of it, and the link to send through.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::journal::Journal;
use super::news::{Before, news};
use super::sender::Request;
use super::{Metadata, SessionName, SessionState, Status};
use crate::clock::Clock;
use crate::event::EventData;
use crate::store::{Leave, Life, Past};
use crate::whatsapp::{Happening, Inbox, Incoming, Link, Note};

/// What its owner wants of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    Run,
    /// Stay away from WhatsApp until told otherwise.
    Stop,
    /// Be gone, and leave nothing behind that the program would find again. Nothing comes after it.
    Remove,
}

/// One session. Its [actor](super::actor) writes to it, everyone else reads.
pub struct Session {
    pub name: SessionName,
    /// What its owner keeps with it.
    pub metadata: Metadata,
    /// Which life it is in: that of the account that links it, or linked it last.
    life: Mutex<Life>,
    state: watch::Sender<SessionState>,
    link: watch::Sender<Option<Arc<Link>>>,
    intent: watch::Sender<Intent>,
    /// Held while an order is saved and made known, so that both are in the same order.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    /// Whether a device that is found at its removal is one that nobody wants.
    leaves_no_device: AtomicBool,
    /// Whether nothing of its lives is to stay after its removal.
    leaves_nothing: AtomicBool,
    line: watch::Sender<Line>,
    /// To its [sender](super::sender).
    pub(super) requests: mpsc::UnboundedSender<Request>,
    /// From the link to its sender.
    pub(super) notes: mpsc::UnboundedSender<Note>,
    pub(super) asked: Notify,
    /// Milliseconds since 1970, 0 for never. Not part of the state: it changes with every message, and nobody waits for it.
    last_received: AtomicI64,
    /// Checks in a row in which nothing came in, not even what was asked for.
    silences: AtomicU32,
    /// Whether somebody wants the account to look as if its owner were there.
    is_shown: AtomicBool,
    /// Its task has ended.
    ended: CancellationToken,
    /// So has its sender.
    silent: CancellationToken,
    /// Nothing is left of it.
    purged: CancellationToken,
    journal: Arc<Journal>,
    clock: Clock,
}

/// Whether messages can leave; [`SessionState`] has the rest of the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Down,
    /// Online since then.
    Up(Timestamp),
    /// There is no device that could ever send what waits.
    Gone,
}

impl Line {
    const fn of(state: &SessionState) -> Self {
        match state.status {
            Status::Online => Self::Up(state.since),
            Status::LoggedOut | Status::ScanQr => Self::Gone,
            _ => Self::Down,
        }
    }
}

/// What a session's sender reads.
pub(super) struct Inlets {
    pub requests: mpsc::UnboundedReceiver<Request>,
    pub notes: mpsc::UnboundedReceiver<Note>,
}

impl Session {
    pub(super) fn new(
        name: SessionName,
        life: Life,
        intent: Intent,
        metadata: Metadata,
        journal: Arc<Journal>,
        clock: Clock,
    ) -> (Self, Inlets) {
        let (requests, asked) = mpsc::unbounded_channel();
        let (notes, noted) = mpsc::unbounded_channel();
        let session = Self {
            name,
            metadata,
            life: Mutex::new(life),
            state: watch::Sender::new(SessionState::new(clock.now())),
            link: watch::Sender::new(None),
            intent: watch::Sender::new(intent),
            turn: Arc::default(),
            leaves_no_device: AtomicBool::new(false),
            leaves_nothing: AtomicBool::new(false),
            line: watch::Sender::new(Line::Down),
            requests,
            notes,
            asked: Notify::new(),
            last_received: AtomicI64::new(0),
            silences: AtomicU32::new(0),
            is_shown: AtomicBool::new(false),
            ended: CancellationToken::new(),
            silent: CancellationToken::new(),
            purged: CancellationToken::new(),
            journal,
            clock,
        };
        (
            session,
            Inlets {
                requests: asked,
                notes: noted,
            },
        )
    }

    /// The life it is in. Whoever asks for something of it, or for something to be done with it, does so for one life.
    pub fn life(&self) -> Life {
        self.life
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The life of the account that links it goes on, or begins.
    pub(super) fn lives(&self, life: Life) {
        let before = std::mem::replace(
            &mut *self.life.lock().unwrap_or_else(PoisonError::into_inner),
            life,
        );
        if before != self.life() {
            self.last_received.store(0, Ordering::Relaxed);
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
        self.last_received
            .fetch_max(at.as_millisecond(), Ordering::Relaxed);
    }

    /// A check has found that something comes in.
    pub(super) fn is_heard(&self) {
        self.silences.store(0, Ordering::Relaxed);
    }

    /// A check has found that nothing comes in; how many have, in a row.
    pub(super) fn is_silent(&self) -> u32 {
        self.silences
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1)
    }

    /// Whether the account is to look from now on as if its owner were there.
    pub(super) fn shows(&self, there: bool) {
        self.is_shown.store(there, Ordering::Relaxed);
    }

    /// Whether it is to look so.
    pub(super) fn is_shown(&self) -> bool {
        self.is_shown.load(Ordering::Relaxed)
    }

    /// What is known of its past from an earlier run, or that it is asked for: nothing to tell.
    pub(super) fn expect_past(&self, past: Option<Past>) {
        self.state.send_modify(|state| state.past = past);
    }

    /// The same without a copy.
    pub(super) fn look<T>(&self, look: impl FnOnce(&SessionState) -> T) -> T {
        look(&self.state.borrow())
    }

    /// Its file holds a device from an earlier run, although its turn to log in has not come: nothing to tell.
    pub(super) fn expect_device(&self) {
        self.state.send_modify(|state| state.paired = true);
    }

    /// Whether there is a device that messages can wait for.
    pub(super) fn has_device(&self) -> bool {
        self.look(|state| state.paired)
    }

    pub(super) fn line(&self) -> watch::Receiver<Line> {
        self.line.subscribe()
    }

    /// Ends a rest, or a long wait between two tries.
    pub fn ask(&self) {
        self.asked.notify_one();
    }

    /// Waits at most `limit` for a state that `is_it` likes; the state there is then.
    pub async fn wait_for(
        &self,
        limit: Duration,
        is_it: impl FnMut(&SessionState) -> bool,
    ) -> SessionState {
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
            self.journal
                .tell(&self.life(), news(&self.name, &before, state));
        });
        let line = self.look(Line::of);
        // Only its own changes wake the sender.
        self.line
            .send_if_modified(|current| std::mem::replace(current, line) != line);
    }

    pub(super) fn move_to(&self, status: Status, reason: Option<String>) {
        self.update(|state| state.move_to(status, reason, self.clock.now()));
    }

    /// Tells something that no change of the state says.
    pub(super) fn tell(&self, data: EventData) {
        self.journal.tell(&self.life(), vec![data]);
    }

    /// Tells something that happened around messages.
    pub(super) fn tell_of(&self, happening: Happening) {
        self.journal.tell_of(&self.life(), happening);
    }

    pub(super) fn intent(&self) -> Intent {
        *self.intent.borrow()
    }

    /// Sets it, even if to the same, but for a session that is removed.
    pub(super) fn set_intent(&self, intent: Intent) {
        self.intent.send_if_modified(|current| {
            let is_open = *current != Intent::Remove;
            if is_open {
                *current = intent;
            }
            is_open
        });
    }

    /// From now on a device that is found at its removal is logged out.
    pub(super) fn leave_no_device(&self) {
        self.leaves_no_device.store(true, Ordering::Relaxed);
    }

    pub(super) fn leaves_no_device(&self) -> bool {
        self.leaves_no_device.load(Ordering::Relaxed)
    }

    /// From now on its removal leaves this.
    pub(super) fn leave(&self, leave: Leave) {
        self.leaves_nothing
            .store(leave == Leave::Nothing, Ordering::Relaxed);
    }

    pub(super) fn leaves(&self) -> Leave {
        if self.leaves_nothing.load(Ordering::Relaxed) {
            Leave::Nothing
        } else {
            Leave::Lives
        }
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

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Completes when its task has ended.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Nothing more is sent, and nothing is judged.
    pub(super) fn falls_silent(&self) {
        self.silent.cancel();
    }

    pub(super) async fn silent(&self) {
        self.silent.cancelled().await;
    }

    /// What it has left is removed.
    pub(super) fn is_purged(&self) {
        self.purged.cancel();
    }

    pub(super) async fn purged(&self) {
        self.purged.cancelled().await;
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
    async fn accept(&self, session: &Life, incoming: Vec<Incoming>) -> anyhow::Result<()> {
        self.inbox.accept(session, incoming).await?;
        if self.session.life() == *session {
            self.session.received(self.session.clock.now());
        }
        Ok(())
    }
}
