//! Handle of one session: its state, the state its owner desires, and its link.

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

/// The state that the owner desires of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    Run,
    /// Stay offline until commanded otherwise.
    Stop,
    /// Be removed, leaving nothing behind that the program would find again. It is final.
    Remove,
}

/// One session. Its [actor](super::actor) writes to it, everyone else reads.
pub struct Session {
    pub name: SessionName,
    /// Metadata attached by the owner.
    pub metadata: Metadata,
    /// The current life: that of the account that links the session, or linked it last.
    life: Mutex<Life>,
    state: watch::Sender<SessionState>,
    link: watch::Sender<Option<Arc<Link>>>,
    intent: watch::Sender<Intent>,
    /// Held while a command is saved and published, so that both happen in the same order.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    /// Whether a device found at the removal must be logged out.
    leaves_no_device: AtomicBool,
    /// Whether the removal also deletes the data of the session's lives.
    leaves_nothing: AtomicBool,
    line: watch::Sender<Line>,
    /// Requests to its [sender](super::sender).
    pub(super) requests: mpsc::UnboundedSender<Request>,
    /// Acks and receipts from the link to the sender.
    pub(super) notes: mpsc::UnboundedSender<Note>,
    pub(super) asked: Notify,
    /// Milliseconds since 1970; 0 means never. Not part of the state, since it changes with every
    /// message and nobody waits for it.
    last_received: AtomicI64,
    /// Consecutive health checks in which nothing came in, not even the phone's answer.
    silences: AtomicU32,
    /// Whether the account is shown as available.
    is_shown: AtomicBool,
    /// Cancelled when its task has ended.
    ended: CancellationToken,
    /// Cancelled when its sender has ended.
    silent: CancellationToken,
    /// Cancelled when its data has been purged.
    purged: CancellationToken,
    journal: Arc<Journal>,
    clock: Clock,
}

/// Whether messages can leave; [`SessionState`] has the details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Down,
    /// Online since this time.
    Up(Timestamp),
    /// There is no device that could ever send the waiting messages.
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

/// The receiving ends of a session's sender.
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

    /// Returns the current life. Every request about the session is made for one life.
    pub fn life(&self) -> Life {
        self.life
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sets the current life, which continues or begins with the linked account.
    pub(super) fn lives(&self, life: Life) {
        let before = std::mem::replace(
            &mut *self.life.lock().unwrap_or_else(PoisonError::into_inner),
            life,
        );
        if before != self.life() {
            self.last_received.store(0, Ordering::Relaxed);
        }
    }

    /// Returns a copy of the current state.
    pub fn state(&self) -> SessionState {
        self.state.borrow().clone()
    }

    /// Returns the time of the last received message, in this run or an earlier one.
    pub fn last_received_at(&self) -> Option<Timestamp> {
        let at = self.last_received.load(Ordering::Relaxed);
        (at > 0).then(|| Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX))
    }

    pub(super) fn received(&self, at: Timestamp) {
        self.last_received
            .fetch_max(at.as_millisecond(), Ordering::Relaxed);
    }

    /// Resets the count of missed probes, after a check in which something came in.
    pub(super) fn is_heard(&self) {
        self.silences.store(0, Ordering::Relaxed);
    }

    /// Counts a check in which nothing came in. Returns the number of consecutive ones.
    pub(super) fn is_silent(&self) -> u32 {
        self.silences
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1)
    }

    /// Sets whether the account is shown as available from now on.
    pub(super) fn shows(&self, there: bool) {
        self.is_shown.store(there, Ordering::Relaxed);
    }

    /// Whether the account is shown as available.
    pub(super) fn is_shown(&self) -> bool {
        self.is_shown.load(Ordering::Relaxed)
    }

    /// Sets the history-sync progress of an earlier run, or that of a new request. Emits no event.
    pub(super) fn expect_past(&self, past: Option<Past>) {
        self.state.send_modify(|state| state.past = past);
    }

    /// Reads the state without copying it.
    pub(super) fn look<T>(&self, look: impl FnOnce(&SessionState) -> T) -> T {
        look(&self.state.borrow())
    }

    /// Records that the session's file holds a device from an earlier run, before its turn to log
    /// in has come. Emits no event.
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

    /// Ends a rest, or a long wait between two attempts.
    pub fn ask(&self) {
        self.asked.notify_one();
    }

    /// Waits up to `limit` for a state that satisfies `is_it`, and returns the state there is then.
    pub async fn wait_for(
        &self,
        limit: Duration,
        is_it: impl FnMut(&SessionState) -> bool,
    ) -> SessionState {
        let mut changes = self.state.subscribe();
        // The sender lives as long as this session, so only the limit can end the wait early.
        let _ = self.clock.timeout(limit, changes.wait_for(is_it)).await;
        self.state()
    }

    /// Changes the state and emits the events of the change. Never waits for the disk.
    pub(super) fn update(&self, change: impl FnOnce(&mut SessionState)) {
        self.state.send_modify(|state| {
            let before = Before::of(state);
            change(state);
            // Emitted while the state is locked, so that events have the order of the changes.
            self.journal
                .tell(&self.life(), news(&self.name, &before, state));
        });
        let line = self.look(Line::of);
        // Only actual changes wake the sender.
        self.line
            .send_if_modified(|current| std::mem::replace(current, line) != line);
    }

    pub(super) fn move_to(&self, status: Status, reason: Option<String>) {
        self.update(|state| state.move_to(status, reason, self.clock.now()));
    }

    /// Emits a session event that does not follow from a change of the state.
    pub(super) fn tell(&self, data: EventData) {
        self.journal.tell(&self.life(), vec![data]);
    }

    /// Emits an event about a chat or message.
    pub(super) fn tell_of(&self, happening: Happening) {
        self.journal.tell_of(&self.life(), happening);
    }

    pub(super) fn intent(&self) -> Intent {
        *self.intent.borrow()
    }

    /// Sets the intent and notifies about it even if it is unchanged. Has no effect once the
    /// session is being removed.
    pub(super) fn set_intent(&self, intent: Intent) {
        self.intent.send_if_modified(|current| {
            let is_open = *current != Intent::Remove;
            if is_open {
                *current = intent;
            }
            is_open
        });
    }

    /// From now on, a device found at the removal is logged out.
    pub(super) fn leave_no_device(&self) {
        self.leaves_no_device.store(true, Ordering::Relaxed);
    }

    pub(super) fn leaves_no_device(&self) -> bool {
        self.leaves_no_device.load(Ordering::Relaxed)
    }

    /// Sets the extent of the removal.
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

    /// Subscribes to all later changes of the intent.
    pub(super) fn intents(&self) -> watch::Receiver<Intent> {
        self.intent.subscribe()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Marks the session's task as ended.
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

    /// Marks the sender as ended: nothing more is sent or settled.
    pub(super) fn falls_silent(&self) {
        self.silent.cancel();
    }

    pub(super) async fn silent(&self) {
        self.silent.cancelled().await;
    }

    /// Marks the session's data as purged.
    pub(super) fn is_purged(&self) {
        self.purged.cancel();
    }

    pub(super) async fn purged(&self) {
        self.purged.cancelled().await;
    }

    /// Returns the link, if there is one.
    pub(super) fn link(&self) -> Option<Arc<Link>> {
        self.link.borrow().clone()
    }

    pub(super) fn set_link(&self, link: Option<Arc<Link>>) {
        self.link.send_replace(link);
    }
}

/// Records the time of the last received message on its way to the actual inbox.
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
