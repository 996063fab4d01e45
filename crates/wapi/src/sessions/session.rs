//! Handle of one session: its state, the state its owner desires, and its link.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::event_buffer::SessionEventBuffer;
use super::sender::SenderRequest;
use super::sender::held_messages::HeldMessages;
use super::state_events::{StateSnapshot, state_events};
use super::{SessionMetadata, SessionPhase, SessionState};
use crate::inbound::received_times::ReceivedTimes;
use crate::model::event::{AccountLimits, EventData, ReachoutTimelock, SessionLimits};
use crate::model::send_hold::Pacing;
use crate::model::session_name::SessionName;
use crate::store::{Life, RemovalMode, SyncProgress};
use crate::system::clock::Clock;
use crate::whatsapp::{AckOrReceipt, ChatEvent, LimitsUpdate, Link};

/// The state that the owner desires of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DesiredState {
    Run,
    /// Stay offline until commanded otherwise.
    Stop,
    /// Be removed, leaving nothing behind that the program would find again. It is final.
    Remove,
}

/// One session. Its [actor](super::lifecycle::actor) writes to it, everyone else reads.
pub struct Session {
    pub name: SessionName,
    /// Metadata attached by the owner.
    pub metadata: SessionMetadata,
    /// The current life: that of the account that links the session, or linked it last.
    life: Mutex<Life>,
    state: watch::Sender<SessionState>,
    link: watch::Sender<Option<Arc<Link>>>,
    desired_state: watch::Sender<DesiredState>,
    /// Held while a command is saved and published, so that both happen in the same order.
    pub(super) command_lock: Arc<tokio::sync::Mutex<()>>,
    /// Held while a label gets its id: two labels must not get the same one.
    pub(super) label_lock: tokio::sync::Mutex<()>,
    /// Whether a device found at the removal must be logged out.
    must_log_out: AtomicBool,
    /// Whether the removal also deletes the data of the session's lives.
    must_purge: AtomicBool,
    link_state: watch::Sender<LinkState>,
    /// Limits that WhatsApp sets the account, as last reported.
    limits: watch::Sender<AccountLimits>,
    /// The pace at which messages leave.
    pacing: watch::Sender<Pacing>,
    /// Messages that must not leave now.
    pub holds: HeldMessages,
    /// Requests to its [sender](super::sender).
    pub(super) requests: mpsc::UnboundedSender<SenderRequest>,
    /// Acks and receipts from the link to the sender.
    pub(super) receipts: mpsc::UnboundedSender<AckOrReceipt>,
    pub(super) wake: Notify,
    received: Arc<ReceivedTimes>,
    /// Consecutive health checks in which nothing came in, not even the phone's answer.
    missed_probes: AtomicU32,
    /// Whether the account is shown as available.
    is_available: AtomicBool,
    /// Whether it is saved that its file has a linked device.
    pub(super) is_saved_as_linked: AtomicBool,
    /// Cancelled when its task has ended.
    ended: CancellationToken,
    /// Cancelled when its sender has ended.
    sender_ended: CancellationToken,
    /// Cancelled when its data has been purged.
    purged: CancellationToken,
    event_buffer: Arc<SessionEventBuffer>,
    clock: Clock,
}

/// Whether messages can leave; [`SessionState`] has the details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkState {
    Down,
    /// Online since this time.
    Up(Timestamp),
    /// There is no device that could ever send the waiting messages.
    Unlinked,
}

impl LinkState {
    const fn from_state(state: &SessionState) -> Self {
        match state.status {
            SessionPhase::Online => Self::Up(state.since),
            SessionPhase::LoggedOut | SessionPhase::ScanQr | SessionPhase::Passkey => {
                Self::Unlinked
            }
            _ => Self::Down,
        }
    }
}

/// The receiving ends of a session's sender.
pub(super) struct SenderChannels {
    pub requests: mpsc::UnboundedReceiver<SenderRequest>,
    pub receipts: mpsc::UnboundedReceiver<AckOrReceipt>,
}

