//! The task that sends a session's messages: executes the steps of its [outbox](super::outbox), and
//! reports their results to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;

use super::outbox::{
    self, HandoverResult, Outbox, OutboxClock, OutboxStep, SendMode, UnpreparedError,
};
use super::sender::outcome_writer::OutcomeWriter;
use super::sending::{SendError, SendReply, SendRequest};
use super::session::{DesiredState, LinkState, SenderChannels};
use super::{Session, SessionDeps, SessionPhase};
use crate::media::MediaFile;
use crate::model::message::{ChatId, Message};
use crate::store::{
    EditOutcome, IdempotencyKey, Life, MessageOutcome, MessageSeq, Receipt, SendOutcome,
    StoreError, UnsettledMessage,
};
use crate::whatsapp::{AckOrReceipt, PreparedMessage};

mod accepting;
pub mod outcome_writer;
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
        request: Box<SendRequest>,
        /// Its file, if it has been fetched already.
        file: Option<MediaFile>,
        mode: SendMode,
        reply: oneshot::Sender<Result<SendReply, SendError>>,
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
    life: Life,
    id: String,
    to: ChatId,
    /// `None` if it is read from the store on demand.
    message: Option<Message>,
    file: Option<MediaFile>,
    prepared: Option<PreparedMessage>,
    waiters: Vec<oneshot::Sender<SendOutcome>>,
    is_vote: bool,
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
    /// Bytes of message contents in `open`.
    kept_bytes: usize,
    accepting: FuturesUnordered<BoxFuture<'static, AcceptResult>>,
    work: FuturesUnordered<BoxFuture<'static, WorkResult>>,
}

impl MessageSender {
    pub fn new(session: Arc<Session>, deps: SessionDeps, outcome_writer: OutcomeWriter) -> Self {
        Self {
            session,
            outbox: Outbox::new(deps.whatsapp_timeout),
            pending: HashMap::new(),
            by_id: HashMap::new(),
            kept_bytes: 0,
            accepting: FuturesUnordered::new(),
            work: FuturesUnordered::new(),
            deps,
            outcome_writer,
        }
    }

    pub async fn run(mut self, inlets: &mut SenderChannels) {
        let SenderChannels {
            requests,
            receipts: notes,
        } = inlets;
        let session = Arc::clone(&self.session);
        let mut line = self.session.watch_link_state();
        line.mark_changed();
        let lifecycle = self.deps.lifecycle.clone();
        if lifecycle
            .unless_stopping(self.resume_messages())
            .await
            .is_none()
        {
            return;
        }
        loop {
            self.run_steps();
            let alarm = sleep_or_wait(
                self.deps.clock.clone(),
                self.outbox.time_to_deadline(self.outbox_clock()),
            );
            tokio::select! {
                biased;
                () = lifecycle.await_stop() => break,
                () = session.wait_until_ended() => break,
                Ok(()) = line.changed() => {
                    let line = *line.borrow_and_update();
                    self.apply_link_state(line);
                }
                Some(note) = notes.recv() => self.handle_ack_or_receipt(note),
                Some(done) = self.work.next() => self.finish_work(done),
                Some(asked) = self.accepting.next() => self.finish_accepting(asked),
                Some(request) = requests.recv() => self.handle_request(request).await,
                () = alarm => {}
            }
        }
        // Pending requests are answered. Accepted messages are sent by the next run, if the session
        // still exists.
        while let Some(asked) = self.accepting.next().await {
            self.finish_accepting(asked);
        }
        if session.desired_state() == DesiredState::Remove {
            self.outbox.settle_unlinked();
            self.run_steps();
        }
    }

    /// Resumes the messages of an earlier run.
    async fn resume_messages(&mut self) {
        let life = self.session.life();
        let left = loop {
            match self.deps.store.unsettled_messages(&life).await {
                Ok(left) => break left,
                Err(error) => {
                    tracing::error!(session = %self.session.name, %error, "open messages cannot be read")
                }
            }
            self.deps.clock.sleep(RETRY_PAUSE).await;
        };
        for left in outbox::restore_order(left) {
            self.resume_message(&life, left);
        }
    }

    fn resume_message(&mut self, life: &Life, left: UnsettledMessage) {
        let Ok(to) = ChatId::parse_with_status(&left.chat) else {
            return;
        };
        let (waiting, is_vote) = (Vec::new(), left.is_vote);
        let (id, life) = (left.id, life.clone());
        let open = PendingSend {
            life,
            id,
            to,
            message: None,
            file: None,
            prepared: None,
            waiters: waiting,
            is_vote,
            is_outdated: false,
            was_refused: false,
        };
        let message = outbox::QueuedMessage {
            seq: left.seq,
            chat: left.chat,
            send_at: left.send_at,
            expires_at: left.expires_at,
            mode: SendMode::Queued,
            is_recorded: left.may_have_left,
            may_have_left: left.may_have_left,
            has_file: left.needs_download,
        };
        self.track_message(message, open);
    }

