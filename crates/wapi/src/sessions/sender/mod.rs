//! The task that sends a session's messages: executes the steps of its [outbox](super::outbox), and
//! reports their results to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use tokio::sync::oneshot;

use super::outbox::{self, Outbox, OutboxClock, OutboxStep, SendAttempt, SendMode};
use super::sender::outcome_writer::OutcomeWriter;
use super::session::{DesiredState, LinkState, SenderChannels};
use super::{Session, SessionDeps, SessionError, SessionPhase};
use crate::inbound::received_times::{WriterWatch, WrittenChat};
use crate::media::MediaFile;
use crate::model::event::AccountLimits;
use crate::model::message::{ChatId, Message};
use crate::model::send_hold::HoldReason;
use crate::store::{
    AcceptOutcome, EditOutcome, IdempotencyKey, Life, MessageOutcome, MessageSeq, QueuedMessage,
    SendOutcome, SendRequest, StoreError,
};
use crate::whatsapp::{HandoverError, PrepareError, PreparedMessage};

mod accepting;
mod answers;
pub mod held_messages;
mod limits;
pub mod outcome_writer;
mod pace;
mod typing;
mod work;

use accepting::AcceptResult;
use work::{SendWork, WorkResult, sleep_or_wait};

/// Maximum number of waiting messages per session.
const MAX_WAITING: usize = 10_000;
/// Bytes of message contents kept in memory per session, to avoid reading them back.
const MAX_KEPT_BYTES: usize = 256 * 1024;
/// Pause between two attempts to read the messages of an earlier run.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A request to a sender.
pub(super) enum SenderRequest {
    Accept {
        request: Arc<SendRequest>,
        /// Its file, if it has been fetched already.
        file: Option<MediaFile>,
        mode: SendMode,
        /// Receives the outcome of an accepted message, once it is on disk.
        waiter: oneshot::Sender<SendOutcome>,
        reply: oneshot::Sender<Result<AcceptOutcome, SessionError>>,
    },
    WatchOutcome {
        id: String,
        waiter: oneshot::Sender<SendOutcome>,
    },
    /// Cancel a message that has not left.
    Cancel {
        id: String,
        reply: oneshot::Sender<Option<oneshot::Receiver<SendOutcome>>>,
    },
    /// Edit a message that has not left.
    Edit {
        id: String,
        message: Box<Message>,
        key: Option<IdempotencyKey>,
        reply: oneshot::Sender<Result<EditOutcome, StoreError>>,
    },
}

/// State of an unsettled message besides its progress in the outbox.
struct PendingSend {
    message: Arc<QueuedMessage>,
    /// `None` if it is read from the store on demand.
    content: Option<Message>,
    file: Option<MediaFile>,
    prepared: Option<PreparedMessage>,
    waiters: Vec<oneshot::Sender<SendOutcome>>,
    /// It was edited while it was being prepared.
    is_outdated: bool,
    /// WhatsApp has once refused it as the first message to a new contact; it is sent only one more
    /// time.
    was_refused: bool,
}

/// Sends a session's messages until the program ends.
pub(super) struct MessageSender {
    session: Arc<Session>,
    deps: SessionDeps,
    outcome_writer: OutcomeWriter,
    outbox: Outbox,
    pending: HashMap<MessageSeq, PendingSend>,
    by_id: HashMap<String, MessageSeq>,
    /// Bytes of message contents in `pending`.
    kept_bytes: usize,
    /// In the order of the requests, which is the store's: a message must join its lane before the
    /// later ones.
    accepting: FuturesOrdered<BoxFuture<'static, AcceptResult>>,
    /// How many messages to a chat are being accepted without a record of their attempt.
    accepting_unrecorded: HashMap<ChatId, usize>,
    work: FuturesUnordered<BoxFuture<'static, WorkResult>>,
    /// The life whose limits are applied.
    limits_life: Option<Life>,
    /// Chats in which people write, while messages to new contacts are limited.
    writers: Option<WriterWatch>,
    /// WhatsApp is being asked for the limits.
    is_refreshing: bool,
    /// Uptime at which WhatsApp was last asked, whether it has answered or not.
    limits_asked: Option<Duration>,
    /// The limits in the store, and whether they are being replaced.
    saved_limits: Option<AccountLimits>,
    is_saving: bool,
    /// Uptime at which the messages of the day are counted, after that has failed.
    departures_due: Option<Duration>,
    is_online: bool,
}

