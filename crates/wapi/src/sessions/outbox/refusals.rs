//! Refusals of messages to new contacts: such a message has not left, and may be sent once more. Pure.

use super::admission::ChatFamiliarity;
use super::items::{SendMode, SendStage};
use super::{Outbox, SendAttempt};
use crate::model::send_failure::SendFailure;
use crate::store::{MessageSeq, SendOutcome};

impl Outbox {
    /// WhatsApp has refused a message as the first one to a new contact. It waits until the sender
    /// knows whether the account has the person's trust token by now: [`Self::finish_trust_check`].
    pub fn start_trust_check(&mut self, seq: MessageSeq) -> Option<SendAttempt> {
        self.leave_queues(seq);
        if let Some(item) = self.lanes.get_mut(seq) {
            item.open_attempts = item.open_attempts.saturating_sub(1);
        }
        self.start_attempt(seq, SendStage::Refused)
    }

    /// Sends a refused message again if the person trusts the account; holds it if limits hold such
    /// messages; otherwise it has failed.
    pub fn finish_trust_check(&mut self, attempt: SendAttempt, is_trusted: bool) {
        let seq = attempt.seq;
        let is_limited = matches!(self.new_chats.quota, Some((0, _))) || self.is_held();
        let Some(item) = self.find_attempt(attempt, SendStage::Refused) else {
            return;
        };
        // Somebody who has written meanwhile has a token on its way.
        let has_written = std::mem::take(&mut item.is_check_outdated);
        if is_trusted || has_written {
            item.familiarity = is_trusted.then_some(ChatFamiliarity::Known);
            self.make_ready(seq);
        } else if is_limited && item.mode == SendMode::Queued {
            item.familiarity = Some(ChatFamiliarity::New);
            self.make_ready(seq);
        } else {
            let failure = SendFailure::from_refusal(&item.message.to, SendFailure::NEW_CHAT_CODE);
            // Its own attempt is answered; another may have arrived.
            let is_doubtful = item.open_attempts > 0;
            self.settle_message(
                seq,
                match is_doubtful {
                    true => SendOutcome::LeftUnconfirmed,
                    false => SendOutcome::Failed(failure),
                },
            );
        }
        // The connection may have ended meanwhile.
        if !self.is_online() {
            self.unmark_waiting();
        }
    }

    fn is_held(&self) -> bool {
        self.new_chats.hold.is_some()
    }
}