    fn track_message(&mut self, message: outbox::QueuedMessage, open: PendingSend) {
        self.by_id.insert(open.id.clone(), message.seq);
        self.pending.insert(message.seq, open);
        self.outbox.add_message(message, self.outbox_clock());
    }

    fn outbox_clock(&self) -> OutboxClock {
        OutboxClock {
            now: self.deps.clock.now(),
            uptime: self.deps.clock.uptime(),
        }
    }

    fn apply_link_state(&mut self, line: LinkState) {
        // This is another connection: messages under way on the previous one are unconfirmed.
        self.outbox
            .set_connectivity(outbox::OutboxConnectivity::Offline);
        match line {
            LinkState::Up(_) => self
                .outbox
                .set_connectivity(outbox::OutboxConnectivity::Online),
            LinkState::Down => {}
            LinkState::Unlinked => self.outbox.settle_unlinked(),
        }
    }

    async fn handle_request(&mut self, request: SenderRequest) {
        match request {
            SenderRequest::Accept {
                request: wish,
                file,
                mode: haste,
                reply,
            } => match self.check_request(&wish, haste) {
                Some(refusal) => drop(reply.send(Err(refusal))),
                None => self.accept_message(wish, file, haste, reply),
            },
            SenderRequest::WatchOutcome { id, waiter } => {
                if let Some(open) = self
                    .by_id
                    .get(&id)
                    .and_then(|place| self.pending.get_mut(place))
                {
                    open.waiters.push(waiter);
                }
            }
            // The requester may have gone; the request is carried out all the same.
            SenderRequest::Cancel { id, reply } => drop(reply.send(self.cancel_message(&id))),
            SenderRequest::Edit {
                id,
                message,
                key,
                reply,
            } => drop(reply.send(self.edit_message(&id, *message, key).await)),
        }
    }

    fn check_request(&self, wish: &SendRequest, haste: SendMode) -> Option<SendError> {
        // It is meant for an account that is no longer linked.
        if wish.life != self.session.life() {
            return Some(SendError::Unknown);
        }
        if self.pending.len() + self.accepting.len() >= MAX_WAITING {
            return Some(SendError::QueueFull(MAX_WAITING));
        }
        match haste {
            SendMode::Immediate => self.session.read_state(|state| match state.status {
                SessionPhase::Online => None,
                status => Some(SendError::NotOnline {
                    status,
                    reason: state.reason.clone(),
                }),
            }),
            SendMode::Queued if self.session.has_device() => None,
            SendMode::Queued => Some(SendError::NotPaired),
        }
    }

    fn handle_ack_or_receipt(&mut self, note: AckOrReceipt) {
        match note {
            AckOrReceipt::Ack { id, refused, at } => {
                let Some(&place) = self.by_id.get(&id) else {
                    return;
                };
                if refused.as_deref() == Some(outbox::failures::NEW_CHAT_CODE)
                    && self.start_trust_check(place)
                {
                    return;
                }
                let verdict = match refused {
                    None => SendOutcome::Sent {
                        at: at.unwrap_or_else(|| self.deps.clock.now()),
                    },
                    Some(code) if self.is_to_newsletter(place) => {
                        outbox::failures::post_refusal(&code)
                    }
                    Some(code) if self.is_to_group(place) => outbox::failures::group_refusal(&code),
                    Some(code) => outbox::failures::message_refusal(&code),
                };
                self.outbox.record_answer(place, verdict);
            }
            AckOrReceipt::Receipt {
                ids,
                from,
                is_one_of_many,
                kind,
                at,
            } => {
                for id in ids {
                    // A message that reached a phone was accepted by WhatsApp, even if the
                    // acknowledgement was lost.
                    if let Some(&place) = self.by_id.get(&id) {
                        self.outbox.record_answer(place, SendOutcome::Sent { at });
                        self.run_steps();
                    }
                    let (session, from) = (self.session.life(), from.clone());
                    self.outcome_writer.record_receipt(Receipt {
                        session,
                        id,
                        from,
                        is_one_of_many,
                        kind,
                        at,
                    });
                }
            }
        }
    }