impl PendingSend {
    fn new(message: Arc<QueuedMessage>) -> Self {
        Self {
            message,
            content: None,
            file: None,
            prepared: None,
            waiters: Vec::new(),
            is_outdated: false,
            was_refused: false,
        }
    }

    fn content_size(&self) -> usize {
        self.content
            .as_ref()
            .map_or(0, |message| message.content.memory_size())
    }
}

impl MessageSender {
    pub fn new(session: Arc<Session>, deps: SessionDeps, outcome_writer: OutcomeWriter) -> Self {
        Self {
            session,
            outbox: Outbox::new(deps.whatsapp_timeout),
            pending: HashMap::new(),
            by_id: HashMap::new(),
            kept_bytes: 0,
            accepting: FuturesOrdered::new(),
            accepting_unrecorded: HashMap::new(),
            work: FuturesUnordered::new(),
            limits_life: None,
            writers: None,
            is_refreshing: false,
            limits_asked: None,
            saved_limits: None,
            is_saving: false,
            departures_due: None,
            is_online: false,
            deps,
            outcome_writer,
        }
    }

    pub async fn run(mut self, channels: &mut SenderChannels) {
        let SenderChannels { requests, receipts } = channels;
        let session = Arc::clone(&self.session);
        let mut link_state = self.session.watch_link_state();
        link_state.mark_changed();
        let mut limits = self.session.watch_limits();
        let mut pacing = self.session.watch_pacing();
        self.session.holds.clear();
        let lifecycle = self.deps.lifecycle.clone();
        // What is rare is boxed: its room would be taken for as long as the session lives.
        let resumed = lifecycle.unless_stopping(Box::pin(self.resume_messages()));
        if resumed.await.is_none() {
            return;
        }
        loop {
            self.refresh_if_due();
            self.load_departures_if_due().await;
            self.run_steps();
            let alarm = sleep_or_wait(self.deps.clock.clone(), self.time_to_deadline());
            tokio::select! {
                biased;
                () = lifecycle.await_stop() => break,
                () = session.wait_until_ended() => break,
                Ok(()) = link_state.changed() => {
                    let link_state = *link_state.borrow_and_update();
                    Box::pin(self.load_limits()).await;
                    self.apply_link_state(link_state);
                }
                Ok(()) = limits.changed() => {
                    limits.mark_unchanged();
                    self.take_limits();
                }
                Ok(()) = pacing.changed() => {
                    let pacing = *pacing.borrow_and_update();
                    Box::pin(self.take_pacing(pacing)).await;
                }
                Some(chat) = next_writer(&mut self.writers) => self.handle_writer(chat),
                Some(receipt) = receipts.recv() => self.handle_ack_or_receipt(receipt),
                Some(done) = self.work.next() => self.finish_work(done),
                Some(accepted) = self.accepting.next() => self.finish_accepting(accepted),
                Some(request) = requests.recv() => self.handle_request(request).await,
                () = alarm => {}
            }
        }
        // Pending requests are answered. Accepted messages are sent by the next run, if the session
        // still exists.
        while let Some(accepted) = self.accepting.next().await {
            self.finish_accepting(accepted);
        }
        Box::pin(self.save_last_limits()).await;
        if session.desired_state() == DesiredState::Remove {
            self.outbox.settle_unlinked();
            self.run_steps();
        }
    }

    /// Resumes the messages of an earlier run.
    async fn resume_messages(&mut self) {
        self.load_limits().await;
        let life = self.session.life();
        let messages = loop {
            match self.deps.store.outbox().unsettled_messages(&life).await {
                Ok(messages) => break messages,
                Err(error) => {
                    tracing::error!(session = %self.session.name, %error, "failed to read the pending messages")
                }
            }
            self.deps.clock.sleep(RETRY_PAUSE).await;
        };
        for message in outbox::restore_order(messages) {
            self.track_message(PendingSend::new(Arc::new(message)), SendMode::Queued);
        }
    }

