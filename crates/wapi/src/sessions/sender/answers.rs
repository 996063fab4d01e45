//! WhatsApp's answers to a session's messages, and the receipts of their recipients.

use std::sync::Arc;

use super::{MessageSender, work};
use crate::model::send_failure::SendFailure;
use crate::store::{MessageSeq, Receipt, SendOutcome};
use crate::whatsapp::AckOrReceipt;

impl MessageSender {
    pub(super) fn handle_ack_or_receipt(&mut self, receipt: AckOrReceipt) {
        match receipt {
            AckOrReceipt::Ack { id, refused, at } => {
                let Some(&seq) = self.by_id.get(&id) else {
                    return;
                };
                match refused {
                    None => {
                        let at = at.unwrap_or_else(|| self.deps.clock.now());
                        self.outbox.record_answer(seq, SendOutcome::Sent { at });
                    }
                    Some(code)
                        if code == SendFailure::NEW_CHAT_CODE && self.start_trust_check(seq) =>
                    {
                        // The account may be limited since a moment ago.
                        self.refresh_limits();
                    }
                    Some(code) => self.fail_refused(seq, &code),
                }
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
                    if let Some(&seq) = self.by_id.get(&id) {
                        self.outbox.record_answer(seq, SendOutcome::Sent { at });
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
    fn start_trust_check(&mut self, seq: MessageSeq) -> bool {
        let Some(pending) = self
            .pending
            .get_mut(&seq)
            .filter(|pending| pending.message.to.is_person())
        else {
            return false;
        };
        if std::mem::replace(&mut pending.was_refused, true) {
            return false;
        }
        if let Some(attempt) = self.outbox.start_trust_check(seq) {
            let (session, by) = (Arc::clone(&self.session), pending.message.to.clone());
            self.work
                .push(Box::pin(work::check_trust(attempt, session, by)));
        }
        true
    }

    /// Settles a message that WhatsApp has refused with this code.
    fn fail_refused(&mut self, seq: MessageSeq, code: &str) {
        if let Some(pending) = self.pending.get(&seq) {
            let failure = SendFailure::from_refusal(&pending.message.to, code);
            self.outbox.record_answer(seq, SendOutcome::Failed(failure));
        }
    }
}
