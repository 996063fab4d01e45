//! Accepting messages in a session's sender, and changing them until they leave.

use tokio::sync::oneshot;

use super::super::outbox::{self, SendMode};
use super::super::sending::{SendError, SendReply, SendRequest};
use super::{MAX_KEPT_BYTES, MessageSender, PendingSend};
use crate::media::MediaFile;
use crate::model::message::Message;
use crate::store::{
    AcceptOutcome, AcceptedMessage, EditOutcome, IdempotencyKey, NewMessage, SendIntent,
    SendOutcome, StoreError,
};

/// A send request that the store has answered.
pub(super) struct AcceptResult {
    request: Box<SendRequest>,
    file: Option<MediaFile>,
    mode: SendMode,
    intent: SendIntent,
    reply: oneshot::Sender<Result<SendReply, SendError>>,
    answer: Result<AcceptOutcome, SendError>,
}

impl MessageSender {
    pub(super) fn accept_message(
        &mut self,
        wish: Box<SendRequest>,
        file: Option<MediaFile>,
        haste: SendMode,
        reply: oneshot::Sender<Result<SendReply, SendError>>,
    ) {
        let chat = wish.to.to_string();
        let may_wait =
            wish.send_at.is_some() || (wish.expires_at.is_some() && haste == SendMode::Queued);
        let departure = if !may_wait && self.outbox.can_leave(&chat) {
            SendIntent::Recorded
        } else {
            SendIntent::Unrecorded
        };
        let new = NewMessage {
            session: wish.life.clone(),
            chat,
            message: wish.message.clone(),
            send_at: wish.send_at,
            expires_at: wish.expires_at,
            intent: departure,
            key: wish.key.clone(),
        };
        let store = self.deps.store.clone();
        self.accepting.push(Box::pin(async move {
            let answer = store.accept_message(new).await.map_err(SendError::from);
            AcceptResult {
                request: wish,
                file,
                mode: haste,
                intent: departure,
                reply,
                answer,
            }
        }));
    }

    pub(super) fn finish_accepting(&mut self, asked: AcceptResult) {
        let AcceptResult {
            request: wish,
            file,
            mode: haste,
            intent: departure,
            reply,
            answer,
        } = asked;
        // The requester may have gone; an accepted message is sent all the same.
        let _ = reply.send(match answer {
            Ok(AcceptOutcome::New(accepted)) => {
                Ok(self.add_message(*wish, file, haste, departure, accepted))
            }
            Ok(AcceptOutcome::Repeated(id)) => Ok(SendReply::Repeated(id)),
            Ok(AcceptOutcome::KeyTaken) => Ok(SendReply::KeyReused),
            Err(error) => Err(error),
        });
    }

    fn add_message(
        &mut self,
        wish: SendRequest,
        file: Option<MediaFile>,
        haste: SendMode,
        departure: SendIntent,
        accepted: AcceptedMessage,
    ) -> SendReply {
        let (waiter, verdict) = oneshot::channel();
        let message = outbox::QueuedMessage {
            seq: accepted.seq,
            chat: wish.to.to_string(),
            send_at: wish.send_at,
            expires_at: wish.expires_at,
            mode: haste,
            is_recorded: departure == SendIntent::Recorded,
            may_have_left: false,
            has_file: wish.message.content.needs_download(),
        };
        let (size, is_vote) = (
            wish.message.content.memory_size(),
            wish.message.content.chosen_options().is_some(),
        );
        let message_kept = (self.kept_bytes + size <= MAX_KEPT_BYTES).then_some(wish.message);
        self.kept_bytes += message_kept.as_ref().map_or(0, |_| size);
        let open = PendingSend {
            life: wish.life,
            id: accepted.id.clone(),
            to: wish.to,
            message: message_kept,
            file,
            prepared: None,
            waiters: vec![waiter],
            is_vote,
            is_outdated: false,
            was_refused: false,
        };
        self.track_message(message, open);
        SendReply::Accepted(accepted, verdict)
    }

    /// Cancels a message. The outcome is reported once it is on disk; before that, a crash would
    /// let the message leave. Returns `None` if it may have left.
    pub(super) fn cancel_message(&mut self, id: &str) -> Option<oneshot::Receiver<SendOutcome>> {
        let place = *self.by_id.get(id)?;
        let (waiter, verdict) = oneshot::channel();
        let open = self
            .pending
            .get_mut(&place)
            .filter(|_| self.outbox.is_unsent(place))?;
        open.waiters.push(waiter);
        self.outbox.cancel_message(place);
        Some(verdict)
    }

    /// Edits a message. The new content counts once it is on disk. Meanwhile nothing is sent and no
    /// other edit is accepted.
    pub(super) async fn edit_message(
        &mut self,
        id: &str,
        message: Message,
        key: Option<IdempotencyKey>,
    ) -> Result<EditOutcome, StoreError> {
        let place = self
            .by_id
            .get(id)
            .copied()
            .filter(|place| self.outbox.is_unsent(*place));
        let Some(place) = place else {
            return Ok(EditOutcome::TooLate);
        };
        let rewording = self
            .deps
            .store
            .edit_message(place, message.clone(), key)
            .await?;
        if rewording != EditOutcome::Edited {
            return Ok(rewording);
        }
        let Some(open) = self.pending.get_mut(&place) else {
            return Ok(EditOutcome::TooLate);
        };
        let (size, has_file) = (
            message.content.memory_size(),
            message.content.needs_download(),
        );
        self.kept_bytes -= open
            .message
            .as_ref()
            .map_or(0, |message| message.content.memory_size());
        open.message = (self.kept_bytes + size <= MAX_KEPT_BYTES).then_some(message);
        self.kept_bytes += open.message.as_ref().map_or(0, |_| size);
        open.prepared = None;
        open.is_outdated = true;
        self.outbox.replace_content(place, has_file);
        Ok(rewording)
    }
}