    /// Returns the time until the next deadline; `None` if there is none.
    fn time_to_deadline(&self) -> Option<Duration> {
        let steps = self.outbox.time_to_deadline(self.outbox_clock());
        let count = self
            .departures_due
            .map(|due| due.saturating_sub(self.deps.clock.uptime()));
        let times = [steps, count, self.time_to_refresh()];
        times.into_iter().flatten().min()
    }

    fn track_message(&mut self, pending: PendingSend, mode: SendMode) {
        let message = Arc::clone(&pending.message);
        self.by_id.insert(message.id.clone(), message.seq);
        self.pending.insert(message.seq, pending);
        self.outbox.add_message(message, mode, self.outbox_clock());
    }

    fn outbox_clock(&self) -> OutboxClock {
        OutboxClock {
            now: self.deps.clock.now(),
            uptime: self.deps.clock.uptime(),
        }
    }

    fn apply_link_state(&mut self, link_state: LinkState) {
        // This is another connection: messages under way on the previous one are unconfirmed.
        self.outbox
            .set_connectivity(outbox::OutboxConnectivity::Offline);
        match link_state {
            LinkState::Up(_) if self.may_rely_on_limits() => self
                .outbox
                .set_connectivity(outbox::OutboxConnectivity::Online),
            LinkState::Up(_) | LinkState::Down => {}
            LinkState::Unlinked => self.outbox.settle_unlinked(),
        }
        self.is_online = matches!(link_state, LinkState::Up(_));
        self.refresh_at_login(link_state);
    }

    async fn handle_request(&mut self, request: SenderRequest) {
        match request {
            SenderRequest::Accept {
                request,
                file,
                mode,
                waiter,
                reply,
            } => match self.check_request(&request, mode) {
                Some(refusal) => drop(reply.send(Err(refusal))),
                None => self.accept_message(request, file, mode, waiter, reply),
            },
            SenderRequest::WatchOutcome { id, waiter } => {
                // The caller of a held message would wait in vain.
                let hold = self.session.holds.get(&id);
                let is_held = hold.is_some_and(|hold| hold.reason != HoldReason::MinGap);
                let pending = self
                    .by_id
                    .get(&id)
                    .and_then(|seq| self.pending.get_mut(seq));
                if let Some(pending) = pending.filter(|_| !is_held) {
                    pending.waiters.push(waiter);
                }
            }
            // The requester may have gone; the request is carried out all the same.
            SenderRequest::Cancel { id, reply } => drop(reply.send(self.cancel_message(&id))),
            SenderRequest::Edit {
                id,
                message,
                key,
                reply,
            } => drop(reply.send(Box::pin(self.edit_message(&id, *message, key)).await)),
        }
    }

    fn check_request(&self, request: &SendRequest, mode: SendMode) -> Option<SessionError> {
        // It is meant for an account that is no longer linked.
        if request.session != self.session.life() {
            return Some(SessionError::NotFound);
        }
        if self.pending.len() + self.accepting.len() >= MAX_WAITING {
            return Some(SessionError::QueueFull(MAX_WAITING));
        }
        match mode {
            SendMode::Immediate => self.session.read_state(|state| match state.status {
                SessionPhase::Online => None,
                status => Some(SessionError::NotOnline {
                    status,
                    reason: state.reason.clone(),
                }),
            }),
            SendMode::Queued if self.session.has_device() => None,
            SendMode::Queued => Some(SessionError::NotPaired),
        }
    }

    fn finish_work(&mut self, done: WorkResult) {
        let at = self.outbox_clock();
        match done {
            WorkResult::Prepared(attempt, outcome) => {
                let outcome = match self.pending.get_mut(&attempt.seq) {
                    Some(pending) if pending.is_outdated => {
                        return self.outbox.repeat_preparing(attempt);
                    }
                    Some(pending) => outcome.map(|prepared| pending.prepared = Some(prepared)),
                    None => outcome.map(drop),
                };
                self.outbox.finish_preparing(attempt, outcome, at);
            }
            WorkResult::Typed(attempt) => self.outbox.finish_typing(attempt),
            WorkResult::Recorded(seqs, outcome) => self.outbox.finish_recording(&seqs, outcome, at),
            WorkResult::Cleared(seqs) => self.outbox.finish_clearing(&seqs),
            WorkResult::HandedOver(attempt, outcome) => {
                self.outbox.finish_handover(attempt, outcome, at);
            }
            WorkResult::TrustChecked(attempt, is_trusted) => {
                self.outbox.finish_trust_check(attempt, is_trusted);
            }
            WorkResult::LimitsFetched(life, told) => self.finish_refresh(&life, told),
            WorkResult::LimitsSaved(life, saved) => self.finish_saving(&life, saved),
            WorkResult::ChatsChecked(found) => {
                for (seq, familiarity) in found {
                    self.outbox.finish_check(seq, familiarity, at);
                }
            }
            WorkResult::WriterFound(addresses) => self.finish_writer(addresses.as_deref()),
        }
    }