    /// Waits for the recipient's trust token the first time that a message is refused as a new
    /// chat. Returns `false` the second time.
    fn start_trust_check(&mut self, place: MessageSeq) -> bool {
        let Some(open) = self
            .pending
            .get_mut(&place)
            .filter(|open| open.to.is_person())
        else {
            return false;
        };
        let is_first = !std::mem::replace(&mut open.was_refused, true);
        if is_first {
            self.work.push(Box::pin(work::check_trust(
                place,
                Arc::clone(&self.session),
                open.to.clone(),
            )));
        }
        is_first
    }

    fn is_to_group(&self, place: MessageSeq) -> bool {
        self.pending
            .get(&place)
            .is_some_and(|open| matches!(open.to, ChatId::Group(_)))
    }

    fn is_to_newsletter(&self, place: MessageSeq) -> bool {
        self.pending
            .get(&place)
            .is_some_and(|open| matches!(open.to, ChatId::Newsletter(_)))
    }

    fn finish_work(&mut self, done: WorkResult) {
        let at = self.outbox_clock();
        match done {
            WorkResult::Prepared(place, outcome) => {
                let outcome = match self.pending.get_mut(&place) {
                    Some(open) if open.is_outdated => Err(UnpreparedError::Outdated),
                    Some(open) => outcome.map(|prepared| open.prepared = Some(prepared)),
                    None => outcome.map(drop),
                };
                self.outbox.finish_preparing(place, outcome, at);
            }
            WorkResult::Recorded(places, outcome) => {
                self.outbox.finish_recording(&places, outcome, at)
            }
            WorkResult::HandedOver(place, outcome) => {
                self.outbox.finish_handover(place, &outcome, at)
            }
            WorkResult::TrustChecked(place, true) => self.outbox.retry_message(place),
            WorkResult::TrustChecked(place, false) => {
                self.outbox.record_answer(
                    place,
                    outbox::failures::message_refusal(outbox::failures::NEW_CHAT_CODE),
                );
            }
        }
    }

    /// Executes all current steps of the outbox.
    fn run_steps(&mut self) {
        for step in self.outbox.next_steps(self.outbox_clock()) {
            match step {
                OutboxStep::RecordOutcome(place, verdict) => self.settle_message(place, verdict),
                OutboxStep::RecordAttempts(places) => self.work.push(Box::pin(
                    work::record_attempts(self.deps.store.clone(), places),
                )),
                OutboxStep::Prepare(place) => match self.start_work(place) {
                    Some(work) => self.work.push(Box::pin(work.prepare_message())),
                    None => self.finish_work(WorkResult::Prepared(
                        place,
                        Err(UnpreparedError::Permanent("it is gone".to_owned())),
                    )),
                },
                OutboxStep::HandOver(place) => match self.start_work(place) {
                    Some(work) => self
                        .work
                        .push(Box::pin(work.hand_over(self.deps.whatsapp_timeout))),
                    None => self.finish_work(WorkResult::HandedOver(place, HandoverResult::Failed)),
                },
            }
        }
    }

    /// Collects everything that the work on a message needs.
    fn start_work(&mut self, place: MessageSeq) -> Option<SendWork> {
        let open = self.pending.get_mut(&place)?;
        open.is_outdated = false;
        Some(SendWork {
            seq: place,
            life: open.life.clone(),
            session: Arc::clone(&self.session),
            deps: self.deps.clone(),
            id: open.id.clone(),
            to: open.to.clone(),
            message: open.message.clone(),
            file: open.file.take(),
            prepared: open.prepared.clone(),
        })
    }

    fn settle_message(&mut self, place: MessageSeq, verdict: SendOutcome) {
        let Some(open) = self.pending.get_mut(&place) else {
            return;
        };
        let mut judged = MessageOutcome {
            seq: place,
            session: open.life.clone(),
            id: open.id.clone(),
            chat: open.to.to_string(),
            outcome: verdict,
            voter: if open.is_vote {
                work::account_address(&self.session)
            } else {
                None
            },
        };
        if judged.outcome == SendOutcome::Unconfirmed {
            return self.outcome_writer.record_outcome(judged, Vec::new());
        }
        let Some(open) = self.pending.remove(&place) else {
            return;
        };
        self.by_id.remove(&open.id);
        self.kept_bytes -= open
            .message
            .as_ref()
            .map_or(0, |message| message.content.memory_size());
        if let SendOutcome::Failed(failure) = &mut judged.outcome {
            tracing::debug!(session = %self.session.name, code = failure.code, "a message failed");
        }
        self.outcome_writer.record_outcome(judged, open.waiters);
    }
}