impl Session {
    pub(super) fn new(
        name: SessionName,
        life: Life,
        desired_state: DesiredState,
        metadata: SessionMetadata,
        event_buffer: Arc<SessionEventBuffer>,
        received: Arc<ReceivedTimes>,
        clock: Clock,
    ) -> (Self, SenderChannels) {
        let (requests, request_receiver) = mpsc::unbounded_channel();
        let (receipts, receipt_receiver) = mpsc::unbounded_channel();
        let session = Self {
            name,
            metadata,
            life: Mutex::new(life),
            state: watch::Sender::new(SessionState::new(clock.now())),
            link: watch::Sender::new(None),
            desired_state: watch::Sender::new(desired_state),
            command_lock: Arc::default(),
            label_lock: tokio::sync::Mutex::default(),
            must_log_out: AtomicBool::new(false),
            must_purge: AtomicBool::new(false),
            link_state: watch::Sender::new(LinkState::Down),
            limits: watch::Sender::default(),
            pacing: watch::Sender::default(),
            holds: HeldMessages::default(),
            requests,
            receipts,
            wake: Notify::new(),
            received,
            missed_probes: AtomicU32::new(0),
            is_available: AtomicBool::new(false),
            is_saved_as_linked: AtomicBool::new(false),
            ended: CancellationToken::new(),
            sender_ended: CancellationToken::new(),
            purged: CancellationToken::new(),
            event_buffer,
            clock,
        };
        (
            session,
            SenderChannels {
                requests: request_receiver,
                receipts: receipt_receiver,
            },
        )
    }

    /// Returns the current life. Every request about the session is made for one life.
    pub fn life(&self) -> Life {
        self.life.lock().clone()
    }

    /// Sets the current life, which continues or begins with the linked account. A life that begins,
    /// or begins again, has received nothing yet.
    pub(super) fn set_life(&self, life: Life) {
        let before = std::mem::replace(&mut *self.life.lock(), life.clone());
        if before != life {
            self.received.forget_time(&life);
        }
    }

    /// Returns a copy of the current state.
    pub fn state(&self) -> SessionState {
        self.state.borrow().clone()
    }

    /// Returns the time of the last received message, in this run or an earlier one.
    pub fn last_received_at(&self) -> Option<Timestamp> {
        self.received.last_time(&self.life())
    }

    /// Resets the count of missed probes, after a check in which something came in.
    pub(super) fn reset_missed_probes(&self) {
        self.missed_probes.store(0, Ordering::Relaxed);
    }

