//! Accepting messages in a session's sender, and changing them until they leave.

use tokio::sync::oneshot;

use super::super::outbox::{self, Haste};
use super::super::sending::{Reply, SendError, Wish};
use super::{KEPT, Open, Sender};
use crate::media::File;
use crate::message::Message;
use crate::store::{
    Acceptance, Accepted, Departure, IdempotencyKey, NewMessage, Rewording, StoreError, Verdict,
};

/// A send request that the store has answered.
pub(super) struct Asked {
    wish: Box<Wish>,
    file: Option<File>,
    haste: Haste,
    departure: Departure,
    reply: oneshot::Sender<Result<Reply, SendError>>,
    answer: Result<Acceptance, SendError>,
}

impl Sender {
    pub(super) fn accept(
        &mut self,
        wish: Box<Wish>,
        file: Option<File>,
        haste: Haste,
        reply: oneshot::Sender<Result<Reply, SendError>>,
    ) {
        let chat = wish.to.to_string();
        let may_wait =
            wish.send_at.is_some() || (wish.expires_at.is_some() && haste == Haste::Patient);
        let departure = if !may_wait && self.outbox.would_leave(&chat) {
            Departure::AtOnce
        } else {
            Departure::Later
        };
        let new = NewMessage {
            session: wish.life.clone(),
            chat,
            message: wish.message.clone(),
            send_at: wish.send_at,
            expires_at: wish.expires_at,
            departure,
            key: wish.key.clone(),
        };
        let store = self.around.store.clone();
        self.accepting.push(Box::pin(async move {
            let answer = store.accept(new).await.map_err(SendError::from);
            Asked {
                wish,
                file,
                haste,
                departure,
                reply,
                answer,
            }
        }));
    }

    pub(super) fn accepted(&mut self, asked: Asked) {
        let Asked {
            wish,
            file,
            haste,
            departure,
            reply,
            answer,
        } = asked;
        // The requester may have gone; an accepted message is sent all the same.
        let _ = reply.send(match answer {
            Ok(Acceptance::New(accepted)) => {
                Ok(self.new_message(*wish, file, haste, departure, accepted))
            }
            Ok(Acceptance::Repeated(id)) => Ok(Reply::Repeated(id)),
            Ok(Acceptance::KeyTaken) => Ok(Reply::KeyTaken),
            Err(error) => Err(error),
        });
    }

    fn new_message(
        &mut self,
        wish: Wish,
        file: Option<File>,
        haste: Haste,
        departure: Departure,
        accepted: Accepted,
    ) -> Reply {
        let (waiter, verdict) = oneshot::channel();
        let message = outbox::Message {
            place: accepted.place,
            chat: wish.to.to_string(),
            send_at: wish.send_at,
            expires_at: wish.expires_at,
            haste,
            is_marked: departure == Departure::AtOnce,
            may_have_left: false,
            has_file: wish.message.content.needs_fetching(),
        };
        let (size, is_vote) = (
            wish.message.content.size(),
            wish.message.content.ballot().is_some(),
        );
        let message_kept = (self.kept + size <= KEPT).then_some(wish.message);
        self.kept += message_kept.as_ref().map_or(0, |_| size);
        let open = Open {
            life: wish.life,
            id: accepted.id.clone(),
            to: wish.to,
            message: message_kept,
            file,
            prepared: None,
            waiting: vec![waiter],
            is_vote,
            is_stale: false,
            was_new_chat: false,
        };
        self.enter(message, open);
        Reply::Accepted(accepted, verdict)
    }

    /// Cancels a message. The outcome is reported once it is on disk; before that, a crash would
    /// let the message leave. Returns `None` if it may have left.
    pub(super) fn cancel(&mut self, id: &str) -> Option<oneshot::Receiver<Verdict>> {
        let place = *self.by_id.get(id)?;
        let (waiter, verdict) = oneshot::channel();
        let open = self
            .open
            .get_mut(&place)
            .filter(|_| self.outbox.is_here(place))?;
        open.waiting.push(waiter);
        self.outbox.cancel(place);
        Some(verdict)
    }

    /// Edits a message. The new content counts once it is on disk. Meanwhile nothing is sent and no
    /// other edit is accepted.
    pub(super) async fn reword(
        &mut self,
        id: &str,
        message: Message,
        key: Option<IdempotencyKey>,
    ) -> Result<Rewording, StoreError> {
        let place = self
            .by_id
            .get(id)
            .copied()
            .filter(|place| self.outbox.is_here(*place));
        let Some(place) = place else {
            return Ok(Rewording::TooLate);
        };
        let rewording = self
            .around
            .store
            .reword(place, message.clone(), key)
            .await?;
        if rewording != Rewording::Done {
            return Ok(rewording);
        }
        let Some(open) = self.open.get_mut(&place) else {
            return Ok(Rewording::TooLate);
        };
        let (size, has_file) = (message.content.size(), message.content.needs_fetching());
        self.kept -= open
            .message
            .as_ref()
            .map_or(0, |message| message.content.size());
        open.message = (self.kept + size <= KEPT).then_some(message);
        self.kept += open.message.as_ref().map_or(0, |_| size);
        open.prepared = None;
        open.is_stale = true;
        self.outbox.reworded(place, has_file);
        Ok(rewording)
    }
}