    /// Executes all current steps of the outbox.
    fn run_steps(&mut self) {
        for step in self.outbox.next_steps(self.outbox_clock()) {
            match step {
                OutboxStep::RecordOutcome(seq, outcome) => self.settle_message(seq, outcome),
                OutboxStep::CheckChats(seqs) => self.check_chats(&seqs),
                OutboxStep::Hold(seq, hold) => self.publish_hold(seq, hold),
                OutboxStep::Release(seq) => self.withdraw_hold(seq),
                OutboxStep::CountNewChat => {
                    self.session.count_new_chat();
                    self.save_limits();
                }
                OutboxStep::RecordAttempts(marks) => self.work.push(Box::pin(
                    work::record_attempts(self.deps.store.clone(), marks),
                )),
                OutboxStep::ClearAttempts(seqs) => {
                    let (store, clock) = (self.deps.store.clone(), self.deps.clock.clone());
                    self.work
                        .push(Box::pin(work::clear_attempts(store, clock, seqs)));
                }
                OutboxStep::Prepare(attempt) => match self.start_work(attempt) {
                    Some(work) => self.work.push(Box::pin(work.prepare_message())),
                    None => self.finish_work(WorkResult::Prepared(
                        attempt,
                        Err(PrepareError::Permanent("it is gone".to_owned())),
                    )),
                },
                OutboxStep::ShowTyping(attempt) => match self.start_work(attempt) {
                    Some(work) => self.work.push(Box::pin(work.type_message())),
                    None => self.finish_work(WorkResult::Typed(attempt)),
                },
                OutboxStep::HandOver(attempt) => match self.start_work(attempt) {
                    Some(work) => self.work.push(Box::pin(work.hand_over())),
                    None => self.finish_work(WorkResult::HandedOver(
                        attempt,
                        Err(HandoverError::Failed("it is gone".to_owned())),
                    )),
                },
            }
        }
    }

    /// Collects everything that the work on a message needs.
    fn start_work(&mut self, attempt: SendAttempt) -> Option<SendWork> {
        let pending = self.pending.get_mut(&attempt.seq)?;
        pending.is_outdated = false;
        Some(SendWork {
            attempt,
            message: Arc::clone(&pending.message),
            session: Arc::clone(&self.session),
            deps: self.deps.clone(),
            content: pending.content.clone(),
            file: pending.file.take(),
            prepared: pending.prepared.clone(),
        })
    }

    fn settle_message(&mut self, seq: MessageSeq, outcome: SendOutcome) {
        let Some(pending) = self.pending.get(&seq) else {
            return;
        };
        let message = Arc::clone(&pending.message);
        let voter = match message.is_vote {
            true => work::account_address(&self.session),
            false => None,
        };
        let mut waiters = Vec::new();
        if outcome != SendOutcome::Unconfirmed
            && let Some(pending) = self.pending.remove(&seq)
        {
            self.by_id.remove(&message.id);
            self.session.holds.remove(&message.id);
            self.kept_bytes -= pending.content_size();
            waiters = pending.waiters;
        }
        if let SendOutcome::Failed(failure) = &outcome {
            let code = failure.code();
            tracing::debug!(session = %self.session.name, code, "a message failed");
        }
        let outcome = MessageOutcome {
            message,
            outcome,
            voter,
        };
        self.outcome_writer.record_outcome(outcome, waiters);
    }
}

/// Returns the next chat in which somebody writes; never, if nobody watches.
async fn next_writer(writers: &mut Option<WriterWatch>) -> Option<WrittenChat> {
    match writers {
        Some(writers) => writers.next_chat().await,
        None => std::future::pending().await,
    }
}