    /// Counts a check in which nothing came in. Returns the number of consecutive ones.
    pub(super) fn count_missed_probe(&self) -> u32 {
        self.missed_probes
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1)
    }

    /// Sets whether the account is shown as available from now on.
    pub(super) fn set_available(&self, there: bool) {
        self.is_available.store(there, Ordering::Relaxed);
    }

    /// Whether the account is shown as available.
    pub(super) fn is_available(&self) -> bool {
        self.is_available.load(Ordering::Relaxed)
    }

    /// Sets the history-sync progress of an earlier run, or that of a new request. Emits no event.
    pub(super) fn init_sync_progress(&self, past: Option<SyncProgress>) {
        self.state.send_modify(|state| state.sync_progress = past);
    }

    /// Reads the state without copying it.
    pub(super) fn read_state<T>(&self, look: impl FnOnce(&SessionState) -> T) -> T {
        look(&self.state.borrow())
    }

    /// Records that the session's file holds a device from an earlier run, before its turn to log
    /// in has come. Emits no event.
    pub(super) fn assume_paired(&self) {
        self.state.send_modify(|state| state.paired = true);
    }

    /// Whether there is a device that messages can wait for.
    pub(super) fn has_device(&self) -> bool {
        self.read_state(|state| state.paired)
    }

    pub(super) fn watch_link_state(&self) -> watch::Receiver<LinkState> {
        self.link_state.subscribe()
    }

    /// Returns the pace at which messages leave.
    pub fn pacing(&self) -> Pacing {
        *self.pacing.borrow()
    }

    pub(super) fn set_pacing(&self, pacing: Pacing) {
        self.pacing.send_replace(pacing);
    }

    pub(super) fn watch_pacing(&self) -> watch::Receiver<Pacing> {
        self.pacing.subscribe()
    }

    /// Returns the limits of the account, as WhatsApp last reported them.
    pub fn limits(&self) -> AccountLimits {
        self.limits.borrow().clone()
    }

    pub(super) fn watch_limits(&self) -> watch::Receiver<AccountLimits> {
        self.limits.subscribe()
    }

    /// Sets the limits that an earlier run learnt. Emits no event.
    pub(super) fn init_limits(&self, limits: AccountLimits) {
        self.limits.send_replace(limits);
    }

    /// Counts a message to a new contact in the quota, until WhatsApp reports its own count.
    pub(super) fn count_new_chat(&self) {
        self.limits.send_if_modified(|limits| {
            let used = &mut limits.new_chats.used;
            *used = used.map(|used| used.saturating_add(1));
            // The queue has counted it already.
            false
        });
    }

    /// Records limits that WhatsApp has reported, and emits an event if they are others.
    pub(super) fn update_limits(&self, told: LimitsUpdate) {
        self.limits.send_if_modified(|limits| {
            let before = limits.clone();
            let LimitsUpdate {
                timelock,
                new_chats,
            } = told;
            // The lock tells; the quota is a finer point of it.
            limits.is_unknown &= timelock.is_none();
            limits.timelock = timelock.unwrap_or_else(|| before.timelock.clone());
            limits.new_chats = new_chats.unwrap_or_else(|| before.new_chats.clone());
            // To learn that there is no time-lock is not one that ended.
            let both = |it: &AccountLimits| {
                let known = true;
                let timelock = it.timelock.clone();
                (ReachoutTimelock { known, ..timelock }, it.new_chats.clone())
            };
            if both(limits) != both(&before) {
                // Emitted while they are locked, so that events have the order of the changes.
                self.emit_event(EventData::SessionLimits(Box::new(SessionLimits {
                    session: self.name.as_str().to_owned(),
                    limits: limits.clone(),
                })));
            }
            *limits != before
        });
    }

    /// Ends a rest, or a long wait between two attempts.
    pub fn request_wake(&self) {
        self.wake.notify_one();
    }

    /// Waits up to `limit` for a state that satisfies `is_it`, and returns the state there is then.
    pub async fn wait_for_state(
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
    pub(super) fn update_state(&self, change: impl FnOnce(&mut SessionState)) {
        self.state.send_modify(|state| {
            let before = StateSnapshot::from_state(state);
            change(state);
            // Emitted while the state is locked, so that events have the order of the changes.
            self.event_buffer
                .push_events(&self.life(), state_events(&self.name, &before, state));
        });
        let link_state = self.read_state(LinkState::from_state);
        // Only actual changes wake the sender.
        self.link_state
            .send_if_modified(|current| std::mem::replace(current, link_state) != link_state);
    }

    pub(super) fn set_status(&self, status: SessionPhase, reason: Option<String>) {
        self.update_state(|state| state.set_status(status, reason, self.clock.now()));
    }

    /// Emits a session event that does not follow from a change of the state.
    pub(super) fn emit_event(&self, data: EventData) {
        self.event_buffer.push_events(&self.life(), vec![data]);
    }

    /// Emits an event about a chat or message.
    pub(super) fn emit_chat_event(&self, event: ChatEvent) {
        self.event_buffer.push_chat_event(&self.life(), event);
    }

    pub(super) fn desired_state(&self) -> DesiredState {
        *self.desired_state.borrow()
    }

    /// Sets the desired state and notifies about it even if it is unchanged. Has no effect once the
    /// session is being removed.
    pub(super) fn set_desired_state(&self, desired_state: DesiredState) {
        self.desired_state.send_if_modified(|current| {
            let is_open = *current != DesiredState::Remove;
            if is_open {
                *current = desired_state;
            }
            is_open
        });
    }

    /// From now on, a device found at the removal is logged out.
    pub(super) fn require_logout(&self) {
        self.must_log_out.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_logout_required(&self) -> bool {
        self.must_log_out.load(Ordering::Relaxed)
    }

    /// Sets the extent of the removal.
    pub(super) fn set_removal_mode(&self, leave: RemovalMode) {
        self.must_purge
            .store(leave == RemovalMode::Purge, Ordering::Relaxed);
    }

    pub(super) fn removal_mode(&self) -> RemovalMode {
        if self.must_purge.load(Ordering::Relaxed) {
            RemovalMode::Purge
        } else {
            RemovalMode::KeepLives
        }
    }

    /// Subscribes to all later changes of the desired state.
    pub(super) fn watch_desired_state(&self) -> watch::Receiver<DesiredState> {
        self.desired_state.subscribe()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Marks the session's task as ended.
    pub(super) fn mark_ended(&self) {
        self.ended.cancel();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Completes when its task has ended.
    pub(super) async fn wait_until_ended(&self) {
        self.ended.cancelled().await;
    }

    /// Marks the sender as ended: nothing more is sent or settled.
    pub(super) fn mark_sender_ended(&self) {
        self.sender_ended.cancel();
    }

    pub(super) async fn wait_for_sender_end(&self) {
        self.sender_ended.cancelled().await;
    }

    /// Marks the session's data as purged.
    pub(super) fn mark_purged(&self) {
        self.purged.cancel();
    }

    pub(super) async fn wait_until_purged(&self) {
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
