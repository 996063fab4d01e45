//! Accepting messages in a session's sender, and changing them until they leave.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::super::SessionError;
use super::super::outbox::SendMode;
use super::{MAX_KEPT_BYTES, MessageSender, PendingSend};
use crate::media::MediaFile;
use crate::model::message::Message;
use crate::store::{
    AcceptOutcome, EditOutcome, IdempotencyKey, QueuedMessage, SendIntent, SendOutcome,
    SendRequest, StoreError,
};

/// A send request that the store has answered.
pub(super) struct AcceptResult {
    request: Arc<SendRequest>,
    file: Option<MediaFile>,
    mode: SendMode,
    send_intent: SendIntent,
    waiter: oneshot::Sender<SendOutcome>,
    reply: oneshot::Sender<Result<AcceptOutcome, SessionError>>,
    answer: Result<AcceptOutcome, StoreError>,
}

impl MessageSender {
    pub(super) fn accept_message(
        &mut self,
        request: Arc<SendRequest>,
        file: Option<MediaFile>,
        mode: SendMode,
        waiter: oneshot::Sender<SendOutcome>,
        reply: oneshot::Sender<Result<AcceptOutcome, SessionError>>,
    ) {
        let may_wait =
            request.send_at.is_some() || (request.expires_at.is_some() && mode == SendMode::Queued);
        // After a crash, a recorded message would overtake an unrecorded one that is still on its way
        // to the lane.
        let has_unrecorded = self.accepting_unrecorded.contains_key(&request.to);
        let send_intent = if !may_wait && !has_unrecorded && self.outbox.can_leave(&request.to) {
            SendIntent::Recorded
        } else {
            *self
                .accepting_unrecorded
                .entry(request.to.clone())
                .or_default() += 1;
            SendIntent::Unrecorded
        };
        let store = self.deps.store.clone();
        self.accepting.push_back(Box::pin(async move {
            let answer = store
                .outbox()
                .accept_message(Arc::clone(&request), send_intent)
                .await;
            AcceptResult {
                request,
                file,
                mode,
                send_intent,
                waiter,
                reply,
                answer,
            }
        }));
    }

    pub(super) fn finish_accepting(&mut self, accepted: AcceptResult) {
        let AcceptResult {
            request,
            file,
            mode,
            send_intent,
            waiter,
            reply,
            answer,
        } = accepted;
        if send_intent == SendIntent::Unrecorded
            && let Entry::Occupied(mut accepting) =
                self.accepting_unrecorded.entry(request.to.clone())
        {
            *accepting.get_mut() -= 1;
            if *accepting.get() == 0 {
                accepting.remove();
            }
        }
        if let Ok(AcceptOutcome::New(message)) = &answer {
            let content = Arc::unwrap_or_clone(request).message;
            self.add_message(Arc::clone(message), content, file, mode, waiter);
        }
        // The requester may have gone; an accepted message is sent all the same.
        let _ = reply.send(answer.map_err(SessionError::from));
    }

    fn add_message(
        &mut self,
        message: Arc<QueuedMessage>,
        content: Message,
        file: Option<MediaFile>,
        mode: SendMode,
        waiter: oneshot::Sender<SendOutcome>,
    ) {
        let mut pending = PendingSend {
            file,
            waiters: vec![waiter],
            ..PendingSend::new(message)
        };
        keep_content(&mut self.kept_bytes, &mut pending, content);
        self.track_message(pending, mode);
    }

    /// Cancels a message. The outcome is reported once it is on disk; before that, a crash would
    /// let the message leave. Returns `None` if it may have left.
    pub(super) fn cancel_message(&mut self, id: &str) -> Option<oneshot::Receiver<SendOutcome>> {
        let seq = *self.by_id.get(id)?;
        let (waiter, outcome) = oneshot::channel();
        let pending = self
            .pending
            .get_mut(&seq)
            .filter(|_| self.outbox.is_unsent(seq))?;
        pending.waiters.push(waiter);
        self.outbox.cancel_message(seq);
        Some(outcome)
    }

    /// Edits a message. The new content counts once it is on disk. Meanwhile nothing is sent and no
    /// other edit is accepted.
    pub(super) async fn edit_message(
        &mut self,
        id: &str,
        message: Message,
        key: Option<IdempotencyKey>,
    ) -> Result<EditOutcome, StoreError> {
        let seq = self
            .by_id
            .get(id)
            .copied()
            .filter(|seq| self.outbox.is_unsent(*seq));
        let Some(seq) = seq else {
            return Ok(EditOutcome::TooLate);
        };
        let answer = self
            .deps
            .store
            .outbox()
            .edit_message(seq, message.clone(), key)
            .await?;
        if answer != EditOutcome::Edited {
            return Ok(answer);
        }
        let Some(pending) = self.pending.get_mut(&seq) else {
            return Ok(EditOutcome::TooLate);
        };
        let needs_download = message.content.needs_download();
        keep_content(&mut self.kept_bytes, pending, message);
        pending.prepared = None;
        pending.is_outdated = true;
        self.outbox.replace_content(seq, needs_download);
        Ok(answer)
    }
}

/// Keeps the content of a message in memory, if there is room.
fn keep_content(kept_bytes: &mut usize, pending: &mut PendingSend, content: Message) {
    *kept_bytes -= pending.content_size();
    let has_room = *kept_bytes + content.content.memory_size() <= MAX_KEPT_BYTES;
    pending.content = has_room.then_some(content);
    *kept_bytes += pending.content_size();
}
